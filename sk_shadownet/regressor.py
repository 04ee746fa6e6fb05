"""ShadowMLPRegressor: numbers, several at once if need be, and the public parameters."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

import torch

from sk_shadownet._contract.table import Table, target_units
from sk_shadownet._contract.targets import NumberTargets
from sk_shadownet._estimator.base import BaseShadowMLP
from sk_shadownet._estimator.constructor import SharedParameters, with_shared_docs
from sk_shadownet._training.losses import LOSSES, PointLoss
from sk_shadownet._validation import check_choice

__all__ = ["ShadowMLPRegressor"]


@with_shared_docs
@dataclass(eq=False, repr=False)
class ShadowMLPRegressor(NumberTargets, BaseShadowMLP, SharedParameters):
    r"""Multilayer perceptron for numbers that trains itself down to the inputs and widths asked for.

    One call of `fit` trains the wide network of `hidden_layer_sizes` together with its shadow network of
    gates, closes gates until exactly the units asked for are left, or as many as a budget buys or the data
    need, cuts the network down to them, and trains the small network to the end. Feature selector and
    regressor in one; `ShadowMLPClassifier` is its twin.

    Parameters
    ----------
    $hidden_layer_sizes n_features_to_select target_hidden_layer_sizes budget tolerance scoring fpga
    module : torch.nn.Module or None, default=None
        Trained network to start from, in place of random weights: a chain of Linear layers with one kind of
        ReLU, Tanh or Sigmoid between them, such as `sk_shadownet.convert` makes. It gives a number for each
        target, in the units of ``y``. Batch normalisation becomes part of the layers. The module is never
        changed, and takes the place of `hidden_layer_sizes` and `activation`. `ShadowNetwork` takes other
        networks.
    $prune
    loss : {"squared_error", "absolute_error"}, default="squared_error"
        What is minimised, of standardised targets, averaged over outputs. "squared_error" makes `predict`
        estimate the mean; "absolute_error" the median, which wild targets hardly move.
    $activation score_rule n_shadows learning_rate_init
    weight_decay : float or "auto", default="auto"
        Decoupled weight decay of the weights (biases have none), at least 0, relative to the learning rate.
        "auto" is ``100 / n_rows``, at most 1: a prior that counts as much as 100 rows.
    input_noise : float or "auto", default="auto"
        Standard deviation of the noise added to the inputs while they are being chosen, at least 0, in units
        of the standardised inputs. Used only where inputs are pruned. "auto" is 0: noise
        hides small differences of inputs.
    $batch_size max_epochs validation_fraction early_stopping n_iter_no_change quantization
    callbacks : list or None, default=None
        skorch callbacks, or pairs of a name and a callback. Those that score see targets and predictions of
        shape (n_rows, n_outputs), in the units of ``y``.
    $device random_state verbose warm_start checkpoint checkpoint_seconds

    Attributes
    ----------
    n_outputs_ : int
        Targets of a row.
    target_mean_, target_scale_ : ndarray of float of shape (n_outputs,)
        Mean and standard deviation of the training rows' targets, by which they are standardised; the scale
        of a constant target is 0.
    $n_features_in_ feature_names_in_ selected_features_ support_ feature_scores_ feature_importances_
    $architecture_ frontier_
    module_ : torch.nn.Sequential
        The small network, float32, on the CPU. It takes the selected features as they are in ``X`` and gives
        numbers in the units of ``y``, one for each output.
    $history_ n_iter_ best_epoch_ calibration_rows_ fixed_point_plan_ quantization_history_ net_

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

    _: KW_ONLY
    loss: str = "squared_error"

    def _make_loss(self, table: Table, before: dict[str, Any] | None) -> PointLoss:
        if before is None:
            self.target_mean_, self.target_scale_ = target_units(table)
        else:
            # What continues must keep speaking in the same units.
            self.target_mean_, self.target_scale_ = before["target_mean_"], before["target_scale_"]
        kind = LOSSES[check_choice("loss", self.loss, tuple(sorted(LOSSES)))]
        return kind(torch.from_numpy(self.target_mean_), torch.from_numpy(self.target_scale_))
