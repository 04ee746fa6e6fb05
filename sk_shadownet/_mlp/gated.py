"""Shadowed perceptrons: M equal networks side by side, computed as one batched product.

A gate multiplies a standardised input or a unit's activation. Multiplying the row of the next
weight matrix that reads it instead gives the same network::

    (g * a) W = a (diag(g) W)

and costs nothing per row of data, so that is where gates act here. It also gives the
derivative of the loss with respect to every gate without a node in the graph::

    g_i dL/dg_i = sum_o W_io dL/dW_io                                                   (3)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from sk_shadownet._system.random import normal

if TYPE_CHECKING:
    from sk_shadownet._mlp.backpropagation import Backpropagation

# scikit-learn's names for hidden activations -> (module, gain of He's / Glorot's initialisation).
ACTIVATIONS: dict[str, tuple[type[nn.Module], float]] = {
    "identity": (nn.Identity, 1.0),
    "logistic": (nn.Sigmoid, 1.0),
    "relu": (nn.ReLU, 2.0**0.5),
    "tanh": (nn.Tanh, 5.0 / 3.0),
}


class GatedMLP(nn.Module):
    """M multilayer perceptrons of equal widths with gates on inputs and hidden units.

    Parameters
    ----------
    widths : tuple of int
        Inputs, hidden layers, outputs.
    n_members : int, default=1
        M, how many networks are computed side by side.
    activation : {"identity", "logistic", "relu", "tanh"}, default="relu"
    shift, scale : Tensor of shape (n_inputs,) or None
        Inputs are standardised as ``(x - shift) * scale`` on entry; None leaves them.

    Notes
    -----
    ``weights[l]`` has shape (n_members, widths[l], widths[l + 1]), ``biases[l]`` (n_members, 1,
    widths[l + 1]). ``gates[l]``, of shape (n_members, widths[l], 1), multiplies what layer l reads; None
    where all are open. Of the rows `columns` are read, or all where it is None. With `watch_inputs` a
    backward pass leaves ``input_gradients``, which `row_saliency` needs. `input_noise`, of shape (n_inputs,)
    or one number, is the standard deviation of the noise on standardised inputs in training. `version` rises
    when units leave.

    One member alone is computed without the leading axis (weights of shape (n_in, n_out), biases of shape (1,
    n_out), gates of shape (n_in, 1)): on small networks the views that the axis would need cost a fifth of a
    training step.
    """

    shift: Tensor | None
    scale: Tensor | None
    columns: Tensor | None
    weights: list[nn.Parameter]
    biases: list[nn.Parameter]

    def __init__(
        self,
        widths: tuple[int, ...],
        n_members: int = 1,
        activation: str = "relu",
        shift: Tensor | None = None,
        scale: Tensor | None = None,
    ) -> None:
        super().__init__()
        module, gain = ACTIVATIONS[activation]
        self.activation = activation
        self._act: Callable[[Tensor], Tensor] = module()
        self.n_members = n_members
        lead = () if n_members == 1 else (n_members,)
        for n, (n_in, n_out) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
            weight = normal(*lead, n_in, n_out) * (gain / n_in**0.5)
            self.register_parameter(f"weight_{n}", nn.Parameter(weight))
            bias = torch.zeros(*lead, 1, n_out, dtype=torch.float32)
            self.register_parameter(f"bias_{n}", nn.Parameter(bias))
        self._list_parameters()
        self.register_buffer("shift", shift)
        self.register_buffer("scale", scale)
        self.register_buffer("columns", None)
        self.gates: list[Tensor | None] = [None] * len(self.weights)
        self.watch_inputs = False
        self.input_noise: Tensor | float | None = None
        self.version = 0
        self.input_gradients: tuple[Tensor, Tensor, int] | None = None

    # Plain lists beside the registered parameters: iterating an nn.ParameterList costs as much as a
    # small layer's product. Cutting changes the parameters' data, never the objects.
    def _list_parameters(self) -> None:
        own = dict(self.named_parameters())
        self.weights = [own[name] for name in own if name.startswith("weight_")]
        self.biases = [own[name] for name in own if name.startswith("bias_")]

    def _apply(self, *args: Any, **kwargs: Any) -> Any:
        """Move to another device, which may replace the parameters."""
        super()._apply(*args, **kwargs)  # type: ignore[no-untyped-call]
        self._list_parameters()
        return self

    @property
    def widths(self) -> tuple[int, ...]:
        """Inputs, hidden layers, outputs as they are now."""
        return (*(int(w.shape[-2]) for w in self.weights), int(self.weights[-1].shape[-1]))

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of every member, shape (n_members, n_rows, n_outputs), for rows as the user gave them.

        Inputs beyond the last column, such as probes, are taken at their mean.
        """
        return self.propagate(self.standardise(x))

    def standardise(self, x: Tensor) -> Tensor:
        """Columns that are read, standardised: shape (n_rows, widths[0])."""
        if self.columns is not None:
            x = x.index_select(1, self.columns)
        if self.shift is not None and self.scale is not None:
            n = x.shape[1]
            if n < len(self.shift):
                return pad((x - self.shift[:n]).mul_(self.scale[:n]), (0, len(self.shift) - n))
            x = (x - self.shift).mul_(self.scale)
        return x

    def propagate(self, x: Tensor) -> Tensor:
        """Outputs for standardised inputs, shape (n_rows, widths[0])."""
        linear = torch.addmm if self.n_members == 1 else torch.baddbmm
        if self.n_members > 1 and x.dim() == 2:
            x = x.expand(self.n_members, *x.shape)
        last = len(self.weights) - 1
        for n in range(last + 1):
            w, b = self.effective(n)
            x = linear(b, x, w)
            if n < last:
                x = self._act(x)
        return x.unsqueeze(0) if self.n_members == 1 else x

    def effective(self, layer: int) -> tuple[Tensor, Tensor]:
        """Weight and bias of a layer as its gates leave them."""
        w, g = self.weights[layer], self.gates[layer]
        return w if g is None else w * g, self.biases[layer]

    def passes(self) -> Backpropagation:
        """Its forward and backward passes, for training."""
        from sk_shadownet._mlp.backpropagation import Backpropagation

        return Backpropagation(self)

    def is_altered(self, layer: int) -> bool:
        """Whether what is effective is not the weight itself."""
        return self.gates[layer] is not None

    def effective_into(self, layer: int, buffer: Tensor) -> Tensor:
        """Weight of a layer as its gates leave it, in the buffer where that is another one."""
        w, g = self.weights[layer], self.gates[layer]
        return w.detach() if g is None else torch.mul(w.detach(), g, out=buffer)

    def chain_into(self, layer: int) -> None:
        """Make the gradient of what is effective, in ``grad``, that of the parameters."""
        gate, gradient = self.gates[layer], self.weights[layer].grad
        if gate is not None:
            assert gradient is not None
            gradient.mul_(gate)

    def activate(self, x: Tensor) -> Tensor:
        """The hidden activation."""
        return self._act(x)

    def saliency(self, layer: int) -> Tensor:
        """Equation (3) for what `layer` reads, by the last backward pass; shape (n_members, n_units)."""
        w = self.weights[layer]
        assert w.grad is not None
        return (w.detach() * w.grad).sum(dim=-1).reshape(self.n_members, -1)

    def row_saliency(self) -> Tensor:
        """Equation (3) for the inputs, row by row: shape (n_members, n_watched, widths[0]).

        That is ``n_rows * x_i dL/dx_i``, whose mean over rows is ``g_i dL/dg_i`` of a mean loss. Of wide
        batches the first rows are watched.
        """
        assert self.input_gradients is not None
        x, gradient, n_rows = self.input_gradients
        self.input_gradients = None  # rows of the user's do not stay in a network that is kept
        return (x * gradient).mul_(n_rows).reshape(self.n_members, *x.shape[-2:]).mT

    def to_sequential(self, member: int = 0) -> nn.Sequential:
        """Plain float32 network of one member; gates and standardisation become part of the weights.

        It reads the columns of ``columns`` only, in that order.
        """
        modules: list[nn.Module] = []
        for n in range(len(self.weights)):
            w, b = self.effective(n)
            weight = w.detach().reshape(self.n_members, *w.shape[-2:])[member].double()
            bias = b.detach().reshape(self.n_members, -1)[member].double()
            if n == 0 and self.shift is not None and self.scale is not None:
                weight = weight * self.scale.double()[:, None]
                bias = bias - self.shift.double() @ weight
            linear = nn.Linear(weight.shape[0], weight.shape[1], device=weight.device, dtype=w.dtype)
            with torch.no_grad():
                linear.weight.copy_(weight.T)
                linear.bias.copy_(bias)
            modules += [linear, ACTIVATIONS[self.activation][0]()]
        return nn.Sequential(*modules[:-1])


@torch.no_grad()
def single(
    weights: Sequence[Tensor], biases: Sequence[Tensor], like: GatedMLP, inputs: Tensor | None = None
) -> GatedMLP:
    """A network of one member with copies of these weights and biases, which reads rows as `like` does.

    Of what `like` reads, it has the columns at `inputs`, or all for None.
    """
    widths = (*(int(w.shape[0]) for w in weights), int(weights[-1].shape[1]))
    network = GatedMLP(widths, 1, like.activation).to(weights[0].device)
    for parameter, value in zip([*network.weights, *network.biases], [*weights, *biases], strict=True):
        parameter.copy_(value)
    for name in ("shift", "scale", "columns"):
        value = getattr(like, name)
        setattr(network, name, None if value is None else value.clone() if inputs is None else value[inputs])
    return network
