"""What is minimised and what is scored, for every member of a committee at once, and what outputs mean."""

from __future__ import annotations

from abc import abstractmethod
from copy import deepcopy
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sk_shadownet._defaults import DISTILLATION_SHARE

FloatArray = npt.NDArray[np.float64]


class Loss(nn.Module):
    """Weighted mean of a loss over rows, summed over members so that each trains as if alone.

    Weights multiply a row's loss and nothing else. A negative weight, as Monte Carlo generators
    give, takes back what rows of its kind have added: summed over enough rows the loss is that of
    the true density.

    Shapes: outputs (n_members, n_rows, n_outputs); weight (n_rows,) or None.
    """

    def forward(self, outputs: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
        """Loss to minimise."""
        return _weighted_mean(self.of_rows(outputs, y), weight).sum()

    @abstractmethod
    def columns(self, y: Tensor, like: Tensor, n_outputs: int) -> Tensor:
        """Targets as `gradient` takes them, of the type of `like`: shape (n_outputs, n_rows)."""

    @abstractmethod
    def gradient(
        self, outputs: Tensor, target: Tensor, weight: Tensor | None, teacher_weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Loss to minimise and its derivative by the outputs, in closed form.

        Parameters
        ----------
        outputs : Tensor of shape (n_members, n_outputs, n_rows)
            Features x rows.
        target : Tensor of shape (n_outputs, n_rows)
            What `columns` makes of the targets.
        weight : Tensor of shape (n_rows,) or None
        teacher_weights : Tensor of shape (n_members,) or None
            Mutual distillation: half of each target is the mean of what all members predict, with these
            weights (Zhang et al. 2018, "Deep mutual learning"). None where each learns from the rows alone.

        Returns
        -------
        loss : Tensor of shape ()
        error : Tensor of the shape of `outputs`
        """

    def per_member(self, outputs: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
        """Loss of each member, shape (n_members,)."""
        return _weighted_mean(self.of_rows(outputs, y), weight)

    def score(
        self, outputs: Tensor, y: Tensor, weight: Tensor | None = None, spread: Tensor | None = None
    ) -> Tensor:
        """Score of each member, shape (n_members,); its mean over batches, by rows, is that of all rows.

        `spread` is what the method of that name says of all the rows whose score is wanted.
        """
        return _weighted_mean(self.row_scores(outputs, y, spread), weight)

    def spread(self, y: Tensor, weight: Tensor | None) -> Tensor | None:
        """What a score needs to know of all rows at once; None where that is nothing."""
        del y, weight
        return None

    @abstractmethod
    def of_constant(self, y: Tensor, weight: Tensor | None) -> float:
        """Mean loss of the best answer that is the same for all rows."""

    def in_units(self, module: nn.Sequential) -> nn.Sequential:
        """The network whose outputs are what the user is told, from the one that was trained."""
        return module

    def out_of_units(self, weight: FloatArray, bias: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Last layer of the network that is trained, from one whose outputs are what the user is told."""
        return weight, bias

    def of_units(self) -> Loss:
        """The same loss of a network whose outputs are already what the user is told."""
        return self

    @abstractmethod
    def of_rows(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Loss of every row, shape (n_members, n_rows)."""

    @abstractmethod
    def row_scores(self, outputs: Tensor, y: Tensor, spread: Tensor | None) -> Tensor:
        """Score of every row, shape (n_members, n_rows)."""

    @abstractmethod
    def probabilities(self, outputs: Tensor) -> Tensor:
        """Class probabilities, or numbers in the user's units, of the shape of `outputs`."""

    @abstractmethod
    def as_numbers(self, y: Tensor, n_outputs: int) -> Tensor:
        """Targets as `probabilities` that are right, shape (n_rows, n_outputs)."""

    @abstractmethod
    def decide(self, probabilities: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What is predicted, from `probabilities` averaged over members, shape (n_rows, n_outputs)."""


class CrossEntropy(Loss):
    """Cross entropy; ``y`` of int64 of shape (n_rows,), or of class probabilities (n_rows, n_classes)."""

    def forward(self, outputs: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
        """Loss to minimise."""
        if weight is None and len(outputs) == 1:
            return cross_entropy(outputs[0], y)
        return super().forward(outputs, y, weight)

    def columns(self, y: Tensor, like: Tensor, n_outputs: int) -> Tensor:
        """Class probabilities: 1 for the true class."""
        return self.as_numbers(y, n_outputs).T.to(like.dtype).contiguous()

    def gradient(
        self, outputs: Tensor, target: Tensor, weight: Tensor | None, teacher_weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Loss to minimise; the derivative by a logit is the probability less its target."""
        logs = outputs.log_softmax(dim=1)
        if teacher_weights is not None:
            predicted = (logs.exp() * teacher_weights[:, None, None]).sum(dim=0)
            target = target.lerp(predicted, DISTILLATION_SHARE)
        share = target * (-1.0 / outputs.shape[2])
        share = (share if weight is None else share.mul_(weight)).expand_as(logs)
        error = torch._log_softmax_backward_data(share, logs, 1, logs.dtype)
        return logs.mul_(share).sum(), error

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Class probabilities."""
        return outputs.movedim(-1, 0).softmax(dim=0).movedim(0, -1)

    def as_numbers(self, y: Tensor, n_outputs: int) -> Tensor:
        """Class probabilities: 1 for the true class."""
        if y.dim() == 2:
            return y
        return torch.eye(n_outputs, dtype=torch.float32, device=y.device).index_select(0, y)

    def of_constant(self, y: Tensor, weight: Tensor | None) -> float:
        """Entropy of the classes' shares."""
        share = torch.bincount(y, None if weight is None else weight.double()).double()
        share = share.clamp(min=0) / share.clamp(min=0).sum()
        return float(-torch.xlogy(share, share).sum())

    def decide(self, probabilities: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Index of the likeliest class."""
        return np.asarray(probabilities.argmax(axis=1))

    def of_rows(self, outputs: Tensor, y: Tensor) -> Tensor:
        logs = _log_softmax(outputs)
        if y.dim() == 2:
            return _soft(logs, y.T)
        return -logs.gather(0, y.expand(1, *logs.shape[1:])).squeeze(0)

    def row_scores(self, outputs: Tensor, y: Tensor, spread: Tensor | None) -> Tensor:
        return (outputs.argmax(dim=2) == y).to(outputs.dtype)


def _log_softmax(outputs: Tensor) -> Tensor:
    """Logarithms of class probabilities, shape (n_classes, n_members, n_rows).

    Along a short last axis torch takes eight times as long as along the first.
    """
    return outputs.movedim(2, 0).log_softmax(dim=0)


def _soft(logs: Tensor, target: Tensor) -> Tensor:
    """Cross entropy of every row, shape (n_members, n_rows), to class probabilities (n_classes, n_rows)."""
    return -(logs * target[:, None]).sum(dim=0)


class PointLoss(Loss):
    """Loss of standardised targets, averaged over outputs; ``y`` of shape (n_rows, n_outputs).

    The network gives ``z``, the user is told ``mean + scale * z``, and the error is
    ``z - (y - mean) / scale``.

    Parameters
    ----------
    mean, scale : Tensor of float64 of shape (n_outputs,)
        The scale of a constant target is 0: the network then has nothing to say about it.
    standardised : bool, default=True
        Whether outputs are ``z``; otherwise they are in the user's units.
    """

    mean: Tensor
    scale: Tensor
    inverse: Tensor

    def __init__(self, mean: Tensor, scale: Tensor, *, standardised: bool = True) -> None:
        super().__init__()
        self.standardised = standardised
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.register_buffer("inverse", torch.where(scale == 0, 0.0, 1 / torch.where(scale == 0, 1.0, scale)))

    def of_units(self) -> PointLoss:
        """The same loss of a network whose outputs are in the user's units."""
        return type(self)(self.mean, self.scale, standardised=False)

    def spread(self, y: Tensor, weight: Tensor | None) -> Tensor:
        """Weighted variance of the standardised targets, shape (n_outputs,)."""
        y = self._standardise(y)
        w = torch.ones_like(y[:, :1]) if weight is None else weight.to(y.dtype)[:, None]
        centre = (w * y).sum(dim=0) / w.sum()
        return (w * (y - centre) ** 2).sum(dim=0) / w.sum()

    def of_constant(self, y: Tensor, weight: Tensor | None) -> float:
        """Loss of the mean, or of the median."""
        z = self._standardise(y)
        w = torch.ones(len(y), dtype=z.dtype) if weight is None else weight.to(z.dtype)
        errors = z - self._centre(z, w)
        return float((w @ self._of_errors(errors)).mean() / w.sum())

    def in_units(self, module: nn.Sequential) -> nn.Sequential:
        """The last layer takes over mean and scale."""
        module = deepcopy(module)
        last = module[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            last.weight.copy_(last.weight.double() * self.scale[:, None])
            last.bias.copy_(last.bias.double() * self.scale + self.mean)
        return module

    def out_of_units(self, weight: FloatArray, bias: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The inverse of `in_units`."""
        inverse = self.inverse.cpu().numpy()
        return weight * inverse, (bias - self.mean.cpu().numpy()) * inverse

    def columns(self, y: Tensor, like: Tensor, n_outputs: int) -> Tensor:
        """Standardised targets."""
        return self._standardise(y).T.to(like.dtype).contiguous()

    def gradient(
        self, outputs: Tensor, target: Tensor, weight: Tensor | None, teacher_weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Loss to minimise and its derivative by the outputs, averaged over outputs."""
        if teacher_weights is not None:
            predicted = (outputs * teacher_weights[:, None, None]).sum(dim=0)
            # An output whose target is constant has nothing to say.
            target = target.lerp(
                torch.where((self.scale == 0)[:, None], target, predicted), DISTILLATION_SHARE
            )
        errors = outputs - target
        return _mean_and_slope(self._of_errors(errors), self._slope(errors), weight, len(target))

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Numbers in the user's units."""
        return outputs * self.scale + self.mean if self.standardised else outputs

    def as_numbers(self, y: Tensor, n_outputs: int) -> Tensor:
        """The targets themselves."""
        return y

    def decide(self, probabilities: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The numbers themselves."""
        return probabilities

    @staticmethod
    @abstractmethod
    def _of_errors(errors: Tensor) -> Tensor:
        """Loss of each error."""

    @staticmethod
    @abstractmethod
    def _slope(errors: Tensor) -> Tensor:
        """Derivative of the loss of each error, in memory of its own."""

    @staticmethod
    @abstractmethod
    def _centre(z: Tensor, weight: Tensor) -> Tensor:
        """The numbers with the least mean loss, of shape (n_outputs,), for targets of (n_rows, n_outputs)."""

    def _standardise(self, y: Tensor) -> Tensor:
        return (y - self.mean) * self.inverse

    def _errors(self, outputs: Tensor, y: Tensor) -> Tensor:
        if self.standardised:
            return outputs - self._standardise(y).to(outputs.dtype)
        return ((outputs - y) * self.inverse).to(outputs.dtype)

    def of_rows(self, outputs: Tensor, y: Tensor) -> Tensor:
        return self._of_errors(self._errors(outputs, y)).mean(dim=2)

    def row_scores(self, outputs: Tensor, y: Tensor, spread: Tensor | None) -> Tensor:
        """R² of an output is the mean over rows of ``1 - error^2 / variance``; of a constant target 1."""
        assert spread is not None
        varies = spread > 0
        share = self._errors(outputs, y).square() / torch.where(varies, spread, 1.0)
        return torch.where(varies, 1.0 - share, 1.0).mean(dim=2)


class SquaredError(PointLoss):
    """The squared error, whose least mean is at the mean of y."""

    @staticmethod
    def _of_errors(errors: Tensor) -> Tensor:
        return errors.square()

    @staticmethod
    def _slope(errors: Tensor) -> Tensor:
        return 2.0 * errors

    @staticmethod
    def _centre(z: Tensor, weight: Tensor) -> Tensor:
        return weight @ z / weight.sum()


class AbsoluteError(PointLoss):
    """The absolute error, whose least mean is at the median of y."""

    @staticmethod
    def _of_errors(errors: Tensor) -> Tensor:
        return errors.abs()

    @staticmethod
    def _slope(errors: Tensor) -> Tensor:
        return errors.sign()

    @staticmethod
    def _centre(z: Tensor, weight: Tensor) -> Tensor:
        ranked, order = z.sort(dim=0)
        half = (weight[order].cumsum(dim=0) < weight.sum() / 2).sum(dim=0)
        return ranked.gather(0, half.clamp(max=len(z) - 1)[None])[0]


# scikit-learn's names.
LOSSES: dict[str, type[PointLoss]] = {"absolute_error": AbsoluteError, "squared_error": SquaredError}


def _mean_and_slope(
    losses: Tensor, slopes: Tensor, weight: Tensor | None, n_parts: int
) -> tuple[Tensor, Tensor]:
    """Mean over rows, and over parts of each, of losses, summed over members; and its slopes, in place."""
    n = losses.shape[2] * n_parts
    if weight is not None:
        losses, slopes = losses * weight, slopes.mul_(weight)
    return losses.sum().div_(n), slopes.div_(n)


def _weighted_mean(rows: Tensor, weight: Tensor | None) -> Tensor:
    """Mean over rows; the weights have mean 1 over all rows, so a batch's own sum is not divided out."""
    return rows.mean(dim=1) if weight is None else (rows * weight).mean(dim=1)
