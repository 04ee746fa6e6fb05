"""Progress of the run -> open count, temperature, learning rate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sk_shadownet._defaults import SEARCH_STEPS
from sk_shadownet._gating.schedule import PruningSchedule, schedule_of
from sk_shadownet._training.learning_rate import LearningRate

progress = st.floats(0, 1)


@st.composite
def closings(draw):
    start = draw(st.floats(0, 0.9))
    end = draw(st.floats(start + 0.01, 1))
    cold = draw(st.floats(0.001, 0.5))
    return PruningSchedule(start, end, hot=draw(st.floats(cold, 5)), cold=cold)


@given(closing=closings(), p=progress, q=progress, target=st.integers(1, 40), more=st.integers(0, 40))
def test_open_units_never_grow(closing, p, q, target, more):
    early, late = sorted([p, q])
    counts = [closing.open_count(t, n_units=target + more, target=target) for t in (early, late)]
    assert target <= counts[1] <= counts[0] <= target + more


@given(closing=closings(), p=progress, target=st.integers(1, 40), more=st.integers(0, 40))
def test_the_count_is_exact_before_and_after_the_closing(closing, p, target, more):
    count = closing.open_count(p, n_units=target + more, target=target)
    if p <= closing.start:
        assert count == target + more
    if p >= closing.end:
        assert count == target


@given(closing=closings(), p=progress, q=progress)
def test_gates_only_get_colder(closing, p, q):
    early, late = sorted([p, q])
    assert closing.temperature(late) <= closing.temperature(early) * (1 + 1e-12)


@given(closing=closings())
def test_the_temperature_runs_from_hot_to_cold(closing):
    assert closing.temperature(closing.start) == pytest.approx(closing.hot)
    assert closing.temperature(closing.end) == pytest.approx(closing.cold)
    assert closing.temperature(0.0) == pytest.approx(closing.hot)
    assert closing.temperature(1.0) == pytest.approx(closing.cold)


def test_half_way_by_hand():
    closing = PruningSchedule(start=0.2, end=0.6, hot=2.0, cold=0.02)
    # f = 1/2: 4 + 16 / 8 units; the temperature is the geometric mean.
    assert closing.open_count(0.4, n_units=20, target=4) == pytest.approx(6)
    assert closing.temperature(0.4) == pytest.approx(0.2)


@given(restart=st.floats(0, 0.9), warm_up=st.floats(0.01, 0.5), p=progress)
def test_the_rate_stays_between_zero_and_its_initial_value(restart, warm_up, p):
    assert 0 <= LearningRate(restart, warm_up).factor(p) <= 1


@given(restart=st.floats(0, 0.9), warm_up=st.floats(0.01, 0.5))
def test_the_rate_ends_at_zero(restart, warm_up):
    assert LearningRate(restart, warm_up).factor(1.0) == pytest.approx(0, abs=1e-9)


@given(restart=st.floats(0.1, 0.9), warm_up=st.floats(0.01, 0.5), share=st.floats(0, 0.999))
def test_the_search_runs_at_the_full_rate_after_its_warm_up(restart, warm_up, share):
    begin = warm_up * restart
    assert LearningRate(restart, warm_up).factor(begin + share * (restart - begin)) == pytest.approx(1)


@given(restart=st.floats(0, 0.9), warm_up=st.floats(0.01, 0.5), p=progress, q=progress)
def test_the_rate_of_the_small_network_falls_after_its_warm_up(restart, warm_up, p, q):
    begin = restart + warm_up * (1 - restart)
    early, late = sorted([begin + p * (1 - begin), begin + q * (1 - begin)])
    rate = LearningRate(restart, warm_up)
    assert rate.factor(late) <= rate.factor(early) + 1e-9


@given(n_steps=st.integers(1, 10**8))
def test_a_search_takes_its_steps_within_a_quarter_and_half_of_the_fit(n_steps):
    schedule = schedule_of(n_steps)
    assert 0.25 <= schedule.end <= 0.5
    assert schedule.start == pytest.approx(0.4 * schedule.end)
    if 0.25 < schedule.end < 0.5:
        assert schedule.end * n_steps == pytest.approx(SEARCH_STEPS)
    assert schedule.end == 0.5 or schedule.end * n_steps >= SEARCH_STEPS * (1 - 1e-12)
