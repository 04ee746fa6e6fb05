"""What may be written as precision."""

import pytest

from sk_shadownet.exceptions import InvalidParameterError
from sk_shadownet.fpga._quantization.formats import FixedFormat
from sk_shadownet.fpga._quantization.precision import Precision, parse_precision


def test_auto_leaves_every_width_free():
    assert parse_precision("auto", 2).free == (
        ("inputs", 0),
        ("weights", 0),
        ("activations", 0),
        ("weights", 1),
    )


def test_a_width_is_taken_everywhere_but_for_the_outputs():
    assert parse_precision(8, 2) == Precision(8, (8, 8), (None, None), (8, None))


def test_a_format_is_taken_everywhere():
    fmt = FixedFormat(1, 5, 10)
    assert parse_precision("fixed<16,6>", 2) == Precision(fmt, (fmt, fmt), (fmt, fmt), (fmt, fmt))


def test_a_dict_names_signals_and_layers_and_leaves_the_rest_free():
    precision = parse_precision(
        {
            "input": 9,
            "weight": 6,
            "layer2": {"weight": "fixed<5,2>", "activation": 4},
            "layer3": 7,
            "output": 12,
        },
        3,
    )
    assert precision.inputs == 9
    assert precision.weights == (6, FixedFormat(1, 1, 3), 7)
    assert precision.activations == ("auto", 4, 12)


def test_free_slots_are_filled_and_others_kept():
    assert parse_precision({"weight": 6}, 2).fill(9) == Precision(9, (6, 6), (None, None), (9, None))


@pytest.mark.parametrize("bad", [None, 6.5, True, [8], "eight"])
def test_what_is_no_precision_is_refused(bad):
    with pytest.raises(InvalidParameterError, match="precision"):
        parse_precision(bad, 2)


@pytest.mark.parametrize("width", [0, -3, 25])
def test_a_width_out_of_range_is_refused_with_the_range(width):
    with pytest.raises(InvalidParameterError, match="choose 1 to 24 bits"):
        parse_precision(width, 2)


def test_a_misspelt_key_is_refused_and_the_known_ones_listed():
    with pytest.raises(InvalidParameterError, match=r"\['wieght'\].*'weight'.*'layer2'"):
        parse_precision({"wieght": 6}, 2)


def test_a_layer_that_does_not_exist_is_refused():
    with pytest.raises(InvalidParameterError, match="layer3"):
        parse_precision({"layer3": 6}, 2)


def test_a_bias_is_never_searched():
    with pytest.raises(InvalidParameterError, match="bias is never searched"):
        parse_precision({"bias": "auto"}, 2)
