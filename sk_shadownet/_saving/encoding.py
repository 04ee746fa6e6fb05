"""Objects as one JSON document with numbered arrays beside it.

Numbers, texts, booleans and None stand for themselves. Everything else gets a place in the document's list
``objects``, behind all that it is made of, and ``{"ref": place}`` stands for it: what is shared stays shared.
"""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePath
from typing import Any

import numpy as np

from sk_shadownet._saving.arrays import Blocks
from sk_shadownet._saving.kinds import HOOKS, name_of_class, name_of_thing
from sk_shadownet.exceptions import ModelFileError


@dataclass(eq=False)
class Encoder:
    """Writes objects into one document; `outside` are objects that whoever reads it has already, by name."""

    outside: Mapping[str, Any] = field(default_factory=dict)
    objects: list[dict[str, Any]] = field(default_factory=list)
    blocks: Blocks = field(default_factory=Blocks)
    # Place of each object by its identity, None while it is being written; and the objects, which shall live
    # as long as their identities count.
    _places: dict[int, int | None] = field(default_factory=dict)
    _alive: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._outside = {id(thing): name for name, thing in self.outside.items() if thing is not None}

    def value(self, thing: Any, where: str) -> Any:
        """What stands for an object in the document; `where` says in messages what it is of."""
        if thing is None or type(thing) in (bool, int, str):
            return thing
        if type(thing) is float:
            return thing if math.isfinite(thing) else {"float": str(thing)}
        if id(thing) in self._outside:
            return {"outside": self._outside[id(thing)]}
        if id(thing) not in self._places:
            self._places[id(thing)] = None
            self._alive.append(thing)
            entry = self._entry(thing, where)
            self._places[id(thing)] = len(self.objects)
            self.objects.append(entry)
        place = self._places[id(thing)]
        if place is None:
            raise ModelFileError(f"{where} contains itself, which cannot be saved.")
        return {"ref": place}

    def document(self, root: Any) -> bytes:
        """The document of which `root` is what `value` gave last."""
        text = json.dumps({"root": root, "objects": self.objects}, allow_nan=False, indent=0)
        return text.encode()

    def _entry(self, thing: Any, where: str) -> dict[str, Any]:
        found = _WRITERS.get(type(thing))
        if found is not None:
            return found(self, thing, where)
        if isinstance(thing, np.generic):
            note = self._noted(np.asarray(thing), thing, where)
            return {"scalar": note}
        name = name_of_class(type(thing))
        if name is not None:
            return {"object": name, "state": self._state(thing, where)}
        name = name_of_thing(thing)
        if name is not None:
            return {"named": name}
        return self._unlisted(thing, where)

    def _unlisted(self, thing: Any, where: str) -> dict[str, Any]:
        """What is known by a library's own means; anything else is refused."""
        import torch

        if isinstance(thing, torch.Tensor) and type(thing) in (torch.Tensor, torch.nn.Parameter):
            note = self.blocks.tensor(thing)
            if note is not None:
                kind = "parameter" if isinstance(thing, torch.nn.Parameter) else "tensor"
                return {kind: note, "learns": thing.requires_grad}
        if isinstance(thing, PurePath):
            return {"path": str(thing)}
        if isinstance(thing, torch.Size):
            return _tuple(self, thing, where)
        scorer = _scorer_name(thing)
        if scorer is not None:
            return {"scorer": scorer}
        raise _refusal(thing, where)

    def _state(self, thing: Any, where: str) -> dict[str, Any]:
        """What an object of a listed class is made of."""
        own = getattr(thing, "_stored_state", None)
        if own is not None:
            state = own()
        elif isinstance(thing, tuple):
            state = thing._asdict()  # type: ignore[attr-defined]
        else:
            kind = type(thing)
            derived = {name for name in vars(thing) if isinstance(getattr(kind, name, None), cached_property)}
            state = {name: value for name, value in vars(thing).items() if name not in derived}
        hooks = [name for name in HOOKS if state.pop(name, None)]
        if hooks:
            raise ModelFileError(
                f"{where} has hooks ({', '.join(hooks)}), which are code and cannot be saved; remove them "
                "first."
            )
        return {name: self.value(value, f"{where}.{name}") for name, value in state.items()}

    def _noted(self, array: Any, thing: Any, where: str) -> dict[str, Any]:
        note = self.blocks.array(array)
        if note is None:
            raise _refusal(thing, where)
        return note


def part_names(name: str) -> tuple[str, str]:
    """What the document and the arrays of an object of that name are called within a file."""
    return f"{name}.json", f"{name}.safetensors"


def encoded(thing: Any, name: str, where: str, outside: Mapping[str, Any] | None = None) -> dict[str, bytes]:
    """Parts of a file for one object, called `where` in messages, but for what is `outside`, by name."""
    encoder = Encoder(outside or {})
    document = encoder.document(encoder.value(thing, where))
    return dict(zip(part_names(name), (document, encoder.blocks.to_bytes()), strict=True))


def _refusal(thing: Any, where: str) -> ModelFileError:
    kind = type(thing)
    name = getattr(thing, "__qualname__", None) if callable(thing) else None
    what = f"{thing.__module__}.{name}" if name else f"an object of {kind.__module__}.{kind.__qualname__}"
    return ModelFileError(
        f"{where} is {what}, which cannot be saved: a file without pickle holds numbers, texts, arrays, "
        "plain layers of torch.nn and what this package is made of, but no code of others. Of a parameter, "
        "set_params puts another value in its place, which leaves a fitted network as it is; a pickle holds "
        "everything."
    )


def _scorer_name(thing: Any) -> str | None:
    """scikit-learn's name of one of its scorers; None where it is none, or is not as scikit-learn has it."""
    from sklearn.metrics import get_scorer, get_scorer_names

    if not hasattr(thing, "_score_func"):
        return None
    text = repr(thing)
    same = (name for name in get_scorer_names() if repr(get_scorer(name)) == text)
    return next((name for name in same if get_scorer(name)._score_func is thing._score_func), None)


def _list(encoder: Encoder, thing: Any, where: str) -> dict[str, Any]:
    return {"list": [encoder.value(one, f"{where}[{n}]") for n, one in enumerate(thing)]}


def _tuple(encoder: Encoder, thing: Any, where: str) -> dict[str, Any]:
    return {"tuple": [encoder.value(one, f"{where}[{n}]") for n, one in enumerate(thing)]}


def _set(encoder: Encoder, thing: Any, where: str) -> dict[str, Any]:
    return {"set": [encoder.value(one, f"an element of {where}") for one in sorted(thing, key=repr)]}


def _dict(encoder: Encoder, thing: Any, where: str) -> dict[str, Any]:
    pairs = [
        [encoder.value(key, f"a key of {where}"), encoder.value(one, f"{where}[{key!r}]")]
        for key, one in thing.items()
    ]
    return {"dict": pairs}


def _range(encoder: Encoder, thing: Any, where: str) -> dict[str, Any]:
    return {"range": [thing.start, thing.stop, thing.step]}


def _array(encoder: Encoder, thing: Any, where: str) -> dict[str, Any]:
    if thing.dtype == object:
        items = [encoder.value(one, f"an entry of {where}") for one in thing.ravel().tolist()]
        return {"items": items, "shape": list(thing.shape)}
    return {"array": encoder._noted(thing, thing, where)}


def _random_state(encoder: Encoder, thing: Any, where: str) -> dict[str, Any]:
    kind, keys, *rest = thing.get_state(legacy=True)
    if kind != "MT19937":
        raise _refusal(thing, where)
    return {"random_state": [encoder.value(np.asarray(keys), where), *rest]}


_WRITERS: dict[type, Callable[[Encoder, Any, str], dict[str, Any]]] = {
    OrderedDict: _dict,
    dict: _dict,
    frozenset: _set,
    list: _list,
    np.memmap: _array,
    np.ndarray: _array,
    np.random.RandomState: _random_state,
    range: _range,
    set: _set,
    tuple: _tuple,
}
