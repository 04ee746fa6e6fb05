"""What torch has that acts on each column alone: functions, methods and layers, in one table.

Column i of what comes out depends on column i of what goes in, so a gate may stand in front of it as well as
behind it. Names that a version of torch does not have are passed over.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

_OF_ONE = """
abs absolute acos acosh alpha_dropout angle arccos arccosh arcsin arcsinh arctan arctanh asin asinh atan atanh
bernoulli bitwise_not ceil celu clamp clamp_max clamp_min clip conj_physical cos cosh deg2rad digamma dropout
elu entr erf erfc erfcx erfinv exp exp2 expit expm1 feature_alpha_dropout fix floor frac full_like gammaln
gelu hardshrink hardsigmoid hardswish hardtanh i0 i0e i1 i1e inv invert isfinite isinf isnan isneginf isposinf
leaky_relu lgamma log log10 log1p log2 log_ndtr logical_not logit logsigmoid mish multigammaln mvlgamma
nan_to_num ndtr ndtri neg negative ones_like polygamma pos positive psi rad2deg rand_like randint_like
randn_like reciprocal relu relu6 round rrelu rsqrt selu sgn sigmoid sign signbit silu sin sinc sinh softplus
softshrink softsign sqrt square tan tanh tanhshrink threshold trunc zeros_like
""".split()

#: Of several tensors: column i of the result depends on column i of each.
_OF_SEVERAL = """
add addcdiv addcmul and_ arctan2 atan2 bitwise_and bitwise_or bitwise_xor copysign div divide eq float_power
floor_divide floordiv fmax fmin fmod ge greater greater_equal gt heaviside hypot iadd iand ifloordiv imod imul
ior ipow isclose isub itruediv ixor ldexp le lerp less less_equal logaddexp logaddexp2 logical_and logical_or
logical_xor lt masked_fill maximum minimum mod mul multiply ne nextafter not_equal or_ pow prelu remainder
rsub sub subtract true_divide truediv where xlog1py xlogy xor
""".split()


def _spellings(names: Iterable[str]) -> frozenset[Any]:
    """Functions of torch and of Python by these names, and the methods; in place too."""
    spaces = (torch, torch.special, F, operator)
    ways = [way for name in names for way in (name, f"{name}_")]
    found = (getattr(space, way, None) for space in spaces for way in ways)
    methods = [way for way in ways if hasattr(torch.Tensor, way)]
    return frozenset([*methods, *(function for function in found if callable(function))])


#: Changes of type or place that leave the numbers as they are, up to rounding, and their gradients.
NUMBERS_KEPT = frozenset("bfloat16 clone contiguous cpu cuda double float half to type_as xpu".split()) | {
    torch.clone
}

CASTS = NUMBERS_KEPT | {"detach", "requires_grad_", "type", torch.detach}

ELEMENTWISE = _spellings([*_OF_ONE, *_OF_SEVERAL]) | CASTS | {"bool", "int", "long", "short"}

#: Elementwise between two tensors; of one tensor they are a largest or smallest value.
OF_TWO = frozenset([torch.max, torch.min, "max", "min"])

ELEMENTWISE_MODULES: tuple[type[nn.Module], ...] = tuple(
    getattr(nn, name)
    for name in """
    AlphaDropout CELU Dropout ELU FeatureAlphaDropout GELU Hardshrink Hardsigmoid Hardswish Hardtanh Identity
    LeakyReLU LogSigmoid Mish RReLU ReLU ReLU6 SELU SiLU Sigmoid Softplus Softshrink Softsign Tanh Tanhshrink
    Threshold
    """.split()
)
