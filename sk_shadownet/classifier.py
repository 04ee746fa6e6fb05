"""ShadowMLPClassifier: labels, class probabilities, and the public parameters."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, column_or_1d, validate_data

from sk_shadownet._estimator.base import BaseShadowMLP, as_numpy, check_continuation
from sk_shadownet._estimator.prediction import probabilities
from sk_shadownet._estimator.table import Table, dense_numbers, merge_equal_rows, scaled_weights
from sk_shadownet._metrics.sample_weight import check_total, class_factors, class_sums
from sk_shadownet._training.losses import CrossEntropy, Loss
from sk_shadownet._validation import check_seed
from sk_shadownet.exceptions import InvalidDataError

__all__ = ["ShadowMLPClassifier"]


class ShadowMLPClassifier(ClassifierMixin, BaseShadowMLP):  # type: ignore[misc]
    r"""Multilayer perceptron that trains itself down to the inputs and widths asked for.

    One call of `fit` trains the wide network of `hidden_layer_sizes` together with its shadow network of
    gates, closes gates until exactly the units asked for are left, or as many as a budget buys or the data
    need, cuts the network down to them, and trains the small network to the end. Feature selector and
    classifier in one.

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
        [4]_. "1-se-paired": the standard error of the difference of the two, mostly less. "auto": the same,
        or a hundredth where that is more, of what a constant answer would lose or of the best score; with
        `scoring` it is asked of the score and of the loss. A float, at least 0: of a score a difference; of a
        loss a share of what a constant answer would lose. Where both inputs and hidden widths are "auto",
        half of it goes into hidden widths; then the fewest inputs
        within all of it are taken. Losses and scores are those of the validation rows, or of the training
        rows where there are none.
    scoring : str, callable or None, default=None
        What chooses the epoch, the member of a committee and, with "auto" or a `budget` of hardware, the
        sizes. None is the log-loss. A str is a name of scikit-learn's scorers, such as "roc_auc" or
        "neg_log_loss"; a callable ``(estimator, X, y)``, or ``(estimator, X, y, sample_weight=None)``, gives
        a finite number, larger being better. It does not change what is trained.
    fpga : sk_shadownet.fpga.FPGAConfig or None, default=None
        Hardware that a `budget` is of, and what `to_fpga` takes where it is told nothing else. None takes
        the defaults of `FPGAConfig`.
    module : torch.nn.Module or None, default=None
        Trained network to start from, in place of random weights: a chain of Linear layers with one kind of
        ReLU, Tanh or Sigmoid between them, such as `sk_shadownet.convert` makes. It gives a logit for each
        class in the sorted order of the labels; one logit does for two classes. Batch normalisation becomes
        part of the layers; a final softmax goes, as the loss has its own. The module is never changed, and
        takes the place of `hidden_layer_sizes` and `activation`. `ShadowNetwork` takes other networks.
    prune : list of (str or int) or None, default=None
        Layers that may lose units, the others staying whole: "inputs", hidden layers by position from 0, or
        Linear layers of `module` by name. None lists all.
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
        "auto" is ``400 / n_rows``, at most 1: a prior that counts as much as 400 rows.
    input_noise : float or "auto", default="auto"
        Standard deviation of the noise added to the inputs while they are being chosen, at least 0, in units
        of the standardised inputs. Used only where inputs are pruned. "auto" is
        ``sqrt(10 * n_features / n_rows)``, at most 1.
    batch_size : int or "auto", default="auto"
        Rows of a gradient step, at least 1; more than there are means all. "auto" is the power of two
        nearest to ``n_rows / 128``, within 32 and 256.
    max_epochs : int or "auto", default="auto"
        Passes over the training rows, at least 1. "auto" is 50, or more where that makes fewer than 2,000
        gradient steps.
    validation_fraction : float or None, default=0.1
        Share of the rows, in [0, 1), held out, stratified by class, to choose the epoch that is kept. None
        and 0 hold none out; nor does a share that comes to fewer than 20 rows or than there are classes.
        Without validation rows the last epoch is kept. Not used where `fit` is given ``X_val``.
    early_stopping : bool, default=False
        Whether to end training when `n_iter_no_change` epochs after the cut were no better on the
        validation rows.
    n_iter_no_change : int, default=20
        Patience of `early_stopping` in epochs, at least 1.
    class_weight : dict, "balanced" or None, default=None
        Positive factors of the weights of each class's rows, 1 where the dict names none. "balanced" gives
        every class the same total.
    quantization : int, str, dict, FixedPointPlan or None, default=None
        Continue the small network's training in fixed point. An int is the width of the weights in bits, the
        formats of inputs and activations being chosen; a str or dict as for `to_fpga`'s ``precision``;
        a plan trains through the formats of hardware that is there.
        `predict` and all else then answer as the hardware does, bit for bit. "relu" only, or
        no hidden layers.
    callbacks : list or None, default=None
        skorch callbacks, or pairs of a name and a callback.
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
    classes_ : ndarray of shape (n_classes,)
        Labels of ``y``, sorted.
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
        losses, scores (of `scoring`; without it the accuracy) and standard errors; which one was chosen, and
        why. With a `budget` of hardware those are of the rounded networks, unless `quantization` is given. It
        may be one of fewer inputs, trained after the run. `at` gives another one. Only where a size is
        "auto", and with a `budget` of hardware.
    module_ : torch.nn.Sequential
        The small network, float32, on the CPU. It takes the selected features as they are in ``X`` and gives
        logits, one for each class.
    history_ : dict of list
        One entry an epoch: "epoch", "phase" ("open", "closing" or "finishing"), "open_counts" (of the inputs
        and each hidden layer), "temperature" of the gates (0 after the cut), "train_loss", "learning_rate",
        "dur" (seconds); with validation rows "valid_loss" and "valid_score" (of `scoring`; without it the
        accuracy), means over the members, and both member by member; and what callbacks record. Networks of a
        frontier have their "train_loss" against what they teach each other. Epochs with fewer inputs, after
        the run, come last.
    n_iter_ : int
        Epochs trained.
    best_epoch_ : int
        Epoch, from 1, whose weights were kept.
    calibration_rows_ : ndarray of float32 of shape (n_calibration, n_selected)
        Selected features of training rows, for `to_fpga`: a sample with as many rows of each class as there
        are, and every row with an extreme of an input or of a unit.
    calibration_targets_ : ndarray of int of shape (n_calibration,)
        Their classes, as positions in ``classes_``.
    fixed_point_plan_ : FixedPointPlan
        Formats and rounded weights of the hardware; only with `quantization`.
    quantization_history_ : dict of list
        One entry an epoch of that finishing: "train_loss" and, with validation rows, "valid_loss" and
        "valid_score"; only with `quantization`.
    net_ : skorch.NeuralNet
        The net that did the training.

    Notes
    -----
    Gates of a layer follow from scores s through

    .. math:: g_i = \mathrm{sigmoid}\big((s_i - \nu) / \tau\big), \qquad \sum_i g_i = B,

    where the open units B and the temperature tau fall on a schedule. With the default rule the scores
    are logarithms of averaged squares of ``g_i dL/dg_i``, the diagonal of the Fisher information of the
    gates [2]_. Those averages are on one scale for all layers: with a `budget`, the units i of layer l
    stay whose worth F is high for what one more unit of the layer costs,

    .. math:: F_i / c_l > \nu.

    The page "The method" of the documentation derives all of it, and names its limits.

    Features need no scaling: inputs are standardised on entry, which becomes part of the first layer.

    A weight multiplies the loss of its row and may be negative, as in Monte Carlo samples: such a row takes
    back what rows like it have added. Every class needs a total above 0.

    References
    ----------
    .. [1] D. Mascione, A. Di Luca, F. M. Follega, M. Cristoforetti, R. Iuppa, abstract on a shadow network,
       QCHS and ICHEP 2022: the idea. Their formulas are not public; the ones used here are our own.
    .. [2] L. Theis, I. Korshunova, A. Tejani, F. Huszár, "Faster gaze prediction with dense networks and
       Fisher pruning", 2018, equation 8; here with a running average.
    .. [3] P. Molchanov, A. Mallya, S. Tyree, I. Frosio, J. Kautz, "Importance estimation for neural network
       pruning", CVPR 2019, equation 8: the rule "taylor".
    .. [4] L. Breiman, J. H. Friedman, R. A. Olshen, C. J. Stone, "Classification and Regression Trees",
       Wadsworth 1984, section 3.4.3: the rule of one standard error.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sk_shadownet import ShadowMLPClassifier
    >>> X, y = make_classification(
    ...     2000, 20, n_informative=4, n_redundant=0, shuffle=False, class_sep=2.0, random_state=0
    ... )
    >>> clf = ShadowMLPClassifier(
    ...     (32, 16), n_features_to_select=4, target_hidden_layer_sizes=(8, 4), random_state=0
    ... )
    >>> clf.fit(X, y).architecture_
    20-32-16-2 -> 4-8-4-2, 72 multiplications
    >>> clf.selected_features_
    array([0, 1, 2, 3])
    >>> clf.transform(X).shape
    (2000, 4)
    >>> clf.score(X, y) > 0.9
    True

    As many inputs and units as 60 multiplications buy:

    >>> clf = ShadowMLPClassifier((32, 16), budget={"multiplications": 60}, random_state=0).fit(X, y)
    >>> clf.architecture_.n_multiplications <= 60
    True
    >>> clf.selected_features_
    array([0, 1, 2, 3])
    """

    _stratify = True
    _task = "classification"

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
        class_weight: Any = None,
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
        self.class_weight = class_weight
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
    ) -> ShadowMLPClassifier:
        """Train the wide network with its shadow and keep the small one.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Finite numbers. A ``float32`` array or memory map with contiguous rows is not copied.
        y : array-like of shape (n_samples,)
            Labels of any type, of at least two classes.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weight of each row. Single ones may be negative or 0; the total of each class must be above 0.
        X_val : array-like of shape (n_val, n_features) or None, default=None
            Validation rows, in place of a share of ``X``. In a Pipeline earlier steps do not transform them.
        y_val : array-like of shape (n_val,) or None, default=None
            Their labels, of classes in ``y``.
        sample_weight_val : array-like of shape (n_val,) or None, default=None
            Their weights.

        Returns
        -------
        self : ShadowMLPClassifier

        Raises
        ------
        InvalidParameterError
            If a parameter of the constructor is outside its legal range, or no network keeps `budget`.
        InvalidDataError
            If rows, labels or weights cannot be trained on.
        TrainingDivergedError
            If the loss becomes NaN or infinite. The estimator is unfitted then.

        Warns
        -----
        TrainingInterruptedWarning
            If Ctrl-C ended training; the best network so far is kept.
        """
        with self._fitting() as (new, before):
            rng = check_seed(new.random_state)
            table = new._check_rows(X, y, sample_weight)
            check_continuation(
                before,
                n_features_in_=new.n_features_in_,
                feature_names_in_=getattr(new, "feature_names_in_", None),
                classes_=new.classes_,
            )
            sums = class_sums(table.y, table.weight, new.classes_)
            factors = class_factors(new.class_weight, sums, new.classes_)
            valid = new._check_validation(X_val, y_val, sample_weight_val)
            if valid is not None:
                valid = scaled_weights(valid, None if factors is None else factors[valid.y])
            table = scaled_weights(table, None if factors is None else factors[table.y])
            new._fit(table, valid, len(new.classes_), rng, before)
        return self

    def _check_rows(self, X: Any, y: Any, sample_weight: Any) -> Table:
        """Training rows with class numbers; sets ``classes_``."""
        X, y = validate_data(self, dense_numbers(as_numpy(X)), as_numpy(y), dtype=np.float32)
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(as_numpy(sample_weight), X, dtype=np.float64)
            check_total(weight, "sample_weight")
            if (weight == 0).any():
                X, y, weight = X[weight != 0], y[weight != 0], weight[weight != 0]
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise InvalidDataError(
                "ShadowMLPClassifier needs at least two classes in y, got one class: "
                f"{self.classes_.tolist()[0]!r}."
            )
        return merge_equal_rows(Table(X, labels.astype(np.int64), weight))

    def _check_validation(self, X: Any, y: Any, sample_weight: Any) -> Table | None:
        """The user's own validation rows, with the classes of the training rows."""
        if X is None and y is None and sample_weight is None:
            return None
        if X is None or y is None:
            raise InvalidDataError("X_val and y_val go together, and sample_weight_val with them: pass both.")
        X, y = validate_data(self, dense_numbers(as_numpy(X)), as_numpy(y), dtype=np.float32, reset=False)
        y = column_or_1d(y, warn=True)
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise InvalidDataError(
                f"y_val contains {unknown.tolist()}, which y does not; its classes are "
                f"{self.classes_.tolist()}."
            )
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(as_numpy(sample_weight), X, dtype=np.float64)
            check_total(weight, "sample_weight_val")
        return Table(X, np.searchsorted(self.classes_, y).astype(np.int64), weight)

    def _loss(self) -> Loss:
        return CrossEntropy()

    def decision_function(self, X: Any) -> npt.NDArray[np.float64]:
        """Logits of the small network.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        logits : ndarray of shape (n_samples, n_classes), or (n_samples,) for two classes
            Of two classes the logit of the second less that of the first: above 0 means ``classes_[1]``.
        """
        outputs = copy(self)._outputs(X)
        return outputs[:, 1] - outputs[:, 0] if outputs.shape[1] == 2 else outputs

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Class probabilities, the softmax of the logits.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            Columns in the order of ``classes_``.
        """
        return copy(self)._outputs(X, link=probabilities)

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Likeliest class of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Of equally likely classes the first.
        """
        now = copy(self)  # as it is, whatever another thread makes of it meanwhile
        outputs = now._outputs(X)
        return np.asarray(now.classes_[outputs.argmax(axis=1)])
