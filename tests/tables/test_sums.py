"""Plans of sums: every term once, no more look-up tables than without holding, none slower."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sk_shadownet._tables.sums import added_bits, adder_lut, adders_of, number_width, term_of

TERMS = st.lists(st.tuples(st.integers(1, 200), st.booleans()), min_size=2, max_size=12)


def spans_of(terms):
    """Ranges and, of those that are narrow, their bits."""
    terms = sorted(terms, key=lambda term: term[0])
    return [span for span, _ in terms], [span.bit_length() * narrow for span, narrow in terms]


def planned(terms, bias=0, operands=3, adder_levels=5, clip_levels=0):
    spans, narrow = spans_of(terms)
    return list(adders_of(spans, narrow, bias, operands, adder_levels, clip_levels))


def best_of_all(spans, narrow):
    """Look-up tables of the best of all orders, by trying all of them."""

    @cache
    def lut(part):
        if len(part) == 1:
            return 0.0
        one, rest = part[0], part[1:]
        best = float("inf")
        for which in range(2 ** len(rest) - 1):
            inner = (one, *(n for k, n in enumerate(rest) if which >> k & 1))
            other = tuple(n for k, n in enumerate(rest) if not which >> k & 1)
            best = min(best, lut(inner) + lut(other) + cells(inner, other))
            for split in range(1, 2 ** (len(other) - 1)):
                second = tuple(n for k, n in enumerate(other) if split >> k & 1)
                third = tuple(n for k, n in enumerate(other) if not split >> k & 1)
                best = min(best, lut(inner) + lut(second) + lut(third) + cells(inner, second, third))
        return best

    def cells(*parts):
        terms = [
            term_of(0, sum(spans[n] for n in part), narrow[part[0]] * (len(part) == 1)) for part in parts
        ]
        return adder_lut(terms, number_width(0, sum(term.high for term in terms)))[0]

    return lut(tuple(range(len(spans))))


@given(terms=TERMS, bias=st.integers(-300, 300), operands=st.sampled_from([2, 3]), levels=st.integers(1, 6))
def test_every_term_and_every_sum_but_the_last_is_added_once(terms, bias, operands, levels):
    adders = planned(terms, bias, operands, levels)
    n_numbers = len(terms) + len(adders)
    assert sorted(n for adder in adders for n in adder.terms) == list(range(n_numbers - 1))
    assert adders[-1].total[:2] == (bias, bias + sum(span for span, _ in terms))
    for number, adder in enumerate(adders, start=len(terms)):
        assert 2 <= len(adder.terms) <= operands
        assert max(adder.terms) < number


@given(terms=TERMS, bias=st.integers(-300, 300))
def test_adders_hold_narrow_tables_alone_and_one_each(terms, bias):
    narrow = [table for _, table in sorted(terms, key=lambda term: term[0])]
    for adder in planned(terms, bias):
        if adder.holds:
            assert len(adder.terms) == 2
            assert adder.terms[0] < len(terms)
            assert narrow[adder.terms[0]]
    assert not any(adder.holds for adder in planned(terms, bias, operands=2))


@given(terms=TERMS, levels=st.integers(1, 6), clip=st.integers(0, 2))
def test_holding_takes_no_more_look_up_tables_and_no_cycle_more(terms, levels, clip):
    free = [(span, False) for span, _ in terms]
    held, plain = planned(terms, 0, 3, levels, clip), planned(free, 0, 3, levels, clip)

    def cycles(adders):
        return -(-(1 + adders[-1].level + clip) // levels)

    assert cycles(held) <= cycles(plain)
    # Orders are chosen by widths alone.
    assert sum(adder.lut for adder in held) <= sum(adder.lut for adder in plain) + len(terms) / 2


@given(terms=st.lists(st.tuples(st.integers(1, 63), st.booleans()), min_size=2, max_size=6))
@settings(max_examples=60, deadline=None)
def test_plan_is_close_to_the_best_of_all_orders(terms):
    spans, narrow = spans_of(terms)
    lut = sum(adder.lut for adder in planned(terms, adder_levels=20))
    assert lut <= 1.15 * best_of_all(spans, narrow) + 2


def test_narrow_tables_are_held_one_after_the_other():
    adders = planned([(15, True)] * 3)
    assert [adder.holds for adder in adders] == [True, True]
    # Four bits each, of which each saves the half that its table would take.
    assert [adder.lut for adder in adders] == [2, 2]


def test_wide_tables_are_added_three_by_three():
    adders = planned([(15, False)] * 5)
    assert [len(adder.terms) for adder in adders] == [3, 3]
    assert [adder.lut for adder in adders] == [5, 5]


def test_no_table_is_held_where_it_would_take_a_cycle_more():
    terms = [(15, True)] * 9
    assert planned(terms, adder_levels=1)[-1].level == 2
    assert planned(terms, adder_levels=9)[-1].level == 8


@pytest.mark.parametrize(
    ("signed", "widths", "result", "bits"),
    [
        ([False, False], [3, 6], 7, 3),
        ([True, False], [6, 3], 7, 3),
        ([True, True], [3, 4], 5, 5),
        ([False] * 3, [3, 4, 6], 7, 5),
    ],
)
def test_carries_alone_take_no_look_up_table(signed, widths, result, bits):
    assert added_bits(signed, widths, result) == bits
