"""What the README of an export says of the arithmetic of a table network."""

from __future__ import annotations

from sk_shadownet.fpga._tables.plan import TablePlan, holding


def table_lines(plan: TablePlan) -> list[str]:
    """The README's section on codes, tables and sums."""
    network = plan.network
    codes = zip(network.inputs.offset.tolist(), network.inputs.bits.tolist(), strict=True)
    lines = [
        "## Arithmetic",
        "",
        "Of the integer v at a port the hardware takes the code `clip(v - offset, 0, 2**bits - 1)`:",
        "",
        "| input | offset | bits |",
        "|---|---|---|",
        *(f"| {number} | {offset} | {bits} |" for number, (offset, bits) in enumerate(codes)),
        "",
        "Every edge is a table that its code looks up, and a unit the sum of its tables, exactly. A hidden "
        "sum y becomes the code `clip(y >> shift, 0, 2**bits - 1)` of the next layer.",
        "",
        "| layer | tables | widest sum | shift | bits of the codes |",
        "|---|---|---|---|---|",
    ]
    for number, layer in enumerate(network.layers, start=1):
        low, high = plan.sum_ends(number - 1)
        widest = int(holding(low, high, 0 * low).width.max())
        bits = "as it is" if layer.bits is None else _range(layer.bits.tolist())
        shape = f"{len(layer.tables)} → {len(layer.bias)}"
        cells = [f"{number}: {shape}", f"{int(layer.edges.sum())}", f"{widest} bits"]
        lines.append("| " + " | ".join([*cells, _range(layer.shift.tolist()), bits]) + " |")
    return [*lines, ""]


def _range(values: list[int]) -> str:
    """One number, or the least and the largest of several."""
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"
