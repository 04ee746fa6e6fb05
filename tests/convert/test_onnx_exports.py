"""What people export to ONNX with either exporter of torch comes back as the same function."""

import contextlib
import io
import logging
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from sk_shadownet import ShadowMLPRegressor, ShadowNetwork
from sk_shadownet.convert import from_onnx
from sk_shadownet.exceptions import InvalidParameterError, UnsupportedLayerError

from .nets import assert_same, kinds_of, run_torch

onnx = pytest.importorskip("onnx")

X = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32) * 2


class Network(nn.Module):
    """Two layers, and what is done with them."""

    def __init__(self, body, n_outputs=1, middle=None):
        super().__init__()
        torch.manual_seed(1)
        self.a, self.b, self.middle = nn.Linear(6, 5), nn.Linear(5, n_outputs), middle
        self.body = body

    def forward(self, x):
        return self.body(self, x)

    def net(self, x):
        return self.b(torch.relu(self.a(x)))


def export(module, dynamo):
    """The graph of either exporter, for any number of rows."""
    rows = torch.from_numpy(X[:3])
    logging.getLogger("torch.onnx").setLevel(logging.CRITICAL)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        if dynamo:
            shapes = ({0: torch.export.Dim("n")},)
            return torch.onnx.export(module, (rows,), dynamo=True, dynamic_shapes=shapes, verbose=False)
        file = io.BytesIO()
        torch.onnx.export(
            module, (rows,), file, dynamo=False, input_names=["x"], dynamic_axes={"x": {0: "n"}}
        )
    return onnx.load_from_string(file.getvalue())


def comes_back(module, dynamo):
    back = from_onnx(export(module, dynamo))
    assert_same(run_torch(back, X), run_torch(module, X))
    return back


MIDDLES = {
    "batch norm": lambda: nn.BatchNorm1d(5),
    "layer norm": lambda: nn.LayerNorm(5, eps=0.1),
    "dropout": nn.Dropout,
    "softmax": lambda: nn.Softmax(dim=-1),
    "log softmax": lambda: nn.LogSoftmax(dim=1),
    "celu": lambda: nn.CELU(0.7),
    "elu": lambda: nn.ELU(0.7),
    "gelu": nn.GELU,
    "gelu of tanh": lambda: nn.GELU("tanh"),
    "hardshrink": lambda: nn.Hardshrink(0.3),
    "hardsigmoid": nn.Hardsigmoid,
    "hardswish": nn.Hardswish,
    "hardtanh": lambda: nn.Hardtanh(-0.5, 0.7),
    "identity": nn.Identity,
    "leaky relu": lambda: nn.LeakyReLU(0.17),
    "log sigmoid": nn.LogSigmoid,
    "mish": nn.Mish,
    "prelu": lambda: nn.PReLU(5),
    "prelu of one": nn.PReLU,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "selu": nn.SELU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "softplus of beta": lambda: nn.Softplus(2.0, 15.0),
    "softshrink": lambda: nn.Softshrink(0.3),
    "softsign": nn.Softsign,
    "tanh": nn.Tanh,
    "tanhshrink": nn.Tanhshrink,
    "threshold": lambda: nn.Threshold(0.2, 0.4),
}


@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize("name", MIDDLES)
def test_every_layer_comes_back_from_either_exporter(name, dynamo):
    if name == "threshold" and not dynamo:
        pytest.skip("the older exporter knows no threshold but 0")
    middle = MIDDLES[name]().eval()
    back = comes_back(Network(lambda s, x: s.b(s.middle(s.a(x))), middle=middle).eval(), dynamo)
    if name not in ("batch norm", "dropout", "identity", "softplus of beta"):
        assert type(back[1]) is type(middle)


BODIES = {
    "one column": lambda s, x: s.net(x)[:, 0],
    "squeezed": lambda s, x: s.net(x).squeeze(-1),
    "all axes squeezed": lambda s, x: s.net(x).squeeze(),
    "viewed": lambda s, x: s.net(x).view(-1),
    "flattened": lambda s, x: s.net(x).flatten(),
    "one column, then a sigmoid": lambda s, x: torch.sigmoid(s.net(x)[:, 0]),
    "one column, scaled": lambda s, x: 3 * s.net(x)[:, 0] - 1,
    "one column, and back": lambda s, x: s.net(x)[:, 0].unsqueeze(1),
    "one column, viewed as a table": lambda s, x: s.net(x)[:, 0].view(-1, 1),
    "clamped": lambda s, x: s.net(x.clamp(-1, 1)),
    "clamped from below": lambda s, x: s.net(x).clamp(min=0.1),
    "clamped from above": lambda s, x: s.b(s.a(x).clamp(max=0.2)),
    "clamped and scaled": lambda s, x: s.net(x.clamp(-3, 3) * 2 - 1),
    "listed columns": lambda s, x: s.net(x[:, [0, 3, 5, 1, 2, 4]]),
    "listed columns, some twice": lambda s, x: s.net(x[:, [0, 3, 3, 1, 0, 4]]),
    "columns by index_select": lambda s, x: s.net(x.index_select(1, torch.tensor([5, 3, 0, 1, 2, 4]))),
    "slices joined": lambda s, x: s.net(torch.cat([x[:, 3:], x[:, :3]], dim=1)),
    "columns turned round": lambda s, x: s.net(x.flip(1)),
    "joined with itself": lambda s, x: s.net(torch.cat([x, x], dim=1)[:, 2:8]),
    "a sum of columns": lambda s, x: s.net(torch.cat([x[:, :5], x[:, 4:5] - x[:, 5:]], dim=1)),
    "two outputs joined": lambda s, x: _joined(s.net(x).sigmoid()),
    "two outputs stacked": lambda s, x: _stacked(s.net(x)[:, 0].sigmoid(), 1),
    "two outputs stacked, squeezed": lambda s, x: _stacked(s.net(x).sigmoid().squeeze(-1), -1),
    "two logits from one": lambda s, x: _logits(s.net(x)),
}


def _joined(p):
    return torch.cat([1 - p, p], 1)


def _stacked(p, dim):
    return torch.stack([1 - p, p], dim)


def _logits(z):
    return torch.cat([-z, z], 1)


@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize("name", BODIES)
def test_columns_and_heads_come_back_as_people_write_them(name, dynamo):
    comes_back(Network(BODIES[name]).eval(), dynamo)


HEADS = {
    "the first two": lambda s, x: s.net(x)[:, :2],
    "every second": lambda s, x: s.net(x)[:, ::2],
    "a list": lambda s, x: s.net(x)[:, [0, 2]],
    "the last": lambda s, x: s.net(x)[:, -1],
}


@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize("name", HEADS)
def test_outputs_that_are_picked_come_back(name, dynamo):
    comes_back(Network(HEADS[name], n_outputs=3).eval(), dynamo)


@pytest.mark.parametrize("dynamo", [False, True])
def test_two_classes_of_one_sigmoid_are_a_softmax(dynamo):
    back = comes_back(Network(BODIES["two outputs stacked"]).eval(), dynamo)
    assert kinds_of(back) == ["Linear", "ReLU", "Linear", "Softmax"]


@pytest.mark.parametrize("dynamo", [False, True])
def test_a_graph_of_a_fixed_number_of_rows_is_read(dynamo):
    module = Network(BODIES["listed columns"]).eval()
    file, rows = io.BytesIO(), torch.from_numpy(X[:7])
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        if dynamo:
            model = torch.onnx.export(module, (rows,), dynamo=True, verbose=False)
        else:
            torch.onnx.export(module, (rows,), file, dynamo=False)
            model = onnx.load_from_string(file.getvalue())
    assert_same(run_torch(from_onnx(model), X), run_torch(module, X))


MIXING = {
    "a square": lambda s, x: s.net(x) ** 2,
    "a square of the inputs": lambda s, x: s.net(x * x),
    "a logarithm": lambda s, x: s.net(torch.log1p(x.abs())),
    "a sine": lambda s, x: s.net(torch.sin(x)),
    "a product of two parts": lambda s, x: s.a(x) * s.a(x.flip(1)),
    "a skip connection": lambda s, x: s.net(x) + x[:, :1],
    "a mean over columns": lambda s, x: s.net(x - x.mean(dim=1, keepdim=True)),
    "a mean over rows": lambda s, x: s.net(x - x.mean(dim=0, keepdim=True)),
    "sorted columns": lambda s, x: s.net(x.sort(dim=1)[0]),
    "columns of two branches": lambda s, x: torch.cat([s.net(x), torch.tanh(s.net(x))], 1),
    "softmax over rows": lambda s, x: torch.softmax(s.net(x)[:, 0], dim=0),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize("name", MIXING)
def test_what_is_no_chain_of_layers_is_refused_by_its_node(name, dynamo):
    graph = export(Network(MIXING[name]).eval(), dynamo)
    with pytest.raises(UnsupportedLayerError, match=r"node \d+ .*cannot be converted"):
        from_onnx(graph)


@pytest.mark.parametrize("name", ["one column", "squeezed", "viewed"])
def test_a_head_without_columns_is_where_training_may_start(name):
    module = Network(BODIES[name]).eval()
    start = from_onnx(export(module, dynamo=True))
    reg = ShadowMLPRegressor(module=start, max_epochs=1, learning_rate_init=1e-12, weight_decay=0.0)
    np.testing.assert_allclose(reg.fit(X, X[:, 0]).predict(X), run_torch(module, X), atol=1e-4)
    shadow = ShadowNetwork(start, n_features_to_select=2, target_hidden_layer_sizes=3).eval()
    assert_same(run_torch(shadow, X), run_torch(module, X))


def test_a_program_of_torchs_exporter_is_taken_as_it_is():
    module = Network(BODIES["clamped"]).eval()
    program = export(module, dynamo=True)
    assert type(program).__name__ == "ONNXProgram"
    assert_same(run_torch(from_onnx(program), X), run_torch(module, X))


def test_weights_in_another_file_that_was_not_loaded_are_asked_for(tmp_path):
    module = Network(BODIES["clamped"]).eval()
    path = tmp_path / "model.onnx"
    onnx.save(export(module, dynamo=False), path, save_as_external_data=True, size_threshold=0)
    assert_same(run_torch(from_onnx(path), X), run_torch(module, X))
    with pytest.raises(InvalidParameterError, match="another file that was not loaded; pass the path"):
        from_onnx(onnx.load(path, load_external_data=False))


def small_graph(*nodes, width=3, opset=20):
    helper = onnx.helper
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [onnx.parser.parse_node(node) for node in nodes],
        "g",
        [value("X", 1, [None, width])],
        [helper.make_empty_tensor_value_info("y")],
        [onnx.numpy_helper.from_array(np.eye(width, dtype=np.float32), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


@pytest.mark.parametrize(
    ("node", "module"),
    [
        ("y = Celu <alpha=0.4> (a)", nn.CELU(0.4)),
        ("y = HardSigmoid (a)", nn.Sequential(nn.Hardtanh(-2.5, 2.5))),
        ("y = HardSwish (a)", nn.Hardswish()),
        ("y = Mish (a)", nn.Mish()),
        ("y = Softsign (a)", nn.Softsign()),
        ("y = ThresholdedRelu <alpha=0.4> (a)", nn.Threshold(0.4, 0.0)),
        ("y = Shrink <lambd=0.4, bias=0.4> (a)", nn.Softshrink(0.4)),
        ("y = Shrink <lambd=0.4> (a)", nn.Hardshrink(0.4)),
    ],
)
def test_operators_of_onnx_without_an_exporter_are_read(node, module):
    outputs = run_torch(from_onnx(small_graph("a = MatMul (X, w)", node)), X[:, :3])
    expected = run_torch(module, X[:, :3])
    if "HardSigmoid" in node:
        expected = expected * 0.2 + 0.5
    assert_same(outputs, expected)


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        (["a = MatMul (X, w)", "y = Shrink <lambd=0.4, bias=0.1> (a)"], "its bias is 0.1"),
        (["a = MatMul (X, w)", "y = Log (a)"], "a sigmoid or softmax was expected in front"),
        (["y = Transpose (X)"], "joins branches or rearranges"),
    ],
)
def test_operators_in_another_form_are_refused(nodes, words):
    with pytest.raises(UnsupportedLayerError, match=words):
        from_onnx(small_graph(*nodes))
