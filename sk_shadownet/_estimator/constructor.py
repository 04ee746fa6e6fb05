"""What the constructors of classifier and regressor share: parameters, and their documentation."""

from __future__ import annotations

import re
import textwrap
from dataclasses import KW_ONLY, dataclass
from typing import Any, TypeVar

Class = TypeVar("Class", bound=type)


@dataclass(eq=False, repr=False)
class SharedParameters:
    """Parameters as scikit-learn has them: kept as they come, and checked by `fit`."""

    hidden_layer_sizes: Any = (64, 32, 32)
    _: KW_ONLY
    n_features_to_select: Any = None
    target_hidden_layer_sizes: Any = None
    budget: Any = None
    tolerance: Any = "auto"
    scoring: Any = None
    fpga: Any = None
    module: Any = None
    prune: Any = None
    activation: str = "relu"
    score_rule: Any = "fisher"
    n_shadows: int = 1
    learning_rate_init: float = 0.02
    weight_decay: Any = "auto"
    input_noise: Any = "auto"
    batch_size: Any = "auto"
    max_epochs: Any = "auto"
    validation_fraction: float | None = 0.1
    early_stopping: bool = False
    n_iter_no_change: int = 20
    quantization: Any = None
    callbacks: Any = None
    device: str = "cpu"
    random_state: Any = None
    verbose: bool = False
    warm_start: bool = False
    checkpoint: Any = None
    checkpoint_seconds: float = 60.0


_SHARED = """\
scoring : str, callable or None, default=None
    What chooses the epoch, the member of a committee and, with "auto" or a `budget` of hardware, the
    sizes. None is the loss that is minimised. A str is a name of scikit-learn's scorers, such as "roc_auc"
    or "r2"; a callable ``(estimator, X, y)``, or ``(estimator, X, y, sample_weight=None)``, gives a finite
    number, larger being better. It does not change what is trained.
validation_fraction : float or None, default=0.1
    Share of the rows, in [0, 1), held out, of a classifier stratified by class, to choose the epoch that is
    kept. None and 0 hold none out; nor does a share that comes to fewer than 20 rows or than there are
    classes. Without validation rows the last epoch is kept. Not used where `fit` is given ``X_val``.
frontier_ : Frontier
    The networks of all sizes that the run gave, cheapest first, each trained to the end, with costs,
    losses, scores (of `scoring`; without it the accuracy or R²) and standard errors; which one was chosen,
    and why. With a `budget` of hardware those are of the rounded networks, unless `quantization` is given.
    It may be one of fewer inputs, trained after the run. `at` gives another one. Only where a size is
    "auto", and with a `budget` of hardware.
history_ : dict of list
    One entry an epoch: "epoch", "phase" ("open", "closing" or "finishing"), "open_counts" (of the inputs
    and each hidden layer), "temperature" of the gates (0 after the cut), "train_loss", "learning_rate",
    "dur" (seconds); with validation rows "valid_loss" and "valid_score" (of `scoring`; without it the
    accuracy, or R² averaged over outputs), means over the members, and both member by member; and what
    callbacks record. Losses of a regressor are those of standardised targets. The "train_loss" of
    a frontier's networks is that of mutual distillation. Epochs with fewer inputs, after the run, come last.
calibration_rows_ : ndarray of float32 of shape (n_calibration, n_selected)
    Selected features of training rows, for `to_fpga`: a sample, of a classifier with as many rows of each
    class as there are, and every row with an extreme of an input or of a unit.
hidden_layer_sizes : tuple of int or int, default=(64, 32, 32)
    Widths of the hidden layers at the start, each at least 1. ``()`` has none: a linear model.
n_features_to_select : int, float, "auto" or None, default=None
    Inputs at the end. An int counts them, 1 to n_features; a float in (0, 1] is a share of the features,
    rounded down, at least one. "auto" leaves their number to the data and `tolerance`. None keeps all;
    with a `budget` it leaves their number to the data within that.
target_hidden_layer_sizes : tuple of (int, "auto" or None), int, "auto" or None, default=None
    Widths of the hidden layers at the end, as many as in `hidden_layer_sizes` and none above it. In a
    place, "auto" leaves that width to the data and `tolerance`; None keeps that layer, or with a `budget`
    leaves its width to the data within that. "auto" alone and None alone say so of all. A layer whose
    width is left to the data may go as a whole.
budget : dict or None, default=None
    Upper limits, finite and at least 0, all of which the network must keep: of "multiplications" and
    "parameters"; on the hardware that `fpga` describes of "bit_operations", "lut", "ff", "dsp", "bram",
    "latency_cycles" and "latency_ns"; or, with a callable ``cost(architecture)`` as the key, of what it
    gives for an `Architecture`, a number of at least 0 that does not fall when a layer grows. Units of
    all layers compete for the budget by importance per cost. Hardware is kept by the estimate
    that ``to_fpga(...).estimate()`` gives. None sets no limit.
tolerance : {"auto", "1-se", "1-se-paired"} or float, default="auto"
    What "auto" sizes may give up for a smaller network, of the loss or of `scoring`: the cheapest network
    is taken that is behind the best one by no more than this. "1-se": the standard error of the best one
    [2]_. "1-se-paired": the standard error of the difference of the two, mostly less. "auto": the same,
    or a hundredth where that is more, of what a constant answer would lose or of the best score; with
    `scoring` it is asked of the score and of the loss. A float, at least 0: of a score a difference; of a
    loss a share of what a constant answer would lose. Where both inputs and hidden widths are "auto",
    half of it goes into hidden widths; then the fewest inputs
    within all of it are taken. Losses and scores are those of the validation rows, or of the training
    rows where there are none.
fpga : sk_shadownet.fpga.FPGAConfig or None, default=None
    Hardware that a `budget` is of, and what `to_fpga` takes where it is told nothing else. None takes
    the defaults of `FPGAConfig`.
prune : list of (str or int) or None, default=None
    Layers that may lose units, the others staying whole: "inputs", hidden layers by position from 0, or
    Linear layers of `module` by name. None lists all.
activation : {"identity", "logistic", "relu", "tanh"}, default="relu"
    Activation of the hidden layers. `to_fpga` takes "relu" and "identity" only; with "identity" all
    layers become one there, which computes the same.
score_rule : {"fisher", "gradient", "taylor"} or callable, default="fisher"
    Measure of a unit's importance. A callable ``rule(n_members, n_units)`` returns an object with the
    methods ``update(saliency, gates, temperature)`` and ``scores()``; where a budget or "auto" leaves
    widths to the data also ``importance()``, which "gradient" does not know.
n_shadows : int, default=1
    Networks trained side by side, at least 1, that pool their evidence for the inputs; the one with the
    least validation loss, or the best `scoring`, becomes the model. Time and memory of training grow with
    it.
learning_rate_init : float, default=0.02
    Learning rate of AdamW, above 0. It is reached after a warm-up, twice: in the wide network, where it
    then stays, and in the small one, where it falls to 0.
batch_size : int or "auto", default="auto"
    Rows of a gradient step, at least 1; more than there are means all. "auto" is the power of two
    nearest to ``n_rows / 128``, within 32 and 256.
max_epochs : int or "auto", default="auto"
    Passes over the training rows, at least 1. "auto" is 50, or 100 where the fit leaves one small network,
    which costs little; more where that makes fewer than 2,000 gradient steps.
early_stopping : bool, default=False
    Whether to end training when `n_iter_no_change` epochs after the cut were no better on the
    validation rows.
n_iter_no_change : int, default=20
    Patience of `early_stopping` in epochs, at least 1.
quantization : int, str, dict, FixedPointPlan or None, default=None
    Continue the small network's training in fixed point. An int is the width of the weights in bits, the
    formats of inputs and activations being chosen; a str or dict as for `to_fpga`'s ``precision``;
    a plan trains through the formats of hardware that is there.
    `predict` and all else then answer as the hardware does, bit for bit. "relu" only, or
    no hidden layers.
device : str, default="cpu"
    "cpu", "cuda", "cuda:N", or "auto": CUDA where torch sees it. Predictions run on the CPU.
random_state : int, RandomState instance or None, default=None
    Decides initial weights, held-out rows, the order of rows and the noise. An int makes fits repeatable.
verbose : bool, default=False
    Whether to show a bar with phase, epoch, time left, open units and validation score. The log
    "sk_shadownet" tells phases and results at level INFO in any case.
warm_start : bool, default=False
    Whether a further `fit` continues the small network that is there, without pruning it again;
    ``frontier_`` goes.
checkpoint : str, path or None, default=None
    Folder in which `fit` leaves its state while it trains, made where it is not there. A fit with the same
    parameters, columns and rows that is given this folder goes on where the last one was killed, and ends
    with the same network, bit for bit. The folder is left empty when the fit has ended. None keeps no state.
checkpoint_seconds : float, default=60.0
    Least time from one state to the next in seconds, at least 0; more where a state takes more than a
    fiftieth of that to write. 0 leaves one at every opportunity, which is for tests.
n_features_in_ : int
    Features of ``X``.
feature_names_in_ : ndarray of str of shape (n_features,)
    Names of the columns of ``X``; only where all are strings.
selected_features_ : ndarray of shape (n_selected,)
    Inputs that were kept, in the order of ``X``: names where ``X`` had names, else column numbers.
support_ : ndarray of bool of shape (n_features,)
    True where an input was kept.
feature_scores_ : ndarray of float of shape (n_features,)
    Score of every input at the moment of the choice, the removed ones included. Larger is more relevant;
    the mean is 0. With "fisher" and "taylor" a natural logarithm.
feature_importances_ : ndarray of float of shape (n_features,)
    The same order as shares of 1, none negative, for scikit-learn's selectors. With "fisher" and "taylor"
    shares of what `feature_scores_` are logarithms of; with other rules of the scores counted from the
    least one, which has 0.
architecture_ : Architecture
    Widths before and after, and the masks between them; False throughout for a hidden layer that went.
n_iter_ : int
    Epochs trained.
best_epoch_ : int
    Epoch, from 1, whose weights were kept.
fixed_point_plan_ : FixedPointPlan
    Formats and rounded weights of the hardware; only with `quantization`.
quantization_history_ : dict of list
    One entry an epoch of that finishing: "train_loss" and, with validation rows, "valid_loss" and
    "valid_score"; only with `quantization`.
net_ : skorch.NeuralNet
    The net that did the training.
"""
_ENTRIES = {entry[1]: entry[0] for entry in re.finditer(r"^(\w+) : .*\n(?: .*\n)+", _SHARED, re.MULTILINE)}


def with_shared_docs(cls: Class) -> Class:
    """Class decorator that puts shared entries in the place of a docstring's lines ``$name name ...``."""
    if cls.__doc__:  # Python leaves docstrings out where it is told to
        cls.__doc__ = re.sub(r"^( *)\$(.*)\n", _entries, cls.__doc__, flags=re.MULTILINE)
    return cls


def _entries(marker: re.Match[str]) -> str:
    # As far indented as the line that they replace: from Python 3.13 on docstrings are not.
    return textwrap.indent("".join(_ENTRIES[name] for name in marker[2].split()), marker[1])
