"""Parameters of the converters are checked before anything is read."""

import pytest
import torch

from sk_shadownet.convert import from_keras, from_onnx, from_sklearn
from sk_shadownet.exceptions import InvalidParameterError
from sk_shadownet.fpga import quantized_module


@pytest.mark.parametrize("convert", [from_keras, from_onnx, from_sklearn])
@pytest.mark.parametrize("value", ["yes", 2, None])
def test_logits_is_true_or_false(convert, value):
    with pytest.raises(InvalidParameterError, match="logits must be True or False"):
        convert(None, logits=value)


@pytest.mark.parametrize("value", [3, ["a"], b"logits"])
def test_an_output_of_a_graph_is_named_by_a_string(value):
    with pytest.raises(InvalidParameterError, match="output must be the name of an output"):
        from_onnx(None, output=value)


@pytest.mark.parametrize("parameters", [{"tolerance": "x"}, {"tolerance": -1}, {"task": "ranking"}])
def test_quantized_modules_are_asked_for_in_legal_terms(parameters):
    rows = torch.randn(200, 2, generator=torch.Generator().manual_seed(0)).numpy()
    with pytest.raises(InvalidParameterError, match=next(iter(parameters))):
        quantized_module(torch.nn.Sequential(torch.nn.Linear(2, 2)), rows, 6, **parameters)
