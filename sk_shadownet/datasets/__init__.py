"""Jet-tagging data, an embedded sample and the public set from OpenML; and rows in files of any size."""

from sk_shadownet._rows.opening import open_rows
from sk_shadownet._rows.source import RowSource
from sk_shadownet.datasets._lhc_jets import load_lhc_jets
from sk_shadownet.datasets._openml import fetch_lhc_jets

__all__ = ["RowSource", "fetch_lhc_jets", "load_lhc_jets", "open_rows"]
