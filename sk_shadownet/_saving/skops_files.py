"""Estimators within skops files: what `save` writes as one part of them, which `load`'s rules read."""

from __future__ import annotations

import io
from functools import cache
from importlib import import_module
from typing import Any

from sk_shadownet._saving.models import ESTIMATORS, model_bytes, model_of_bytes
from sk_shadownet.exceptions import MissingToolError

#: What skops files call the part's reader.
_LOADER = "ShadowNetNode"


def register_with_skops() -> None:
    """Let `skops.io` store this package's estimators, alone or in a Pipeline, and trust them when loading.

    To be called before ``skops.io.dump`` and before ``skops.io.load``; once in a process is enough. The files
    need no ``trusted=`` for the estimators of this package: they are stored as ``save`` stores them, and
    nothing in that is executed.

    Raises
    ------
    MissingToolError
        If skops is not installed, or is a version that takes no further types.

    Examples
    --------
    >>> import skops.io
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sk_shadownet import ShadowMLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = ShadowMLPClassifier((4,), max_epochs=3, random_state=0)
    >>> pipe = make_pipeline(StandardScaler(), clf).fit(X, y)
    >>> register_with_skops()
    >>> data = skops.io.dumps(pipe)
    >>> skops.io.get_untrusted_types(data=data)
    []
    >>> bool((skops.io.loads(data).predict(X) == pipe.predict(X)).all())
    True
    """
    try:
        # skops has no public way to register a type; these names are the same from 0.11 to 0.16.
        audit, utils = import_module("skops.io._audit"), import_module("skops.io._utils")
        protocol, node, save = audit.PROTOCOL, _node(audit.Node), utils._get_state.register
        audit.NODE_TYPE_MAPPING[_LOADER, protocol] = node
        for name in ESTIMATORS:
            save(_estimator(name), _state_of)
    except (AttributeError, ImportError) as error:
        raise MissingToolError(
            f'skops could not be told of these estimators ({error}); pip install "skops>=0.11", or store the '
            "estimator with its own save() and the other steps of a Pipeline with skops."
        ) from error


def _state_of(estimator: Any, context: Any) -> dict[str, Any]:
    """What the schema of a skops file says of an estimator, whose own file becomes a part of it."""
    part = f"{context.memoize(estimator)}.shadow"
    if part not in context.zip_file.namelist():
        context.zip_file.writestr(part, model_bytes(estimator))
    kind = type(estimator)
    return {"__class__": kind.__name__, "__module__": kind.__module__, "__loader__": _LOADER, "file": part}


def _estimator(name: str) -> type:
    cls: type = getattr(import_module("sk_shadownet"), name)
    return cls


@cache
def _node(base: Any) -> type:
    """The reader of such a part, a kind of skops' own `Node`."""

    class ShadowNetNode(base):  # type: ignore[misc]
        """An estimator of this package within a skops file."""

        def __init__(self, state: dict[str, Any], load_context: Any, trusted: Any = None) -> None:
            super().__init__(state, load_context, trusted)
            own = [f"{_estimator(name).__module__}.{name}" for name in ESTIMATORS]
            self.trusted = self._get_trusted(trusted, own)
            self.part = io.BytesIO(load_context.src.read(state["file"]))
            self.children = {"part": self.part}

        def _construct(self) -> Any:
            return model_of_bytes(self.part.getvalue(), "an estimator of the skops file")

    return ShadowNetNode
