"""What rounding loses of a classifier's answers: laws, cases by hand, and a rare signal."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.special import expit, log_softmax

from sk_shadownet.exceptions import HardwareWarning
from sk_shadownet.fpga._quantization.fidelity import ClassFidelity, Fidelity, _area, decisions

TOLERANCES = st.sampled_from([0.0, 0.001, 0.01, 0.05, 0.2, 0.5, 0.9, 1.0])


@st.composite
def situations(draw, n_classes=None, one_logit=False):
    """Logits in eighths, so that sums are exact; classes that they tell something of, or None."""
    k = draw(st.integers(2, 5)) if n_classes is None else n_classes
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    n = draw(st.integers(1, 60))
    y = rng.integers(k, size=n)
    z = rng.normal(size=(n, k)) + 2 * np.eye(k)[y]
    z = np.round(8 * z) / 8
    if one_logit:
        z = z[:, 1:] - z[:, :1]
    return z, (y if draw(st.booleans()) else None)


def coarse(z, step=1.0):
    return step * np.floor(z / step)


def figures(loss):
    return np.array([loss.changed, *loss.changed_by_class, loss.information, loss.order])


# ------------------------------------------------------------------ laws


@given(situations())
def test_identical_outputs_lose_nothing(situation):
    z, y = situation
    loss = ClassFidelity(z, y).of(z)
    assert not figures(loss).any()
    assert loss.within(0.0)
    assert len(loss.dead) == 0
    assert ClassFidelity(z, y).divergence(z) == 0.0


@given(st.integers(1, 40), st.integers(1, 4), st.booleans())
def test_outputs_that_tell_nothing_have_nothing_to_lose(n, k, known):
    z, y = np.ones((n, k)), (np.arange(n) % max(k, 2) if known else None)
    loss = ClassFidelity(z, y).of(z)
    assert np.isfinite(figures(loss)).all()
    assert loss.within(0.0)


MAPS = [lambda z: 3 * z, lambda z: z**3, lambda z: z + 100, np.exp, np.arctan]


@given(situations(one_logit=True, n_classes=2), st.sampled_from(MAPS))
def test_rising_maps_of_the_only_logit_lose_no_order(situation, rising):
    z, y = situation
    assert ClassFidelity(z, y).of(rising(z)).order == pytest.approx(0.0, abs=1e-12)


@given(situations(one_logit=True, n_classes=2), st.sampled_from([0.25, 1.0, 3.0]))
def test_ties_win_no_order(situation, step):
    z, y = situation
    assert ClassFidelity(z, y).of(coarse(z, step)).order >= -1e-12


@given(situations())
def test_outputs_that_all_tie_have_lost_all_order(situation):
    z, y = situation
    judge = ClassFidelity(z, y)
    assume(len(judge.classes) > 1)
    assume((judge.areas > 1e-9).any())
    assert judge.of(np.zeros_like(z)).order == pytest.approx(1.0)


@given(situations(), st.integers(0, 2**31))
def test_a_number_added_to_all_logits_of_a_row_changes_nothing(situation, seed):
    z, y = situation
    added = np.random.default_rng(seed).integers(-80, 80, size=(2, len(z), 1)) / 8
    expected = ClassFidelity(z, y).of(coarse(z))
    found = ClassFidelity(z + added[0], y).of(coarse(z) + added[1])
    np.testing.assert_allclose(figures(found), figures(expected), rtol=1e-8, atol=1e-10)


@given(situations(), st.integers(0, 2**31))
def test_the_order_of_rows_decides_nothing(situation, seed):
    z, y = situation
    rows = np.random.default_rng(seed).permutation(len(z))
    expected = ClassFidelity(z, y).of(coarse(z))
    found = ClassFidelity(z[rows], None if y is None else y[rows]).of(coarse(z)[rows])
    np.testing.assert_allclose(figures(found), figures(expected), rtol=1e-8, atol=1e-10)


@given(situations(), st.integers(0, 2**31))
def test_the_order_of_classes_decides_nothing(situation, seed):
    z, y = situation
    names = np.random.default_rng(seed).permutation(z.shape[1])
    # Class names[n] becomes class n. Equal logits are decided by position, so none are.
    z = z + np.arange(z.shape[1]) / 64
    expected = ClassFidelity(z, y).of(z * 0.5)
    found = ClassFidelity(z[:, names], None if y is None else np.argsort(names)[y]).of(z[:, names] * 0.5)
    assert found.information == pytest.approx(expected.information, rel=1e-8, abs=1e-10)
    assert found.order == pytest.approx(expected.order, rel=1e-8, abs=1e-10)
    assert found.rows_by_class.tolist() == expected.rows_by_class[names].tolist()


@given(situations(one_logit=True, n_classes=2))
def test_one_logit_is_as_good_as_two_of_which_the_first_is_0(situation):
    z, y = situation
    two = np.column_stack([np.zeros(len(z)), z])
    found, expected = ClassFidelity(z, y).of(coarse(z)), ClassFidelity(two, y).of(coarse(two))
    assert figures(found).tolist() == figures(expected).tolist()
    assert found.rows_by_class.tolist() == expected.rows_by_class.tolist()


@settings(deadline=None)
@given(situations(), st.integers(2, 40))
def test_a_rare_class_counts_as_much_as_a_frequent_one(situation, times):
    z, y = situation
    k = z.shape[1]
    y = z.argmax(axis=1) if y is None else y
    # What stands above all rest is known to half a row of the rest; to have none, each class's best score is
    # that of a row of each other class.
    confused = [(own, other) for own in range(k) for other in range(k) if other != own]
    z = np.concatenate([z, [10.0 * np.eye(k)[own] for own, _ in confused]])
    y = np.concatenate([y, [other for _, other in confused]])
    again = np.repeat(np.arange(len(y)), np.where(y == 0, times, 1))
    once, often = ClassFidelity(z, y).of(coarse(z)), ClassFidelity(z[again], y[again]).of(coarse(z)[again])
    assert often.information == pytest.approx(once.information, rel=1e-6, abs=1e-9)
    assert often.order == pytest.approx(once.order, rel=1e-6, abs=1e-9)


@given(situations(), st.integers(0, 4))
def test_a_class_that_is_never_answered_is_dead(situation, c):
    z, y = situation
    c = c % z.shape[1]
    rounded = z - 1000 * np.eye(z.shape[1])[c]
    loss = ClassFidelity(z, y).of(rounded)
    found = (z.argmax(axis=1) == c).any()
    assert loss.dead.tolist() == ([c] if found else [])
    assert loss.rows_by_class[c] == (z.argmax(axis=1) == c).sum()


def test_a_class_that_is_answered_elsewhere_is_not_dead():
    z = np.array([[2.0, 0.0], [0.0, 2.0]])
    loss = ClassFidelity(z).of(z[::-1])
    assert loss.changed == 1.0
    assert loss.dead.tolist() == []


@given(situations())
def test_classes_whose_rows_are_missing_are_left_out(situation):
    z, _ = situation
    loss = ClassFidelity(z, np.zeros(len(z), dtype=int)).of(coarse(z))
    assert np.isfinite(figures(loss)).all()


# ------------------------------------------------------------------ the area, and cases by hand


@given(st.integers(0, 2**31), st.integers(1, 30))
def test_the_area_is_that_of_a_count_for_each_row(seed, n):
    rng = np.random.default_rng(seed)
    scores = rng.integers(-4, 5, n) / 2
    own, others = rng.uniform(size=n), rng.uniform(size=n) * rng.integers(0, 2, n)
    assume(others.sum() > 0)
    least = 0.5 * (others**2).sum() / others.sum() ** 2
    expected = sum(
        own[i]
        * -np.log(max(sum(others[j] for j in range(n) if scores[j] >= scores[i]) / others.sum(), least))
        for i in range(n)
    )
    assert _area(scores, own, others) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_order_by_hand():
    # Of class 1 the row at 0 has one of two others above it, the one at 2 none, which is known to half a row:
    # (log 2 + log 4) / 2; of class 0 the same. Where -1 becomes 0, the first log 2 goes: a third is lost.
    z, y = np.array([[-1.0], [1.0], [0.0], [2.0]]), np.array([0, 0, 1, 1])
    judge = ClassFidelity(z, y)
    assert judge.areas == pytest.approx([1.5 * np.log(2)] * 2)
    loss = judge.of(np.array([[0.0], [1.0], [0.0], [2.0]]))
    assert loss.order == pytest.approx(1 / 3)
    assert loss.changed == 0.0


def test_information_by_hand():
    # By symmetry the priors are equal. The float network says .9 of the right class, the rounded one .7.
    z = np.log(0.9 / 0.1) * np.array([[-1.0], [1.0]])
    q = np.log(0.7 / 0.3) * np.array([[-1.0], [1.0]])
    lost = 0.9 * np.log(0.9 / 0.7) + 0.1 * np.log(0.1 / 0.3)
    known = np.log(2) + 0.9 * np.log(0.9) + 0.1 * np.log(0.1)
    judge = ClassFidelity(z, np.array([0, 1]))
    assert judge.of(q).information == pytest.approx(lost / known)
    assert judge.divergence(q) == pytest.approx(lost / known)


def test_without_classes_the_networks_own_word_is_taken():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(200_000, 1)) * 2 - 1
    y = (rng.uniform(size=len(z)) < expit(z[:, 0])).astype(int)
    known, told = ClassFidelity(z, y).of(coarse(z)), ClassFidelity(z).of(coarse(z))
    assert told.information == pytest.approx(known.information, rel=0.02)
    assert told.order == pytest.approx(known.order, rel=0.02)


def test_priors_are_taken_out():
    # Rows of classes as frequent as 1 to 50: the logits that tell best have log 50 in them.
    rng = np.random.default_rng(1)
    y = (np.arange(51_000) % 51 == 0).astype(int)
    z = 2 * (rng.normal(size=len(y)) + y) - 1 - np.log(50)
    judge = ClassFidelity(z[:, None], y)
    assert judge.priors[1] - judge.priors[0] == pytest.approx(-np.log(50), abs=0.1)


def test_no_row_is_looked_at_more_than_its_answers_say():
    z = np.random.default_rng(2).normal(size=(500, 3))
    p, q = np.exp(log_softmax(z, axis=1)), log_softmax(coarse(z, 0.5), axis=1)
    changed = decisions(z) != decisions(coarse(z, 0.5))
    loss = ClassFidelity(z).of(coarse(z, 0.5))
    assert loss.changed == changed.mean() == (p.argmax(axis=1) != q.argmax(axis=1)).mean()
    assert loss.changed_by_class == pytest.approx([changed[z.argmax(axis=1) == c].mean() for c in range(3)])


# ------------------------------------------------------------------ within


def losing(n=(2048, 2048), **figures):
    nothing = Fidelity(0.0, np.zeros(len(n)), np.array(n), np.array(n), 0.0, 0.0)
    return replace(nothing, **figures)


def test_all_rows_together_keep_the_tolerance_with_confidence():
    edge = 0.01 - 2.326 * np.sqrt(0.01 * 0.99 / 4096)
    assert losing(changed=edge - 1e-9).within(0.01)
    assert not losing(changed=edge + 1e-9).within(0.01)


def test_with_few_rows_none_may_change():
    assert losing((25, 25)).within(0.01)
    assert not losing((25, 25), changed=0.001).within(0.01)


def test_no_single_class_is_beyond_the_tolerance_for_certain():
    edge = 0.01 + 2.326 * np.sqrt(0.01 * 0.99 / 100)
    assert losing((4000, 100), changed_by_class=np.array([0.0, edge - 1e-9])).within(0.01)
    assert not losing((4000, 100), changed_by_class=np.array([0.0, edge + 1e-9])).within(0.01)


def test_information_may_lose_half_the_tolerance_and_order_all_of_it():
    assert losing(information=0.005, order=0.01).within(0.01)
    assert not losing(information=0.0051).within(0.01)
    assert not losing(order=0.0101).within(0.01)


def test_decisions_and_order_may_have_a_tolerance_of_their_own():
    loss = losing(changed=0.012, changed_by_class=np.array([0.012, 0.012]))
    assert not loss.within(0.01)
    assert loss.within(0.01, changed=0.02)
    assert replace(loss, order=0.019).within(0.01, changed=0.02)
    assert not replace(loss, order=0.021).within(0.01, changed=0.02)
    assert not replace(loss, score=0.011).within(0.01, changed=0.02)


@given(situations(), st.sampled_from([0.125, 0.5, 2.0]), TOLERANCES, TOLERANCES)
def test_what_a_tolerance_allows_a_larger_one_allows(situation, step, one, other):
    z, y = situation
    loss = ClassFidelity(z, y).of(coarse(z, step))
    strict, lax = sorted([one, other])
    assert loss.within(lax) or not loss.within(strict)


# ------------------------------------------------------------------ what the user is told


def test_an_export_names_the_classes_that_die(tmp_path):
    pytest.importorskip("alkaid")
    import torch
    from torch import nn

    from sk_shadownet.fpga import to_fpga

    # Signal above 2.2; inputs become whole numbers, of which none is 3.
    net = nn.Sequential(nn.Linear(1, 2))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[0.0], [1.0]]))
        net[0].bias.copy_(torch.tensor([0.0, -2.2]))
    rows = np.clip(np.random.default_rng(0).normal(size=(3000, 1)), -2.45, 2.45)
    n_signal = int((rows > 2.2).sum())
    words = f"never answers with a class that the float network finds: signal ({n_signal} rows) of 3,000"
    with pytest.warns(HardwareWarning) as caught:
        fpga = to_fpga(
            net,
            tmp_path / "fw",
            backend="verilog",
            X_calibration=rows,
            class_labels=["background", "signal"],
            precision={"input": "fixed<4,4>"},
        )
    assert [words in str(warning.message) for warning in caught].count(True) == 1
    assert set(fpga.predict(rows)) == {"background"}


# ------------------------------------------------------------------ a rare signal


def efficiency(scores, is_signal):
    """Share of the signal above the score that one in a hundred of the background reaches."""
    return (scores[is_signal] > np.quantile(scores[~is_signal], 0.99)).mean()


def test_a_rare_signal_keeps_its_efficiency(tmp_path, monkeypatch):
    pytest.importorskip("alkaid")
    from sk_shadownet import ShadowMLPClassifier
    from sk_shadownet.datasets import load_lhc_jets

    jets = load_lhc_jets()
    X, is_top = np.asarray(jets.data), np.asarray(jets.target) == list(jets.target_names).index("t")
    rng = np.random.default_rng(0)
    rows = rng.permutation(len(X))
    training, new = rows[:17_500], rows[17_500:]
    top = training[is_top[training]]
    training = np.setdiff1d(training, top[len(training) // 50 :])
    networks = [
        ShadowMLPClassifier((16, 8), n_features_to_select=6, max_epochs=8, random_state=seed).fit(
            X[training], is_top[training]
        )
        for seed in range(4)
    ]
    floating = [efficiency(clf.decision_function(X[new]), is_top[new]) for clf in networks]
    assert min(floating) > 0.2

    def shares_kept(folder):
        hardware = [
            clf.to_fpga(folder / str(n), backend="verilog").decision_function(X[new])
            for n, clf in enumerate(networks)
        ]
        kept = [efficiency(margins, is_top[new]) for margins in hardware]
        return np.array(kept) / floating

    assert shares_kept(tmp_path / "all").min() >= 0.9
    # Decisions alone say nothing of it, as nearly all rows are background whatever is rounded: some networks
    # keep their signal by luck, others lose it.
    monkeypatch.setattr(Fidelity, "within", lambda self, tolerance, changed=None: self.changed <= tolerance)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HardwareWarning)  # of rows that saturate
        assert shares_kept(tmp_path / "decisions").mean() < 0.9


def test_calibrated_on_background_alone_the_hardware_still_finds_the_signal(tmp_path):
    pytest.importorskip("alkaid")
    from sk_shadownet import ShadowMLPClassifier

    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 4)).astype(np.float32)
    y = (X[:, 0] + X[:, 1] > 0).astype(int)
    X[y == 1] += 1.5
    clf = ShadowMLPClassifier((8,), max_epochs=15, random_state=0).fit(X, y)
    # The thousand rows that are surest to be background: the network gives the signal less than one of them.
    background = X[np.argsort(clf.decision_function(X))[:1000]]
    assert clf.predict_proba(background)[:, 1].sum() < 1
    fpga = clf.to_fpga(tmp_path / "fw", backend="verilog", X_calibration=background)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HardwareWarning)  # of signal that saturates
        assert (fpga.predict(X) == clf.predict(X)).mean() > 0.95
