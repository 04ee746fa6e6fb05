"""An ONNX graph as it is written: nodes, constants and outputs, then the checked model."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from sk_shadownet._typing import AnyArray

#: LayerNormalization came with 17, Gelu with 20; runtimes of 2022 and 2023 know them.
OPSET, OPSET_OF_GELU = 17, 20
#: The format of the file that came with each, so that these runtimes read it.
IR_VERSION = {OPSET: 8, OPSET_OF_GELU: 9}


class GraphWriter:
    """Nodes and constants as they come, each with a name of its own."""

    def __init__(self, onnx: Any) -> None:
        self.onnx = onnx
        #: Higher where an operator asks for it.
        self.opset = OPSET
        #: Of the numbers that come out, and of those that go in.
        self.kind = self._kind_of_X = onnx.TensorProto.FLOAT
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._outputs: list[Any] = []

    def use_float64(self, *, inputs: bool) -> None:
        """Let what comes out be float64, and with ``inputs`` also what goes in."""
        self.kind = self.onnx.TensorProto.DOUBLE
        if inputs:
            self._kind_of_X = self.kind

    def add(self, op: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        """One more node; the name of its result."""
        output = output or f"{op.lower()}_{len(self._nodes)}"
        self._nodes.append(self.onnx.helper.make_node(op, inputs, [output], f"node_{output}", **attributes))
        return output

    def constant(self, name: str, value: Any) -> str:
        """One more constant, floats as float32 but for labels; its name."""
        if isinstance(value, torch.Tensor):
            value = value.detach().cpu().to(torch.float32).numpy()
        self._constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def output(self, name: str, kind: int, n_axes: int) -> None:
        """Declare a result as an output of the graph."""
        shape = ["n_samples", None][:n_axes]
        self._outputs.append(self.onnx.helper.make_tensor_value_info(name, kind, shape))

    def finish(self, feature_names: tuple[str, ...], labels: AnyArray | None) -> Any:
        """The checked model."""
        helper = self.onnx.helper
        shape = ["n_samples", len(feature_names)]
        X = helper.make_tensor_value_info("X", self._kind_of_X, shape)
        graph = helper.make_graph(self._nodes, "sk_shadownet", [X], self._outputs, self._constants)
        proto = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", self.opset)],
            ir_version=IR_VERSION[self.opset],
            producer_name="sk_shadownet",
        )
        metadata = {"feature_names": "\n".join(feature_names)}
        if labels is not None:
            metadata["class_labels"] = "\n".join(map(str, labels))
        helper.set_model_props(proto, metadata)
        self.onnx.checker.check_model(proto, full_check=True)
        return proto
