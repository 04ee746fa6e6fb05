"""What is minimised and what is scored, for every member of a committee at once."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

__all__ = ["CrossEntropy"]


class CrossEntropy(nn.Module):
    """Weighted cross entropy, summed over members so that each trains as if alone.

    Weights multiply a row's loss and nothing else. A negative weight, as Monte Carlo generators
    give, takes back what rows of its kind have added: summed over enough rows the loss is that of
    the true density.
    """

    def forward(self, outputs: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
        """Loss to minimise.

        Parameters
        ----------
        outputs : Tensor of shape (n_members, n_rows, n_classes)
        y : Tensor of int64 of shape (n_rows,), or of class probabilities (n_rows, n_classes)
        weight : Tensor of shape (n_rows,) or None
        """
        if weight is None and len(outputs) == 1:
            return cross_entropy(outputs[0], y)
        return _weighted_mean(self._rows(outputs, y), weight).sum()

    def per_member(self, outputs: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
        """Loss of each member, shape (n_members,)."""
        return _weighted_mean(self._rows(outputs, y), weight)

    def score(self, outputs: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
        """Accuracy of each member, shape (n_members,)."""
        return _weighted_mean((outputs.argmax(dim=2) == y).to(outputs.dtype), weight)

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Class probabilities, of the shape of `outputs`."""
        return outputs.softmax(dim=-1)

    @staticmethod
    def _rows(outputs: Tensor, y: Tensor) -> Tensor:
        m, n, _ = outputs.shape
        target = y.expand(m, *y.shape).reshape(m * n, *y.shape[1:])
        rows = cross_entropy(outputs.reshape(m * n, -1), target, reduction="none")
        return rows.reshape(m, n)


def _weighted_mean(rows: Tensor, weight: Tensor | None) -> Tensor:
    """Mean over rows; the weights have mean 1 over all rows, so a batch's own sum is not divided out."""
    return rows.mean(dim=1) if weight is None else (rows * weight).mean(dim=1)
