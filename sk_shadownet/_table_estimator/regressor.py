"""ShadowTableRegressor: numbers, several at once if need be, of a table network."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sk_shadownet._contract.table import Table, target_units
from sk_shadownet._contract.targets import NumberTargets
from sk_shadownet._estimator.constructor import with_shared_docs
from sk_shadownet._table_estimator.base import BaseShadowTable, TableParameters
from sk_shadownet._tables.export import TargetUnits
from sk_shadownet._tables.settings import LossName
from sk_shadownet._training.losses import Loss, SquaredError
from sk_shadownet.exceptions import InvalidDataError

__all__ = ["ShadowTableRegressor"]

# Binary orders of magnitude that spreads of targets may be apart: outputs count in steps of the smallest.
_MOST_ORDERS = 24
# Outputs are integers times a power of two, in float64: spreads below this share of the mean are rounding.
_SPACING = 2.0**-48


@with_shared_docs
@dataclass(eq=False, repr=False)
class ShadowTableRegressor(NumberTargets, BaseShadowTable, TableParameters):
    r"""Network whose every edge is a small table, for numbers, trained down to a budget of look-up tables.

    The method, and all parameters, are those of `ShadowTableClassifier`. The squared error of standardised
    targets is minimised; the scale is a power of two and the mean becomes part of the last biases, so that
    the hardware puts out the targets in their own units.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int or int, default=(24,)
        Widths of the hidden layers at the start, one layer or more.
    budget : dict or None, default=None
        Upper limits of "lut", "ff", "latency_ns", "latency_cycles", "edges", "features", or of a callable on
        these counts; a list of limits gives a frontier. None closes nothing on purpose.
    n_features_to_select : int, float or None, default=None
        Inputs at the end, exactly; None leaves their number to their worth.
    n_edges : int or None, default=None
        Tables at the end, exactly; in place of a `budget`.
    input_bits, hidden_bits : int, default=6
        Bits of the codes of inputs and hidden units, 1 to 8.
    tolerance : {"auto", "1-se", "1-se-paired"} or float, default="auto"
        Where the `budget` has several limits, how far behind the best network the cheapest one that is taken
        may be, of the loss or of `scoring`; 0 takes the best. The rules by name are those of
        `ShadowTableClassifier`.
    scoring : str, callable or None, default=None
        What the networks of a frontier are judged by, as scikit-learn's scorers; None is the loss.
    fpga : sk_shadownet.fpga.FPGAConfig or None, default=None
        Hardware that a `budget` is of, and what `to_fpga` takes where it is told nothing else.
    missing : {"error", "code"}, default="error"
        What NaN in ``X`` is: refused, or code 0 of its column.
    prior_rows : float or "auto", default="auto"
        Smoothness of the tables: how many rows their prior counts for; at least 0.
    learning_rate_init : float, default=0.005
        Learning rate of Adam, above 0.
    batch_size : int or "auto", default="auto"
        Rows of a gradient step; "auto" is 512, or a quarter of the rows where those are fewer.
    max_epochs : int or "auto", default="auto"
        Passes over the training rows; "auto" takes some thousands of steps.
    validation_fraction : float or None, default=0.1
        Share of the rows held out to judge the networks of a frontier by, where the `budget` has several.
    $random_state
    verbose : bool, default=False
        Whether to show a bar with time left, open edges layer by layer and loss.
    warm_start : bool, default=False
        Whether `fit` trains on the network that it fitted before: inputs, codes, edges, shifts and ports
        stay, no table gets wider, contents are learnt anew. Sizes and a `budget` are not looked at
        then. For firmware whose structure is fixed.
    $checkpoint checkpoint_seconds

    Attributes
    ----------
    n_outputs_ : int
        Targets.
    $n_features_in_ feature_names_in_ selected_features_ support_
    feature_scores_, feature_importances_, architecture_, edges_, network_, missing_, costs_
    frontier_, history_
        As those of `ShadowTableClassifier`.
    calibration_rows_ : ndarray of shape (n_calibration, n_selected)
        Selected features of some training rows, for `to_fpga`.

    Notes
    -----
    Targets are standardised by their mean and the power of two nearest to their standard deviation, so they
    count the same up to a factor of two. An output's last bit is worth at least a 512th of that. A mean far
    from 0 makes the last adders wider: subtract it first where look-up tables are few.

    Examples
    --------
    >>> from sklearn.datasets import make_friedman1
    >>> from sk_shadownet import ShadowTableRegressor
    >>> X, y = make_friedman1(2000, 8, random_state=0)  # the first five of eight features matter
    >>> reg = ShadowTableRegressor((8,), budget={"lut": 400}, max_epochs=100, random_state=0).fit(X, y)
    >>> reg.costs_["lut"] <= 400
    True
    >>> reg.score(X, y) > 0.9
    True
    """

    _: KW_ONLY

    @property
    def _loss_name(self) -> LossName:
        return "squared"

    def _prepared(self, table: Table) -> tuple[npt.NDArray[Any], TargetUnits | None, Loss]:
        mean, deviation = target_units(table, _SPACING)
        units = TargetUnits.of_targets(mean, deviation)
        orders = int(np.ptp(units.exponent))
        if orders > _MOST_ORDERS:
            raise InvalidDataError(
                f"the targets' spreads are a factor of about 2**{orders} apart, and outputs count in "
                "steps of the smallest; give targets like units, or fit them one by one."
            )
        loss = SquaredError(torch.from_numpy(mean), torch.from_numpy(deviation)).of_units()
        return units.standardise(table.y), units, loss
