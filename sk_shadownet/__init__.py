"""Neural networks that train themselves down to the size an FPGA can hold."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from sk_shadownet._system.versions import MovedModuleFinder

if TYPE_CHECKING:
    from sk_shadownet._estimator.frontier import Frontier, FrontierPoint
    from sk_shadownet._saving.models import load
    from sk_shadownet._table_estimator.classifier import ShadowTableClassifier
    from sk_shadownet._table_estimator.regressor import ShadowTableRegressor
    from sk_shadownet.architecture import Architecture
    from sk_shadownet.callbacks import ShadowPruning
    from sk_shadownet.classifier import ShadowMLPClassifier
    from sk_shadownet.regressor import ShadowMLPRegressor
    from sk_shadownet.shadow import SelectFeatures, ShadowNetwork

__all__ = [
    "Architecture",
    "Frontier",
    "FrontierPoint",
    "SelectFeatures",
    "ShadowMLPClassifier",
    "ShadowMLPRegressor",
    "ShadowNetwork",
    "ShadowPruning",
    "ShadowTableClassifier",
    "ShadowTableRegressor",
    "__version__",
    "load",
]

__version__ = "0.2.0.dev0"

if MovedModuleFinder not in sys.meta_path:
    sys.meta_path.append(MovedModuleFinder)

# Imported when asked for: a PyTorch user's ShadowNetwork needs neither scikit-learn nor skorch.
_HOMES = {
    "Architecture": "architecture",
    "Frontier": "_estimator.frontier",
    "FrontierPoint": "_estimator.frontier",
    "SelectFeatures": "shadow",
    "ShadowMLPClassifier": "classifier",
    "ShadowMLPRegressor": "regressor",
    "ShadowNetwork": "shadow",
    "ShadowPruning": "callbacks",
    "ShadowTableClassifier": "_table_estimator.classifier",
    "ShadowTableRegressor": "_table_estimator.regressor",
    "load": "_saving.models",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"sk_shadownet.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
