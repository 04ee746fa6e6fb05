"""Adam on one flat tensor: one kernel a step, however many layers and networks there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn


class FlatAdam(torch.optim.Optimizer):
    """Adam (Kingma and Ba 2015, algorithm 1) with decoupled weight decay (Loshchilov and Hutter 2019).

    All parameters are views of one tensor, their gradients of another.

    Parameters
    ----------
    parameters : iterable of Parameter
        Of one type on one device.
    lr : float
    betas : tuple of float, default=(0.9, 0.999)
    eps : float, default=1e-8
    weight_decay : float, default=0
        What a step takes off a weight is this share of it, times the learning rate.
    n_decayed : int or None, default=None
        How many of the parameters decay, the first ones; None for all. Biases should not: decaying them cost
        Madelon two points.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        n_decayed: int | None = None,
    ) -> None:
        group = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "n_decayed": n_decayed}
        super().__init__(parameters, {**group, "n_steps": 0})
        self.pack()

    # Torch's own imports its compiler at the first call, which takes most of a second.
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """One group alone, as the constructor makes it."""
        self.param_groups.append({**self.defaults, **param_group, "params": list(param_group["params"])})

    @torch.no_grad()
    def pack(self) -> None:
        """Lay parameters, gradients and moments side by side; again when a cut has changed them."""
        parameters: list[nn.Parameter] = self.param_groups[0]["params"]
        self._value = torch.cat([p.data.reshape(-1) for p in parameters])
        self._gradient = torch.zeros_like(self._value)
        self._n_steps = self._value.new_empty((), dtype=torch.float32)
        self._mean, self._square = (
            torch.cat([self.state[p].get(name, torch.zeros_like(p)).reshape(-1) for p in parameters])
            for name in ("exp_avg", "exp_avg_sq")
        )
        n_values_decayed = sum(p.numel() for p in parameters[: self.param_groups[0]["n_decayed"]])
        self._decaying = self._value[:n_values_decayed]
        start = 0
        for p in parameters:
            part = slice(start, start + p.numel())
            p.data, p.grad = self._value[part].view(p.shape), self._gradient[part].view(p.shape)
            self.state[p] = {
                "exp_avg": self._mean[part].view(p.shape),
                "exp_avg_sq": self._square[part].view(p.shape),
            }
            start = part.stop

    @property
    def value(self) -> torch.Tensor:
        """All parameters side by side; shape (n_values,)."""
        return self._value

    @property
    def gradient(self) -> torch.Tensor:
        """All gradients side by side; shape (n_values,)."""
        return self._gradient

    @torch.no_grad()
    def release(self) -> None:
        """Give each tensor memory of its own, until `pack` is called: pickles hold a view's whole storage."""
        for p in self.param_groups[0]["params"]:
            p.data, p.grad = p.data.clone(), None
            self.state[p] = {name: moment.clone() for name, moment in self.state[p].items()}
        self._forget()

    def _forget(self) -> None:
        self._value = self._gradient = self._mean = self._square = self._decaying = torch.empty(0)
        self._n_steps = torch.empty(())

    def stored(self) -> dict[str, Any]:
        """Parameters, moments and settings, from which `restored` makes the same optimiser."""
        group = dict(self.param_groups[0])
        parameters = group.pop("params")
        moments = [dict(self.state[p]) for p in parameters]
        return {"parameters": list(parameters), "moments": moments, "group": group}

    @classmethod
    def restored(cls, stored: dict[str, Any]) -> FlatAdam:
        """The optimiser that was `stored`, for the parameters in that, on whichever device they are now."""
        group = dict(stored["group"])
        n_steps = group.pop("n_steps")
        own = cls(stored["parameters"], **group)
        own.param_groups[0]["n_steps"] = n_steps
        for p, moments in zip(stored["parameters"], stored["moments"], strict=True):
            own.state[p] = {name: moment.to(p.device) for name, moment in moments.items()}
        own.pack()
        return own

    def __setstate__(self, state: dict[str, Any]) -> None:
        """As `release` leaves it, where it comes out of a file."""
        super().__setstate__(state)
        if not hasattr(self, "_value"):
            self._forget()

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Moments and settings of another, in the place of its own."""
        places = {p: self.state[p] for p in self.param_groups[0]["params"]}
        super().load_state_dict(state_dict)
        for p, own in places.items():
            for name, place in own.items():
                place.copy_(self.state[p][name])
            self.state[p] = own

    def zero_grad(self, set_to_none: bool = False) -> None:
        """Gradients of 0; they keep their place."""
        self._gradient.zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One step; a closure is not supported. Parameters that want no gradient stay as they are."""
        del closure
        group = self.param_groups[0]
        frozen = [(p.data, p.data.clone()) for p in group["params"] if not p.requires_grad]
        rate, (beta1, beta2) = group["lr"], group["betas"]
        group["n_steps"] += 1
        self._n_steps.fill_(group["n_steps"])
        if group["weight_decay"]:
            self._decaying.mul_(1.0 - rate * group["weight_decay"])
        # What torch's own Adam calls with ``fused=True``; that one's checks take five times as long.
        torch._fused_adamw_(
            [self._value],
            [self._gradient],
            [self._mean],
            [self._square],
            [],
            [self._n_steps],
            lr=rate,
            beta1=beta1,
            beta2=beta2,
            weight_decay=0.0,
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
        )
        for value, before in frozen:
            value.copy_(before)

    step.hooked = True  # type: ignore[attr-defined]  # torch's wrapper costs more than the step
