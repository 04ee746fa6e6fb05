"""What a fit of table networks tells while it goes on: a bar where asked for, lines in the log always."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from tqdm.auto import tqdm

from sk_shadownet._tables.settings import SILENT, Progress
from sk_shadownet._training.progress import BAR, LOG


@contextmanager
def shown(verbose: bool, n_rows: int) -> Iterator[Progress]:
    """A function for training to call; the bar, of steps, is there as long as the context."""
    start = perf_counter()
    LOG.info("tables: training on %s rows", f"{n_rows:,}")
    if not verbose:
        yield SILENT
    else:
        with tqdm(desc="tables", bar_format=BAR, dynamic_ncols=True, mininterval=0.2) as bar:
            yield _Bar(bar)
    LOG.info("tables: trained in %.1f s", perf_counter() - start)


class _Bar:
    """Moves a bar and says how many edges are open, layer by layer, and the loss."""

    def __init__(self, bar: Any) -> None:
        self.bar = bar

    def __call__(self, step: int, n_steps: int, row: Mapping[str, Any], /) -> None:
        self.bar.total = n_steps
        self.bar.update(step - self.bar.n)
        edges = "-".join(map(str, row["edges"]))
        self.bar.set_postfix_str(f"edges {edges}, loss {row['loss']:.4f}", refresh=False)
