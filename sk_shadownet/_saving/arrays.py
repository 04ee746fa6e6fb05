"""Numpy arrays and torch tensors as numbered blocks of a safetensors file, equal bit for bit, and back."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from sk_shadownet._typing import AnyArray

if TYPE_CHECKING:
    from torch import Tensor

#: Types that safetensors has names for; all others are stored as their bytes.
_KNOWN = frozenset("<f8 <f4 <f2 <i8 <i4 <i2 |i1 <u8 <u4 <u2 |u1 |b1".split())
#: Kinds of numpy whose bytes are all that they are: no objects, no fields.
_PLAIN = "biufcSUMm"
#: Torch's types, by name; numpy has those that stand for themselves.
_OF_TORCH = {
    "bfloat16": "int16",
    **{
        name: name
        for name in ("bool complex128 complex64 float16 float32 float64 int16 int32 int64 int8 uint8".split())
    },
}


class Blocks:
    """Arrays on their way into a file; each gets the next number as its name."""

    def __init__(self) -> None:
        self.blocks: dict[str, AnyArray] = {}

    def array(self, array: AnyArray) -> dict[str, Any] | None:
        """What a document says of an array that goes in; None where its type cannot be stored."""
        if array.dtype.kind not in _PLAIN or array.dtype.names is not None:
            return None
        axes = _axes(array)
        # A transposed table stays one: products of it may be rounded in another order otherwise.
        flat = np.ascontiguousarray(array.transpose(axes))
        name = str(len(self.blocks))
        self.blocks[name] = flat if array.dtype.str in _KNOWN else flat.reshape(-1).view(np.uint8)
        note: dict[str, Any] = {"block": name, "dtype": array.dtype.str, "shape": list(array.shape)}
        if axes != sorted(axes):
            note["axes"] = axes
        if not array.flags.writeable:
            note["fixed"] = True
        return note

    def tensor(self, tensor: Tensor) -> dict[str, Any] | None:
        """What a document says of a tensor that goes in, from whichever device."""
        import torch

        kind = str(tensor.dtype).removeprefix("torch.")
        if kind not in _OF_TORCH or tensor.layout is not torch.strided:
            return None
        plain = tensor.detach().cpu()
        if kind != _OF_TORCH[kind]:
            plain = plain.view(getattr(torch, _OF_TORCH[kind]))
        note = self.array(plain.resolve_conj().resolve_neg().numpy())
        assert note is not None
        return {**note, "kind": kind}

    def to_bytes(self) -> bytes:
        """The safetensors file."""
        from safetensors.numpy import save

        return save(self.blocks)


def blocks_of(data: bytes) -> dict[str, AnyArray]:
    """Arrays of a safetensors file, by their names."""
    from safetensors.numpy import load

    blocks: dict[str, AnyArray] = load(data)
    return blocks


def array_of(note: Mapping[str, Any], blocks: Mapping[str, AnyArray]) -> AnyArray:
    """The array that a document describes, in memory of its own; ValueError where it cannot be that one."""
    values, axes = _as_stored(note, blocks)
    values = np.transpose(values, np.argsort(axes))
    values.setflags(write=not note.get("fixed", False))
    return values


def tensor_of(note: Mapping[str, Any], blocks: Mapping[str, AnyArray]) -> Tensor:
    """The tensor that a document describes, on the CPU, in memory of torch's own."""
    import torch

    values, axes = _as_stored(note, blocks)
    plain, kind = torch.tensor(values), note["kind"]
    if kind != _OF_TORCH[kind]:
        plain = plain.view(getattr(torch, kind))
    return plain.permute(np.argsort(axes).tolist())


def _as_stored(note: Mapping[str, Any], blocks: Mapping[str, AnyArray]) -> tuple[AnyArray, list[int]]:
    """A copy of the values as they lie in memory, and which axis each of its axes is."""
    dtype, shape = np.dtype(note["dtype"]), [int(n) for n in note["shape"]]
    if dtype.kind not in _PLAIN or dtype.names is not None or min(shape, default=0) < 0:
        raise ValueError(f"an array of type {note['dtype']} and shape {shape} cannot be")
    axes = note.get("axes", [*range(len(shape))])
    block = blocks[note["block"]]
    size = dtype.itemsize * prod(shape)
    if block.nbytes != size:
        raise ValueError(f"an array of {size} bytes has {block.nbytes}")
    values: AnyArray = np.empty([shape[axis] for axis in axes], dtype)
    if size:
        values.reshape(-1).view(np.uint8)[:] = np.ascontiguousarray(block).reshape(-1).view(np.uint8)
    return values, axes


def _axes(array: AnyArray) -> list[int]:
    """Axes from the slowest to the fastest in memory."""
    axes = range(array.ndim)
    if array.flags.c_contiguous or 0 in array.strides:
        return [*axes]
    return sorted(axes, key=lambda n: (-abs(array.strides[n]), n))
