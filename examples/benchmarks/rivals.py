"""HGQ2's networks on the rows of tables.py: learned bits per weight, and layers of learned tables.

    python examples/benchmarks/tables.py jets --rivals 300     # extra rivals, and jax

One training each of about so many CPU seconds, in which the price of a bit rises from almost nothing, as
the authors do it over far more epochs: what is printed is what so much time buys, no verdict on either at
convergence. All checkpoints on the front of accuracy (on a tenth of the training rows) and HGQ2's own
cost are traced by alkaid, which counts their look-up tables and computes their bits; for each budget the
checkpoint of most accuracy within it is judged on the test rows. Inputs are standardised in floats, which
costs them nothing.

Sun et al. 2024, "Gradient-based automatic mixed precision quantization for neural networks on-chip"
(arXiv 2405.00645); Sun et al. 2026, "HGQ-LUT" (arXiv 2604.22293).
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np
from _common import cpu_seconds
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

os.environ.setdefault("KERAS_BACKEND", "jax")

#: Rows of a batch, and the learning rate at the start.
BATCH, RATE = 2048, 5e-3
#: Price of a bit at the start and at the end, by the kind of network.
PRICES = {"HGQ2": (5e-7, 1e-3), "HGQ-LUT": (1e-7, 1e-3)}
#: Checkpoints that are traced: the front, thinned to so many of different cost.
TRACED = 40


class Checkpoint(NamedTuple):
    """A network on the front: accuracy on validation rows, HGQ2's cost, weights."""

    accuracy: float
    cost: float
    weights: list[np.ndarray]


class Traced(NamedTuple):
    """A checkpoint in hardware: accuracy on validation and test rows, look-up tables."""

    valid: float
    test: float
    lut: float


def bits_of_weights(n_inputs: int, n_outputs: int) -> Any:
    """A perceptron whose weights and activations each learn their bits."""
    import keras
    from hgq.config import QuantizerConfigScope
    from hgq.layers import QDense, QEinsumDenseBatchnorm

    with (
        QuantizerConfigScope(place=("weight", "bias"), overflow_mode="SAT_SYM", f0=6),
        QuantizerConfigScope(place="datalane", i0=2, f0=6),
    ):
        signal = given = keras.Input((n_inputs,))
        for width in (64, 32, 32):
            signal = QEinsumDenseBatchnorm("bc,cC->bC", width, bias_axes="C", activation="relu")(signal)
        return keras.Model(given, QDense(n_outputs)(signal))


def learned_tables(n_inputs: int, n_outputs: int) -> Any:
    """Two layers of which each edge is a small network that ends as a table."""
    import keras
    from hgq.config import QuantizerConfigScope
    from hgq.layers import QDenseT

    with (
        QuantizerConfigScope(k0=1, b0=8, i0=2),
        QuantizerConfigScope(place="table", homogeneous_axis=(0,)),
    ):
        given = keras.Input((n_inputs,))
        return keras.Model(given, QDenseT(n_outputs)(QDenseT(16, batch_norm=True)(given)))


KINDS = {"HGQ2": bits_of_weights, "HGQ-LUT": learned_tables}


def epochs_in(kind: str, X: np.ndarray, y: np.ndarray, seconds: float) -> int:
    """How many epochs take so many CPU seconds, once everything is compiled."""
    import keras

    model = KINDS[kind](X.shape[1], len(np.unique(y)))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(X, y, batch_size=BATCH, verbose=0)
    with cpu_seconds() as used:
        model.fit(X, y, batch_size=BATCH, epochs=3, verbose=0)
    return max(10, round(3 * seconds / used[0]))


def train(kind: str, X: np.ndarray, y: np.ndarray, seconds: float, seed: int) -> tuple[Any, list[Checkpoint]]:
    """One training with a rising price: the model, and the front of its checkpoints."""
    import keras
    from hgq.utils.sugar import BetaScheduler, FreeEBOPs, PieceWiseSchedule

    keras.utils.set_random_seed(seed)
    epochs = epochs_in(kind, X, y, seconds)
    A, V, a, v = train_test_split(X, y, test_size=0.1, stratify=y, random_state=seed)
    model = KINDS[kind](X.shape[1], len(np.unique(y)))
    front: list[Checkpoint] = []

    class Front(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
            accuracy, cost = logs["val_accuracy"], logs["ebops"]
            if any(one.accuracy >= accuracy and one.cost <= cost for one in front):
                return
            front[:] = [one for one in front if one.accuracy > accuracy or one.cost < cost]
            front.append(Checkpoint(accuracy, cost, self.model.get_weights()))

    low, high = PRICES[kind]
    steps = epochs * -(-len(A) // BATCH)
    rate = keras.optimizers.schedules.CosineDecayRestarts(RATE, max(1, steps // 10), t_mul=1.0, m_mul=0.98)
    model.compile(
        keras.optimizers.Adam(rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    schedule = PieceWiseSchedule([(0, low, "log"), (epochs, high, "constant")])
    model.fit(
        *(A, a),
        validation_data=(V, v),
        epochs=epochs,
        batch_size=BATCH,
        verbose=0,
        callbacks=[BetaScheduler(schedule), FreeEBOPs(), Front()],
    )
    return model, sorted(front, key=lambda one: one.cost)


def traced(
    model: Any, front: list[Checkpoint], X: np.ndarray, X_test: np.ndarray, y_test: np.ndarray
) -> list[Traced]:
    """Look-up tables of the checkpoints by alkaid, and the accuracy of the bits that it computes."""
    from alkaid.converter import trace_model
    from alkaid.trace import HWConfig, trace
    from hgq.utils import trace_minmax

    found = []
    for n in np.unique(np.linspace(0, len(front) - 1, min(TRACED, len(front))).astype(int)):
        model.set_weights(front[n].weights)
        trace_minmax(model, X, batch_size=len(X), verbose=0)
        given, outputs = trace_model(model, HWConfig(1, 8, -1), {"hard_dc": 2})
        logic = trace(given, outputs)
        decided = np.argmax(logic.predict(np.ascontiguousarray(X_test, dtype=np.float64)), axis=1)
        found.append(Traced(front[n].accuracy, float(np.mean(decided == y_test)), float(logic.cost)))
    return found


def best_within(found: list[Traced], budget: float) -> Traced | None:
    """The checkpoint of most accuracy on validation rows that keeps the budget."""
    return max((one for one in found if one.lut <= budget), key=lambda one: one.valid, default=None)


def rivals_on(
    kind: str, X: np.ndarray, y: np.ndarray, X_test: np.ndarray, y_test: np.ndarray, seconds: float, seed: int
) -> tuple[list[Traced], float]:
    """Checkpoints of one training of about so many CPU seconds in hardware, and its CPU seconds."""
    scaler = StandardScaler().fit(X)
    X, X_test = scaler.transform(X).astype(np.float32), scaler.transform(X_test).astype(np.float32)
    with cpu_seconds() as used:
        model, front = train(kind, X, y, seconds, seed)
    return traced(model, front, X, X_test, y_test), used[0]
