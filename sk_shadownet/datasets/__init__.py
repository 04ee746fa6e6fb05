"""Jet-tagging data: an embedded simulated sample, and the public set from OpenML."""

from sk_shadownet.datasets._lhc_jets import load_lhc_jets
from sk_shadownet.datasets._openml import fetch_lhc_jets

__all__ = ["fetch_lhc_jets", "load_lhc_jets"]
