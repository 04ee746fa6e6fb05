"""
Jets from a ROOT file
=====================

Experiments keep events of different lengths in trees: this one has two jets, that one five. ``uproot``
reads them, ``awkward`` flattens them, and what comes out goes into ``fit`` as it is, names included.
Nothing of ROOT is installed.
"""

import tempfile
from pathlib import Path

import awkward as ak
import matplotlib.pyplot as plt
import numpy as np
import uproot

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet.datasets import load_lhc_jets
from sk_shadownet.display import SelectionDisplay

# %%
# A file to read
# --------------
#
# You have one; the example must write its own. It deals out simulated jets to events of one to four jets
# each, as branches of variable length.

jets = load_lhc_jets()
order = np.random.default_rng(0).permutation(len(jets.X_train))
counts = np.random.default_rng(1).integers(1, 5, size=4000)
taken = order[: counts.sum()]
columns = {name: jets.X_train[taken, n] for n, name in enumerate(jets.feature_names)}
columns["flavour"] = jets.y_train[taken].astype(np.int32)
events = ak.zip({name: ak.unflatten(values, counts) for name, values in columns.items()})

path = Path(tempfile.mkdtemp()) / "jets.root"
with uproot.recreate(path) as file:
    file.mktree("events", {"jet": events.type})
    file["events"].extend({"jet": events})
print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")

# %%
# Reading
# -------
#
# The tree, and one branch of its first events:

tree = uproot.open(path)["events"]
print(tree.num_entries, "events with", *tree.keys()[:4], "…")
print(tree["jet_multiplicity"].array(entry_stop=3).to_list())

# %%
# One row for each jet. Cuts are easiest while events are whole; here events need two jets.

arrays = tree.arrays(filter_name="jet_*")
arrays = arrays[ak.num(arrays.jet_flavour) >= 2]
flat = ak.to_dataframe(arrays).reset_index(drop=True)
y = jets.target_names[flat.pop("jet_flavour")]
flat.iloc[:3, :5]

# %%
# Fitting
# -------
#
# Branch names become feature names. The columns stay those of the tree, and later tables are checked
# against them.

clf = ShadowMLPClassifier(
    (32, 16), n_features_to_select=6, target_hidden_layer_sizes=(12, 8), max_epochs=40, random_state=0
)
clf.fit(flat, y)
print(clf.architecture_)
display = SelectionDisplay.from_estimator(clf)

# %%
# Files larger than memory come in pieces, and only the branches that were selected need to be read for a
# decision in one's own code: ``clf.module_`` takes those alone. With all branches, ``predict_proba`` does
# the rest:

shares = []
for piece in tree.iterate(filter_name="jet_*", step_size=1000):
    names = list(clf.feature_names_in_)
    shares.append(clf.predict_proba(ak.to_dataframe(piece)[names])[:, list(clf.classes_).index("t")])
p_top = np.concatenate(shares)
top = ak.to_numpy(ak.flatten(tree["jet_flavour"].array())) == 2

figure, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
options = {"bins": np.linspace(0, 1, 26), "histtype": "step", "linewidth": 2}
ax.hist(p_top[top], label="top jets", color="0.1", **options)
ax.hist(p_top[~top], label="other jets", color="0.5", linestyle="--", **options)
ax.set(xlabel="probability of top", ylabel="jets per bin", yscale="log")
ax.legend()
print(f"{len(p_top):,} jets of the whole file, read in pieces")
