"""The generator in examples/: its observables by hand, and the cutting of the embedded sample."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sk_shadownet.datasets import load_lhc_jets

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "simulate_lhc_jets.py"


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("simulate_lhc_jets", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def shuffled(tmp_path):
    """A file as `merge` writes it: 40 training and 10 test rows a class, shuffled."""
    rng = np.random.default_rng(0)
    y_train, y_test = (
        rng.permutation(np.repeat(np.arange(5), 40)),
        rng.permutation(np.repeat(np.arange(5), 10)),
    )
    path = tmp_path / "all.npz"
    X_train, X_test = (rng.normal(size=(len(y), 16)).astype(np.float32) for y in (y_train, y_test))
    np.savez(path, X_train=X_train, X_test=X_test, y_train=y_train, y_test=y_test)
    return path


def test_feature_and_class_names_are_those_of_the_package(generator):
    jets = load_lhc_jets()
    assert jets.feature_names == generator.FEATURES
    assert list(generator.CLASSES) == jets.target_names.tolist()


def test_embedded_file_carries_the_names_it_was_written_with(generator):
    with np.load(generator.PACKAGED, allow_pickle=False) as arrays:
        assert arrays["feature_names"].tolist() == generator.FEATURES
        assert arrays["class_names"].tolist() == list(generator.CLASSES)


def test_correlators_of_three_equal_particles_on_a_line(generator):
    # z = 1/3 each at y = 0, 0.1, 0.3: angles 0.1, 0.2, 0.3; e3 is one triple of weight 1/27.
    got = generator.correlators(np.full(3, 50.0), np.array([0.0, 0.1, 0.3]), np.zeros(3))
    e2 = [3 / 9, 0.6 / 9, 0.14 / 9]
    triple = [0.006, 0.006**2, 0.1, 0.1**2, 0.02, 0.02**2]
    np.testing.assert_allclose(got, [*e2, *(value / 27 for value in triple)], rtol=1e-12)


def test_azimuth_is_measured_the_short_way_round(generator):
    y, phi = np.zeros(3), np.array([3.1, -3.1, 3.0])
    turned = np.array([0.0, 2 * np.pi - 6.2, -0.1])
    pt = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(
        generator.correlators(pt, y, phi), generator.correlators(pt, y, turned), rtol=1e-9
    )


@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-2.0, 2.0), seed=st.integers(0, 100))
def test_correlators_know_neither_total_momentum_nor_direction(generator, scale, shift, seed):
    rng = np.random.default_rng(seed)
    pt, y, phi = rng.uniform(1, 100, 6), rng.uniform(-0.2, 0.2, 6), rng.uniform(-0.2, 0.2, 6)
    np.testing.assert_allclose(
        generator.correlators(scale * pt, y + shift, phi), generator.correlators(pt, y, phi), rtol=1e-7
    )


@given(st.floats(-1e6, 1e6).filter(lambda value: value == 0 or abs(value) > 1e-9))
def test_rounding_keeps_six_significant_digits(generator, value):
    got = float(generator.round_digits(np.array([value]))[0])
    # float32 rounding (2^-24) on top of half a unit of the sixth digit, doubled for decimal ties.
    assert got == pytest.approx(float(f"{value:.5e}"), rel=1.1e-5 if value else 0, abs=0)


def test_resolution_of_a_photon_is_finer_than_of_a_neutron(generator):
    kinds = np.array([22, 2112, 211])
    photon, neutron, pion = generator.resolution(np.full(3, 50.0), np.full(3, 50.0), kinds)
    assert photon < pion < neutron


def test_sample_takes_the_first_rows_of_each_class_in_their_order(generator, shuffled, tmp_path):
    output = tmp_path / "sample.npz"
    arguments = f"sample --source {shuffled} --output {output} --train-per-class 8 --test-per-class 4"
    generator.main(arguments.split())
    with np.load(shuffled) as source, np.load(output, allow_pickle=False) as got:
        for part, n in (("train", 8), ("test", 4)):
            X, y = source[f"X_{part}"], source[f"y_{part}"]
            seen = [np.count_nonzero(y[:i] == y[i]) for i in range(len(y))]
            rows = [i for i in range(len(y)) if seen[i] < n]
            assert np.array_equal(got[f"X_{part}"], X[rows])
            assert np.array_equal(got[f"y_{part}"], y[rows])


def test_sample_written_twice_is_the_same_file(generator, shuffled, tmp_path):
    for name in ("one", "two"):
        generator.sample(shuffled, tmp_path / f"{name}.npz", 8, 4)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_sample_of_the_packaged_file_is_the_packaged_file(generator, tmp_path):
    generator.sample(generator.PACKAGED, tmp_path / "again.npz", 5000, 2000)
    with np.load(generator.PACKAGED) as packaged, np.load(tmp_path / "again.npz") as again:
        assert packaged.files == again.files
        assert all(np.array_equal(packaged[name], again[name]) for name in packaged.files)


def test_sample_larger_than_its_source_is_refused(generator, shuffled, tmp_path):
    with pytest.raises(SystemExit, match="41 rows a class were asked for, the source has 40"):
        generator.sample(shuffled, tmp_path / "sample.npz", 41, 4)


def test_merge_balances_the_classes_and_divides_80_to_20(generator, tmp_path):
    rng = np.random.default_rng(1)
    for index, name in enumerate(generator.CLASSES):
        np.savez(tmp_path / f"{name}_0000.npz", X=rng.uniform(1, 2, size=(20 + index, 16)) + 10 * index)
    generator.merge(tmp_path, tmp_path / "all.npz", None)
    with np.load(tmp_path / "all.npz") as arrays:
        assert np.bincount(arrays["y_train"]).tolist() == [16] * 5
        assert np.bincount(arrays["y_test"]).tolist() == [4] * 5
        assert np.array_equal(arrays["X_train"][:, 0] // 10, arrays["y_train"])


def test_merge_names_the_class_that_has_no_chunk(generator, tmp_path):
    with pytest.raises(SystemExit, match="no chunk of class g"):
        generator.merge(tmp_path, tmp_path / "all.npz", None)


def test_simulation_names_what_to_install_where_it_is_missing(generator, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(SystemExit, match="pip install pythia8mc fastjet numba"):
        generator.main(["run", "--folder", str(tmp_path)])
