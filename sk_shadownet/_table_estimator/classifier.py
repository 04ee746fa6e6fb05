"""ShadowTableClassifier: labels and class probabilities of a table network."""

from __future__ import annotations

from copy import copy
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

from sk_shadownet._contract.rows import by_blocks
from sk_shadownet._contract.table import Table
from sk_shadownet._contract.targets import ClassTargets
from sk_shadownet._estimator.constructor import with_shared_docs
from sk_shadownet._table_estimator.base import BaseShadowTable, TableParameters
from sk_shadownet._tables.export import TargetUnits
from sk_shadownet._tables.settings import LossName
from sk_shadownet._training.losses import CrossEntropy, Loss

__all__ = ["ShadowTableClassifier"]


@with_shared_docs
@dataclass(eq=False, repr=False)
class ShadowTableClassifier(ClassTargets, BaseShadowTable, TableParameters):
    r"""Network whose every edge is a small table, trained down to the look-up tables of an FPGA asked for.

    On an FPGA any function of a number of up to six bits costs as much as its product with a constant: one
    look-up table for each bit that it puts out. So each edge from an input to a unit is a table that is
    learnt, a unit the sum of its tables, and there are no multiplications and no activations. One call of
    `fit` trains the wide network and closes edges, units and inputs, and makes sums coarser, all under one
    price, until the budget is kept. Feature selector and classifier in one; what it answers, the hardware
    answers, bit for bit.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int or int, default=(24,)
        Widths of the hidden layers at the start, one layer or more. More than 24 units, or a second layer,
        have seldom been worth their look-up tables.
    budget : dict or None, default=None
        Upper limits, all of which the network must keep: of "lut", "ff" (flip-flops), "latency_ns",
        "latency_cycles" at the clock of `fpga`, "edges", "features"; or, with a callable ``cost(counts)`` as
        the key, of what it gives for these counts, which are attributes of those names. Look-up tables are
        those of the very design that `to_fpga` exports. A list of limits gives a network for each from one
        run, as the budget falls: ``frontier_``, `at`. None closes nothing on purpose.
    n_features_to_select : int, float or None, default=None
        Inputs at the end, exactly. An int counts them; a float in (0, 1] is a share of the features, rounded
        down, at least one. None leaves their number to their worth.
    n_edges : int or None, default=None
        Tables at the end, exactly; in place of a `budget`.
    input_bits : int, default=6
        Bits of an input's code, 1 to 8. Up to six address one look-up table; each further bit doubles their
        number.
    hidden_bits : int, default=6
        Bits of a hidden unit's code, 1 to 8.
    tolerance : {"auto", "1-se", "1-se-paired"} or float, default="auto"
        Where the `budget` has several limits, what may be given up for a smaller network, of the loss or of
        `scoring`: of the networks of the frontier the cheapest is taken that is behind the best one by no
        more than this. "1-se": the standard error of the best one [4]_. "1-se-paired": the standard error of
        the difference of the two, mostly less. "auto": the same, or a hundredth where that is more, of what
        a constant answer would lose or of the best score; with `scoring` it is asked of the score and of the
        loss. A float, at least 0: of a score a difference; of a loss a share of what a constant answer would
        lose; with 0 the best is taken.
    scoring : str, callable or None, default=None
        What the networks of a frontier are judged by, as scikit-learn's scorers; None is the loss. It does
        not change what is trained.
    fpga : sk_shadownet.fpga.FPGAConfig or None, default=None
        Its clock period is the one that a `budget` of cycles and flip-flops is of, 5 ns without it; and what
        `to_fpga` takes where it is told nothing else.
    missing : {"error", "code"}, default="error"
        What NaN in ``X`` is. "code" gives it code 0 of its column, and numbers the codes from 1 on, where the
        training rows have some; numbers below the range that codes cover share it. The sender puts any number
        that low in its place.
    prior_rows : float or "auto", default="auto"
        Smoothness of the tables: how many rows their prior, that neighbouring codes have like values, counts
        for; at least 0.
    learning_rate_init : float, default=0.005
        Learning rate of Adam, above 0.
    batch_size : int or "auto", default="auto"
        Rows of a gradient step, at least 1. "auto" is 512, or a quarter of the rows where those are fewer.
    max_epochs : int or "auto", default="auto"
        Passes over the training rows, at least 1, and a hundred steps. "auto" takes some thousands of steps,
        whatever the rows.
    validation_fraction : float or None, default=0.1
        Share of the rows, in [0, 1), that is held out to judge the networks of a frontier by, where the
        `budget` has several; a single network is trained on all rows. Not used where `fit` is given
        ``X_val``.
    class_weight : dict, "balanced" or None, default=None
        Positive factors of the weights of each class's rows, 1 where the dict names none. "balanced" gives
        every class the same total.
    $random_state
    verbose : bool, default=False
        Whether to show a bar with time left, open edges layer by layer and loss. The log "sk_shadownet" tells
        start and end at level INFO in any case.
    warm_start : bool, default=False
        Whether `fit` trains on the network that it fitted before: inputs, codes, edges, shifts and ports
        stay, no table gets wider, contents are learnt anew. Sizes and a `budget` are not looked at
        then. For firmware whose structure is fixed.
    $checkpoint checkpoint_seconds

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels of ``y``, sorted.
    $n_features_in_ feature_names_in_ selected_features_ support_
    feature_scores_ : ndarray of float of shape (n_features,)
        Fisher information of every input: by Taylor's rule twice what the loss would grow by without it. 0
        for an input that is not read.
    feature_importances_ : ndarray of float of shape (n_features,)
        The same as shares of their sum.
    architecture_ : TableArchitecture
        Widths before and after, tables and their bits.
    edges_ : list of TableEdge
        Every table that is left: ``layer``, ``source``, ``target``, ``address_bits``, ``bits``.
    missing_ : ndarray of bool of shape (n_features,)
        Columns in which NaN has a code.
    network_ : TableNetwork
        The network in integers: codes of the inputs, tables, biases, shifts.
    costs_ : dict of str to float
        What its hardware takes, by the names of a `budget`.
    frontier_ : Frontier
        The networks of all budgets, cheapest first, each trained to the end, with costs, losses and scores on
        the validation rows, or on the training rows where there are none. The estimator is the cheapest of
        them that `tolerance` allows, and `at` gives the others.
    history_ : dict of list
        An entry for each look at the run: "step", "loss", "price", and open "edges" layer by layer.
    calibration_rows_ : ndarray of shape (n_calibration, n_selected)
        Selected features of some training rows, for `to_fpga`.
    calibration_targets_ : ndarray of int of shape (n_calibration,)
        Their classes, as positions in ``classes_``.

    Notes
    -----
    With codes :math:`q_i` of the inputs a unit is :math:`y_j = b_j + \sum_i T_{ij}[q_i]`, and a hidden
    unit's code is its sum, shifted and cut off at the ends of its bits. At a price :math:`\nu` an edge stays
    where

    .. math:: \tfrac12 \mathrm{E}\Big[\Big(T_{ij} \frac{dL}{dy_j}\Big)^2\Big]
       > \nu\, (2\, \mathrm{bits}_{ij} + 1),

    half the Fisher information of its gate against its table and adder; and a sum is as fine as reverse
    water-filling at that price makes it [1]_. The page "The method" of the documentation derives it.

    Inputs need no scaling. A column of integers, booleans or any values on a grid of a power of two gets a
    code for each value where there are enough codes. Any other gets cells of equal size that cover all but
    the lowest and highest .2 % of the rows; values beyond are cut off, also when predicting.

    References
    ----------
    .. [1] T. M. Cover, J. A. Thomas, "Elements of information theory", 2nd edition, section 10.3.3.
    .. [2] Y. Umuroglu, Y. Akhauri, N. J. Fraser, M. Blott, "LogicNets", FPL 2020: networks of tables.
    .. [3] Z. Liu et al., "KAN: Kolmogorov-Arnold networks", 2024: a learnt function for every edge.
    .. [4] L. Breiman, J. H. Friedman, R. A. Olshen, C. J. Stone, "Classification and Regression Trees",
       Wadsworth 1984, section 3.4.3.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sk_shadownet import ShadowTableClassifier
    >>> X, y = make_classification(
    ...     2000, 10, n_informative=4, n_redundant=0, shuffle=False, class_sep=2.0, random_state=0
    ... )
    >>> clf = ShadowTableClassifier((8,), budget={"lut": 150}, max_epochs=100, random_state=0).fit(X, y)
    >>> clf.costs_["lut"] <= 150
    True
    >>> clf.score(X, y) > 0.9
    True
    >>> clf.transform(X).shape[1] == len(clf.selected_features_)
    True
    """

    _: KW_ONLY
    class_weight: Any = None

    @property
    def _loss_name(self) -> LossName:
        return "binary" if len(self.classes_) == 2 else "multiclass"

    def _prepared(self, table: Table) -> tuple[npt.NDArray[Any], TargetUnits | None, Loss]:
        return table.y, None, CrossEntropy()

    @by_blocks
    def decision_function(self, X: Any) -> npt.NDArray[np.float64]:
        """Logits, as the hardware gives them: integers times a power of two.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or rows

        Returns
        -------
        logits : ndarray of shape (n_samples, n_classes), or (n_samples,) for two classes
            Of two classes the log odds of the second: above 0 means ``classes_[1]``.
        """
        outputs = copy(self)._outputs(X)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    @by_blocks
    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Class probabilities, the softmax of the logits.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or rows

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            Columns in the order of ``classes_``.
        """
        outputs = copy(self)._outputs(X)
        if outputs.shape[1] == 1:
            return np.column_stack([expit(-outputs), expit(outputs)])
        return np.asarray(softmax(outputs, axis=1))

    @by_blocks
    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Likeliest class of each row, as the hardware answers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or rows

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Of equally likely classes the first.
        """
        now = copy(self)  # as it is, whatever another thread makes of it meanwhile
        outputs = now._outputs(X)
        best = outputs[:, 0] > 0 if outputs.shape[1] == 1 else outputs.argmax(axis=1)
        return np.asarray(now.classes_[best.astype(np.intp)])
