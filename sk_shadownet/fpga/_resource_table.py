"""What pruning bought in hardware, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sk_shadownet.exceptions import InvalidParameterError
from sk_shadownet.fpga._codegen.estimate import ResourceEstimate
from sk_shadownet.fpga._model import FPGAModel

#: Columns of the table, and the attribute of an estimate or report that fills each.
FIGURES = {
    "LUT": "lut",
    "FF": "ff",
    "DSP": "dsp",
    "BRAM": "bram",
    "latency (cycles)": "latency_cycles",
    "II": "initiation_interval",
    "latency (ns)": "latency_ns",
    "Fmax (MHz)": "fmax_mhz",
}


@dataclass(frozen=True)
class ResourceTable:
    """Figures of designs side by side; each row has one source.

    Attributes
    ----------
    rows : tuple of dict
        Design, source, and figures; None where the source gives none.

    Examples
    --------
    >>> from sk_shadownet.fpga import ResourceEstimate, compare_resources
    >>> def figures(lut, cycles):
    ...     return ResourceEstimate(lut, 0, 0, 0, cycles, 1, source="by hand", design="example")
    >>> compare_resources(figures(8000, 8), figures(2000, 4))
    design          source     LUT   FF  DSP  BRAM  latency (cycles)    II
    dense           by hand  8,000    0    0     0                 8     1
    pruned          by hand  2,000    0    0     0                 4     1
    dense / pruned  ratio     4.00    -    -     -              2.00  1.00
    """

    rows: tuple[dict[str, Any], ...]

    def to_frame(self) -> Any:
        """The table as a pandas DataFrame, one row for each design and a last one with ratios."""
        import pandas as pd

        return pd.DataFrame(list(self.rows)).set_index("design")

    def __str__(self) -> str:
        names = list(self.rows[0])
        cells = [names, *([_cell(row[name]) for name in names] for row in self.rows)]
        widths = [max(len(line[k]) for line in cells) for k in range(len(names))]
        return "\n".join(
            "  ".join(
                c.ljust(w) if k < 2 else c.rjust(w) for k, (c, w) in enumerate(zip(line, widths, strict=True))
            )
            for line in cells
        )

    __repr__ = __str__


def compare_resources(
    dense: Any, pruned: Any, *, names: tuple[str, str] = ("dense", "pruned")
) -> ResourceTable:
    """Put two designs side by side, and their ratios below.

    Parameters
    ----------
    dense, pruned : FPGAModel, ResourceEstimate or SynthesisReport
        Both estimates or both reports, from the same kind of source; of a model its estimate is taken.
    names : tuple of str, default=("dense", "pruned")

    Returns
    -------
    ResourceTable
        Its ``to_frame()`` gives a pandas DataFrame.

    Raises
    ------
    InvalidParameterError
        If an estimate would stand beside a measurement, or figures of different tools or targets.

    Examples
    --------
    >>> from sk_shadownet.fpga._codegen.estimate import estimate_widths
    >>> table = compare_resources(estimate_widths((16, 64, 5)), estimate_widths((8, 16, 5)))
    >>> table.rows[-1]["design"], table.rows[-1]["LUT"] > 4
    ('dense / pruned', True)
    """
    pair = [figures.estimate() if isinstance(figures, FPGAModel) else figures for figures in (dense, pruned)]
    sources = [_source(figures) for figures in pair]
    if sources[0] != sources[1]:
        raise InvalidParameterError(
            f"figures from {sources[0]!r} cannot stand beside figures from {sources[1]!r}; take both "
            "from one source, "
            "such as estimate() of both models or synthesize() of both with one target."
        )
    rows: list[dict[str, Any]] = []
    for name, figures, source in zip(names, pair, sources, strict=True):
        values = {column: getattr(figures, attribute, None) for column, attribute in FIGURES.items()}
        rows.append({"design": name, "source": source, **values})
    columns = [column for column in FIGURES if any(row[column] is not None for row in rows)]
    ratios = dict[str, float | None]()
    for column in columns:
        one, other = rows[0][column], rows[1][column]
        ratios[column] = None if one is None or not other else float(one) / float(other)
    rows.append({"design": " / ".join(names), "source": "ratio", **ratios})
    return ResourceTable(tuple({key: row[key] for key in ("design", "source", *columns)} for row in rows))


def _source(figures: Any) -> str:
    if isinstance(figures, ResourceEstimate):
        return figures.source
    inner = getattr(figures, "figures", None)
    if not isinstance(inner, Mapping):
        raise InvalidParameterError(
            "an FPGAModel, a ResourceEstimate or a SynthesisReport was expected, got "
            f"{type(figures).__name__}."
        )
    return "; ".join(sorted({str(figure.source) for figure in inner.values()}))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
