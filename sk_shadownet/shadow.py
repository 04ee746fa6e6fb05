"""ShadowNetwork: gates on any PyTorch network of fully connected layers, and the small network in the end."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from sk_shadownet._gating.controller import GateController
from sk_shadownet._gating.score_rules import ScoreRule, resolve_rule
from sk_shadownet._graph.budget import free_layers
from sk_shadownet._graph.cut import check_optimizer, cut_module
from sk_shadownet._graph.dependencies import describe
from sk_shadownet._graph.description import Description, UnitLayer
from sk_shadownet._graph.hooks import Gates, remove_gates
from sk_shadownet._graph.sequential import ChainLink, chain_links, to_sequential
from sk_shadownet._graph.targets import PruningRequest, layers_with_gates, resolve_targets
from sk_shadownet._graph.trace import trace
from sk_shadownet._graph.unwrapping import plain_copy, unwrapped
from sk_shadownet._system.threads import thread_limit
from sk_shadownet._typing import BoolArray, FloatArray, IntArray
from sk_shadownet._validation import (
    check_choice,
    check_flag,
    check_integer,
    check_real,
    check_sequence,
)
from sk_shadownet.exceptions import InvalidDataError, InvalidParameterError

__all__ = ["SelectFeatures", "ShadowNetwork"]


class SelectFeatures(nn.Module):
    """Pick columns of a table: what a full row needs in front of a network that reads a few of its features.

    Parameters
    ----------
    columns : sequence of int
        Columns to pick, in this order.
    flatten : bool, default=False
        Whether rows of more than one axis are flattened first.

    Examples
    --------
    >>> import torch
    >>> SelectFeatures([0, 2])(torch.tensor([[1.0, 2.0, 3.0]]))
    tensor([[1., 3.]])
    """

    columns: Tensor

    def __init__(self, columns: Sequence[int], flatten: bool = False) -> None:
        super().__init__()
        listed = [check_integer("columns", column, 0) for column in _columns("columns", columns)]
        self.register_buffer("columns", torch.as_tensor(listed, dtype=torch.int64))
        self.flatten = check_flag("flatten", flatten)

    def forward(self, x: Tensor) -> Tensor:
        """Columns of `x`, shape (n_rows, n_selected)."""
        return (x.flatten(1) if self.flatten else x).index_select(-1, self.columns)

    def extra_repr(self) -> str:
        """Columns for the module's repr."""
        return f"{self.columns.tolist()}"


class ShadowNetwork(nn.Module):
    """Lay a shadow on a PyTorch network: training it ends with a smaller one of exactly the size asked.

    It computes what your module computes, with a gate on every unit that may go. Train it in your own
    loop in place of your module, call `step` after every step of the optimizer, and take the small
    network from `prune`. Your module is copied and never changed; its weights are where training starts.

    Parameters
    ----------
    module : nn.Module
        Whose forward takes one tensor of shape (n_rows, n_features), or one that it flattens to that.
        Units of ``Linear`` layers can be removed wherever each is carried by operations that keep units
        apart (activations, batch and layer normalisation, dropout, sums, products, concatenations) to
        layers that are ``Linear`` again.
    n_features_to_select : int, float or None, default=None
        Inputs to keep: so many, a fraction of them, or all.
    target_hidden_layer_sizes : int, tuple of (int or None), dict or None, default=None
        Units to keep in each hidden layer, in the order in which forward computes them; None keeps a
        layer whole. Or a dict from names or indices of layers to widths. Layers whose outputs are
        added to each other, or multiplied, count as one.
    n_steps : int or None, default=None
        Steps that your loop will do: batches times epochs. With it `step` counts for you. Without it
        tell `step` the progress.
    budget : dict or None, default=None
        Upper limits on "multiplications", "parameters", or callables on an `Architecture`, as in
        `ShadowMLPClassifier`; the data then decide the widths that are left at None. For chains of layers.
        Batch normalisation counts as part of the layer beside it.
    layers : list of (str or int) or None, default=None
        Prune only these: "inputs", names of Linear layers as in ``module.named_modules()``, indices of
        hidden layers. `target_hidden_layer_sizes` then has one width for each of the hidden layers
        listed. None lists all.
    protected_features : sequence of int, default=()
        Columns of inputs that always stay.
    feature_groups : sequence of sequences of int, default=()
        Columns of inputs that stay or go together, such as the columns of a one-hot code.
    frozen : sequence of str, default=()
        Names of submodules that are not trained: their weights and batch statistics stay as they are.
        They may lose units all the same; keep a layer whole by `layers` or None.
    on_unsupported : {"raise", "skip"}, default="raise"
        What to do where a layer is to be pruned but cannot be: refuse, or leave it as it is.
    score_rule : {"fisher", "gradient", "taylor"} or callable, default="taylor"
        Measure of a unit's importance, as in `ShadowMLPClassifier`. The default differs: with trained weights
        the squares that "fisher" averages are those of a few rows that the network gets wrong.
    n_features : int or None, default=None
        Number of inputs, needed only where no layer tells it.

    Attributes
    ----------
    module : nn.Module
        The copy that is trained; smaller once it has been cut.
    progress : float
        How much of the run is done, 0 to 1.
    phase : {"open", "closing", "finishing"}

    Raises
    ------
    InvalidParameterError
        If a parameter asks for what the network does not have.
    UnsupportedModuleError
        If the network cannot be read, or a layer that is to be pruned cannot be.

    Notes
    -----
    A gate acts where a Linear layer reads a unit, so removing a unit whose gate is 0 changes no
    output, whatever normalisation or activation lies between. Until a fifth of the run all gates are
    open and the outputs are those of your module, bit for bit; from there to half of the run they close;
    then the best units stay, and the small network is trained on. A unit that several layers read, or a
    group of inputs, has one gate, and its score is that of the whole.

    Where the optimizer is passed to `step`, tensors are cut down at half of the run, so that the second
    half costs what the small network costs; else gates of 0 stand in for the cut until `prune`.

    A loss that is nearly 0 tells of a few rows only. Where your module knows the training rows by heart, add
    its own softened answers to your loss; the how-to on existing PyTorch networks has the two lines.

    To stop and go on another day, pickle the whole of it (``torch.save(shadow, file)``); a
    ``state_dict`` holds the weights alone, and goes back into a shadow of the same stage of a run only.

    Examples
    --------
    A loop as one writes it, with three lines more:

    >>> import torch
    >>> from torch import nn
    >>> from sk_shadownet import ShadowNetwork
    >>> _ = torch.manual_seed(0)
    >>> X = torch.randn(256, 10)
    >>> y = X[:, 3] - 2 * X[:, 7].abs()
    >>> model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 1))
    >>> model = ShadowNetwork(model, n_features_to_select=2, target_hidden_layer_sizes=8, n_steps=600)
    >>> optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    >>> for _ in range(600):
    ...     loss = nn.functional.mse_loss(model(X)[:, 0], y)
    ...     optimizer.zero_grad()
    ...     loss.backward()
    ...     optimizer.step()
    ...     model.step(optimizer)
    >>> model.selected_features
    array([3, 7])
    >>> model.prune()
    Sequential(
      (0): Linear(in_features=2, out_features=8, bias=True)
      (1): ReLU()
      (2): Linear(in_features=8, out_features=1, bias=True)
    )
    """

    module: nn.Module

    @thread_limit()
    def __init__(
        self,
        module: nn.Module,
        *,
        n_features_to_select: float | None = None,
        target_hidden_layer_sizes: Any = None,
        n_steps: int | None = None,
        budget: Any = None,
        layers: Sequence[str | int] | None = None,
        protected_features: Sequence[int] = (),
        feature_groups: Sequence[Sequence[int]] = (),
        frozen: Sequence[str] = (),
        on_unsupported: str = "raise",
        score_rule: str | Callable[[int, int], ScoreRule] = "taylor",
        n_features: int | None = None,
    ) -> None:
        super().__init__()
        skip = check_choice("on_unsupported", on_unsupported, ("raise", "skip")) == "skip"
        self._n_steps = None if n_steps is None else check_integer("n_steps", n_steps, 1)
        rule = resolve_rule(score_rule)
        _check_layers(layers, target_hidden_layer_sizes, frozen)
        _check_columns(protected_features, feature_groups)
        own = _copy_of(module)
        self._links, self._description = _read(own, n_features)
        request = PruningRequest(
            n_features_to_select,
            target_hidden_layer_sizes,
            layers,
            protected_features,
            feature_groups,
            skip,
        )
        # With a budget, layers= says what may shrink; the budget decides how far.
        asked = request if budget is None else replace(request, layers=None)
        targets = resolve_targets(self._description, asked)
        widths = None
        if budget is not None:
            is_chain = self._links is not None
            widths, targets = free_layers(self._description, request, targets, budget, is_chain)
        self.module = own
        self.progress = 0.0
        self._select: SelectFeatures | None = None
        self._freeze_weights(frozen)
        schedule = None if widths is None else widths.schedule
        gated = layers_with_gates(self._description, targets, rule, schedule)
        self._controller = GateController(gated, widths)
        # None where there is nothing to prune, and once the module has been cut.
        self._gates = Gates(self._description, own) if targets else None
        self._is_pruned = bool(targets)
        self._step = 0
        self._checked: tuple[int, int] | None = None
        self.train(module.training)

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """All parameters, as of every module.

        Raises
        ------
        InvalidParameterError
            If torch's ``AveragedModel`` asks for them that was made before the cut: what it averages has the
            units that are gone.
        """
        asking = sys._getframe(1).f_locals.get("self")
        average = asking.module if isinstance(asking, AveragedModel) else None
        if isinstance(average, ShadowNetwork) and not average.finished and self.finished:
            raise InvalidParameterError(
                "AveragedModel was made before the cut, so it averages units that are gone; make it once "
                "shadow.finished is true."
            )
        return super().parameters(recurse)

    def forward(self, x: Tensor) -> Tensor:
        """What your module gives for full rows, with units behind gates.

        Parameters
        ----------
        x : Tensor of shape (n_rows, n_features)
            All features, before and after the cut.
        """
        if self._select is not None:
            x = self._select(x)
        elif self._description.needs_rows and not self._description.flattens and x.dim() != 2:
            raise InvalidDataError(
                f"the network expects a table of shape (n_rows, n_features), got shape {tuple(x.shape)}."
            )
        if self._gates is not None:
            self._gates.begin_pass(watching=self.training and not self.finished)
        outputs: Tensor = self.module(x)
        return outputs

    @thread_limit()
    def step(self, optimizer: torch.optim.Optimizer | None = None, *, progress: float | None = None) -> None:
        """Do the shadow's part of a training step, after the optimizer's.

        Parameters
        ----------
        optimizer : torch.optim.Optimizer or None, default=None
            Yours, built on ``shadow.parameters()``. With it, tensors and its state are cut down as soon
            as all gates are closed; without it they keep their size until `prune`. One whose state has not
            the shape of the weights, such as LBFGS or Adafactor, is refused at the first step.
        progress : float or None, default=None
            How much of the run is done, 0 to 1; None counts calls against `n_steps`.
        """
        _check_optimizer(optimizer)
        if optimizer is not None and self._gates is not None:
            self._check(optimizer)
        torch.clear_autocast_cache()  # where the loop is within autocast: of the weights before this step
        self.progress = self._next_progress(progress)
        if self._gates is not None:
            self._controller.observe(self._gates)
            self._gates.forget()
            self._controller.advance(self._gates, self.progress)
        if optimizer is not None and self.finished and self._gates is not None:
            self._cut(optimizer)

    @thread_limit()
    def prune(self, optimizer: torch.optim.Optimizer | None = None, *, full_width: bool = False) -> nn.Module:
        """Give the small network. Gates that are still open are closed at once.

        Parameters
        ----------
        optimizer : torch.optim.Optimizer or None, default=None
            Yours, to go on training the small network with: its state is cut down, and the network
            shares its weights with the shadow. None gives an independent copy.
        full_width : bool, default=False
            Whether the network takes rows of all features and picks its own; else it takes rows of
            ``X[:, selected_features]``.

        Returns
        -------
        small : nn.Sequential or nn.Module
            A plain ``nn.Sequential`` where forward is a chain of layers, else your own class with
            smaller layers. Its parameters and buffers are ordinary ones; no hooks, no masks.
        """
        _check_optimizer(optimizer)
        check_flag("full_width", full_width)
        if self._gates is not None:
            self._controller.freeze(self._gates)
            if optimizer is not None:
                self._cut(optimizer)
        small = self.module if optimizer is not None else copy.deepcopy(self.module)
        if self._gates is not None or not self._is_pruned:
            small = self._small(small, None)
        return self._of_full_rows(small) if full_width else small

    @property
    def finished(self) -> bool:
        """Whether every layer has its final width."""
        return self._controller.finished

    @property
    def phase(self) -> str:
        """open, closing or finishing."""
        return self._controller.phase

    @property
    def layer_names(self) -> tuple[tuple[str, ...], ...]:
        """Names of the inputs, ``("inputs",)``, and of the Linear layers that make each hidden layer."""
        return tuple(layer.names for layer in self._inner_layers())

    @property
    def open_counts(self) -> tuple[float, ...]:
        """Open units: the sums of the gates of the inputs and of each hidden layer."""
        return self._controller.open_counts

    @property
    def masks(self) -> tuple[BoolArray, ...]:
        """What is kept of the inputs and of each hidden layer; everything, until gates have closed."""
        return tuple(
            np.ones(layer.n_units, dtype=bool) if layer.mask is None else layer.mask[0]
            for layer in self._controller.layers
        )

    @property
    def selected_features(self) -> IntArray:
        """Columns of inputs that are read; all of them, until gates have closed.

        Empty where inputs are not pruned and no layer tells how many there are.
        """
        return np.flatnonzero(self.masks[0])

    @property
    def feature_scores(self) -> FloatArray | None:
        """Score of each input (of its group, where it has one); None where inputs are not pruned."""
        inputs = self._controller.layers[0]
        return None if inputs.rule is None else inputs.unit_scores()[0]

    def train(self, mode: bool = True) -> ShadowNetwork:
        """Set training mode; batch statistics of frozen layers stay fixed."""
        super().train(mode)
        for layer in self._still:
            layer.eval()
        return self

    def get_extra_state(self) -> Tensor:
        """What a ``state_dict`` says of the run besides weights: its progress, and which units are kept."""
        return torch.cat([torch.tensor([self.progress], dtype=torch.float64), self._keep().double()])

    def set_extra_state(self, state: Tensor) -> None:
        """Nothing: gates and scores are not in a ``state_dict``; whether it fits is checked before."""

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        *others: Any,
    ) -> None:
        """Refuse weights of another stage: their gates would be lost, or their shapes do not fit."""
        key = f"{prefix}_extra_state"
        said = state_dict.get(key)
        if said is not None:
            self._require_stage(said.cpu())
        own = {prefix + name: tensor for name, tensor in self.state_dict().items()}
        for name in own.keys() & state_dict.keys() - {key}:
            if state_dict[name].shape != own[name].shape:
                raise InvalidParameterError(
                    f"{name!r} has shape {tuple(state_dict[name].shape)} in the state_dict and "
                    f"{tuple(own[name].shape)} here: one is from before the cut, the other from after it; "
                    f"load weights of the same stage, or {_WHOLE}."
                )
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, missing_keys, *others)
        if key in missing_keys:
            missing_keys.remove(key)

    def _require_stage(self, said: Tensor) -> None:
        progress, keep = float(said[0]), said[1:].bool()
        if progress > self.progress:
            raise InvalidParameterError(
                f"the state_dict is of {progress:.0%} of a run and this shadow at {self.progress:.0%} of its "
                f"own; it holds the weights alone, so gates and scores would start again: {_WHOLE}."
            )
        if not keep.all() and not torch.equal(keep, self._keep()):
            raise InvalidParameterError(
                f"the state_dict is of a network that kept other units than this shadow; {_WHOLE}."
            )

    def extra_repr(self) -> str:
        """Widths for the module's repr."""
        outputs = "+".join(str(layer.n_units) for layer in self._description.outputs) or "?"
        before = "-".join(str(layer.n_units) for layer in self._controller.layers)
        after = "-".join(str(layer.target) for layer in self._controller.layers)
        return f"{before}-{outputs} -> {after}-{outputs}, {self.phase}"

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """Move to another device, gates included."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self._gates is not None:
            self._gates.move()
        return self

    def _inner_layers(self) -> tuple[UnitLayer, ...]:
        return (self._description.inputs, *self._description.hidden)

    def _keep(self) -> Tensor:
        """What is kept of all units, shape (n_units,)."""
        keep = torch.ones(self._description.n_units, dtype=torch.bool)
        for layer, mask in zip(self._inner_layers(), self.masks, strict=True):
            keep[layer.start : layer.stop] = torch.as_tensor(mask)
        return keep

    def _freeze_weights(self, names: Sequence[str]) -> None:
        self._still: list[nn.Module] = []
        known = dict(self.module.named_modules())
        for name in (names,) if isinstance(names, str) else names:
            if name not in known or name == "":
                listed = ", ".join(repr(key) for key in known if key)
                raise InvalidParameterError(f"frozen names {name!r}; the network has {listed}.")
            known[name].requires_grad_(False)
            norms = (nn.modules.batchnorm._BatchNorm,)
            self._still += [layer for layer in known[name].modules() if isinstance(layer, norms)]

    def _next_progress(self, progress: float | None) -> float:
        if progress is not None:
            return check_real("progress", progress, 0, 1)
        if self._n_steps is None:
            raise InvalidParameterError(
                "step() cannot know how far the run is: pass n_steps=len(loader) * n_epochs to "
                "ShadowNetwork, or the share of the run that is done to step(progress=...)."
            )
        self._step += 1
        return min(1.0, self._step / self._n_steps)

    def _check(self, optimizer: torch.optim.Optimizer) -> None:
        """Refuse an optimizer that the cut could not take along, as soon as its state tells."""
        seen = (id(optimizer), len(getattr(optimizer, "state", ())))
        if seen == self._checked:
            return
        self._require(optimizer)
        self._checked = seen

    def _require(self, optimizer: torch.optim.Optimizer) -> None:
        check_optimizer(optimizer)
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        if not any(id(p) in held for p in self.module.parameters()):
            raise InvalidParameterError(
                "the optimizer holds no weight of the shadow; build it on shadow.parameters()."
            )

    def _cut(self, optimizer: torch.optim.Optimizer) -> None:
        """Cut the copy itself, with the optimizer's state."""
        self._require(optimizer)  # whatever was checked before: an id is given anew to later objects
        self.module = self._small(self.module, optimizer)
        self._gates = None
        self._select = self._selection()

    def _of_full_rows(self, small: nn.Module) -> nn.Module:
        """The small network behind a layer that picks its columns, where it does not read all."""
        select = self._selection()
        if select is None:
            return small
        layers = small if isinstance(small, nn.Sequential) else (small,)
        whole = nn.Sequential(select, *layers)
        whole.training = self.training
        return whole

    def _selection(self) -> SelectFeatures | None:
        """What picks the columns of full rows; None where all are read."""
        if self.masks[0].all():
            return None
        select = SelectFeatures(self.selected_features.tolist(), self._description.flattens)
        return select.to(next(self.module.parameters()).device)

    def _small(self, module: nn.Module, optimizer: torch.optim.Optimizer | None) -> nn.Module:
        """`module`, cut in place, as a chain where it is one."""
        cut_module(remove_gates(module), self._description, self._keep(), optimizer)
        return module if self._links is None else to_sequential(module, self._links)


_WHOLE = "to go on with a run, save the whole by torch.save(shadow, file) and load it by torch.load"


def _columns(name: str, value: Any) -> tuple[Any, ...]:
    return check_sequence(name, value, "a sequence of columns such as [0, 3]")


def _check_layers(layers: Any, sizes: Any, frozen: Any) -> None:
    """Refuse what names no layers; whether they are there is not known yet."""
    if layers is not None and not isinstance(layers, (str, Integral)):
        for entry in check_sequence("layers", layers, "a list of layers, by name or position, or None"):
            if not isinstance(entry, (str, Integral)) or isinstance(entry, bool):
                raise InvalidParameterError(f"layers names {entry!r}; pass names, or positions from 0.")
    if isinstance(sizes, (Set, Iterator)):
        raise InvalidParameterError(
            "target_hidden_layer_sizes must be an int, a tuple of widths, a dict from layers to widths or "
            f"None, got {sizes!r}."
        )
    for name in (frozen,) if isinstance(frozen, str) else check_sequence("frozen", frozen, "a list of names"):
        if not isinstance(name, str):
            raise InvalidParameterError(f"frozen must be names of submodules, got {name!r}.")


def _check_columns(protected: Any, groups: Any) -> None:
    """Refuse what is no columns; whether they are there is not known yet."""
    for column in _columns("protected_features", protected):
        check_integer("protected_features", column, 0)
    for group in check_sequence("feature_groups", groups, "a list of lists of columns"):
        for column in _columns("feature_groups", group):
            check_integer("feature_groups", column, 0)


def _check_optimizer(optimizer: Any) -> None:
    # Wrappers of optimizers need not be of torch's class.
    if optimizer is not None and not (hasattr(optimizer, "param_groups") and hasattr(optimizer, "state")):
        raise InvalidParameterError(f"optimizer must be a torch.optim.Optimizer or None, got {optimizer!r}.")


def _copy_of(module: nn.Module) -> nn.Module:
    if not isinstance(module, nn.Module):
        raise InvalidParameterError(f"module must be a torch.nn.Module, got {module!r}.")
    module = unwrapped(module)
    if isinstance(module, ShadowNetwork):
        raise InvalidParameterError("module has a shadow already; lay another one on its prune().")
    if any(isinstance(p, nn.parameter.UninitializedParameter) for p in module.parameters()):
        raise InvalidParameterError(
            "module has lazy layers whose size is not known; run it on one batch first."
        )
    own = plain_copy(module, constraints="keep")
    # torch.fx follows forward of what it traces, and torch's own layers are to stay layers.
    whole = type(own).__module__.startswith("torch.nn") and not isinstance(own, nn.Sequential)
    return nn.Sequential(own).train(own.training) if whole else own


def _read(module: nn.Module, n_features: int | None) -> tuple[tuple[ChainLink, ...] | None, Description]:
    traced = trace(module)
    links = chain_links(traced)
    if n_features is not None:
        check_integer("n_features", n_features, 1)
    return links, describe(traced, n_features, chain=links is not None)
