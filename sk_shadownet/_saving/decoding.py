"""Objects from a document of `encoding`: nothing is called that the list of `kinds` does not name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sk_shadownet._saving.arrays import array_of, blocks_of, tensor_of
from sk_shadownet._saving.kinds import HOOKS, class_named, thing_named
from sk_shadownet._typing import AnyArray
from sk_shadownet.exceptions import ModelFileError, ShadowNetError


def decoded(document: bytes, arrays: bytes, name: str, outside: Mapping[str, Any] | None = None) -> Any:
    """What a document describes.

    Parameters
    ----------
    document, arrays : bytes
        JSON, and the safetensors file beside it.
    name : str
        What is read, for messages.
    outside : dict or None, default=None
        Objects that the document refers to by name and does not hold.

    Raises
    ------
    ModelFileError
        If it describes nothing that can be, or names a class that is not on the list.
    """
    try:
        whole = json.loads(document)
        decoder = Decoder(blocks_of(arrays), outside or {})
        for entry in whole["objects"]:
            decoder.objects.append(decoder.made(entry))
        return decoder.value(whole["root"])
    except ShadowNetError:
        raise
    except Exception as error:
        raise ModelFileError(
            f"{name} does not describe what it should ({type(error).__name__}: {error}). It was changed "
            "after it was written, or is none that sk_shadownet saved."
        ) from error


@dataclass(eq=False)
class Decoder:
    """Makes the objects of a document one after the other."""

    blocks: Mapping[str, AnyArray]
    outside: Mapping[str, Any]
    objects: list[Any] = field(default_factory=list)

    def value(self, said: Any) -> Any:
        """The object that a document's entry stands for."""
        if not isinstance(said, dict):
            if isinstance(said, list):
                raise TypeError("a list stands where a value should")
            return said
        ((kind, what),) = said.items()
        if kind == "ref":
            if not 0 <= what < len(self.objects):
                raise ValueError(f"object {what} is named before it is there")
            return self.objects[what]
        if kind == "outside":
            return self.outside[what]
        if kind == "float" and what in ("nan", "inf", "-inf"):
            return float(what)
        raise ValueError(f"a value of kind {kind!r} is not known")

    def made(self, entry: dict[str, Any]) -> Any:
        """The object of one entry of the document's list."""
        kind = next(iter(entry))
        if kind not in _MAKERS:
            raise ValueError(f"an object of kind {kind!r} is not known")
        return _MAKERS[kind](self, entry)

    def several(self, said: list[Any]) -> list[Any]:
        """The objects that several entries stand for."""
        return [self.value(one) for one in said]


def _object(decoder: Decoder, entry: dict[str, Any]) -> Any:
    import torch

    cls: Any = class_named(entry["object"])
    state = {name: decoder.value(said) for name, said in entry["state"].items()}
    if any(not name.isidentifier() or name.startswith("__") or name in HOOKS for name in state):
        raise ValueError(f"attributes {sorted(state)} cannot be")
    own = getattr(cls, "_restored", None)
    if own is not None:
        return own(state)
    if issubclass(cls, tuple):
        return cls(**state)
    thing = cls.__new__(cls)
    if issubclass(cls, torch.nn.Module):
        torch.nn.Module.__init__(thing)
    thing.__dict__.update(state)
    return thing


def _tensor(decoder: Decoder, entry: dict[str, Any]) -> Any:
    return tensor_of(entry["tensor"], decoder.blocks).requires_grad_(entry["learns"])


def _parameter(decoder: Decoder, entry: dict[str, Any]) -> Any:
    import torch

    return torch.nn.Parameter(tensor_of(entry["parameter"], decoder.blocks), requires_grad=entry["learns"])


def _items(decoder: Decoder, entry: dict[str, Any]) -> Any:
    values = np.empty(len(entry["items"]), dtype=object)
    values[:] = decoder.several(entry["items"])
    return values.reshape(entry["shape"])


def _random_state(decoder: Decoder, entry: dict[str, Any]) -> Any:
    keys, *rest = entry["random_state"]
    random_state = np.random.RandomState()
    random_state.set_state(("MT19937", decoder.value(keys), *rest))
    return random_state


def _scorer(decoder: Decoder, entry: dict[str, Any]) -> Any:
    from sklearn.metrics import get_scorer

    return get_scorer(str(entry["scorer"]))


_MAKERS: dict[str, Callable[[Decoder, dict[str, Any]], Any]] = {
    "array": lambda decoder, entry: array_of(entry["array"], decoder.blocks),
    "dict": lambda decoder, entry: {decoder.value(k): decoder.value(v) for k, v in entry["dict"]},
    "items": _items,
    "list": lambda decoder, entry: decoder.several(entry["list"]),
    "named": lambda decoder, entry: thing_named(entry["named"]),
    "object": _object,
    "parameter": _parameter,
    "path": lambda decoder, entry: Path(entry["path"]),
    "random_state": _random_state,
    "range": lambda decoder, entry: range(*entry["range"]),
    "scalar": lambda decoder, entry: array_of(entry["scalar"], decoder.blocks)[()],
    "scorer": _scorer,
    "set": lambda decoder, entry: set(decoder.several(entry["set"])),
    "tensor": _tensor,
    "tuple": lambda decoder, entry: tuple(decoder.several(entry["tuple"])),
}
