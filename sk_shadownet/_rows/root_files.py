"""ROOT files, the only place that imports uproot for rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sk_shadownet._typing import AnyArray
from sk_shadownet.exceptions import InvalidDataError, InvalidParameterError, MissingToolError

# What a file keeps together is unpacked anew for every step: of an RNTuple that is a cluster, often a million
# entries.
_AT_ONCE = 8


@dataclass(frozen=True)
class RootReader:
    """Reads flat branches of a tree; `tree` may be None where a file holds one alone."""

    tree: str | None = None

    def types(self, path: Path) -> Mapping[str, str]:
        """Type of every branch, by its name."""
        with self._opened(path) as tree:
            return {name: str(tree[name].typename) for name in tree.keys(recursive=False)}

    def read(self, path: Path, names: Sequence[str], n_rows: int) -> Iterator[list[AnyArray]]:
        """Branches in blocks of some times so many entries."""
        with self._opened(path) as tree:
            for arrays in tree.iterate(list(names), step_size=_AT_ONCE * n_rows, library="np"):
                yield [np.asarray(arrays[name]) for name in names]

    @contextmanager
    def _opened(self, path: Path) -> Iterator[Any]:
        try:
            import uproot
        except ImportError as error:
            raise MissingToolError(
                f'ROOT files need uproot ({error}); pip install "sk-shadownet[files]".'
            ) from error
        try:
            # What has been read is not asked for again: no caches.
            file = uproot.open(path, object_cache=None, array_cache=None)
        except (OSError, ValueError, NotImplementedError) as error:
            raise InvalidDataError(f"{path} cannot be read as a ROOT file: {error}") from error
        with file:
            yield file[self._name(path, file)]

    def _name(self, path: Path, file: Any) -> str:
        trees = sorted({name.split(";")[0] for name, kind in file.classnames().items() if _is_tree(kind)})
        if self.tree is None and len(trees) == 1:
            return str(trees[0])
        if self.tree is None:
            raise InvalidParameterError(
                f"{path} has the trees {trees}; say which one with tree=."
                if trees
                else f"{path} has no tree."
            )
        if self.tree not in trees:
            raise InvalidDataError(f"{path} has no tree {self.tree!r}; it has {trees}.")
        return self.tree


def _is_tree(kind: str) -> bool:
    return kind == "TTree" or kind.endswith("RNTuple")
