"""The shape of a network before and after pruning, and arithmetic on it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sk_shadownet._typing import BoolArray

__all__ = ["Architecture"]


@dataclass(frozen=True, eq=False)
class Architecture:
    """Widths of a fully connected network and the masks that cut it down.

    Parameters
    ----------
    initial_widths : tuple of int
        Inputs, hidden layers and outputs before pruning, such as ``(16, 64, 32, 32, 5)``.
    masks : tuple of ndarray of bool
        One mask for the inputs and one for each hidden layer, ``masks[l].shape ==
        (initial_widths[l],)``; True marks what was kept. Outputs are never pruned. A hidden layer of which
        nothing is kept has gone as a whole: its neighbours are joined directly.

    Attributes
    ----------
    widths : tuple of int
        Widths after pruning.

    Examples
    --------
    >>> import numpy as np
    >>> keep = lambda n, k: np.arange(n) < k
    >>> Architecture((16, 64, 32, 32, 5), (keep(16, 8), keep(64, 16), keep(32, 8), keep(32, 8)))
    16-64-32-32-5 -> 8-16-8-8-5, 360 multiplications
    >>> Architecture.dense((16, 5)).n_parameters
    85
    """

    initial_widths: tuple[int, ...]
    masks: tuple[BoolArray, ...] = field(repr=False)

    def __post_init__(self) -> None:
        expected = self.initial_widths[:-1]
        got = tuple(len(mask) for mask in self.masks)
        if got != expected:
            raise ValueError(f"masks of lengths {expected} were expected, got {got}")

    @classmethod
    def dense(cls, widths: tuple[int, ...]) -> Architecture:
        """Architecture from which nothing was removed."""
        return cls(tuple(widths), tuple(np.ones(n, dtype=bool) for n in widths[:-1]))

    @property
    def widths(self) -> tuple[int, ...]:
        """Inputs, hidden units and outputs after pruning; a layer without units is none."""
        kept = (int(mask.sum()) for mask in self.masks)
        return (*(width for n, width in enumerate(kept) if width or n == 0), self.initial_widths[-1])

    @property
    def n_multiplications(self) -> int:
        """Multiplications of one forward pass of the pruned network."""
        return count_multiplications(self.widths)

    @property
    def n_parameters(self) -> int:
        """Weights and biases of the pruned network."""
        return count_parameters(self.widths)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Architecture):
            return NotImplemented
        return self.initial_widths == other.initial_widths and all(
            np.array_equal(a, b) for a, b in zip(self.masks, other.masks, strict=True)
        )

    def __hash__(self) -> int:
        return hash((self.initial_widths, *(mask.tobytes() for mask in self.masks)))

    def __str__(self) -> str:
        before = "-".join(map(str, self.initial_widths))
        after = "-".join(map(str, self.widths))
        return before if before == after else f"{before} -> {after}"

    def __repr__(self) -> str:
        return f"{self}, {self.n_multiplications} multiplications"


def count_multiplications(widths: tuple[int, ...]) -> int:
    """Sum of products of neighbouring widths.

    >>> count_multiplications((8, 16, 8, 8, 5))
    360
    """
    return sum(a * b for a, b in zip(widths[:-1], widths[1:], strict=True))


def count_parameters(widths: tuple[int, ...]) -> int:
    """Weights and biases.

    >>> count_parameters((16, 5))
    85
    """
    return count_multiplications(widths) + sum(widths[1:])
