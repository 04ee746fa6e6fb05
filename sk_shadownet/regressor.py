"""ShadowMLPRegressor: numbers, several at once if need be, and the public parameters."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import _check_sample_weight, validate_data

from sk_shadownet._estimator.base import BaseShadowMLP, as_numpy, check_continuation
from sk_shadownet._estimator.table import Table, dense_numbers, merge_equal_rows, scaled_weights, target_units
from sk_shadownet._metrics.sample_weight import check_total
from sk_shadownet._pruning.run import Run
from sk_shadownet._training.dataset import Rows
from sk_shadownet._training.losses import LOSSES, PointLoss
from sk_shadownet._validation import check_choice, check_seed
from sk_shadownet.exceptions import InvalidDataError

__all__ = ["ShadowMLPRegressor"]

# The small network's outputs are float32.
_LARGEST_TARGET = float(np.finfo(np.float32).max)


class ShadowMLPRegressor(MultiOutputMixin, RegressorMixin, BaseShadowMLP):  # type: ignore[misc]
    r"""Multilayer perceptron for numbers that trains itself down to the inputs and widths asked for.

    One call of `fit` trains the wide network of `hidden_layer_sizes` together with its shadow network of
    gates, closes gates until exactly the units asked for are left, or as many as a budget buys or the data
    need, cuts the network down to them, and trains the small network to the end. Feature selector and
    regressor in one; `ShadowMLPClassifier` is its twin.

    Parameters
    ----------
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
        all layers compete for the budget by their worth for what they cost. Hardware is kept by the estimate
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
    scoring : str, callable or None, default=None
        What chooses the epoch, the member of a committee and, with "auto" or a `budget` of hardware, the
        sizes. None is the `loss`. A str is a name of scikit-learn's scorers, such as "r2" or
        "neg_mean_absolute_error"; a callable ``(estimator, X, y)``, or ``(estimator, X, y,
        sample_weight=None)``, gives a finite number, larger being better. It does not change what is trained.
    fpga : sk_shadownet.fpga.FPGAConfig or None, default=None
        Hardware that a `budget` is of, and what `to_fpga` takes where it is told nothing else. None takes
        the defaults of `FPGAConfig`.
    module : torch.nn.Module or None, default=None
        Trained network to start from, in place of random weights: a chain of Linear layers with one kind of
        ReLU, Tanh or Sigmoid between them, such as `sk_shadownet.convert` makes. It gives a number for each
        target, in the units of ``y``. Batch normalisation becomes part of the layers. The module is never
        changed, and takes the place of `hidden_layer_sizes` and `activation`. `ShadowNetwork` takes other
        networks.
    prune : list of (str or int) or None, default=None
        Layers that may lose units, the others staying whole: "inputs", hidden layers by position from 0, or
        Linear layers of `module` by name. None lists all.
    loss : {"squared_error", "absolute_error"}, default="squared_error"
        What is minimised, of standardised targets, averaged over outputs. "squared_error" makes `predict`
        estimate the mean; "absolute_error" the median, which wild targets hardly move.
    activation : {"identity", "logistic", "relu", "tanh"}, default="relu"
        Activation of the hidden layers. `to_fpga` takes "relu" and "identity" only; with "identity" all
        layers become one there, which computes the same.
    score_rule : {"fisher", "gradient", "taylor"} or callable, default="fisher"
        What a unit is worth. A callable ``rule(n_members, n_units)`` returns an object with the methods
        ``update(saliency, gates, temperature)`` and ``scores()``; where a budget or "auto" leaves widths to
        the data also ``worth()``, which "gradient" does not know.
    n_shadows : int, default=1
        Networks trained side by side, at least 1, that pool their evidence for the inputs; the one with the
        least validation loss, or the best `scoring`, becomes the model. Time and memory of training grow with
        it.
    learning_rate_init : float, default=0.02
        Learning rate of AdamW, above 0. It is reached after a warm-up, twice: in the wide network, where it
        then stays, and in the small one, where it falls to 0.
    weight_decay : float or "auto", default="auto"
        Decoupled weight decay of the weights (biases have none), at least 0, relative to the learning rate.
        "auto" is ``100 / n_rows``, at most 1: a prior that counts as much as 100 rows.
    input_noise : float or "auto", default="auto"
        Standard deviation of the noise added to the inputs while they are being chosen, at least 0, in units
        of the standardised inputs. Used only where inputs are pruned. "auto" is
        ``sqrt(2.5 * n_features / n_rows)``, at most 1; 0 is better where small differences of inputs matter.
    batch_size : int or "auto", default="auto"
        Rows of a gradient step, at least 1; more than there are means all. "auto" is the power of two
        nearest to ``n_rows / 128``, within 32 and 256.
    max_epochs : int or "auto", default="auto"
        Passes over the training rows, at least 1. "auto" is 50, or more where that makes fewer than 2,000
        gradient steps.
    validation_fraction : float or None, default=0.1
        Share of the rows, in [0, 1), held out to choose the epoch that is kept. None and 0 hold none out;
        nor does a share that comes to fewer than 20 rows. Without validation rows the last epoch is kept.
        Not used where `fit` is given ``X_val``.
    early_stopping : bool, default=False
        Whether to end training when `n_iter_no_change` epochs after the cut were no better on the
        validation rows.
    n_iter_no_change : int, default=20
        Patience of `early_stopping` in epochs, at least 1.
    quantization : int, str, dict, FixedPointPlan or None, default=None
        Continue the small network's training in fixed point. An int is the width of the weights in bits, the
        formats of inputs and activations being chosen; a str or dict as for `to_fpga`'s ``precision``;
        a plan trains through the formats of hardware that is there.
        `predict` then answers as the hardware does, bit for bit. "relu" only, or
        no hidden layers.
    callbacks : list or None, default=None
        skorch callbacks, or pairs of a name and a callback. Those that score see targets and predictions of
        shape (n_rows, n_outputs), in the units of ``y``.
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

    Attributes
    ----------
    n_outputs_ : int
        Targets of a row.
    target_mean_, target_scale_ : ndarray of float of shape (n_outputs,)
        Mean and standard deviation of the training rows' targets, by which they are standardised; the scale
        of a constant target is 0.
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
    frontier_ : Frontier
        The networks of all sizes that the run gave, cheapest first, each trained to the end, with costs,
        losses, scores (of `scoring`; without it R²) and standard errors; which one was chosen, and why. With
        a `budget` of hardware those are of the rounded networks, unless `quantization` is given. It may be
        one of fewer inputs, trained after the run. `at` gives another one. Only where a size is "auto", and
        with a `budget` of hardware.
    module_ : torch.nn.Sequential
        The small network, float32, on the CPU. It takes the selected features as they are in ``X`` and gives
        numbers in the units of ``y``, one for each output.
    history_ : dict of list
        One entry an epoch: "epoch", "phase" ("open", "closing" or "finishing"), "open_counts" (of the inputs
        and each hidden layer), "temperature" of the gates (0 after the cut), "train_loss", "learning_rate",
        "dur" (seconds); with validation rows "valid_loss" and "valid_score" (of `scoring`; without it R²,
        averaged over outputs), means over the members, and both member by member; and what callbacks record.
        Losses are those of standardised targets. Networks of a frontier have their "train_loss" against what
        they teach each other. Epochs with fewer inputs, after the run, come last.
    n_iter_ : int
        Epochs trained.
    best_epoch_ : int
        Epoch, from 1, whose weights were kept.
    calibration_rows_ : ndarray of float32 of shape (n_calibration, n_selected)
        Selected features of training rows, for `to_fpga`: a sample, and every row with an extreme of an input
        or of a unit.
    fixed_point_plan_ : FixedPointPlan
        Formats and rounded weights of the hardware; only with `quantization`.
    quantization_history_ : dict of list
        One entry an epoch of that finishing: "train_loss" and, with validation rows, "valid_loss" and
        "valid_score"; only with `quantization`.
    net_ : skorch.NeuralNet
        The net that did the training.

    Notes
    -----
    The method is that of `ShadowMLPClassifier`, with another loss. Features and targets need no scaling: both
    are standardised inside, the inputs' standardisation becoming part of the first layer, the targets' of the
    last. With K targets of means m and standard deviations s, weights w and network outputs z the loss is

    .. math:: \frac{1}{K \sum_i w_i} \sum_{i,k} w_i\, \ell\Big(z_{ik} - \frac{y_{ik} - m_k}{s_k}\Big),
       \qquad \ell(e) = e^2 \text{ or } |e|,

    so every target counts the same, whatever its unit.

    A weight multiplies the loss of its row and may be negative, as in Monte Carlo samples: such a row takes
    back what rows like it have added.

    `module_` is float32: numbers are given to about seven digits, so a target whose spread is less than a
    ten-millionth of its mean comes out as a constant. Subtract such an offset first.

    References
    ----------
    .. [1] D. Mascione, A. Di Luca, F. M. Follega, M. Cristoforetti, R. Iuppa, abstract on a shadow network,
       QCHS and ICHEP 2022: the idea. Their formulas are not public; the ones used here are our own.
    .. [2] L. Breiman, J. H. Friedman, R. A. Olshen, C. J. Stone, "Classification and Regression Trees",
       Wadsworth 1984, section 3.4.3: the rule of one standard error.

    Examples
    --------
    >>> from sklearn.datasets import make_friedman1
    >>> from sk_shadownet import ShadowMLPRegressor
    >>> X, y = make_friedman1(2000, 20, random_state=0)  # the first five of 20 features matter
    >>> reg = ShadowMLPRegressor(
    ...     (32, 16), n_features_to_select=5, target_hidden_layer_sizes=(12, 6), random_state=0
    ... )
    >>> reg.fit(X, y).architecture_
    20-32-16-1 -> 5-12-6-1, 138 multiplications
    >>> reg.selected_features_
    array([0, 1, 2, 3, 4])
    >>> reg.score(X, y) > 0.95
    True
    """

    _stratify = False
    _task = "regression"

    def __init__(
        self,
        hidden_layer_sizes: Any = (64, 32, 32),
        *,
        n_features_to_select: Any = None,
        target_hidden_layer_sizes: Any = None,
        budget: Any = None,
        tolerance: Any = "auto",
        scoring: Any = None,
        fpga: Any = None,
        module: Any = None,
        prune: Any = None,
        loss: str = "squared_error",
        activation: str = "relu",
        score_rule: Any = "fisher",
        n_shadows: int = 1,
        learning_rate_init: float = 0.02,
        weight_decay: Any = "auto",
        input_noise: Any = "auto",
        batch_size: Any = "auto",
        max_epochs: Any = "auto",
        validation_fraction: float | None = 0.1,
        early_stopping: bool = False,
        n_iter_no_change: int = 20,
        quantization: Any = None,
        callbacks: Any = None,
        device: str = "cpu",
        random_state: Any = None,
        verbose: bool = False,
        warm_start: bool = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.n_features_to_select = n_features_to_select
        self.target_hidden_layer_sizes = target_hidden_layer_sizes
        self.budget = budget
        self.tolerance = tolerance
        self.scoring = scoring
        self.fpga = fpga
        self.module = module
        self.prune = prune
        self.loss = loss
        self.activation = activation
        self.score_rule = score_rule
        self.n_shadows = n_shadows
        self.learning_rate_init = learning_rate_init
        self.weight_decay = weight_decay
        self.input_noise = input_noise
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.validation_fraction = validation_fraction
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.quantization = quantization
        self.callbacks = callbacks
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> ShadowMLPRegressor:
        """Train the wide network with its shadow and keep the small one.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Finite numbers. A ``float32`` array or memory map with contiguous rows is not copied.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Finite numbers.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weight of each row. Single ones may be negative or 0; the total must be above 0.
        X_val : array-like of shape (n_val, n_features) or None, default=None
            Validation rows, in place of a share of ``X``. In a Pipeline earlier steps do not transform them.
        y_val : array-like of shape (n_val,) or (n_val, n_outputs) or None, default=None
            Their targets.
        sample_weight_val : array-like of shape (n_val,) or None, default=None
            Their weights.

        Returns
        -------
        self : ShadowMLPRegressor

        Raises
        ------
        InvalidParameterError
            If a parameter of the constructor is outside its legal range, or no network keeps `budget`.
        InvalidDataError
            If rows, targets or weights cannot be trained on.
        TrainingDivergedError
            If the loss becomes NaN or infinite. The estimator is unfitted then.

        Warns
        -----
        TrainingInterruptedWarning
            If Ctrl-C ended training; the best network so far is kept.
        """
        with self._fitting() as (new, before):
            rng = check_seed(new.random_state)
            table = merge_equal_rows(new._check_rows(X, y, sample_weight, "sample_weight"))
            new.n_outputs_ = table.y.shape[1]
            check_continuation(
                before,
                n_features_in_=new.n_features_in_,
                feature_names_in_=getattr(new, "feature_names_in_", None),
                n_outputs_=new.n_outputs_,
            )
            valid = new._check_validation(X_val, y_val, sample_weight_val)
            table = scaled_weights(table)
            # What continues must keep speaking in the same units.
            mean, scale = target_units(table) if before is None else _units_of(before)
            new.target_mean_, new.target_scale_ = mean, scale
            new._fit(table, valid, new.n_outputs_, rng, before)
        return self

    def _check_rows(self, X: Any, y: Any, sample_weight: Any, name: str, *, reset: bool = True) -> Table:
        """Rows with targets of shape (n_rows, n_outputs)."""
        if sparse.issparse(y):
            raise InvalidDataError("y must be dense numbers; pass y.toarray().")
        X, y = validate_data(
            self,
            dense_numbers(as_numpy(X)),
            as_numpy(y),
            dtype=np.float32,
            multi_output=True,
            y_numeric=True,
            reset=reset,
        )
        if y.dtype.kind not in "biuf":
            raise InvalidDataError(f"y must hold real numbers, got {y.dtype}.")
        y = y.astype(np.float64)
        if np.abs(y).max() > _LARGEST_TARGET:
            raise InvalidDataError(
                f"y holds {y.flat[np.abs(y).argmax()]:g}, beyond the {_LARGEST_TARGET:.2g} that the "
                "network's float32 outputs can give; change its unit."
            )
        if reset:
            self._flat_targets = y.ndim == 1
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(as_numpy(sample_weight), X, dtype=np.float64)
            check_total(weight, name)
        return Table(X, y.reshape(len(y), -1), weight)

    def _check_validation(self, X: Any, y: Any, sample_weight: Any) -> Table | None:
        """The user's own validation rows."""
        if X is None and y is None and sample_weight is None:
            return None
        if X is None or y is None:
            raise InvalidDataError("X_val and y_val go together, and sample_weight_val with them: pass both.")
        table = self._check_rows(X, y, sample_weight, "sample_weight_val", reset=False)
        if table.y.shape[1] != self.n_outputs_:
            raise InvalidDataError(
                f"y_val has {table.y.shape[1]} outputs, but y has {self.n_outputs_}; pass the same ones."
            )
        return table

    def _loss(self) -> PointLoss:
        kind = LOSSES[check_choice("loss", self.loss, tuple(sorted(LOSSES)))]
        return kind(torch.from_numpy(self.target_mean_), torch.from_numpy(self.target_scale_))

    def _finetune_quantized(self, run: Run, rows: Rows, checks: Rows | None) -> None:
        # The fixed-point network has the targets' units in its last layer.
        super()._finetune_quantized(replace(run, loss=run.loss.of_units()), rows, checks)

    def predict(self, X: Any) -> npt.NDArray[np.float64]:
        """Outputs of the small network, in the units of ``y``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of shape (n_samples,), or (n_samples, n_outputs) where `fit` was given such a ``y``
        """
        now = copy(self)  # as it is, whatever another thread makes of it meanwhile
        outputs = now._outputs(X)
        return outputs[:, 0] if now._flat_targets else outputs


def _units_of(before: dict[str, Any]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    return before["target_mean_"], before["target_scale_"]
