"""Fitted estimators as files: `save` of every estimator, and `load`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sk_shadownet._saving.container import packed, read, unpacked, write
from sk_shadownet._saving.decoding import decoded
from sk_shadownet._saving.encoding import Encoder
from sk_shadownet._system.threads import thread_limit
from sk_shadownet._system.versions import own_version
from sk_shadownet.exceptions import ModelFileError

__all__ = ["load"]

#: Classes of this package's estimators.
ESTIMATORS = ("ShadowMLPClassifier", "ShadowMLPRegressor", "ShadowTableClassifier", "ShadowTableRegressor")
#: What the file holds, as its first part says.
_MODEL = "an estimator"


def save_model(estimator: Any, path: Any) -> None:
    """Write an estimator to a path, given as the parameter of that name."""
    write(path, "path", _parts(estimator))


def model_bytes(estimator: Any) -> bytes:
    """The file of an estimator."""
    return packed(_parts(estimator))


def model_of_bytes(data: bytes, name: str) -> Any:
    """The estimator of a file's bytes, which `name` stands for in messages."""
    return _model_of(unpacked(data, name), name)


def load(path: Any) -> Any:
    """Read a model that ``save`` wrote.

    Nothing in the file is executed: it names classes of this package, plain layers of torch.nn and scorers of
    scikit-learn, and any other name is refused.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    estimator : of the class that was saved
        It answers bit for bit as the one that was saved, and can be exported, continued and cloned as that.
        ``net_`` has no callbacks and no optimiser's state.

    Raises
    ------
    ModelFileError
        If the file is damaged, truncated, no model of this package, or of a newer format.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_iris
    >>> from sk_shadownet import ShadowMLPClassifier, load
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = ShadowMLPClassifier((8,), n_features_to_select=2, max_epochs=5, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     clf.save(f"{folder}/tagger.shadow")
    ...     again = load(f"{folder}/tagger.shadow")
    >>> bool((again.predict_proba(X) == clf.predict_proba(X)).all())
    True
    """
    return _model_of(read(path, "path"), str(path))


def _parts(estimator: Any) -> dict[str, bytes]:
    encoder = Encoder()
    document = encoder.document(encoder.value(estimator, type(estimator).__name__))
    facts = {"holds": _MODEL, "class": type(estimator).__name__, "sk_shadownet": own_version()}
    return {
        "facts.json": json.dumps(facts).encode(),
        "state.json": document,
        "arrays.safetensors": encoder.blocks.to_bytes(),
    }


@thread_limit()
def _model_of(parts: Mapping[str, bytes], name: str) -> Any:
    require_holding(parts, _MODEL, name)
    model = decoded(parts["state.json"], parts["arrays.safetensors"], name)
    if type(model).__name__ not in ESTIMATORS:
        raise ModelFileError(f"{name} holds no estimator but a {type(model).__name__}.")
    return model


def require_holding(parts: Mapping[str, bytes], what: str, name: str) -> dict[str, Any]:
    """What a file says of itself; ModelFileError unless it holds what it should."""
    try:
        facts = json.loads(parts["facts.json"])
        found = facts["holds"]
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"{name} does not say what it holds; sk_shadownet did not write it.") from error
    if found != what or not {"state.json", "arrays.safetensors"} <= parts.keys():
        raise ModelFileError(f"{name} does not hold what is asked for, {what}, but: {found}.")
    return dict(facts)
