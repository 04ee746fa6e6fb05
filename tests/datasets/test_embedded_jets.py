"""The embedded sample: its promises about shape, division, values and words."""

import sys

import numpy as np
import pytest

from sk_shadownet import datasets
from sk_shadownet.datasets import load_lhc_jets
from sk_shadownet.exceptions import InvalidParameterError, MissingToolError, ShadowNetError

FEATURES = (
    "zlogz c1_b0_mmdt c1_b1_mmdt c1_b2_mmdt c2_b1_mmdt c2_b2_mmdt d2_b1_mmdt d2_b2_mmdt d2_a1_b1_mmdt "
    "d2_a1_b2_mmdt m2_b1_mmdt m2_b2_mmdt n2_b1_mmdt n2_b2_mmdt mass_mmdt multiplicity"
).split()


@pytest.fixture(scope="module")
def jets():
    return load_lhc_jets()


def column(jets, name):
    return jets.data[:, jets.feature_names.index(name)].astype(np.float64)


def test_public_names_are_sorted_and_exist():
    assert datasets.__all__ == sorted(datasets.__all__)
    assert all(hasattr(datasets, name) for name in datasets.__all__)


def test_data_are_finite_float32_rows_and_targets_are_int64(jets):
    assert jets.data.shape == (35_000, 16)
    assert jets.data.dtype == np.float32
    assert jets.data.flags.c_contiguous
    assert jets.target.dtype == np.int64
    assert np.isfinite(jets.data).all()


def test_features_and_classes_have_the_names_and_order_of_the_public_set(jets):
    assert jets.feature_names == FEATURES
    assert jets.target_names.tolist() == ["g", "q", "t", "w", "z"]


def test_division_covers_every_row_once(jets):
    both = np.concatenate([jets.train_indices, jets.test_indices])
    assert np.array_equal(np.sort(both), np.arange(len(jets.data)))


def test_division_is_stratified_exactly(jets):
    assert np.bincount(jets.y_train).tolist() == [5000] * 5
    assert np.bincount(jets.y_test).tolist() == [2000] * 5


def test_part_arrays_are_the_rows_of_the_division(jets):
    for part, rows in (("train", jets.train_indices), ("test", jets.test_indices)):
        assert np.array_equal(jets[f"X_{part}"], jets.data[rows])
        assert np.array_equal(jets[f"y_{part}"], jets.target[rows])


def test_no_test_jet_is_also_a_training_jet(jets):
    train = {row.tobytes() for row in jets.X_train}
    assert not any(row.tobytes() in train for row in jets.X_test)


def test_rows_of_a_class_are_spread_over_the_training_part(jets):
    first_half = np.bincount(jets.y_train[:12_500], minlength=5)
    # 2,500 are expected; the hypergeometric standard deviation is 32.
    assert np.abs(first_half - 2500).max() < 160


@pytest.mark.parametrize("subset", ["train", "test"])
def test_subset_holds_the_rows_of_that_part_and_no_division(jets, subset):
    part = load_lhc_jets(subset=subset)
    assert np.array_equal(part.data, jets[f"X_{subset}"])
    assert np.array_equal(part.target, jets[f"y_{subset}"])
    assert "train_indices" not in part


def test_return_X_y_gives_data_and_target(jets):
    X, y = load_lhc_jets(return_X_y=True)
    assert np.array_equal(X, jets.data)
    assert np.array_equal(y, jets.target)


def test_two_loads_share_no_memory(jets):
    before = jets.data[0, 0]
    again = load_lhc_jets()
    again.data[0, 0] = -1.0
    assert load_lhc_jets().data[0, 0] == before


def test_as_frame_gives_named_columns_and_the_same_values(jets):
    pd = pytest.importorskip("pandas")
    framed = load_lhc_jets(as_frame=True)
    assert isinstance(framed.data, pd.DataFrame)
    assert isinstance(framed.target, pd.Series)
    assert list(framed.frame.columns) == [*FEATURES, "target"]
    assert np.array_equal(framed.X_test.to_numpy(), jets.X_test)
    assert np.array_equal(framed.y_train.to_numpy(), jets.y_train)


def test_frame_is_none_without_as_frame(jets):
    assert jets.frame is None


def test_only_zlogz_is_negative(jets):
    assert (column(jets, "zlogz") < 0).all()
    others = [name for name in jets.feature_names if name != "zlogz"]
    assert all((column(jets, name) > 0).all() for name in others)


def test_multiplicity_is_a_whole_number_of_at_least_three(jets):
    multiplicity = column(jets, "multiplicity")
    assert np.array_equal(multiplicity, np.round(multiplicity))
    assert multiplicity.min() >= 3


def test_values_have_six_significant_digits(jets):
    values = jets.data[::50].astype(np.float64).ravel()
    rounded = np.array([float(f"{value:.5e}") for value in values])
    # float32 holds 7.2 digits: the stored value is the rounded one to within half a unit in the last place.
    assert np.abs(values / rounded - 1).max() <= 2.0**-24


def test_d2_is_c2_over_e2_as_its_definition_says(jets):
    # C2 = e3 / e2^2 and D2 = e3 / e2^3, C1 = e2; six digits each leave 3 x 5e-6 relative.
    for beta in ("b1", "b2"):
        expected = column(jets, f"c2_{beta}_mmdt") / column(jets, f"c1_{beta}_mmdt")
        np.testing.assert_allclose(column(jets, f"d2_{beta}_mmdt"), expected, rtol=2e-5)


def test_d2_a1_b1_repeats_d2_b1_as_in_the_public_set(jets):
    assert np.array_equal(column(jets, "d2_a1_b1_mmdt"), column(jets, "d2_b1_mmdt"))


@pytest.mark.parametrize(("name", "mass"), [("w", 80.4), ("z", 91.2), ("t", 172.0)])
def test_groomed_mass_peaks_at_the_particle_that_started_the_jet(jets, name, mass):
    masses = column(jets, "mass_mmdt")[jets.target == list(jets.target_names).index(name)]
    counts, edges = np.histogram(masses, bins=np.arange(20.0, 220.0, 4.0))
    peak = edges[counts.argmax()] + 2.0
    assert abs(peak - mass) < 5.0


def test_description_warns_that_the_jets_are_simulated(jets):
    text = " ".join(jets.DESCR.split())
    assert "must never be quoted as a result on OpenML 42468" in text
    assert "BSD-3-Clause" in text
    assert all(name in text for name in FEATURES)


def test_unknown_subset_is_named_with_the_legal_words():
    with pytest.raises(
        InvalidParameterError, match=r"subset must be one of 'all', 'train', 'test'; got 'valid'"
    ):
        load_lhc_jets(subset="valid")


def test_missing_pandas_names_the_command_that_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingToolError, match=r'pip install "sk-shadownet\[data\]"') as caught:
        load_lhc_jets(as_frame=True)
    assert isinstance(caught.value, ShadowNetError)
