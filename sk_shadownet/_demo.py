"""The main job: a table network, and dense, pruned and same-size perceptrons, on the embedded jets."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch

from sk_shadownet._table_estimator.classifier import ShadowTableClassifier
from sk_shadownet.classifier import ShadowMLPClassifier
from sk_shadownet.exceptions import MissingToolError

Model = TypeVar("Model", Pipeline, ShadowTableClassifier)

# Look-up tables of the table network, and passes over the rows: some seven CPU seconds.
_LUT, _TABLE_EPOCHS = 500, 100


@dataclass(frozen=True)
class Result:
    """How one network does on the test rows; `auc` of each class against the rest."""

    name: str
    architecture: str
    accuracy: float
    auc: dict[str, float]
    n_features: int
    n_multiplications: int
    cpu_seconds: float


@dataclass(frozen=True)
class Models:
    """The two that go on to hardware: a table network, and a pipeline of scaler and pruned classifier."""

    tables: ShadowTableClassifier
    pruned: Pipeline


def compare(
    data: Bunch,
    hidden: tuple[int, ...],
    n_features: int,
    target: tuple[int, ...],
    backend: str,
    random_state: int,
    verbose: bool,
    say: Callable[[str], None],
) -> tuple[Models, list[Result]]:
    """Fit the networks of the main job: tables, then dense on all inputs, pruned, the pruned size afresh.

    The budget of the tables is kept by the design that `backend` writes; by Verilog's where that is "none".
    """
    from sk_shadownet.fpga import FPGAConfig

    common: dict[str, Any] = {"random_state": random_state, "verbose": verbose}
    say(f"1/4  a network of tables within {_LUT} look-up tables, on raw inputs")
    tables = ShadowTableClassifier(
        budget={"lut": _LUT},
        fpga=None if backend == "none" else FPGAConfig(backend=backend),
        max_epochs=_TABLE_EPOCHS,
        **common,
    )
    results = [_fit("tables", tables, data, slice(None))[1]]
    say("2/4  a dense perceptron on all inputs")
    dense = ShadowMLPClassifier(hidden, **common)
    results.append(_fit("dense", make_pipeline(StandardScaler(), dense), data, slice(None))[1])
    say("3/4  the same perceptron with its shadow")
    pruned = ShadowMLPClassifier(
        hidden, n_features_to_select=n_features, target_hidden_layer_sizes=target, **common
    )
    pipeline, result = _fit("pruned", make_pipeline(StandardScaler(), pruned), data, slice(None))
    results.append(result)
    say("4/4  the pruned perceptron's size, trained from scratch on the inputs it selected")
    small = ShadowMLPClassifier(target, max_epochs=pruned.n_iter_, **common)
    scratch = make_pipeline(StandardScaler(), small)
    results.append(_fit("from scratch", scratch, data, np.flatnonzero(pruned.support_))[1])
    return Models(tables, pipeline), results


def _fit(name: str, model: Model, data: Bunch, columns: Any) -> tuple[Model, Result]:
    start = time.process_time()
    model.fit(data.X_train[:, columns], data.y_train)
    seconds = time.process_time() - start
    probability = model.predict_proba(data.X_test[:, columns])
    network: Any = model[-1] if isinstance(model, Pipeline) else model
    return model, Result(
        name=name,
        architecture=str(network.architecture_),
        accuracy=float(accuracy_score(data.y_test, probability.argmax(axis=1))),
        auc=_auc(data.y_test, probability, data.target_names),
        n_features=network.architecture_.widths[0],
        n_multiplications=getattr(network.architecture_, "n_multiplications", 0),  # tables have none
        cpu_seconds=seconds,
    )


def _auc(y: npt.NDArray[np.int64], probability: npt.NDArray[np.float64], names: Any) -> dict[str, float]:
    return {str(c): float(roc_auc_score(y == n, probability[:, n])) for n, c in enumerate(names)}


def table(results: list[Result]) -> str:
    """The results as a Markdown table, one row a network."""
    classes = list(results[0].auc)
    head = [
        "network",
        "widths",
        "accuracy",
        *(f"AUC {c}" for c in classes),
        "features",
        "multiplications",
        "CPU s",
    ]
    rows = [
        [
            r.name,
            r.architecture,
            f"{r.accuracy:.4f}",
            *(f"{r.auc[c]:.4f}" for c in classes),
            str(r.n_features),
            f"{r.n_multiplications:,}",
            f"{r.cpu_seconds:.1f}",
        ]
        for r in results
    ]
    return _markdown(head, rows)


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * w for w in widths], *rows]
    return "\n".join(
        "| " + " | ".join(c.ljust(w) for c, w in zip(x, widths, strict=True)) + " |" for x in lines
    )


def export(models: Models, data: Bunch, folder: Path, backend: str, say: Callable[[str], None]) -> str:
    """Write both networks as hardware projects; how they do on the test rows there, and what they cost.

    Where no emulation can be compiled here, the text says which tool is missing.
    """
    from sk_shadownet.fpga import to_fpga

    texts, rows = list[str](), list[list[str]]()
    for name, model in (("tables", models.tables), ("pruned", models.pruned)):
        say(f"hardware project for {backend} of the network {name!r}, emulated on the test rows")
        fpga = to_fpga(model, folder / name, backend=backend)
        try:
            compared = fpga.compare(data.X_test, data.y_test)
            text, accuracy = str(compared), f"{compared.score_hardware:.4f}"
        except MissingToolError as error:
            text, accuracy = f"not emulated: {error}", "-"
        estimate = fpga.estimate()
        texts.append(f"{name}: {fpga.plan!r}\n{text}\n{estimate}\n")
        costs = (estimate.lut, estimate.ff, estimate.dsp, estimate.latency_cycles)
        rows.append([name, accuracy, *(f"{cost:,}" for cost in costs)])
    head = ["hardware", "accuracy", "LUT", "FF", "DSP", "latency, cycles"]
    return "\n".join([*texts, _markdown(head, rows)])
