"""The emulator of an export as a Python file that needs numpy alone."""

from __future__ import annotations

import textwrap
from typing import Any

from sk_shadownet.fpga._emulator.content import (
    EmulatorContent,
    IntegerLayer,
    IntegerNetwork,
    LookupLayer,
    constants_of,
)
from sk_shadownet.fpga._emulator.output_stage import PYTHON, EndingText, ending_of

_HEAD = '''"""{title}: the bits of the hardware in this folder, for rows of raw features.

{about}

An integer counts steps of 2**-F. Sums have at most 53 bits, so int64 holds each exactly.
"""

from pathlib import Path

import numpy as np

'''

_FUNCTIONS = '''

def to_ports({value}):
    """Integers at the input ports for {what} of shape (n_rows, {n_inputs}), {rounded}.

    Raises ValueError for NaN, which no fixed-point number can say. Infinities are cut off like all numbers
    outside the range.
    """
    {value} = np.asarray({value}, dtype=np.float64)
    if {value}.ndim != 2 or {value}.shape[1] != len(FEATURE_NAMES):
        raise ValueError(f"shape (n_rows, {n_inputs}) was expected, got {{{value}.shape}}")
    if np.isnan({value}).any():
        raise ValueError("rows hold NaN, which no port can carry")
    steps = np.clip(np.ldexp({value}, INPUT_FRACTION), INPUT_LOWEST - 1.0, INPUT_HIGHEST + 1.0)
{nearest}    return np.clip(nearest, INPUT_LOWEST, INPUT_HIGHEST).astype(np.int64)


{arithmetic}

def network_outputs(ports):
    """Integers that the last layer gives, shape (n_rows, {n_network_outputs})."""
    a = np.asarray(ports, dtype=np.int64)
{steps}
    return a


{ending}


def self_check(path):
    """Compare with the rows of test_vectors.csv; how many there are, and how many differ."""
    table = [line.split(",") for line in Path(path).read_text().splitlines()[1:]]
    n = len(FEATURE_NAMES)
    raw = np.array([[float(cell) for cell in row[:n]] for row in table])
    ports = np.array([[int(cell) for cell in row[n : 2 * n]] for row in table])
{read}
    right = (to_ports({ports_of_raw}) == ports).all(axis=1) & {same_of_raw}
    right &= {same_of_ports}
    return len(table), int((~right).sum())


if __name__ == "__main__":
    n_rows, n_wrong = self_check(Path(__file__).with_name("test_vectors.csv"))
    print(f"{{'FAIL' if n_wrong else 'PASS'}}: {{n_wrong}} of {{n_rows}} rows differ")
    raise SystemExit(n_wrong > 0)
'''

_ROUNDING = """    # floor(steps + 0.5) would round 0.49999999999999994 up, since the sum itself rounds to 1.
    nearest = np.floor(steps)
    nearest += steps - nearest >= 0.5
"""

_PRODUCTS = '''def rounded(z, shift, lowest, highest):
    """Sums in steps of 2**shift, halves upwards, cut off at both ends."""
    right, left = np.maximum(shift, 0), np.maximum(-shift, 0)
    z = (z + ((np.int64(1) << right) >> 1)) >> right
    # The ends are cut off first: a large sum must not run out of 64 bits.
    z = np.clip(z, lowest >> left, (highest >> left) + 1) << left
    return np.clip(z, lowest, highest)
'''

_LOOKUPS = '''def sums(a, source, unit, table, bias):
    """Sums, shape (n_rows, n_units), of what the codes look up."""
    z = np.tile(bias, (len(a), 1))
    for values, i, j in zip(table, source, unit):
        z[:, j] += values[a[:, i]]
    return z


def coded(z, shift, highest):
    """Sums in steps of 2**shift, rounded down, as codes."""
    return np.clip((z >> np.maximum(shift, 0)) << np.maximum(-shift, 0), 0, highest)
'''

_SCALED = '''

def scaled(raw):
    """What the hardware takes for rows of raw features: this scaling stays outside of it."""
    return np.asarray(raw, dtype=np.float64) * INPUT_SCALE + INPUT_SHIFT
'''


def numpy_emulator(content: EmulatorContent) -> str:
    """The text of ``<name>.py``."""
    scales = bool(content.scale)
    ending, products = ending_of(content, PYTHON), content.network.codes is None
    functions = _FUNCTIONS.format(
        value="x" if scales else "raw",
        what="rows scaled as the hardware takes them," if scales else "rows of raw features,",
        n_inputs=len(content.feature_names),
        n_network_outputs=len(content.network.output_fraction),
        steps="\n".join(_steps(content.network)),
        rounded="halves rounded upwards" if products else "rounded down",
        nearest=_ROUNDING if products else "    nearest = np.floor(steps)\n",
        arithmetic=_PRODUCTS if products else _LOOKUPS,
        ending=ending.code,
        **_reading(content, ending),
        ports_of_raw=content.ports_of_raw,
    )
    tables = "\n".join(_assigned(*one) for one in constants_of(content)) + "\n"
    head = _HEAD.format(title=content.title, about=_about(content, ending))
    return head + tables + (scales * _SCALED) + functions


def _about(content: EmulatorContent, ending: EndingText) -> str:
    """What the entry points take and give."""
    text = (
        "Written by sk_shadownet; needs numpy alone. emulate(raw) takes raw features in the order of "
        "FEATURE_NAMES, emulate_ports(ports) the integers at the hardware's input ports; "
        f"{ending.gives} Run as a program, this file compares itself with test_vectors.csv."
    )
    parts = [text, *([content.remark] if content.remark else [])]
    return "\n\n".join(textwrap.fill(part, 105, break_on_hyphens=False) for part in parts)


def _reading(content: EmulatorContent, ending: EndingText) -> dict[str, str]:
    """How ``self_check`` reads the last columns of a row, and compares them."""
    indent, cut = "    ", ending.cut_argument
    lines = [f"{indent}cut = np.array([int(row[2 * n]) for row in table])"] if cut else []
    first = "2 * n + 1" if cut else "2 * n"
    if content.ending == "trigger":
        lines.append(f'{indent}passes = np.array([row[{first}] == "1" for row in table])')
        form = "({call} == passes)"
    else:
        lines.append(f"{indent}outputs = np.array([[int(cell) for cell in row[{first} :]] for row in table])")
        form = "({call} == outputs).all(axis=1)"
    return {
        "read": "\n".join(lines),
        "same_of_raw": form.format(call=f"emulate(raw{cut})"),
        "same_of_ports": form.format(call=f"emulate_ports(ports{cut})"),
    }


#: numpy's types of a constant's numbers by its kind, where they are not of 64 bits.
_TYPES = {"exponent": "np.int32", "real": "np.float64"}


def _assigned(kind: str, name: str, values: Any) -> str:
    """The line, or lines, of one constant."""
    if kind == "remark":
        return f"{chr(10) if name.startswith('Layer') else ''}# {name}"
    name = name.upper()
    if kind == "table":
        rows = [_wrapped(f"    {row!r},") for row in values.tolist()]
        return "\n".join([f"{name} = np.array([", *rows, "], np.int64)"])
    if isinstance(values, str | int):
        return f"{name} = {values!a}"
    if kind == "text":
        # One a line: a name may hold blanks, which wrapping would move.
        return "\n".join([f"{name} = (", *(f"    {value!a}," for value in values), ")"])
    line = f"{name} = np.array({list(values)!r}, {_TYPES.get(kind, 'np.int64')})"
    return line if kind == "shift" else _wrapped(line)


def _steps(network: IntegerNetwork) -> list[str]:
    lines = [] if network.codes is None else ["    a = np.clip(a - CODE_OFFSET, 0, CODE_HIGHEST)"]
    for n, layer in enumerate(network.layers, start=1):
        lines.append(_lookup(n, layer) if isinstance(layer, LookupLayer) else _step(n, layer))
    return lines


def _lookup(n: int, layer: LookupLayer) -> str:
    line = f"    a = sums(a, SOURCE_{n}, UNIT_{n}, TABLE_{n}, BIAS_{n})"
    return line if layer.shift is None else f"{line}\n    a = coded(a, SHIFT_{n}, HIGHEST_{n})"


def _step(n: int, layer: IntegerLayer) -> str:
    lines = [f"    a = a @ WEIGHT_{n}.T + BIAS_{n}"]
    if layer.relu:
        lines.append("    a = np.maximum(a, 0)")
    if layer.shift is not None:
        lines.append(f"    a = rounded(a, SHIFT_{n}, LOWEST_{n}, HIGHEST_{n})")
    return "\n".join(lines)


def _wrapped(line: str) -> str:
    return textwrap.fill(line, 105, subsequent_indent="    ", break_on_hyphens=False)
