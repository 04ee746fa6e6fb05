"""Formats: rounding, saturation, and their names."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sk_shadownet.exceptions import InvalidParameterError
from sk_shadownet.fpga._quantization.formats import FixedFormat, bits_below, integer_bits, parse_format

formats = st.builds(FixedFormat, st.integers(0, 1), st.integers(-6, 8), st.integers(-4, 10))
wide_formats = formats.filter(lambda fmt: int(fmt.width) > int(fmt.signed))
numbers = st.floats(-1e6, 1e6)


def numbers_of(fmt: FixedFormat) -> np.ndarray:
    """All numbers of a format, counted by hand."""
    top = 2 ** int(fmt.integer + fmt.fraction)
    return np.arange(-top * int(fmt.signed), top) * 2.0 ** -int(fmt.fraction)


@given(wide_formats.filter(lambda fmt: int(fmt.width) <= 10), numbers)
def test_a_number_becomes_the_nearest_of_its_format(fmt, x):
    distance = np.abs(numbers_of(fmt) - x)
    assert abs(float(fmt.quantize(x)) - x) == distance.min()


@given(wide_formats, st.integers(-2000, 2000))
def test_halves_are_rounded_upwards(fmt, count):
    half = (count + 0.5) * float(fmt.step)
    expected = np.clip((count + 1) * float(fmt.step), fmt.lowest, fmt.highest)
    assert fmt.quantize(half) == expected


@given(formats, numbers)
def test_rounding_twice_changes_nothing(fmt, x):
    once = fmt.quantize(x)
    assert fmt.quantize(once) == once
    assert fmt.holds(once)


@given(formats, numbers)
def test_a_value_overflows_where_its_nearest_multiple_is_outside(fmt, x):
    if fmt.width == 0:
        return
    nearest = np.floor(x / float(fmt.step) + 0.5) * float(fmt.step)
    assert bool(fmt.overflows(x)) == (not fmt.lowest <= nearest <= fmt.highest)


def test_the_largest_double_below_one_half_is_rounded_down():
    assert FixedFormat(1, 4, 0).quantize(0.49999999999999994) == 0.0


def test_infinity_saturates():
    assert FixedFormat(1, 2, 3).quantize([np.inf, -np.inf]).tolist() == [3.875, -4.0]


def test_a_format_of_no_bits_holds_zero_alone():
    assert FixedFormat(0, 2, -2).quantize([5.0, -5.0, 0.3]).tolist() == [0.0, 0.0, 0.0]


def test_each_element_is_rounded_to_its_own_format():
    fmt = FixedFormat([1, 0], [0, 2], [2, 0])
    assert fmt.quantize([[0.3, 2.5], [-3.0, -3.0]]).tolist() == [[0.25, 3.0], [-1.0, 0.0]]


@given(st.lists(formats, min_size=1, max_size=5))
def test_a_covering_format_holds_every_number_of_each(several):
    together = FixedFormat(
        *(np.array([getattr(f, part) for f in several]) for part in ("signed", "integer", "fraction"))
    )
    cover = together.covering()
    for ends in (together.lowest, together.highest):
        assert cover.holds(ends).all()


@given(st.floats(-1e6, 1e6).filter(lambda x: x != 0))
def test_bits_below_is_the_smallest_fraction_that_writes_a_number(x):
    fraction = int(bits_below(x))
    assert np.ldexp(x, fraction) == np.floor(np.ldexp(x, fraction))
    assert np.ldexp(x, fraction - 1) != np.floor(np.ldexp(x, fraction - 1))


@given(st.floats(1e-6, 1e6))
def test_integer_bits_are_the_fewest_that_reach_a_number(x):
    assert 2.0 ** int(integer_bits(x)) >= x > 2.0 ** (int(integer_bits(x)) - 1)


@given(wide_formats)
def test_hls4mls_name_of_a_format_is_read_back_as_the_same(fmt):
    assert parse_format(fmt.hls_name()) == fmt


def test_names_count_the_sign_among_the_integer_bits():
    assert parse_format("fixed<16,6>") == FixedFormat(1, 5, 10)
    assert parse_format(" ap_ufixed<8, 2, RND, SAT> ") == FixedFormat(0, 2, 6)
    assert FixedFormat(1, -3, 8).hls_name() == "fixed<6,-2,RND,SAT>"


@pytest.mark.parametrize("text", ["float", "fixed<16>", "fixed<0,0>", "int8", "", "fixed<a,b>"])
def test_what_is_no_format_is_refused_by_name(text):
    with pytest.raises(InvalidParameterError, match="precision"):
        parse_format(text)
