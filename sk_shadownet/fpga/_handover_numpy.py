"""The emulator handed over as a Python file that needs numpy alone."""

from __future__ import annotations

import textwrap
from typing import Any

from sk_shadownet.fpga._handover_content import Ending, Handover, IntArray, IntegerLayer

__all__ = ["numpy_emulator"]

_HEAD = '''"""{title}: the bits of the hardware in this folder, for rows of raw features.

Written by sk_shadownet; needs numpy alone. emulate(raw) takes raw features in the order of FEATURE_NAMES,
emulate_ports(ports) the integers at the hardware's input ports; both give the integers at its outputs.
to_floats makes numbers of these. Run as a program, this file compares itself with test_vectors.csv.
{remark}
An integer counts steps of 2**-F. Sums have at most 53 bits, so int64 holds each exactly.
"""

from pathlib import Path

import numpy as np

'''

_FUNCTIONS = '''

def to_ports({value}):
    """Integers at the input ports for {what} of shape (n_rows, {n_inputs}), halves rounded upwards.

    Raises ValueError for NaN, which no fixed-point number can say. Infinities are cut off like all numbers
    outside the range.
    """
    {value} = np.asarray({value}, dtype=np.float64)
    if {value}.ndim != 2 or {value}.shape[1] != len(FEATURE_NAMES):
        raise ValueError(f"shape (n_rows, {n_inputs}) was expected, got {{{value}.shape}}")
    if np.isnan({value}).any():
        raise ValueError("rows hold NaN, which no port can carry")
    steps = np.clip(np.ldexp({value}, INPUT_FRACTION), INPUT_LOWEST - 1.0, INPUT_HIGHEST + 1.0)
    # floor(steps + 0.5) would round 0.49999999999999994 up, since the sum itself rounds to 1.
    nearest = np.floor(steps)
    nearest += steps - nearest >= 0.5
    return np.clip(nearest, INPUT_LOWEST, INPUT_HIGHEST).astype(np.int64)


def rounded(z, shift, lowest, highest):
    """Sums in steps of 2**shift, halves upwards, cut off at both ends."""
    right, left = np.maximum(shift, 0), np.maximum(-shift, 0)
    z = (z + ((np.int64(1) << right) >> 1)) >> right
    # The ends are cut off first: a large sum must not run out of 64 bits.
    z = np.clip(z, lowest >> left, (highest >> left) + 1) << left
    return np.clip(z, lowest, highest)


def network_outputs(ports):
    """Integers that the last layer gives, shape (n_rows, {n_network_outputs})."""
    a = np.asarray(ports, dtype=np.int64)
{steps}
    return a


def last_step(z):
    """{ending_words}"""
{ending}


def emulate_ports(ports):
    """Integers at the outputs, shape (n_rows, {n_outputs}), for integers at the input ports."""
    return last_step(network_outputs(ports))


def emulate(raw):
    """Integers at the outputs, shape (n_rows, {n_outputs}), for rows of raw features."""
    return emulate_ports(to_ports({ports_of_raw}))


def to_floats(outputs):
    """The numbers that integers at the outputs stand for."""
    return np.ldexp(outputs.astype(np.float64), -OUTPUT_FRACTION)


def self_check(path):
    """Compare with the rows of test_vectors.csv; how many there are, and how many differ."""
    table = [line.split(",") for line in Path(path).read_text().splitlines()[1:]]
    n = len(FEATURE_NAMES)
    raw = np.array([[float(cell) for cell in row[:n]] for row in table])
    ports = np.array([[int(cell) for cell in row[n : 2 * n]] for row in table])
    outputs = np.array([[int(cell) for cell in row[2 * n :]] for row in table])
    right = (to_ports({ports_of_raw}) == ports).all(axis=1) & (emulate(raw) == outputs).all(axis=1)
    right &= (emulate_ports(ports) == outputs).all(axis=1)
    return len(table), int((~right).sum())


if __name__ == "__main__":
    n_rows, n_wrong = self_check(Path(__file__).with_name("test_vectors.csv"))
    print(f"{{'FAIL' if n_wrong else 'PASS'}}: {{n_wrong}} of {{n_rows}} rows differ")
    raise SystemExit(n_wrong > 0)
'''

_SCALED = '''

def scaled(raw):
    """What the hardware takes for rows of raw features: this scaling stays outside of it."""
    return np.asarray(raw, dtype=np.float64) * INPUT_SCALE + INPUT_SHIFT
'''

#: The last step of each ending: what it says, and its code.
_LAST_STEP: dict[Ending, tuple[str, str]] = {
    "logits": (
        "The outputs of the network, counted in the steps of the hardware's.",
        "    finer = OUTPUT_FRACTION - NETWORK_FRACTION\n"
        "    # What goes to the right is 0 in every output.\n"
        "    return (z << np.maximum(finer, 0)) >> np.maximum(-finer, 0)",
    ),
    "class": (
        "Index of the largest output, the first of equal ones; of a single one whether it is above 0.",
        "    # Outputs may count in unlike steps; float64 holds each number exactly.\n"
        "    numbers = np.ldexp(z.astype(np.float64), -NETWORK_FRACTION)\n"
        "    winner = numbers[:, 0] > 0 if numbers.shape[1] == 1 else numbers.argmax(axis=1)\n"
        "    return winner.astype(np.int64)[:, None]",
    ),
}


def numpy_emulator(content: Handover) -> str:
    """The text of ``<name>.py``."""
    words, code = _LAST_STEP[content.ending]
    remark = f"\n{textwrap.fill(content.remark, 105)}\n" if content.remark else ""
    scales = bool(content.scale)
    functions = _FUNCTIONS.format(
        value="x" if scales else "raw",
        what="rows scaled as the hardware takes them," if scales else "rows of raw features,",
        n_inputs=len(content.feature_names),
        n_outputs=len(content.output_fraction),
        n_network_outputs=len(content.network.output_fraction),
        steps="\n".join(_step(n, layer) for n, layer in enumerate(content.network.layers, start=1)),
        ending_words=words,
        ending=code,
        ports_of_raw="scaled(raw)" if scales else "raw",
    )
    tables = "\n".join(_constants(content)) + "\n"
    return _HEAD.format(title=content.title, remark=remark) + tables + (scales * _SCALED) + functions


def _constants(content: Handover) -> list[str]:
    inputs = content.network.inputs
    lines = [
        _names("FEATURE_NAMES", content.feature_names),
        "# Columns of the table that the model was fitted on.",
        _array("FEATURE_COLUMNS", content.columns),
    ]
    if content.class_labels:
        lines.append(_names("CLASS_LABELS", content.class_labels))
    if content.scale:
        lines += [
            _array("INPUT_SCALE", content.scale, "np.float64"),
            _array("INPUT_SHIFT", content.shift, "np.float64"),
        ]
    lines += [
        _array("INPUT_FRACTION", inputs.fraction.tolist(), "np.int32"),
        _array("INPUT_LOWEST", inputs.lowest.tolist()),
        _array("INPUT_HIGHEST", inputs.highest.tolist()),
        _array("NETWORK_FRACTION", content.network.output_fraction.tolist(), "np.int32"),
        _array("OUTPUT_FRACTION", content.output_fraction, "np.int32"),
    ]
    for n, layer in enumerate(content.network.layers, start=1):
        lines.append(f"\n# Layer {n}: {layer.weight.shape[1]} -> {layer.weight.shape[0]}.")
        lines.append(_table(f"WEIGHT_{n}", layer.weight))
        lines.append(_array(f"BIAS_{n}", layer.bias.tolist()))
        if layer.shift is not None:
            lines.append(_array(f"SHIFT_{n}", layer.shift.tolist()))
            lines.append(_array(f"LOWEST_{n}", layer.results.lowest.tolist()))
            lines.append(_array(f"HIGHEST_{n}", layer.results.highest.tolist()))
    return lines


def _step(n: int, layer: IntegerLayer) -> str:
    lines = [f"    a = a @ WEIGHT_{n}.T + BIAS_{n}"]
    if layer.relu:
        lines.append("    a = np.maximum(a, 0)")
    if layer.shift is not None:
        lines.append(f"    a = rounded(a, SHIFT_{n}, LOWEST_{n}, HIGHEST_{n})")
    return "\n".join(lines)


def _array(name: str, values: Any, kind: str = "np.int64") -> str:
    return _wrapped(f"{name} = np.array({list(values)!r}, {kind})")


def _table(name: str, weight: IntArray) -> str:
    rows = [_wrapped(f"    {row!r},") for row in weight.tolist()]
    return "\n".join([f"{name} = np.array([", *rows, "], np.int64)"])


def _names(name: str, values: tuple[str, ...]) -> str:
    # One a line: a name may hold blanks, which wrapping would move.
    return "\n".join([f"{name} = (", *(f"    {value!a}," for value in values), ")"])


def _wrapped(line: str) -> str:
    return textwrap.fill(line, 105, subsequent_indent="    ", break_on_hyphens=False)
