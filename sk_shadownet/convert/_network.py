"""What is converted: a network of floats or a fixed-point plan, with the names of what goes in and out."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import torch
from torch import nn

from sk_shadownet._graph.unwrapping import plain_copy, unwrapped
from sk_shadownet._pipeline import ColumnMap, fold_steps, require_fitted, split_pipeline
from sk_shadownet._tables.integers import TableNetwork
from sk_shadownet._typing import AnyArray, IntArray
from sk_shadownet._validation import check_choice
from sk_shadownet.convert._sequential_builder import reading
from sk_shadownet.exceptions import ExportError, InvalidParameterError, UnsupportedLayerError
from sk_shadownet.fpga import FixedPointPlan, FPGAModel
from sk_shadownet.fpga._tables.plan import TablePlan
from sk_shadownet.shadow import SelectFeatures, ShadowNetwork

if TYPE_CHECKING:
    from sk_shadownet.fpga._decision import Score

#: Layers that change nothing when a network answers rows that are flat.
IGNORED = (nn.AlphaDropout, nn.Dropout, nn.Identity, nn.Flatten)

T = TypeVar("T")
Layers = tuple[tuple[str, nn.Module], ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Network:
    """What goes into a network and what comes out."""

    #: Which of the user's columns the first layer reads.
    columns: IntArray
    #: Of the user's columns.
    feature_names: tuple[str, ...]
    kind: Literal["classifier", "regressor", "module"]
    #: Of a classifier.
    class_labels: AnyArray | None = None

    @property
    def selects(self) -> bool:
        """Whether it reads less than all columns, or these in another order."""
        return not np.array_equal(self.columns, np.arange(len(self.feature_names)))

    def names_of(self, inputs: str) -> tuple[str, ...]:
        """Names of "all" columns, or of the "selected" ones, which are read."""
        return self.feature_names if inputs == "all" else tuple(self.feature_names[c] for c in self.columns)


@dataclass(frozen=True, eq=False, kw_only=True)
class LayeredNetwork(Network):
    """A chain of layers with their names; nested Sequentials are opened."""

    layers: Layers = field(repr=False)


@dataclass(frozen=True, eq=False, kw_only=True)
class FixedPointNetwork(Network):
    """A plan of fixed-point arithmetic or of tables, and what the hardware does before and after it."""

    plan: FixedPointPlan | TablePlan
    #: What the hardware puts out.
    puts_out: str = "logits"
    #: Whether the model makes float32 of its rows, as an estimator does, before it rounds them.
    single: bool = False
    #: Scaling of the chosen columns in front of the plan.
    scaling: ColumnMap | None = None
    #: How the hardware's score comes of the plan's outputs; None where it has none.
    score: Score | None = None
    #: The cut of a trigger as a number; None where it is an input of the hardware.
    level: float | None = None


def read_network(model: Any) -> LayeredNetwork:
    """Read a fitted estimator, a pipeline that ends in one, or a ``torch.nn.Sequential``.

    UnsupportedLayerError if a pipeline step cannot be folded, the module is no Sequential, or the network is
    one of tables; ExportError if the estimator answers in fixed point.
    """
    model = getattr(model, "best_estimator_", model)
    if isinstance(model, nn.Module):
        layers = _layers_of(model)
        return LayeredNetwork(layers=layers, **_of_module(_input_width(layers)))
    steps, estimator = split_pipeline(model)
    require_fitted(estimator)
    if isinstance(getattr(estimator, "network_", None), TableNetwork):
        raise UnsupportedLayerError(
            f"the tables of a {type(estimator).__name__} are no layers of weights; to_onnx writes them as "
            "look-ups, to_fpga as hardware with an emulator in C++ and numpy."
        )
    if getattr(estimator, "fixed_point_plan_", None) is not None:
        raise ExportError(
            f"this {type(estimator).__name__} was trained with quantization and answers in fixed point, "
            "which a network of floats cannot do bit for bit; use to_fpga or to_onnx, or convert its module_ "
            "to have the float network of its rounded weights."
        )
    fold, names = fold_steps(steps, estimator)
    fold = fold.then_select(np.asarray(estimator.support_))
    layers = _fold_into(_layers_of(estimator.module_), fold)
    return LayeredNetwork(layers=layers, **_of_estimator(estimator, fold, names))


def read_fixed_point(model: Any) -> FixedPointNetwork | None:
    """The fixed-point network of a plan, exported hardware, or estimator trained with ``quantization``.

    None for a model that answers in floats; ExportError if a pipeline scales what such an estimator takes.
    """
    model = getattr(model, "best_estimator_", model)
    if isinstance(model, FixedPointPlan):
        return FixedPointNetwork(plan=model, **_of_module(model.widths[0]))
    if isinstance(model, FPGAModel):
        return _read_hardware(model)
    if not hasattr(model, "predict"):
        return None
    steps, estimator = split_pipeline(model)
    plan, tables = getattr(estimator, "fixed_point_plan_", None), getattr(estimator, "network_", None)
    if isinstance(tables, TableNetwork):
        plan = TablePlan(tables)
    if plan is None:
        return None
    require_fitted(estimator)
    fold, names = fold_steps(steps, estimator)
    if fold.scales:
        raise ExportError(
            f"this pipeline scales the features of a {type(estimator).__name__} that answers in fixed point; "
            "how scikit-learn rounds the scaled values is not to be had in a graph bit for bit. Convert "
            "what to_fpga gives for the pipeline, whose scaling is that of its hardware (its folder "
            "emulator/ does it in C++ and numpy, too), or the pipeline's last step alone."
        )
    if isinstance(plan, TablePlan):
        fold = fold.then_select(plan.network.features)
        return FixedPointNetwork(plan=plan, **_of_estimator(estimator, fold, names))
    fold = fold.then_select(np.asarray(estimator.support_))
    return FixedPointNetwork(plan=plan, single=True, **_of_estimator(estimator, fold, names))


def _read_hardware(model: FPGAModel) -> FixedPointNetwork:
    assert isinstance(model.plan, FixedPointPlan | TablePlan)
    project, labels = model._project, model.class_labels
    exported, score, level = project.model, project.score, None
    if model.config.output == "trigger" and score is not None:
        cut = project.backend.design.cut  # type: ignore[attr-defined]
        level = None if cut == "port" else float(np.ldexp(cut, -score.format(model.plan.outputs).fraction[0]))
    return FixedPointNetwork(
        plan=model.plan,
        columns=exported.columns,
        feature_names=exported.feature_names,
        kind="regressor" if labels is None else "classifier",
        class_labels=labels,
        puts_out=model.config.output,
        scaling=exported.scaling,
        score=score,
        level=level,
    )


def _of_module(width: int) -> dict[str, Any]:
    """The fields of a `Network` of a bare module or plan."""
    names = tuple(f"x{j}" for j in range(width))
    return {"columns": np.arange(width), "feature_names": names, "kind": "module"}


def _of_estimator(estimator: Any, fold: ColumnMap, names: tuple[str, ...]) -> dict[str, Any]:
    """The fields of a `Network` of a fitted estimator behind a pipeline."""
    labels = getattr(estimator, "classes_", None)
    fields = {"columns": fold.columns, "feature_names": names}
    if labels is None:
        return {**fields, "kind": "regressor"}
    return {**fields, "kind": "classifier", "class_labels": np.asarray(labels)}


def check_output(output: Any, network: Network) -> str:
    """What a classifier's converted network ends in; others have no choice."""
    if output is None:
        return "probability"
    if network.kind != "classifier":
        raise InvalidParameterError(
            f"output={output!r} belongs to classifiers; leave it out for a {network.kind}."
        )
    return check_choice("output", output, ("probability", "logits"))


def _layers_of(module: nn.Module) -> Layers:
    if isinstance(unwrapped(module), ShadowNetwork):
        raise UnsupportedLayerError("the module is a ShadowNetwork; convert its prune(), the small network.")
    return tuple(_flat_layers(plain_copy(module, UnsupportedLayerError)))


def _flat_layers(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    if not isinstance(module, nn.Sequential) or type(module).forward is not nn.Sequential.forward:
        if not prefix and type(module) is not nn.Linear:
            raise UnsupportedLayerError(
                f"a torch.nn.Sequential was expected, got {type(module).__name__}; torch.onnx.export writes "
                "modules with a forward of their own."
            )
        name = prefix.rstrip(".") or "0"
        with reading(f"layer {name!r} ({type(module).__name__})"):
            _require_rows_apart(module)
        yield name, module
        return
    for name, child in module._modules.items():  # named_children leaves out a layer that comes twice
        if child is not None:
            yield from _flat_layers(child, f"{prefix}{name}.")


def _require_rows_apart(layer: Any) -> None:
    """Refuse what would not answer flat rows one by one, or cannot know their width."""
    if isinstance(layer, nn.BatchNorm1d) and layer.running_mean is None:
        raise UnsupportedLayerError("it keeps no running statistics, so a row's outputs depend on its batch")
    if isinstance(layer, nn.LayerNorm) and len(layer.normalized_shape) != 1:
        raise UnsupportedLayerError("it normalises over several axes; one was expected")
    if isinstance(layer, nn.Flatten) and (layer.start_dim, layer.end_dim) != (1, -1):
        raise UnsupportedLayerError(
            f"it flattens axes {layer.start_dim} to {layer.end_dim}; 1 to -1 were expected, which keep rows "
            "apart"
        )
    if isinstance(layer, (nn.LogSoftmax, nn.Softmax)) and layer.dim not in (1, -1, None):
        raise UnsupportedLayerError(f"dim={layer.dim} mixes rows; dim=1 was expected")
    if isinstance(layer, SelectFeatures):
        raise UnsupportedLayerError(
            "it does not know how many features it selects from; leave it out, and give the converted "
            "network the selected ones"
        )


def of_kind(table: dict[type[nn.Module], T], layer: nn.Module, *others: type[nn.Module]) -> T:
    """The entry of a table for a kind of layer; a refusal names its kinds and the others that can be."""
    if type(layer) not in table:
        known = ", ".join(sorted(kind.__name__ for kind in (*table, *others)))
        raise UnsupportedLayerError(f"the kinds known are {known}")
    return table[type(layer)]


def require_plain_softplus(layer: nn.Softplus) -> None:
    """Refuse a softplus that other frameworks have no parameter for."""
    if layer.beta != 1 or layer.threshold < 20:
        raise UnsupportedLayerError("beta and threshold must be those of torch's default, 1 and 20")


def _input_width(layers: Layers) -> int:
    for _, layer in layers:
        width = getattr(layer, "in_features", None) or getattr(layer, "num_features", None)
        if isinstance(layer, nn.LayerNorm):
            width = layer.normalized_shape[-1]
        if width is not None:
            return int(width)
    raise UnsupportedLayerError("the network has no layer with weights; there is nothing to convert.")


def _fold_into(layers: Layers, fold: ColumnMap) -> Layers:
    """The layers with a scaling of the inputs in the first: ``W (s x + t) + b = (W s) x + (W t + b)``."""
    if not fold.scales:
        return layers
    n, (name, first) = next((n, pair) for n, pair in enumerate(layers) if type(pair[1]) not in IGNORED)
    if type(first) is not nn.Linear:
        raise UnsupportedLayerError(
            "the pipeline scales its columns, which becomes part of a first Linear layer, but the network "
            f"begins with layer {name!r} ({type(first).__name__}); convert its last step alone, and scale "
            "outside."
        )
    folded = deepcopy(first).double()
    scale, shift = torch.from_numpy(fold.scale), torch.from_numpy(fold.shift)
    with torch.no_grad():
        start = folded.weight @ shift
        folded.bias = nn.Parameter(start if folded.bias is None else folded.bias + start)
        folded.weight.mul_(scale)
    return (*layers[:n], (name, folded.to(first.weight.dtype)), *layers[n + 1 :])
