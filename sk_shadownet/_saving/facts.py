"""What decides a fit, in a few words each: so that a checkpoint is not taken up by another one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from sk_shadownet._saving.encoding import Encoder
from sk_shadownet.exceptions import ModelFileError

_PART = "facts.json"
_HOLDS = "a checkpoint"
#: Bytes that are hashed at once.
_BLOCK = 2**24
#: Descriptions up to this length are shown as they are.
_SHORT = 60


def digest(array: Any) -> str:
    """A few characters that stand for an array's type, shape and every bit of it; "none" for None."""
    if array is None:
        return "none"
    array = np.asarray(array)
    found = hashlib.blake2b(f"{array.dtype.str}{array.shape}".encode(), digest_size=12)
    if array.dtype == object:
        found.update(repr(array.tolist()).encode())
        return found.hexdigest()
    rows = max(1, _BLOCK // max(1, array[:1].nbytes)) if array.ndim else 1
    for start in range(0, len(array) if array.ndim else 0, rows):
        found.update(np.ascontiguousarray(array[start : start + rows]).tobytes())
    return found.hexdigest()


def description(value: Any) -> str:
    """What stands for a parameter: itself, if it is short, else characters that change when it does."""
    code = getattr(value, "__code__", None)
    if code is not None:
        known = f"{value.__module__}.{value.__qualname__}{code.co_code!r}{code.co_consts!r}"
        return f"{value.__qualname__} ({_hash(known.encode())})"
    encoder = Encoder()
    try:
        document = encoder.document(encoder.value(value, "it"))
    except ModelFileError:
        return _of_others(value)
    text = repr(value)
    if len(text) <= _SHORT and " at 0x" not in text and not encoder.blocks.blocks:
        return text
    return f"{type(value).__name__} ({_hash(document + encoder.blocks.to_bytes())})"


def _of_others(value: Any) -> str:
    """Of what holds code of others: its structure, and the names of classes and functions."""
    if isinstance(value, Mapping):
        pairs = (f"{description(key)}: {description(one)}" for key, one in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(description, value)) + "]"
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    if hasattr(value, "state_dict"):
        return f"{name} ({description(dict(value.state_dict()))})"
    text = repr(value)
    return name if " at 0x" in text else f"{name} ({_hash(text.encode())})"


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=6).hexdigest()


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In words, where two fits' facts differ."""
    names = [*before, *(name for name in now if name not in before)]
    return [
        f"{name} was {before.get(name, 'unknown')} and is {now.get(name, 'unknown')}"
        for name in names
        if before.get(name) != now.get(name)
    ]


def facts_part(facts: Mapping[str, Any]) -> dict[str, bytes]:
    """The part of a checkpoint's file that says what it is of."""
    return {_PART: json.dumps({"holds": _HOLDS, "facts": facts}).encode()}


def facts_of_parts(parts: Mapping[str, bytes], name: str) -> dict[str, Any]:
    """The facts of a checkpoint's file; ModelFileError where it is none."""
    try:
        said = json.loads(parts[_PART])
        if said["holds"] == _HOLDS:
            return dict(said["facts"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"{name} does not say what it holds; sk_shadownet did not write it.") from error
    raise ModelFileError(f"{name} is no checkpoint, but holds {said['holds']}.")
