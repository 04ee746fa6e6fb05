"""What a run tells while it goes on: a bar where asked for, lines in the package's log in any case."""

from __future__ import annotations

import logging
from typing import Any, Protocol

from tqdm.auto import tqdm

from sk_shadownet._training.callbacks import Best, RunCallback

#: The package's log is silent until a program asks for it, as libraries' logs should be.
LOG = logging.getLogger("sk_shadownet")
LOG.addHandler(logging.NullHandler())

#: The bar takes the room that the words leave. Few words, so that all fit into 80 columns.
BAR = "{desc} |{bar}| {percentage:3.0f}% {elapsed}<{remaining}{postfix}"


class Phased(Protocol):
    """Whatever knows where a run is."""

    @property
    def phase(self) -> str:
        """A word or two."""


class Progress(RunCallback):
    """A bar, in terminals and notebooks, that moves with every batch.

    It shows phase, epoch, time gone and left, and of the last epoch the open units of the inputs and each
    hidden layer and the validation score, or the training loss where there are no validation rows.
    """

    constant = ("phased", "bar")

    def __init__(self, phased: Phased) -> None:
        self.phased = phased

    def on_resumed(self, net: Any) -> None:
        self.bar.update(net.step)

    def on_train_begin(self, net: Any, **_: Any) -> None:
        # An epoch may take a minute, so steps are counted.
        text = self._where(net, epoch=1)
        self.bar = tqdm(desc=text, total=net.n_steps, bar_format=BAR, dynamic_ncols=True, mininterval=0.2)

    def on_batch_end(self, net: Any, training: bool = False, **_: Any) -> None:
        if training:
            self.bar.update()

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        row = net.history[-1]
        parts = [f"units {_widths(row['open_counts'])}"] if "open_counts" in row else []
        if _n_sizes(row) > 1:
            parts = [f"{_n_sizes(row)} networks"]
        valid = "valid_score" in row
        parts.append(f"score {row['valid_score']:.4f}" if valid else f"loss {row['train_loss']:.4f}")
        self.bar.set_postfix_str(", ".join(parts), refresh=False)
        where = self._where(net, epoch=min(len(net.history) + 1, net.max_epochs))
        self.bar.set_description_str(where, refresh=False)

    def on_train_end(self, net: Any, **_: Any) -> None:
        self.bar.set_description_str(self._where(net, epoch=len(net.history)), refresh=False)
        self.bar.close()

    def _where(self, net: Any, epoch: int) -> str:
        return f"{self.phased.phase:9s} epoch {epoch:{len(str(net.max_epochs))}d}/{net.max_epochs}"


class PhaseLog(RunCallback):
    """A line in the log ``sk_shadownet`` at the start, after each epoch with a new phase, and at the end."""

    constant = ("phased", "best")

    def __init__(self, phased: Phased, best: Best) -> None:
        self.phased = phased
        self.best = best

    def on_train_begin(self, net: Any, X: Any = None, **_: Any) -> None:
        self.phase = self.phased.phase
        LOG.info("%s: %d epochs on %s rows", self.phase, net.max_epochs, f"{len(X):,}")

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        if self.phased.phase != self.phase:
            self.phase = self.phased.phase
            LOG.info("%s after epoch %d: %s", self.phase, len(net.history), _epoch(net))

    def on_train_end(self, net: Any, **_: Any) -> None:
        if not net.history or "train_loss" not in net.history[-1]:
            return  # interrupted within the first epoch
        seconds = sum(row.get("dur", 0.0) for row in net.history)
        one = self.best.epoch and _n_sizes(net.history[-1]) < 2
        kept = f", epoch {self.best.epoch} is kept" if one else ""
        LOG.info("trained %d epochs in %.1f s: %s%s", len(net.history), seconds, _epoch(net), kept)


def _n_sizes(row: dict[str, Any]) -> int:
    """How many networks, each of a size of its own, trained side by side in an epoch; 0 before the split."""
    return len(row.get("member_open_counts", ()))


def _epoch(net: Any) -> str:
    row = net.history[-1]
    units = f"open units {_widths(row['open_counts'])}, " if "open_counts" in row else ""
    if _n_sizes(row) > 1:
        units = f"means of {_n_sizes(row)} networks, "
    valid = f", validation score {row['valid_score']:.4f}" if "valid_score" in row else ""
    return f"{units}training loss {row['train_loss']:.4f}{valid}"


def _widths(counts: tuple[float, ...]) -> str:
    return "-".join(f"{count:.0f}" for count in counts)
