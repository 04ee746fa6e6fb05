"""ShadowMLPClassifier: labels, class probabilities, and the public parameters."""

from __future__ import annotations

from copy import copy
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sk_shadownet._contract.rows import by_blocks
from sk_shadownet._contract.table import Table
from sk_shadownet._contract.targets import ClassTargets
from sk_shadownet._estimator.base import BaseShadowMLP
from sk_shadownet._estimator.constructor import SharedParameters, with_shared_docs
from sk_shadownet._estimator.prediction import probabilities
from sk_shadownet._training.losses import CrossEntropy, Loss

__all__ = ["ShadowMLPClassifier"]


@with_shared_docs
@dataclass(eq=False, repr=False)
class ShadowMLPClassifier(ClassTargets, BaseShadowMLP, SharedParameters):
    r"""Multilayer perceptron that trains itself down to the inputs and widths asked for.

    One call of `fit` trains the wide network of `hidden_layer_sizes` together with its shadow network of
    gates, closes gates until exactly the units asked for are left, or as many as a budget buys or the data
    need, cuts the network down to them, and trains the small network to the end. Feature selector and
    classifier in one.

    Parameters
    ----------
    $hidden_layer_sizes n_features_to_select target_hidden_layer_sizes budget tolerance scoring fpga
    module : torch.nn.Module or None, default=None
        Trained network to start from, in place of random weights: a chain of Linear layers with one kind of
        ReLU, Tanh or Sigmoid between them, such as `sk_shadownet.convert` makes. It gives a logit for each
        class in the sorted order of the labels; one logit does for two classes. Batch normalisation becomes
        part of the layers; a final softmax goes, as the loss has its own. The module is never changed, and
        takes the place of `hidden_layer_sizes` and `activation`. `ShadowNetwork` takes other networks.
    $prune activation score_rule n_shadows learning_rate_init
    weight_decay : float or "auto", default="auto"
        Decoupled weight decay of the weights (biases have none), at least 0, relative to the learning rate.
        "auto" is ``400 / n_rows``, at most 1: a prior that counts as much as 400 rows.
    input_noise : float or "auto", default="auto"
        Standard deviation of the noise added to the inputs while they are being chosen, at least 0, in units
        of the standardised inputs. Used only where inputs are pruned. "auto" is
        ``sqrt(10 * n_features / n_rows)``, at most 1.
    $batch_size max_epochs validation_fraction early_stopping n_iter_no_change
    class_weight : dict, "balanced" or None, default=None
        Positive factors of the weights of each class's rows, 1 where the dict names none. "balanced" gives
        every class the same total.
    $quantization
    callbacks : list or None, default=None
        skorch callbacks, or pairs of a name and a callback.
    $device random_state verbose warm_start checkpoint checkpoint_seconds

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels of ``y``, sorted.
    $n_features_in_ feature_names_in_ selected_features_ support_ feature_scores_ feature_importances_
    $architecture_ frontier_
    module_ : torch.nn.Sequential
        The small network, float32, on the CPU. It takes the selected features as they are in ``X`` and gives
        logits, one for each class.
    $history_ n_iter_ best_epoch_ calibration_rows_
    calibration_targets_ : ndarray of int of shape (n_calibration,)
        Their classes, as positions in ``classes_``.
    $fixed_point_plan_ quantization_history_ net_

    Notes
    -----
    Gates of a layer follow from scores s through

    .. math:: g_i = \mathrm{sigmoid}\big((s_i - \nu) / \tau\big), \qquad \sum_i g_i = B,

    where the open units B and the temperature tau fall on a schedule. With the default rule the scores
    are logarithms of averaged squares of ``g_i dL/dg_i``, the diagonal of the Fisher information of the
    gates [3]_. Those averages are on one scale for all layers: with a `budget`, the units i of layer l
    stay whose importance F is high for what one more unit of the layer costs,

    .. math:: F_i / c_l > \nu.

    The page "The method" of the documentation derives all of it, and names its limits.

    Features need no scaling: inputs are standardised on entry, which becomes part of the first layer.

    A weight multiplies the loss of its row and may be negative, as in Monte Carlo samples: such a row takes
    back what rows like it have added. Every class needs a total above 0.

    References
    ----------
    .. [1] D. Mascione, A. Di Luca, F. M. Follega, M. Cristoforetti, R. Iuppa, abstract on a shadow network,
       QCHS and ICHEP 2022: the idea. Their formulas are not public; the ones used here are our own.
    .. [2] L. Breiman, J. H. Friedman, R. A. Olshen, C. J. Stone, "Classification and Regression Trees",
       Wadsworth 1984, section 3.4.3: the rule of one standard error.
    .. [3] L. Theis, I. Korshunova, A. Tejani, F. Huszár, "Faster gaze prediction with dense networks and
       Fisher pruning", 2018, equation 8; here with a running average.
    .. [4] P. Molchanov, A. Mallya, S. Tyree, I. Frosio, J. Kautz, "Importance estimation for neural network
       pruning", CVPR 2019, equation 8: the rule "taylor".

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

    _: KW_ONLY
    class_weight: Any = None

    def _make_loss(self, table: Table, before: dict[str, Any] | None) -> Loss:
        return CrossEntropy()

    @by_blocks
    def decision_function(self, X: Any) -> npt.NDArray[np.float64]:
        """Logits of the small network.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or rows

        Returns
        -------
        logits : ndarray of shape (n_samples, n_classes), or (n_samples,) for two classes
            Of two classes the logit of the second less that of the first: above 0 means ``classes_[1]``.
        """
        outputs = copy(self)._outputs(X)
        return outputs[:, 1] - outputs[:, 0] if outputs.shape[1] == 2 else outputs

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
        return copy(self)._outputs(X, link=probabilities)

    @by_blocks
    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Likeliest class of each row.

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
        return np.asarray(now.classes_[outputs.argmax(axis=1)])
