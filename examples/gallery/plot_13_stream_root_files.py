"""
ROOT files that need not fit into memory
========================================

A trigger group's ntuples are many files, each sorted by the process that was simulated, and more than memory
holds. ``open_rows`` names them; ``fit`` reads each event once, checks it, and trains from windows of shuffled
rows.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import uproot

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet.datasets import load_lhc_jets, open_rows
from sk_shadownet.display import ShrinkageDisplay

# %%
# Files to read
# -------------
#
# You have yours; the example must write its own: simulated jets, one file for each kind, as flat branches of
# a tree.

jets = load_lhc_jets()
folder = Path(tempfile.mkdtemp())
for kind, name in enumerate(jets.target_names):
    own = jets.y_train == kind
    branches = {feature: jets.X_train[own, n] for n, feature in enumerate(jets.feature_names)}
    with uproot.recreate(folder / f"jets_{name}.root") as file:
        file["events"] = {**branches, "flavour": np.full(own.sum(), kind, dtype=np.int32)}
for path in sorted(folder.iterdir()):
    print(path.name, f"{path.stat().st_size / 1e6:.1f} MB")

# %%
# Opening and fitting
# -------------------
#
# Nothing is read yet but the names of the branches. These few rows would fit into one window, and would be
# trained on as an array; a small window shows what happens to millions. Blocks of rows come in a random order
# and are shuffled within the window, so files sorted by class do no harm.

names = list(jets.feature_names)
rows = open_rows(folder / "jets_*.root", target="flavour", columns=names, window=5000)
print(rows)

clf = ShadowMLPClassifier(
    (32, 16), n_features_to_select=6, target_hidden_layer_sizes=(12, 8), max_epochs=20, random_state=0
)
clf.fit(rows)
print(clf.architecture_)
print(clf.selected_features_)

# %%
# The same from an array
# ----------------------
#
# Columns are named, as a file need not have them in the order that the array has. Held-out jets tell the two
# apart as little as two seeds of one: rows and their order in a window differ, nothing else.

array = ShadowMLPClassifier(**clf.get_params()).fit(jets.X_train, jets.y_train)
with uproot.recreate(folder / "test.root") as file:
    file["events"] = {**dict(zip(names, jets.X_test.T, strict=True)), "flavour": jets.y_test}
test = open_rows(folder / "test.root", target="flavour", columns=names)
print(f"streamed {clf.score(test):.3f}, from an array {array.score(jets.X_test, jets.y_test):.3f}")

# %%
# What the network did on its way, epoch by epoch:

display = ShrinkageDisplay.from_estimator(clf)

# %%
# Events of different lengths
# ---------------------------
#
# Trees often hold a list of jets for each event. A function that makes one row of each jet, block by block,
# is a source as well; it is called anew whenever rows are read.


def leading_jets():
    """Jets above the median mass of each file, as a selection of one's own would be."""
    for path in sorted(folder.glob("jets_*.root")):
        tree = uproot.open(path)["events"]
        for arrays in tree.iterate(step_size=2000, library="np"):
            keep = arrays["mass_mmdt"] > np.median(arrays["mass_mmdt"])
            X = np.column_stack([arrays[name] for name in names])
            yield pd.DataFrame(X[keep], columns=names), arrays["flavour"][keep]


print(f"{clf.score(leading_jets):.3f} of the heavier jets are told right")

# %%
# Answers come block by block, too: ``predict_proba`` of all rows, and a column of it.

p_top = clf.predict_proba(rows)[:, 2]
flavour = np.concatenate([block.y for block in rows.blocks()])
figure, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
options = {"bins": np.linspace(0, 1, 26), "histtype": "step", "linewidth": 2}
ax.hist(p_top[flavour == 2], label="top jets", color="0.1", **options)
ax.hist(p_top[flavour != 2], label="other jets", color="0.5", linestyle="--", **options)
ax.set(xlabel="probability of top", ylabel="jets per bin", yscale="log")
ax.legend()
print(f"{len(p_top):,} jets in {len(list(folder.glob('jets_*.root')))} files")
