"""C++ of layers of tables for HLS compilers: codes of the inputs, ROMs of the edges, trees for the sums."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sk_shadownet._tables.integers import TableLayer
from sk_shadownet._tables.sums import adders_of
from sk_shadownet._typing import IntArray
from sk_shadownet.fpga._codegen.lowering import LoweredTables
from sk_shadownet.fpga._quantization.formats import FixedFormat


@dataclass(frozen=True)
class Dialect:
    """Integers of any width, and the bits of fixed-point numbers, in the words of a vendor's types."""

    signed: str
    unsigned: str
    put: str
    channel: str
    pragma: str

    def integer(self, low: int, high: int) -> str:
        """The narrowest type that holds whole numbers between such ends."""
        width = max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0) + (low < 0)
        return self.of_width(width, low < 0)

    def of_width(self, width: int, signed: bool) -> str:
        """The type of so many bits, the sign's counted; one at least."""
        return (self.signed if signed else self.unsigned).format(width=max(width, 1))


#: Of AMD's compilers, and of those with Algorithmic C types.
AP = Dialect(
    "ap_int<{width}>",
    "ap_uint<{width}>",
    "{target}.range({high}, 0) = {value};",
    "hls::stream",
    "#pragma HLS PIPELINE II=1",
)
AC = Dialect(
    "ac_int<{width}, true>",
    "ac_int<{width}, false>",
    "{target}.set_slc(0, {value});",
    "ac_channel",
    "#pragma hls_pipeline_init_interval 1",
)

_LAYER = """
// Layer of tables: a ROM for each edge, a tree of adders for each of the {n_out} sums.
template <class data_T, class res_T> void {name}(data_T data[{n_in}], res_T res[{n_out}]) {{
    {pragma}
{body}
}}
"""
_STREAM = """
template <class data_T, class res_T> void {name}({channel}<data_T> &data, {channel}<res_T> &res) {{
    data_T given = data.read();
    typename data_T::value_type in[{n_in}];
    typename res_T::value_type out[{n_out}];
    for (int i = 0; i < {n_in}; i++)
        in[i] = given[i];
    {name}(in, out);
    res_T taken;
    for (int i = 0; i < {n_out}; i++)
        taken[i] = out[i];
    res.write(taken);
}}
"""


@dataclass(frozen=True, eq=False)
class LayerPorts:
    """What comes into a layer and what goes out.

    Whole numbers between ``low`` and ``high``, each of shape (n_inputs,), arrive; the code of one is
    ``clip(number - offset, 0, 2**bits - 1)``. Codes leave, or, of the last layer, the outputs' integers: all
    in one ``result``, of shape ().
    """

    low: IntArray
    high: IntArray
    offset: IntArray
    bits: IntArray
    result: FixedFormat


def table_sources(lowered: LoweredTables, dialect: Dialect, stream: bool) -> dict[str, str]:
    """C++ function templates of all layers by their names; for streams too where asked."""
    plan, sources = lowered.plan, dict[str, str]()
    low, high = (np.ldexp(e, plan.inputs.fraction) for e in (plan.inputs.lowest, plan.inputs.highest))
    offset, bits = plan.network.inputs.offset, plan.network.inputs.bits
    for number, (layer, result) in enumerate(zip(plan.network.layers, lowered.results, strict=True), start=1):
        ports = LayerPorts(low, high, offset, bits, result)
        sources[f"tables_{number}"] = layer_source(f"tables_{number}", layer, ports, dialect, stream)
        if layer.bits is not None:
            offset, bits = 0 * layer.bits, layer.bits
            low, high = offset, (1 << bits) - 1
    return sources


def layer_source(name: str, layer: TableLayer, ports: LayerPorts, dialect: Dialect, stream: bool) -> str:
    """The C++ function template of a layer, over the types of the arrays of its inputs and outputs."""
    read = [number for number, table in enumerate(layer.tables) if table.any()]
    lines = [line for number in read for line in _code(number, ports, dialect)]
    for unit in range(len(layer.bias)):
        lines += _unit(layer, unit, ports, dialect)
    shape = {"name": name, "n_in": len(layer.tables), "n_out": len(layer.bias)}
    text = _LAYER.format(**shape, pragma=dialect.pragma, body="\n".join(f"    {line}" for line in lines))
    return text + (_STREAM.format(**shape, channel=dialect.channel) if stream else "")


def _code(number: int, ports: LayerPorts, dialect: Dialect) -> list[str]:
    """Lines that make the code of an input."""
    low, high = int(ports.low[number]), int(ports.high[number])
    kind = dialect.integer(low, high)
    whole = f"data[{number}]" if dialect is AP else f"data[{number}].to_ac_int()"
    lines = [f"{kind} x{number} = {whole};"]
    clip = _clip(f"c{number}", f"x{number}", low, high, int(ports.offset[number]), int(ports.bits[number]))
    return lines + [line.format(kind=dialect.integer(0, (1 << int(ports.bits[number])) - 1)) for line in clip]


def _clip(code: str, value: str, low: int, high: int, offset: int, bits: int) -> list[str]:
    """Lines for ``clip(value - offset, 0, 2**bits - 1)`` of a value between such ends; ``{kind}`` is open."""
    top = (1 << bits) - 1
    moved = value if offset == 0 else f"{value} - ({_literal(offset)})"
    lines = ["{kind} " + f"{code} = {moved};"]
    if low < offset:
        lines.append(f"if ({value} < {_literal(offset)}) {code} = 0;")
    if high > offset + top:
        lines.append(f"if ({value} > {_literal(offset + top)}) {code} = {top};")
    return lines


def _unit(layer: TableLayer, unit: int, ports: LayerPorts, dialect: Dialect) -> list[str]:
    """Lines for the sum of a unit and what becomes of it."""
    lines, total, low, high = _sum(layer, unit, dialect)
    shift, bits = int(layer.shift[unit]), None if layer.bits is None else int(layer.bits[unit])
    low, high = ((end >> shift if shift > 0 else end << -shift) for end in (low, high))
    kind = dialect.integer(low, high)
    if low == high:
        moved = _literal(low)
    elif shift > 0:
        # Of a negative sum that is shifted by more than its bits the sign is left.
        moved = f"{total} >> {shift}"
    else:
        moved = f"{kind}({total}) << {-shift}" if shift else total
    lines.append(f"{kind} y{unit} = {moved};")
    result = f"y{unit}"
    if bits is not None:
        code_kind = dialect.integer(0, (1 << bits) - 1)
        lines += [line.format(kind=code_kind) for line in _clip(f"z{unit}", result, low, high, 0, bits)]
        result = f"z{unit}"
    width = max(int(ports.result.width), 1)
    whole = dialect.of_width(width, bool(ports.result.signed))
    put = dialect.put.format(target=f"res[{unit}]", high=width - 1, value=f"{whole}({result})")
    return [*lines, put]


def _sum(layer: TableLayer, unit: int, dialect: Dialect) -> tuple[list[str], str, int, int]:
    """Lines for ROMs and adders of a unit, smallest ranges first; the sum in C++, and its ends."""
    bias = int(layer.bias[unit])
    terms = sorted(
        (int(table[:, unit].max()), number)
        for number, table in enumerate(layer.tables)
        if table[:, unit].any()
    )
    if not terms:
        return [], _literal(bias), bias, bias
    lines, added = list[str](), list[tuple[str, int, int]]()
    for _, number in terms:
        values = layer.tables[number][:, unit] + (bias if number == terms[-1][1] else 0)
        low, high, rom = int(values.min()), int(values.max()), f"t{number}_{unit}"
        kind = dialect.integer(low, high)
        listed = ", ".join(map(_literal, values.tolist()))
        lines.append(f"static const {kind} {rom}[{len(values)}] = {{{listed}}};")
        added.append((f"{rom}[c{number}.to_uint()]", low, high))
    # Compilers have no adder that holds a table.
    spans = [span for span, _ in terms]
    for number, adder in enumerate(adders_of(spans, [0] * len(spans), bias, 2, 1), start=len(layer.tables)):
        one, other = (added[n] for n in adder.terms)
        low, high, name = one[1] + other[1], one[2] + other[2], f"s{number}_{unit}"
        lines.append(f"{dialect.integer(low, high)} {name} = {one[0]} + {other[0]};")
        added.append((name, low, high))
    name, low, high = added[-1]
    if len(terms) == 1:
        lines.append(f"{dialect.integer(low, high)} s_{unit} = {name};")
        name = f"s_{unit}"
    return lines, name, low, high


def _literal(value: int) -> str:
    """A whole number in C++."""
    return str(value) if np.iinfo(np.int32).min < value <= np.iinfo(np.int32).max else f"{value}LL"
