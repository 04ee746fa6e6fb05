"""Following units through a graph: who makes them, who reads them, what couples them.

Columns of a tensor are followed from the layer that makes them through everything unitwise to the
layers that read them. A sum makes columns of two layers the same units; a concatenation sets them
side by side; whatever is not understood locks the units that it touches.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import torch.nn.functional as F
from torch import Tensor, fx, nn

from sk_shadownet._graph import operations as ops
from sk_shadownet._graph.coupling import Columns, UnionFind
from sk_shadownet._graph.description import INPUTS, Description, ParameterSlice, Role, UnitLayer
from sk_shadownet._graph.elementwise import CASTS, ELEMENTWISE, ELEMENTWISE_MODULES, OF_TWO
from sk_shadownet._graph.sequential import asks_for_kind
from sk_shadownet._graph.trace import Trace, describe_node
from sk_shadownet._graph.unwrapping import computed_by
from sk_shadownet.exceptions import InvalidParameterError, UnsupportedModuleError


@dataclass(frozen=True)
class Units:
    """A tensor whose last axis holds these units."""

    columns: Columns


@dataclass(frozen=True)
class Opaque:
    """A tensor that holds units no longer side by side; `sources` are the units it was made of."""

    sources: Columns = ()


@dataclass(frozen=True)
class Stored:
    """A parameter or buffer, not yet used."""

    path: str
    tensor: Tensor


Value: TypeAlias = Units | Opaque | Stored | None  # None: no tensor


def describe(trace: Trace, n_features: int | None = None, chain: bool = False) -> Description:
    """What a traced network consists of.

    `n_features` is the number of inputs, needed where no layer tells it; `chain` says that the network is
    rebuilt from its layers, so that forward's fixed sizes do not matter.

    Raises
    ------
    UnsupportedModuleError
        If forward takes more than one tensor.
    """
    return _Follower(trace, n_features, chain).description()


@dataclass
class _Follower:
    trace: Trace
    n_features: int | None
    chain: bool
    union: UnionFind = field(default_factory=UnionFind)
    sites: dict[tuple[str, Role], Columns] = field(default_factory=dict)
    env: dict[fx.Node, Value] = field(default_factory=dict)
    flattens: bool = False
    needs_rows: bool = False
    output_units: list[int] = field(default_factory=list)
    inputs_locked: str = "no layer tells how many columns the input has; pass n_features"
    # Layers and functions with weights that are not followed, as messages name them.
    unread: dict[str, None] = field(default_factory=dict)
    # Layers and tensors that are also used for something else; of a Linear perhaps only what it reads.
    misused: set[str] = field(default_factory=set)
    misread: set[str] = field(default_factory=set)

    def description(self) -> Description:
        placeholders = [node for node in self.trace.nodes if node.op == "placeholder" and node.users]
        if len(placeholders) != 1:
            names = [str(node.target) for node in placeholders]
            raise UnsupportedModuleError(
                f"{type(self.trace.root).__name__}.forward must take one tensor, it takes {names or 'none'}; "
                "wrap the network in a module whose forward(x) takes a table of rows."
            )
        for node in self.trace.nodes:
            self.env[node] = self._value(node)
        self._lock_shared_parameters()
        self._lock_used_otherwise()
        return self._collect()

    def _value(self, node: fx.Node) -> Value:
        if node.op == "placeholder":
            return self._inputs(node) if node.users else None
        if node.op == "get_attr":
            return None if asks_for_kind(node) else self._stored(node)
        if node.op == "output":
            for value in self._operands(node):
                self._output(value)
            return None
        if node.op == "call_module":
            return self._layer(node)
        return self._call(node)

    def _operands(self, node: fx.Node) -> Iterator[Value]:
        return (self.env[n] for n in node.all_input_nodes)

    # Where units begin and end.

    def _inputs(self, node: fx.Node) -> Value:
        found, unknown = _input_width(node, self.trace)
        if unknown is not None:
            self.inputs_locked = f"{self._name(unknown)} reads them, which is not known to keep units apart"
        width = self.n_features if found is None else found
        if self.n_features not in (None, width):
            raise InvalidParameterError(
                f"n_features={self.n_features} was given, but the network reads {width} inputs."
            )
        return Opaque() if width is None else Units(self.union.make(INPUTS, width))

    def _output(self, value: Value) -> None:
        columns = _columns(value)
        self.union.lock(columns, "its units are outputs of the network")
        self.output_units += columns

    def _stored(self, node: fx.Node) -> Value:
        path = str(node.target)
        owner, _, name = path.rpartition(".")
        module = self.trace.modules[owner]
        tensor = getattr(module, name)
        if not isinstance(tensor, Tensor):
            return None
        # A tensor made in forward would keep its size when the network is cut; a number has none.
        known = name in module._parameters or name in module._buffers or tensor.numel() == 1
        return Stored(path, tensor) if known else Opaque()

    # Layers.

    def _layer(self, node: fx.Node) -> Value:
        module = self.trace.modules[str(node.target)]
        value = self.env[node.args[0]] if len(node.args) == 1 and isinstance(node.args[0], fx.Node) else None
        plain = value is not None and not node.kwargs and not _is_altered(module)
        if plain and type(module) is nn.Linear:
            return self._linear(str(node.target), module, value)
        if plain and isinstance(value, Units):
            known = self._unitwise_layer(node, module, value)
            if known is not None:
                return known
        opaque = self._opaque(node)
        self.misused.add(str(node.target))
        if next(module.parameters(), None) is None:
            return opaque
        self.unread.setdefault(self._name(node))
        return Opaque()  # no longer the units that the layer read

    def _linear(self, path: str, module: nn.Linear, value: Value) -> Value:
        columns = _columns(value)
        if isinstance(value, Units) and len(columns) == module.in_features:
            self._site(path, "reads", columns)
        else:
            self.union.lock(columns, f"{path!r} reads them in another arrangement")
            self.misread.add(path)
        made = self.sites.get((path, "makes")) or self.union.make(path, module.out_features)
        self._site(path, "makes", made)
        return Units(made)

    def _unitwise_layer(self, node: fx.Node, module: nn.Module, value: Units) -> Value:
        path, columns = str(node.target), value.columns
        if type(module) in ELEMENTWISE_MODULES:
            return value
        if isinstance(module, nn.BatchNorm1d) and module.num_features == len(columns):
            self.needs_rows = True
            self._site(path, "batch_norm", columns)
            return value
        if isinstance(module, nn.LayerNorm) and module.normalized_shape == (len(columns),):
            self._site(path, "layer_norm", columns)
            return value
        if isinstance(module, nn.PReLU) and module.num_parameters in (1, len(columns)):
            if module.num_parameters > 1:
                self.needs_rows = True
                self._site(path + ".weight", "vector", columns)
            return value
        if isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) == (1, -1):
            return self._flatten(value)
        if type(module) in ops.NORMALISATIONS_OVER_UNITS:
            return self._mixed(node, value)
        return None

    def _flatten(self, value: Units) -> Value:
        """Only an input can have more than two axes here."""
        if {self.union.makers[unit] for unit in value.columns} == {INPUTS}:
            self.flattens = True
        else:
            self.needs_rows = True
        return value

    def _mixed(self, node: fx.Node, value: Units) -> Value:
        self.union.lock(value.columns, f"{self._name(node)} mixes its units")
        return value

    def _site(self, path: str, role: Role, columns: Columns) -> None:
        """Note a place; where it is used twice, the units of both uses are the same."""
        before = self.sites.setdefault((path, role), columns)
        if len(before) == len(columns):
            self.union.unite(before, columns)
        else:
            self.union.lock((*before, *columns), f"{path!r} is used for different numbers of units")

    # Functions and methods.

    def _call(self, node: fx.Node) -> Value:
        if not any(isinstance(v, (Units, Opaque, Stored)) for v in self._operands(node)):
            # Of numbers come numbers, such as those of a shape; a function of torch makes a tensor of them.
            of_python = getattr(node.target, "__module__", None) in ("_operator", "builtins", "math")
            return None if node.op == "call_method" or of_python else Opaque()
        try:
            return self._known_call(node)
        except _NotUnderstood:
            return self._opaque(node)

    def _known_call(self, node: fx.Node) -> Value:
        first = self.env.get(node.args[0]) if node.args and isinstance(node.args[0], fx.Node) else None
        if node.target in CASTS and isinstance(first, Units):
            return first  # what else it is given says of which type or where
        if node.target in ELEMENTWISE or (node.target in OF_TWO and _of_two(node, self.env)):
            return self._elementwise(node)
        if node.target in ops.CONCATENATIONS:
            return self._concatenation(node)
        if node.target is getattr and node.args[1] in ("device", "dtype"):
            return None
        if isinstance(first, Units):
            if node.target in ops.NORMALISATIONS_OVER_UNITS:
                return self._mixed(node, first)
            if node.target in ops.FLATTENINGS:
                return self._reshape(node, first)
            if node.target == "size" or (node.target is getattr and node.args[1] == "shape"):
                return self._size(node, first)
        raise _NotUnderstood

    def _elementwise(self, node: fx.Node) -> Value:
        """One tensor or several with the same columns, numbers, and stored tensors of one number a column."""
        values = list(self._operands(node))
        units = [v for v in values if isinstance(v, Units)]
        # With fewer than three arguments, where gives positions of what is true.
        finds = node.target in ops.WHERE and len(node.args) + len(node.kwargs) < 3
        if not units or finds or "out" in node.kwargs or any(isinstance(v, Opaque) for v in values):
            raise _NotUnderstood
        columns = units[0].columns
        alike = all(len(v.columns) == len(columns) for v in units)
        if not alike or not all(self._joins(v, columns) for v in values):
            raise _NotUnderstood
        self.needs_rows = self.needs_rows or node.target is F.prelu
        for other in units[1:]:
            self.union.unite(columns, other.columns)
        return units[0]

    def _joins(self, value: Value, columns: Columns) -> bool:
        """Whether a stored tensor is one number, or one a unit, which is noted."""
        if not isinstance(value, Stored) or value.tensor.numel() == 1:
            return True
        if value.tensor.shape[-1] != len(columns) or value.tensor.numel() != len(columns):
            return False
        self._site(value.path, "vector", columns)
        return True

    def _concatenation(self, node: fx.Node) -> Value:
        arguments = ops.bind_concatenation(node.args, node.kwargs)
        values = [self.env[n] for n in node.all_input_nodes]
        if arguments is None or not all(isinstance(v, Units) for v in values):
            raise _NotUnderstood
        parts, dim = arguments
        if dim not in (1, -1) or not all(isinstance(part, fx.Node) for part in parts):
            raise _NotUnderstood
        self.needs_rows = self.needs_rows or dim == 1
        return Units(tuple(column for part in parts for column in _columns(self.env[part])))

    def _reshape(self, node: fx.Node, value: Units) -> Value:
        kind = ops.flattening(node, len(value.columns))
        if kind is None:
            raise _NotUnderstood
        if kind == "fixed" and not self.chain:
            self.union.lock(
                value.columns,
                f"{self._name(node)} fixes their number in forward; use nn.Flatten or flatten(1)",
            )
        return self._flatten(value)

    def _size(self, node: fx.Node, value: Units) -> Value:
        """The number of rows may be asked for, the number of units not: it will change."""
        rows_only = node.args[1:] == (0,) if node.target == "size" else _first_only(node)
        if rows_only:
            return None
        self.union.lock(value.columns, "forward asks how many there are")
        return Opaque()

    def _opaque(self, node: fx.Node) -> Value:
        """Lock what is not understood."""
        sources: list[int] = []
        for value in self._operands(node):
            columns = _columns(value)
            sources += columns
            if isinstance(value, Stored):
                self.misused.add(value.path)
                self.unread.setdefault(f"{self._name(node)} of {value.path!r}")
            if isinstance(value, Units):
                self.union.lock(
                    columns, f"{self._name(node)} reads them, which is not known to keep units apart"
                )
        return Opaque(tuple(dict.fromkeys(sources)))

    def _name(self, node: fx.Node) -> str:
        name = describe_node(node, self.trace.modules)
        computed = computed_by(self.trace.modules[str(node.target)]) if node.op == "call_module" else None
        return f"{name}, where {computed}," if computed else name

    # The end.

    def _lock_shared_parameters(self) -> None:
        owners: dict[int, set[str]] = {}
        for path, module in self.trace.root.named_modules():
            for parameter in module._parameters.values():
                if parameter is not None:
                    owners.setdefault(id(parameter), set()).add(path)
        used = {id(v.tensor): v.path for v in self.env.values() if isinstance(v, Stored)}
        for (path, role), columns in self.sites.items():
            owner, _, name = path.rpartition(".") if role == "vector" else (path, "", "")
            for key, parameter in self.trace.modules[owner]._parameters.items():
                if role == "vector" and key != name:
                    continue
                others = owners.get(id(parameter), {owner}) - {owner}
                if role != "vector" and id(parameter) in used:
                    others = {used[id(parameter)]}
                if others:
                    self.union.lock(columns, f"{path!r} shares its weights with {min(others)!r}")

    def _lock_used_otherwise(self) -> None:
        for (path, role), columns in self.sites.items():
            owner = path.rpartition(".")[0] if role == "vector" else path
            if {path, owner} & self.misused or (role == "reads" and path in self.misread):
                self.union.lock(columns, f"{path!r} is also used where units cannot be told apart")

    def _collect(self) -> Description:
        number: dict[int, int] = {}
        layers = []
        read = {self.union.find(u) for (_, role), c in self.sites.items() if role == "reads" for u in c}
        outputs = {self.union.find(unit) for unit in self.output_units}
        for units in self.union.layers():
            start = len(number)
            number.update({unit: start + n for n, unit in enumerate(units)})
            ends_here = not read & set(units) and bool(outputs & set(units))
            layers.append(
                UnitLayer(
                    self.union.names(units), start, len(number), self.union.reason_locked(units), ends_here
                )
            )
        sites = [
            ParameterSlice(path, role, tuple(number[self.union.find(unit)] for unit in columns))
            for (path, role), columns in self.sites.items()
        ]
        unknown = UnitLayer((INPUTS,), 0, 0, self.inputs_locked, is_output=False)
        return Description(
            inputs=next((layer for layer in layers if layer.is_input), unknown),
            hidden=tuple(x for x in layers if not x.is_input and not x.is_output),
            outputs=tuple(x for x in layers if not x.is_input and x.is_output),
            sites=tuple(sites),
            n_units=len(number),
            flattens=self.flattens,
            needs_rows=self.needs_rows,
            unread=tuple(self.unread),
        )


class _NotUnderstood(Exception):
    """A call whose effect on units is not known."""


def _of_two(node: fx.Node, env: dict[fx.Node, Value]) -> bool:
    """Whether a call of max or min compares two tensors."""
    other = node.args[1] if len(node.args) > 1 else node.kwargs.get("other")
    return isinstance(other, fx.Node) and isinstance(env[other], (Units, Stored))


def _columns(value: Value) -> Columns:
    if isinstance(value, Units):
        return value.columns
    return value.sources if isinstance(value, Opaque) else ()


def _is_altered(module: nn.Module) -> bool:
    """Whether a layer does more than its class says: a weight is computed from others."""
    return isinstance(module, nn.Linear) and "weight" not in module._parameters


def _first_only(node: fx.Node) -> bool:
    """Whether only the first entry of a shape is used."""
    return all(user.target is operator.getitem and user.args[1] == 0 for user in node.users)


def _input_width(placeholder: fx.Node, trace: Trace) -> tuple[int | None, fx.Node | None]:
    """Columns that the first layer after the input expects, or else what hides them, if anything."""
    waiting, seen = [placeholder], {placeholder}
    unknown: fx.Node | None = None
    while waiting:
        for user in waiting.pop(0).users:
            module = trace.modules.get(str(user.target)) if user.op == "call_module" else None
            width = None if module is None else _expected_columns(module)
            if width is not None:
                return width, None
            known = ELEMENTWISE | OF_TWO | ops.FLATTENINGS | ops.NORMALISATIONS_OVER_UNITS
            layers = (*ELEMENTWISE_MODULES, nn.Flatten)
            passes = isinstance(module, layers) or type(module) in known or user.target in known
            if passes and user not in seen:
                waiting.append(user)
                seen.add(user)
            elif not passes and user.op != "output" and user.target not in ops.CONCATENATIONS:
                unknown = unknown or user
    return None, unknown


def _expected_columns(module: nn.Module) -> int | None:
    if isinstance(module, nn.Linear):
        return module.in_features
    if isinstance(module, nn.BatchNorm1d):
        return module.num_features
    return module.normalized_shape[-1] if isinstance(module, nn.LayerNorm) else None
