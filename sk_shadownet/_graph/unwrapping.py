"""A module as it computes: wrappers opened, reparametrised weights multiplied out, what stays hidden refused.

Layers are read by their kind and weights. Whatever else decides what a module computes (a hook, a forward set
on one object, a weight that is computed anew each time) would be lost without a word, so it is worked in here
or refused.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, fx, nn
from torch.nn.modules import module as torch_module
from torch.nn.utils import parametrize, prune
from torch.nn.utils.spectral_norm import SpectralNorm, remove_spectral_norm
from torch.nn.utils.weight_norm import WeightNorm, remove_weight_norm

from sk_shadownet.exceptions import ShadowNetError, UnsupportedModuleError

#: What happens to parametrizations that training has to obey, such as orthogonal matrices.
Constraints: TypeAlias = Literal["keep", "refuse", "drop"]

_FORWARD = {"_forward_pre_hooks": "forward pre-hook", "_forward_hooks": "forward hook"}
_BACKWARD = {"_backward_pre_hooks": "backward pre-hook", "_backward_hooks": "backward hook"}
_QUANTISED = ("torch.ao.", "torch.nn.quantized", "torch.nn.qat", "torch.nn.intrinsic", "torchao.")
_WRAPPERS: tuple[type[nn.Module], ...] = (
    nn.DataParallel,
    nn.parallel.DistributedDataParallel,
    torch.optim.swa_utils.AveragedModel,
)


def plain_copy(
    module: nn.Module,
    error: type[ShadowNetError] = UnsupportedModuleError,
    *,
    constraints: Constraints = "drop",
) -> nn.Module:
    """A copy of `module` that computes the same with plain layers and weights.

    The module inside is taken out of torch.compile, DataParallel and AveragedModel; masks of
    ``torch.nn.utils.prune`` and weight norm, old and new, become part of the weights. `constraints` says
    whether other parametrizations stay, are refused, or become part of the weights; with "drop" the copy is
    for evaluation alone, where hooks of the backward pass do not matter.

    Raises
    ------
    ShadowNetError
        Of the kind `error`, if the module computes what its layers do not tell: hooks, a forward of one
        object, compiled code, quantised or lazy layers, tensors that hold no plain numbers.
    """
    module = unwrapped(module)
    _refuse_global_hooks(error, constraints != "drop")
    for path, layer in module.named_modules():
        reason = _reason_locked(layer, constraints) if unwrapped(layer) is layer else None
        if reason is not None:
            where = f"layer {path!r} ({type(layer).__name__})" if path else f"the {type(layer).__name__}"
            raise error(f"{where} {reason}.")
    own = _copy(module, error)
    for layer in own.modules():
        _multiply_out(layer, constraints)
        _let_be_torchs_own(layer)
    return own


def computed_by(layer: nn.Module) -> str | None:
    """Words for what computes a layer's tensors anew in each pass; None where they are stored."""
    lists: Any = getattr(layer, "parametrizations", {}) if parametrize.is_parametrized(layer) else {}
    for name, steps in lists.items():
        return f"its {name} is computed by {', '.join(type(step).__name__.lstrip('_') for step in steps)}"
    return None


# ---------------------------------------------------------------- wrappers and copies


def unwrapped(module: nn.Module) -> nn.Module:
    """The module inside torch.compile, DataParallel and the like."""
    while True:
        inner = getattr(module, "_orig_mod", None)
        if inner is None and isinstance(module, _WRAPPERS):
            inner = module.module
        if not isinstance(inner, nn.Module):
            return module
        module = inner


def _copy(module: nn.Module, error: type[ShadowNetError]) -> nn.Module:
    memo: dict[int, Any] = {}
    try:
        for layer in module.modules():
            for tensor in _tensors(list(layer.__dict__.values())):
                # What a forward pass left behind; torch copies only tensors that no graph made.
                if not tensor.is_leaf:
                    memo[id(tensor)] = tensor.detach().clone()
        for wrapper in [layer for layer in module.modules() if unwrapped(layer) is not layer]:
            memo[id(wrapper)] = copy.deepcopy(unwrapped(wrapper), memo)
        return copy.deepcopy(module, memo)
    except Exception as reason:  # of whatever the user keeps in a module
        raise error(
            f"the {type(module).__name__} cannot be copied, and it is never changed itself "
            f"({type(reason).__name__}: {reason}); keep in it what copy.deepcopy can copy."
        ) from reason


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    """Tensors among values, in lists and dicts too."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, dict):
            yield from _tensors(value.values())
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)


# ---------------------------------------------------------------- refusals


def _reason_locked(layer: nn.Module, constraints: Constraints) -> str | None:
    """Why a layer does not compute what its kind and weights say; None where it does."""
    where = type(layer).__module__
    if isinstance(layer, torch.jit.ScriptModule):
        return "is compiled by torch.jit, which hides its layers; take the module that it was made of"
    if where.startswith(_QUANTISED):
        return "is quantised or holds an observer of torch.ao; take the module of floats that it was made of"
    if where.startswith("torch.distributed"):
        return "spreads its weights over processes; take the module that it wraps, with whole weights"
    if "forward" in layer.__dict__ or _calls_its_own_way(layer):
        return (
            "has a forward or __call__ that its class does not tell, which would not be kept; write it as "
            "the method forward of a class"
        )
    tensors = {**layer._parameters, **layer._buffers}
    reasons = (_unreadable(name, tensor) for name, tensor in tensors.items() if tensor is not None)
    found = next((reason for reason in reasons if reason), None)
    return found or _hooked(layer, constraints) or _constrained(layer, constraints)


def _calls_its_own_way(layer: nn.Module) -> bool:
    if isinstance(layer, fx.GraphModule):
        return False
    classes = type(layer).__mro__
    return any("__call__" in kind.__dict__ for kind in classes[: classes.index(nn.Module)])


def _unreadable(name: str, tensor: Tensor) -> str | None:
    if isinstance(tensor, (nn.UninitializedBuffer, nn.UninitializedParameter)):
        return (
            f"is one of the lazy layers whose size is not known: {name} has no shape yet; run the module on "
            "one batch first"
        )
    if getattr(type(tensor), "__torch_dispatch__", None) is not Tensor.__torch_dispatch__:
        return f"keeps {name} as {type(tensor).__name__}; a plain torch.Tensor was expected"
    if tensor.is_meta:
        return f"keeps {name} on the device 'meta', without numbers; load its weights first"
    if tensor.is_quantized or tensor.layout != torch.strided or tensor.is_complex():
        return f"keeps {name} as {tensor.dtype}, {tensor.layout}; dense real numbers were expected"
    return None


def _hooked(layer: nn.Module, constraints: Constraints) -> str | None:
    """Hooks of a layer that are not worked into its weights."""
    kinds = _FORWARD if constraints == "drop" else {**_FORWARD, **_BACKWARD}
    for attribute, word in kinds.items():
        for hook in getattr(layer, attribute).values():
            if not _reparametrises(hook, constraints):
                return f"has a {word}, {_name(hook)}, which would not be kept; {_HOOK_ADVICE}"
    if constraints == "drop":
        return None
    for name, tensor in layer._parameters.items():
        hooks = getattr(tensor, "_backward_hooks", None) or getattr(
            tensor, "_post_accumulate_grad_hooks", None
        )
        if hooks:
            return f"has a hook on the gradient of {name}, which would not be kept; {_HOOK_ADVICE}"
    return None


_HOOK_ADVICE = "remove it (the handle of its registration has remove()), or do in forward what it does"


def _refuse_global_hooks(error: type[ShadowNetError], backward: bool) -> None:
    kinds = {**_FORWARD, **_BACKWARD} if backward else _FORWARD
    for attribute, word in kinds.items():
        for hook in getattr(torch_module, f"_global{attribute}").values():
            raise error(
                f"a {word} for all modules of the process, {_name(hook)}, acts on what the module computes "
                f"and would not be kept; {_HOOK_ADVICE}."
            )


def _name(hook: Any) -> str:
    return getattr(hook, "__qualname__", None) or type(hook).__name__


def _reparametrises(hook: Any, constraints: Constraints) -> bool:
    """Whether a hook only computes a weight that `_multiply_out` stores."""
    if isinstance(hook, (prune.BasePruningMethod, WeightNorm)):
        return True
    return constraints == "drop" and isinstance(hook, SpectralNorm)


def _constrained(layer: nn.Module, constraints: Constraints) -> str | None:
    if constraints != "refuse" or not parametrize.is_parametrized(layer):
        return None
    lists: Any = layer.parametrizations
    name = next((name for name, steps in lists.items() if not _is_weight_norm(steps)), None)
    if name is None:
        return None
    return (
        f"has a parametrization: {computed_by(layer)}, which training here would not obey; let go of it by "
        f"torch.nn.utils.parametrize.remove_parametrizations(layer, {name!r})"
    )


# ---------------------------------------------------------------- classes

#: What a class may define without changing what its objects compute.
_HARMLESS = frozenset(
    """__annotations__ __dict__ __doc__ __firstlineno__ __init__ __module__ __orig_bases__ __qualname__
    __repr__ __static_attributes__ __weakref__ extra_repr reset_parameters""".split()
)


def _let_be_torchs_own(layer: nn.Module) -> None:
    """Make a layer of a subclass that only builds itself differently one of torch's class."""
    classes = type(layer).__mro__
    base = next(kind for kind in classes if kind.__module__.startswith("torch.nn.modules."))
    between = classes[: classes.index(base)]
    if base is not nn.Module and all(vars(kind).keys() <= _HARMLESS for kind in between):
        layer.__class__ = base


# ---------------------------------------------------------------- weights that are computed


def _is_weight_norm(steps: Iterable[nn.Module]) -> bool:
    """Whether it is the one parametrization that lets a weight be any matrix."""
    kinds = [(type(step).__module__, type(step).__name__) for step in steps]
    return kinds == [("torch.nn.utils.parametrizations", "_WeightNorm")]


def _multiply_out(layer: nn.Module, constraints: Constraints) -> None:
    """Store the weights that a layer of the copy would compute in evaluation."""
    training = layer.training
    layer.eval()
    for hook in list(layer._forward_pre_hooks.values()):
        if isinstance(hook, prune.BasePruningMethod):
            prune.remove(layer, hook._tensor_name)  # type: ignore[no-untyped-call]
        elif isinstance(hook, WeightNorm):
            remove_weight_norm(layer, hook.name)
        elif isinstance(hook, SpectralNorm):
            remove_spectral_norm(layer, hook.name)
    if parametrize.is_parametrized(layer):
        lists: Any = layer.parametrizations
        for name, steps in list(lists.items()):
            if constraints == "drop" or _is_weight_norm(steps):
                _store(layer, lists, name)
    layer.train(training)


def _store(layer: nn.Module, lists: Any, name: str) -> None:
    """Make a parametrized tensor an ordinary one.

    torch's own remove_parametrizations changes the class, which a copy shares with the user's layer.
    """
    steps = lists[name]
    with torch.no_grad():
        value: Tensor = getattr(layer, name).detach().clone()
    trained = [p.requires_grad for p in steps.parameters(recurse=False)]
    del lists[name]
    own = type(layer)
    if len(lists):
        properties = {key: value for key, value in vars(own).items() if key != name}
        layer.__class__ = type(own.__name__, own.__bases__, properties)
    else:
        layer.__class__ = own.__bases__[0]
        del layer._modules["parametrizations"]
    if trained:
        layer.register_parameter(name, nn.Parameter(value, any(trained)))
    else:
        layer.register_buffer(name, value)
