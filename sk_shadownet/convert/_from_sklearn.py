"""scikit-learn's multilayer perceptrons to torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from sk_shadownet._pipeline import fold_steps, split_pipeline
from sk_shadownet._validation import check_flag
from sk_shadownet.convert._sequential_builder import SequentialBuilder
from sk_shadownet.exceptions import UnsupportedLayerError

_HIDDEN: dict[str, Callable[[], nn.Module] | None] = {
    "identity": None,
    "logistic": nn.Sigmoid,
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
}


def from_sklearn(model: Any, *, logits: bool = True) -> nn.Sequential:
    """Turn a fitted ``MLPClassifier`` or ``MLPRegressor`` into torch, weights and outputs kept.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor, or Pipeline
        A pipeline that ends in one may scale and select columns in front: that becomes part of the first
        layer, so that the module takes what the pipeline takes.
    logits : bool, default=True
        What a classifier's module gives: logits, one for each class (two classes have two, -z / 2 and z / 2,
        whose softmax is ``predict_proba``), as the losses of torch and `ShadowMLPClassifier` want them; or
        with False what ``predict_proba`` gives. With several labels a row, one logit or probability for each
        label. A regressor gives what ``predict`` gives; with ``loss="poisson"``, the logarithm of it.

    Returns
    -------
    module : torch.nn.Sequential
        Float32, on the CPU, in evaluation mode; outputs of shape (n_samples, n_outputs).

    Raises
    ------
    UnsupportedLayerError
        If the model is another estimator, or a step of the pipeline is no affine map of single columns.
    sklearn.exceptions.NotFittedError
        If the model is not fitted.

    Examples
    --------
    >>> import torch
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neural_network import MLPClassifier
    >>> from sk_shadownet.convert import from_sklearn
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = MLPClassifier((8,), solver="lbfgs", random_state=0).fit(X, y)
    >>> net = from_sklearn(clf)
    >>> net
    Sequential(
      (0): Linear(in_features=4, out_features=8, bias=True)
      (1): ReLU()
      (2): Linear(in_features=8, out_features=3, bias=True)
    )
    >>> probabilities = net(torch.tensor(X, dtype=torch.float32)).softmax(dim=1)
    >>> bool((abs(probabilities.detach().numpy() - clf.predict_proba(X)) < 1e-5).all())
    True
    """
    check_flag("logits", logits)
    model = getattr(model, "best_estimator_", model)
    steps, mlp = split_pipeline(model)
    classifies = _require_fitted_mlp(mlp)
    fold, names = fold_steps(steps, mlp)
    chain = SequentialBuilder((len(names),))
    chain.select(fold.columns)
    chain.affine(fold.scale, fold.shift)
    last = len(mlp.coefs_) - 1
    for n, (weight, bias) in enumerate(zip(mlp.coefs_, mlp.intercepts_, strict=True)):
        chain.linear(weight.T, bias)
        hidden = _HIDDEN[mlp.activation]
        if n < last and hidden is not None:
            chain.activation(hidden())
    if classifies:
        chain.activation(nn.Softmax(dim=-1) if mlp.out_activation_ == "softmax" else nn.Sigmoid())
        # With several labels a row, each has a sigmoid of its own.
        if mlp.out_activation_ != "softmax" and chain.width == 1:
            chain.two_classes()
    elif mlp.out_activation_ != "identity" and not logits:
        raise UnsupportedLayerError(
            "an MLPRegressor with loss='poisson' ends in an exponential, which is no layer of torch; "
            "take its logarithm, logits=True."
        )
    return chain.finish(logits=logits)


def _require_fitted_mlp(mlp: Any) -> bool:
    """Whether it is a classifier."""
    from sklearn.exceptions import NotFittedError
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    name = type(mlp).__name__
    if not isinstance(mlp, (MLPClassifier, MLPRegressor)):
        own = "; its module_ is a torch network already" if hasattr(mlp, "module_") else ""
        raise UnsupportedLayerError(
            f"an MLPClassifier, an MLPRegressor or a Pipeline that ends in one was expected, got {name}{own}."
        )
    if not hasattr(mlp, "coefs_"):
        raise NotFittedError(f"this {name} is not fitted yet; call fit before converting it.")
    return isinstance(mlp, MLPClassifier)
