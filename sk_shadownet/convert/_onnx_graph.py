"""An ONNX graph read as one chain from its input to one of its outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from sk_shadownet._typing import AnyArray, FloatArray
from sk_shadownet.convert._optional_imports import import_onnx
from sk_shadownet.exceptions import InvalidParameterError, UnsupportedLayerError

Node: TypeAlias = Any

#: What an activation that an exporter wrote out in parts is made of: each works value by value.
ELEMENTWISE = frozenset(
    """Abs Add And Cast Celu Clip Div Elu Equal Erf Exp Gelu Greater GreaterOrEqual HardSigmoid HardSwish
    Identity LeakyRelu Less LessOrEqual Log Log1p Max Min Mish Mul Neg Not Or Pow Relu Selu Sigmoid Sign
    Softplus Softsign Sqrt Sub Tanh ThresholdedRelu Where""".split()
)
#: What picks, turns and joins columns, and computes the shapes for it.
ARRANGING = frozenset(
    """Concat Expand Flatten Gather GatherElements GatherND Reshape Shape Slice Split Squeeze Transpose
    Unsqueeze""".split()
)
#: What such a step may hold besides: it makes sums of columns.
_SUMMING = frozenset("Add Cast Div Identity Mul Neg Sub".split())
#: Steps that begin where rows do not lie as rows.
_TURNED = frozenset(["GatherND", "Transpose"])


@dataclass(frozen=True, eq=False)
class Step:
    """One stop of the chain: a node, or several that take one value to one value together."""

    #: In the order of the graph; the last one gives the step its name.
    nodes: tuple[Node, ...]
    #: Names of the values that come in and go out.
    source: str
    target: str

    @property
    def node(self) -> Node:
        """The last node."""
        return self.nodes[-1]


class Graph:
    """Values, constants and nodes of a ModelProto, by name."""

    def __init__(self, model: Any) -> None:
        self._onnx = import_onnx()
        self._model = self._onnx.inliner.inline_local_functions(model) if model.functions else model
        graph = self._model.graph
        self.position = {name: n for n, node in enumerate(graph.node) for name in node.output}
        self._maker = {name: node for node in graph.node for name in node.output if name}
        self._constants: dict[str, Any] = {t.name: self._stored(t) for t in graph.initializer}
        inputs = [value for value in graph.input if value.name not in self._constants]
        if len(inputs) != 1:
            raise UnsupportedLayerError(
                f"the graph has {len(inputs)} inputs ({', '.join(v.name for v in inputs)}); one table of "
                "features was expected."
            )
        self.input = inputs[0].name
        self._varying = {self.input}
        for node in graph.node:
            if self._varying.intersection(node.input):
                self._varying.update(node.output)
        dims = inputs[0].type.tensor_type.shape.dim
        #: Number of rows and shape of one, None where the graph leaves them open.
        self.n_rows = dims[0].dim_value or None if dims else None
        self.row_shape = tuple(dim.dim_value or None for dim in dims[1:])

    def _stored(self, tensor: Any) -> Any:
        if tensor.data_location == self._onnx.TensorProto.EXTERNAL:
            raise InvalidParameterError(
                f"the weights of the graph ({tensor.name!r} first) lie in another file that was not loaded; "
                "pass the path of the model, or load it by onnx.load(path), load_external_data left at True."
            )
        return self._onnx.numpy_helper.to_array(tensor)

    # ---------------------------------------------------------------- values

    def constant(self, name: str) -> AnyArray | None:
        """The value of a name that does not depend on the input; None for one that does."""
        if name in self._varying or (name not in self._constants and name not in self._maker):
            return None
        if name not in self._constants:
            self._constants[name] = self._run((self._maker[name],), name, {})
        return np.asarray(self._constants[name])

    def run(self, step: Step, rows: AnyArray) -> FloatArray:
        """What the nodes of a step make of rows, in batches of the number that the graph is fixed to."""
        size = self.n_rows
        if size is None:
            return np.asarray(self._run(step.nodes, step.target, {step.source: rows}), np.float64)
        padded = np.concatenate([rows, np.repeat(rows[-1:], -len(rows) % size, axis=0)])
        batches = (padded[n : n + size] for n in range(0, len(padded), size))
        parts = [self._run(step.nodes, step.target, {step.source: batch}) for batch in batches]
        return np.concatenate(parts).astype(np.float64)[: len(rows)]

    def _run(self, nodes: tuple[Node, ...], output: str, given: dict[str, Any]) -> Any:
        helper = self._onnx.helper
        made = {name for node in nodes for name in node.output}
        needed = {name for node in nodes for name in node.input if name} - made
        feeds = {name: given[name] if name in given else self.constant(name) for name in needed}
        values = [helper.make_empty_tensor_value_info(name) for name in feeds]
        out = helper.make_empty_tensor_value_info(output)
        graph = helper.make_graph(list(nodes), "part", values, [out])
        part = helper.make_model(graph, opset_imports=self._model.opset_import)
        try:
            return self._onnx.reference.ReferenceEvaluator(part).run([output], feeds)[0]
        except Exception as error:  # of many kinds, where onnx's evaluator does not know an operator
            raise UnsupportedLayerError(
                f"onnx cannot compute the value {output!r} ({error}); simplify the graph first"
            ) from error

    def attributes(self, node: Node) -> dict[str, Any]:
        """Attributes of a node; texts as str."""
        values = {a.name: self._onnx.helper.get_attribute_value(a) for a in node.attribute}
        return {name: v.decode() if isinstance(v, bytes) else v for name, v in values.items()}

    def name(self, node: Node) -> str:
        """The words that name a node."""
        label = f" {node.name!r}" if node.name else ""
        return f"node {self.position[node.output[0]]}{label} ({node.op_type})"

    # ---------------------------------------------------------------- chain

    def output(self, wanted: str | None) -> str:
        """Name of the value that the network is read up to; None where it is the only output of numbers."""
        if wanted is not None:
            if wanted not in self._maker:
                raise InvalidParameterError(
                    f"output={wanted!r} is no value of the graph; its outputs are {self._output_names()}."
                )
            return wanted
        numbers = [value.name for value in self._model.graph.output if self._holds_numbers(value)]
        if len(numbers) != 1:
            raise InvalidParameterError(
                f"the graph has {len(numbers)} outputs of numbers, of {self._output_names()}; pass "
                "output= to name one."
            )
        return str(numbers[0])

    def _output_names(self) -> list[str]:
        return [value.name for value in self._model.graph.output]

    def _holds_numbers(self, value: Any) -> bool:
        """Whether an output may be what a network gives; integers and strings are labels."""
        types = self._onnx.TensorProto
        floats = (types.FLOAT, types.DOUBLE, types.FLOAT16, types.UNDEFINED)
        return not value.type.HasField("tensor_type") or value.type.tensor_type.elem_type in floats

    def chain(self, output: str) -> list[Step]:
        """From the input to `output`; UnsupportedLayerError if the graph branches on the way."""
        steps: list[Step] = []
        name = output
        while name != self.input:
            steps.append(self._step_to(name))
            name = steps[-1].source
        return steps[::-1]

    def _step_to(self, name: str) -> Step:
        node = self._maker[name]
        sources = self._sources(node)
        if not sources:
            raise UnsupportedLayerError(f"{self.name(node)} does not depend on the input {self.input!r}.")
        if node.op_type in ARRANGING and (len(sources) > 1 or node.op_type in _TURNED):
            return self._widen(name, ARRANGING | _SUMMING)
        return Step((node,), sources[0], name) if len(sources) == 1 else self._widen(name, ELEMENTWISE)

    def _sources(self, node: Node) -> list[str]:
        return list(dict.fromkeys(i for i in node.input if i in self._varying))

    def _widen(self, name: str, allowed: frozenset[str]) -> Step:
        """Take up nodes in front of a value until a single value comes in."""
        last = self._maker[name]
        nodes = [last]
        while True:
            made = {output for node in nodes for output in node.output}
            open_ends = {source for node in nodes for source in self._sources(node)} - made
            turned = any(self._maker[end].op_type in _TURNED for end in open_ends if end in self._maker)
            if len(open_ends) == 1 and nodes[-1].op_type in allowed and not turned:
                nodes.sort(key=lambda node: self.position[node.output[0]])
                return Step(tuple(nodes), open_ends.pop(), name)
            latest = max(open_ends - {self.input}, key=lambda end: self.position.get(end, -1), default=None)
            if nodes[-1].op_type not in allowed or latest is None or latest not in self.position:
                raise UnsupportedLayerError(
                    f"{self.name(last)} cannot be converted: it joins branches, and an nn.Sequential is one "
                    "chain."
                )
            nodes.append(self._maker[latest])
