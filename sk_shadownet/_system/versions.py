"""Pickles of other versions of the package: what wrote them, and what to do about them."""

from __future__ import annotations

import sys
from typing import Any

from sk_shadownet._system.warnings import warn
from sk_shadownet.exceptions import VersionMismatchWarning

#: Where the state of a pickled object holds the version; the object itself does not have it.
KEY = "_sk_shadownet_version"
#: What an older pickle is called, of a time when no version was written.
UNKNOWN = "an unknown version (before 0.2)"


def own_version() -> str:
    """Version of this package, which is loaded where this module is; importing it here would go round."""
    return str(sys.modules["sk_shadownet"].__version__)


class MovedModuleFinder:
    """Last finder of ``sys.meta_path``: says what to do about a pickle that names a module which has moved.

    Only private modules of this package have moved, so it speaks up for their names alone, and only where no
    other finder knew them.
    """

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> None:
        """Raise ModuleNotFoundError for a private name below ``sk_shadownet``; of others nothing is known."""
        package, *parts = name.split(".")
        if package == "sk_shadownet" and any(part.startswith("_") for part in parts):
            raise ModuleNotFoundError(
                f"No module named {name!r} in sk_shadownet {own_version()}. If a pickle names it, "
                "sk_shadownet 0.1 wrote that pickle, and its modules have moved since: fit or export the "
                "model anew here, or load it with sk_shadownet 0.1, write the network with "
                "sk_shadownet.convert (to_onnx, to_keras, to_sklearn) and read that.",
                name=name,
            )


class KnowsItsVersion:
    """Writes the version into what `pickle` and `joblib` store, and compares it when that is loaded.

    Warns
    -----
    VersionMismatchWarning
        If another version stored it, or one that wrote none. Copies, which go the same way, are of this one.

    Examples
    --------
    >>> class Net(KnowsItsVersion):
    ...     pass
    >>> sorted(Net().__getstate__())
    ['_sk_shadownet_version']
    """

    def __getstate__(self) -> dict[str, Any]:
        # Python 3.10's object has no such method, and that of later ones may give None.
        inherited = getattr(super(), "__getstate__", None)
        state = inherited() if inherited is not None else None
        return {**(vars(self) if state is None else state), KEY: own_version()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        stored_by, own = state.pop(KEY, None), own_version()
        if stored_by != own:
            name = type(self).__name__
            warn(
                f"this {name} was stored by sk_shadownet {stored_by or UNKNOWN} and is loaded by "
                f"{own}, in which it may fail or answer otherwise. Fit or export it anew here. To "
                "carry a network over as it is, load it with the version that stored it, write it with "
                "sk_shadownet.convert (to_onnx, to_keras, to_sklearn) and read that.",
                VersionMismatchWarning,
            )
        inherited = getattr(super(), "__setstate__", None)
        if inherited is not None:
            inherited(state)
        else:
            vars(self).update(state)
