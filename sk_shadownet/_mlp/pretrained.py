"""Where training starts when the user brings a trained network: its layers as one plain chain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sk_shadownet._graph.sequential import chain_links, to_sequential
from sk_shadownet._graph.trace import trace
from sk_shadownet._graph.unwrapping import plain_copy
from sk_shadownet._mlp.gated import GatedMLP
from sk_shadownet.exceptions import InvalidParameterError, UnsupportedModuleError

FloatArray = npt.NDArray[np.float64]
LayerChange = Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]

_ACTIVATIONS: dict[type[nn.Module], str] = {nn.ReLU: "relu", nn.Sigmoid: "logistic", nn.Tanh: "tanh"}
_SILENT = (nn.Dropout, nn.AlphaDropout, nn.Identity, nn.Flatten)
_HEADS = (nn.Softmax, nn.LogSoftmax)


@dataclass(frozen=True, eq=False)
class PretrainedMLP:
    """Linear layers with one activation between them.

    Parameters
    ----------
    weights : tuple of ndarray of shape (n_in, n_out)
    biases : tuple of ndarray of shape (n_out,)
    activation : str
        scikit-learn's name.
    names : tuple of str
        Of the Linear layers, as in ``module.named_modules()``.
    """

    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray, ...]
    activation: str
    names: tuple[str, ...]

    @property
    def widths(self) -> tuple[int, ...]:
        """Inputs, hidden layers, outputs."""
        return (*(weight.shape[0] for weight in self.weights), self.weights[-1].shape[1])

    def network(self, n_members: int, shift: Tensor, scale: Tensor) -> GatedMLP:
        """The chain as a network of equal members whose inputs are standardised on entry.

        Parameters
        ----------
        n_members : int
        shift, scale : Tensor of shape (n_inputs,)
            Inputs beyond the chain's own, such as probes, start with weights like those of real ones.
        """
        first = self.weights[0]
        n_own = len(first)
        spread = np.where(scale > 0, 1 / np.where(scale > 0, scale, 1.0), 0.0)
        centre = shift[:n_own].double().numpy()
        standardised = first * spread[:n_own, None]
        network = GatedMLP((len(shift), *self.widths[1:]), n_members, self.activation, shift, scale)
        with torch.no_grad():
            for n, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
                own = standardised if n == 0 else w
                bias = b + centre @ first if n == 0 else b
                if n == 0:
                    drawn = float(network.weights[0].square().mean())
                    network.weights[0].mul_((float(np.square(own).mean()) / drawn) ** 0.5)
                network.weights[n][..., : len(own), :] = torch.as_tensor(own, dtype=torch.float32)
                network.biases[n][:] = torch.as_tensor(bias, dtype=torch.float32)
        return network


def read_chain(module: Any, n_features: int, n_outputs: int) -> PretrainedMLP:
    """Read a trained network as fully connected layers with one kind of activation.

    Batch normalisation becomes part of the layer beside it, as it is in evaluation; dropout goes; so does a
    final softmax, since the loss has its own. One output for two classes becomes two.

    Raises
    ------
    UnsupportedModuleError
        If the module is anything else; `ShadowNetwork` takes more.
    InvalidParameterError
        If it does not fit the data.
    """
    if not isinstance(module, nn.Module):
        raise InvalidParameterError(
            f"module must be a torch.nn.Module or None, got {module!r}; from_keras, from_onnx and "
            "from_sklearn of sk_shadownet.convert make one."
        )
    module = plain_copy(module, constraints="refuse")
    if type(module) is nn.Linear:
        module = nn.Sequential(module)  # torch.fx would look into it
    traced = trace(module)
    links = chain_links(traced, casts=True)
    if links is None:
        raise _unsupported("its layers do not form one chain")
    sequence = to_sequential(module.cpu().eval(), links)
    names = [link if isinstance(link, str) else "" for link in links]
    reader = _Reader()
    for index, (name, layer) in enumerate(zip(names, sequence, strict=True)):
        reader.read(index, name, layer, is_last=index == len(names) - 1)
    return _fitting(reader.chain(), n_features, n_outputs)


def with_last_layer(chain: PretrainedMLP, change: LayerChange) -> PretrainedMLP:
    """The chain whose last layer's weights and biases are changed."""
    weight, bias = change(chain.weights[-1], chain.biases[-1])
    return replace(chain, weights=(*chain.weights[:-1], weight), biases=(*chain.biases[:-1], bias))


def pruned_layers(value: Any, names: Sequence[str], n_hidden: int) -> frozenset[int]:
    """Layers that ``prune=`` lists: 0 for the inputs, then hidden layers from 1; all for None.

    Parameters
    ----------
    value : list of (str or int) or None
        "inputs", positions of hidden layers from 0, or names of Linear layers.
    names : sequence of str
        Of the Linear layers; empty without a module.
    n_hidden : int
    """
    if value is None:
        return frozenset(range(n_hidden + 1))
    known: dict[Any, int] = {"inputs": 0, **{n: n + 1 for n in range(n_hidden)}}
    known.update({name: n + 1 for n, name in enumerate(names[:n_hidden]) if name})
    listed = ", ".join(map(repr, known))
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise InvalidParameterError(f"prune must be a list of layers, of {listed}, or None; got {value!r}.")
    unknown = [entry for entry in value if not _is_name(entry) or entry not in known]
    if unknown:
        raise InvalidParameterError(f"prune names {unknown[0]!r}; known are {listed}.")
    return frozenset(known[entry] for entry in value)


def _is_name(entry: Any) -> bool:
    """Whether it may name a layer or say its position."""
    return isinstance(entry, (str, Integral)) and not isinstance(entry, bool)


class _Reader:
    """Collects linear maps and the activations between them, layer by layer."""

    def __init__(self) -> None:
        self._weights: list[FloatArray] = []
        self._biases: list[FloatArray] = []
        self._names: list[str] = []
        self._activations: list[str] = []
        # Scale and shift of values since the last activation that no linear layer has taken in yet.
        self._waiting: tuple[FloatArray, FloatArray] | None = None
        self._is_linear = False

    def read(self, index: int, name: str, layer: nn.Module, *, is_last: bool) -> None:
        """Take one more layer in."""
        where = f"layer {index} {name!r}" if name else f"layer {index}"
        if isinstance(layer, nn.Linear):
            self._linear(name, layer)
        elif isinstance(layer, nn.BatchNorm1d):
            self._affine(*_of_batch_norm(layer, where))
        elif type(layer) in _ACTIVATIONS and not is_last:
            if not self._is_linear:
                raise _unsupported(f"{where} is an activation that follows no Linear layer")
            self._activations.append(_ACTIVATIONS[type(layer)])
            self._is_linear = False
        elif isinstance(layer, nn.Flatten) and not self._keeps_rows(layer, is_last):
            raise _unsupported(f"{where} does not keep rows apart")
        elif not (isinstance(layer, _SILENT) or (isinstance(layer, _HEADS) and is_last)):
            hint = "; drop it: the network must give logits" if is_last else ""
            raise _unsupported(f"{where} is {type(layer).__name__}{hint}")

    def _keeps_rows(self, layer: nn.Flatten, is_last: bool) -> bool:
        """Whether rows stay apart, or single outputs lose their axis in the end."""
        axes = (layer.start_dim, layer.end_dim)
        one_output = is_last and bool(self._weights) and self._weights[-1].shape[1] == 1
        return axes == (1, -1) or (axes == (0, -1) and one_output)

    def chain(self) -> PretrainedMLP:
        """What was read."""
        if not self._weights or not self._is_linear:
            raise _unsupported("it does not end in a Linear layer")
        kinds = set(self._activations)
        if len(kinds) > 1:
            raise _unsupported(f"its layers have different activations, {', '.join(sorted(kinds))}")
        activation = kinds.pop() if kinds else "identity"
        return PretrainedMLP(tuple(self._weights), tuple(self._biases), activation, tuple(self._names))

    def _linear(self, name: str, layer: nn.Linear) -> None:
        weight = layer.weight.detach().double().numpy().T
        bias = np.zeros(weight.shape[1]) if layer.bias is None else layer.bias.detach().double().numpy()
        if self._waiting is not None:
            scale, shift = self._waiting
            weight, bias = weight * scale[:, None], bias + shift @ weight
            self._waiting = None
        if self._is_linear:  # nothing between two products makes them one
            weight, bias = self._weights[-1] @ weight, self._biases[-1] @ weight + bias
            del self._weights[-1], self._biases[-1], self._names[-1]
        self._weights.append(np.array(weight))
        self._biases.append(np.array(bias))
        self._names.append(name)
        self._is_linear = True

    def _affine(self, scale: FloatArray, shift: FloatArray) -> None:
        if self._is_linear:
            self._weights[-1] = self._weights[-1] * scale
            self._biases[-1] = self._biases[-1] * scale + shift
        elif self._waiting is None:
            self._waiting = scale, shift
        else:
            self._waiting = self._waiting[0] * scale, self._waiting[1] * scale + shift


def _of_batch_norm(layer: nn.BatchNorm1d, where: str) -> tuple[FloatArray, FloatArray]:
    if layer.running_mean is None or layer.running_var is None:
        raise _unsupported(f"{where} normalises by the batch at hand")
    mean, variance = layer.running_mean.double().numpy(), layer.running_var.double().numpy()
    scale = 1 / np.sqrt(variance + layer.eps)
    shift = -mean * scale
    if layer.affine:
        gain = layer.weight.detach().double().numpy()
        scale, shift = scale * gain, shift * gain + layer.bias.detach().double().numpy()
    return scale, shift


def _fitting(chain: PretrainedMLP, n_features: int, n_outputs: int) -> PretrainedMLP:
    """The chain for data of so many features and outputs."""
    if chain.widths[0] != n_features:
        raise InvalidParameterError(
            f"module reads {chain.widths[0]} features, but X has {n_features}; pass the columns that it was "
            "trained on, in its order."
        )
    if chain.widths[-1] == 1 and n_outputs == 2:
        half = chain.weights[-1] / 2, chain.biases[-1] / 2
        weight, bias = (np.concatenate([-part, part], axis=-1) for part in half)
        return with_last_layer(chain, lambda *_: (weight, bias))
    if chain.widths[-1] != n_outputs:
        raise InvalidParameterError(
            f"module gives {chain.widths[-1]} outputs, but y asks for {n_outputs}: one for each class in the "
            "sorted order of the labels, or for each target."
        )
    return chain


def _unsupported(reason: str) -> UnsupportedModuleError:
    return UnsupportedModuleError(
        f"module cannot be trained by this estimator: {reason}. It takes Linear layers with one kind of "
        "ReLU, Tanh or Sigmoid between them, BatchNorm1d and Dropout; ShadowNetwork and ShadowPruning take "
        "more."
    )
