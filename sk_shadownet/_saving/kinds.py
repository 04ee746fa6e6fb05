"""What may be stored: the classes and functions that a file can name, and nothing besides."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any

#: Classes whose objects are stored, by the module that they are in now; a file has their names alone, so that
#: they may move. `_saving.container.FORMAT` rises when the attributes of one of them change.
_CLASSES = {
    "sk_shadownet._estimator.candidate": ("Candidate",),
    "sk_shadownet._estimator.frontier": ("Frontier", "FrontierPoint"),
    "sk_shadownet._gating.score_rules": ("GateGradient", "LogFisher", "Taylor"),
    "sk_shadownet._mlp.gated": ("GatedMLP",),
    "sk_shadownet._mlp.padded": ("Padded",),
    "sk_shadownet._mlp.population": ("Population",),
    "sk_shadownet._pruning.quantized_finetuning": ("_SelectedColumns",),
    "sk_shadownet._pruning.subnetwork": ("Subnetwork",),
    "sk_shadownet._table_estimator.architecture": ("TableArchitecture",),
    "sk_shadownet._table_estimator.classifier": ("ShadowTableClassifier",),
    "sk_shadownet._table_estimator.networks": ("TableCandidate",),
    "sk_shadownet._table_estimator.regressor": ("ShadowTableRegressor",),
    "sk_shadownet._tables.network": ("Layer", "TableStack"),
    "sk_shadownet._tables.integers": ("InputCodes", "TableLayer", "TableNetwork"),
    "sk_shadownet._training.losses": ("AbsoluteError", "CrossEntropy", "SquaredError"),
    "sk_shadownet._training.net": ("CommitteeNet",),
    "sk_shadownet.architecture": ("Architecture",),
    "sk_shadownet.classifier": ("ShadowMLPClassifier",),
    "sk_shadownet.fpga._config": ("FPGAConfig",),
    "sk_shadownet.fpga._quantization.formats": ("FixedFormat",),
    "sk_shadownet.fpga._quantization.precision": ("Precision",),
    "sk_shadownet.fpga._quantization.qat": ("FixedPointSequential",),
    "sk_shadownet.fpga._quantization.plan": ("FixedLayer", "FixedPointPlan"),
    "sk_shadownet.metrics": ("BackgroundRejection", "SignalEfficiency"),
    "sk_shadownet.regressor": ("ShadowMLPRegressor",),
}
#: Classes and functions that are stored by their names alone.
_NAMED = {
    "sk_shadownet._gating.score_rules": ("GateGradient", "LogFisher", "Taylor"),
}
#: Plain layers of torch.nn; a file calls them "torch.nn.Linear" and so on.
_LAYERS = (
    "AlphaDropout",
    "BatchNorm1d",
    "Dropout",
    "ELU",
    "Flatten",
    "GELU",
    "Hardtanh",
    "Identity",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "ModuleList",
    "ReLU",
    "ReLU6",
    "SELU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
)
_OF_TORCH = "torch.nn."
#: Where torch keeps the functions that are hooked into a module; none are stored.
HOOKS = (
    "_backward_hooks",
    "_backward_pre_hooks",
    "_forward_hooks",
    "_forward_hooks_always_called",
    "_forward_hooks_with_kwargs",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_load_state_dict_post_hooks",
    "_load_state_dict_pre_hooks",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
)


def name_of_class(cls: type) -> str | None:
    """The name under which objects of exactly this class are stored; None where they are not."""
    name = cls.__qualname__
    if _home(_CLASSES, name) == cls.__module__:
        return name
    if name in _LAYERS and cls is _layer(name):
        return _OF_TORCH + name
    return None


def class_named(name: str) -> type:
    """The class whose objects are stored under a name; KeyError where there is none."""
    if name.startswith(_OF_TORCH) and name[len(_OF_TORCH) :] in _LAYERS:
        return _layer(name[len(_OF_TORCH) :])
    found: type = _imported(_CLASSES, name)
    return found


def name_of_thing(thing: Any) -> str | None:
    """The name by which a class or function itself is stored; None where it is not."""
    name = getattr(thing, "__qualname__", "")
    home = _home(_NAMED, name)
    return name if home is not None and home == getattr(thing, "__module__", None) else None


def thing_named(name: str) -> Any:
    """The class or function that is stored by its name; KeyError where there is none."""
    return _imported(_NAMED, name)


def _home(table: Mapping[str, tuple[str, ...]], name: str) -> str | None:
    return next((module for module, names in table.items() if name in names), None)


@cache
def _layer(name: str) -> type:
    layer: type = getattr(import_module("torch.nn"), name)
    return layer


def _imported(table: Mapping[str, tuple[str, ...]], name: str) -> Any:
    home = _home(table, name)
    if home is None:
        raise KeyError(name)
    return getattr(import_module(home), name)
