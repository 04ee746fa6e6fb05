"""A table network in the structure of an old one: ports, codes and shifts stay, tables' contents are new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from sk_shadownet.exceptions import InvalidParameterError
from sk_shadownet.fpga._tables.plan import TablePlan

_REMEDY = "Train the tables of the old network anew, or leave plan= out and make new firmware."


@dataclass(frozen=True)
class TableDrift:
    """How new tables lie in the structure of an old network.

    Attributes
    ----------
    n_rows : int
        Calibration rows.
    inputs : dict of str to float
        For each input, the share of rows beyond the range that its port holds.
    n_tables : int
        Tables of the new network.
    n_new_tables, n_wider_tables : int
        Those of them that stand where the old network had none, or that put out more bits than the old ones
        did. No port depends on them, but the size of the hardware does.
    loss : float
        0: hardware carries tables as they are.

    Examples
    --------
    >>> print(TableDrift(1000, {"pt": 0.02, "eta": 0.0}, 61, 0, 2))
    1,000 rows at the old ports: pt beyond its range in 2.00%;
    of 61 tables 0 are new and 2 wider than before
    """

    n_rows: int
    inputs: Mapping[str, float] = field(hash=False)
    n_tables: int
    n_new_tables: int
    n_wider_tables: int
    loss: float = 0.0

    def __str__(self) -> str:
        beyond = [f"{name} beyond its range in {share:.2%}" for name, share in self.inputs.items() if share]
        return (
            f"{self.n_rows:,} rows at the old ports: {', '.join(beyond) or 'all within their ranges'};\n"
            f"of {self.n_tables:,} tables {self.n_new_tables:,} are new and {self.n_wider_tables:,} wider "
            "than before"
        )

    def lines(self) -> list[str]:
        """The README's section on a frozen interface."""
        return [
            "## Frozen structure",
            "",
            "Ports, codes and shifts are those of an older network; the tables' contents alone are new. "
            "Sources, resources and latency follow from the contents and are not the old ones.",
            "",
            f"- tables where there were none: {self.n_new_tables:,} of {self.n_tables:,}; tables with more "
            f"output bits than before: {self.n_wider_tables:,}",
            "",
            "| feature | rows beyond the port's range |",
            "|---|---|",
            *(f"| {name} | {share:.2%} |" for name, share in self.inputs.items()),
            "",
        ]


def in_structure(new: TablePlan, old: TablePlan) -> TablePlan:
    """The new network behind the old one's ports.

    Raises
    ------
    InvalidParameterError
        If widths, codes, shifts or steps differ, or an output needs a wider port.
    """
    if new.widths != old.widths:
        was_wide, is_wide = ("-".join(map(str, plan.widths)) for plan in (old, new))
        raise InvalidParameterError(
            f"the old plan is of a network {was_wide} (inputs, hidden units, outputs), but this one is "
            f"{is_wide}. {_REMEDY}"
        )
    codes, was = new.network.inputs, old.network.inputs
    same = [
        np.array_equal(getattr(codes, name), getattr(was, name)) for name in ("exponent", "offset", "bits")
    ]
    if not all(same) or new.inputs != old.inputs:
        raise InvalidParameterError(f"the inputs of this network have other codes or ports. {_REMEDY}")
    for number, pair in enumerate(zip(new.network.layers, old.network.layers, strict=True), start=1):
        now, before = (np.append(layer.shift, [] if layer.bits is None else layer.bits) for layer in pair)
        if not np.array_equal(now, before):
            raise InvalidParameterError(
                f"the sums of layer {number} have other shifts than in the old plan, or codes of other bits. "
                f"{_REMEDY}"
            )
    if new.network.step != old.network.step:
        raise InvalidParameterError(
            f"this network's outputs count steps of {new.network.step:g}, the old one's of "
            f"{old.network.step:g}. {_REMEDY}"
        )
    ports, own = old.outputs, replace(new, output_ports=None).outputs
    wider = np.flatnonzero((own.integer > ports.integer) | (own.signed > ports.signed))
    if len(wider):
        raise InvalidParameterError(
            f"output {wider[0]} of this network reaches from {own.lowest[wider[0]]:g} to "
            f"{own.highest[wider[0]]:g}, more than the old port's {ports.lowest[wider[0]]:g} to "
            f"{ports.highest[wider[0]]:g} holds. {_REMEDY}"
        )
    return replace(new, output_ports=ports)


def table_drift(new: TablePlan, old: TablePlan, rows: np.ndarray, names: tuple[str, ...]) -> TableDrift:
    """How tables lie in an old structure, and rows, shape (n_rows, n_inputs), at the old ports."""
    now, before = (
        np.concatenate(
            [np.stack([t.max(axis=0) for t in layer.tables]).ravel() for layer in p.network.layers]
        )
        for p in (new, old)
    )
    bits, had = (np.frexp(values.astype(float))[1] for values in (now, before))
    return TableDrift(
        n_rows=len(rows),
        inputs=dict(zip(names, new.outside(rows).mean(axis=0).tolist(), strict=True)),
        n_tables=int((now > 0).sum()),
        n_new_tables=int(((now > 0) & (before == 0)).sum()),
        n_wider_tables=int(((bits > had) & (before > 0)).sum()),
    )
