"""
A network of exactly this size
==============================

The chip has room for 8 inputs and hidden layers of 16, 8 and 8 units. Ask for that; training starts four
times as wide and ends there.
"""

import numpy as np

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet.datasets import load_lhc_jets
from sk_shadownet.display import ArchitectureDisplay, ShrinkageDisplay

jets = load_lhc_jets(as_frame=True)
X_train, X_test, y_train, y_test = jets.X_train, jets.X_test, jets.y_train, jets.y_test

clf = ShadowMLPClassifier(
    (64, 32, 32),
    n_features_to_select=8,
    target_hidden_layer_sizes=(16, 8, 8),
    max_epochs=20,
    random_state=0,
)
clf.fit(X_train, y_train)
print(clf.architecture_)

# %%
# From above: how many units of each layer were still open, how soft their gates were, the losses, and the
# accuracy on rows that were held out. Inputs close before hidden units do, and the small network is
# trained on after the cut.

display = ShrinkageDisplay.from_estimator(clf)

# %%
# What went and what stayed. Wide layers are drawn in part.

display = ArchitectureDisplay.from_estimator(clf, max_units=16)

# %%
# What is left is a plain network without gates or masks:

print(clf.module_)

# %%
# Was the detour through the wide network worth it? The rival is a network that was this small from the
# beginning, on the same eight inputs and for as many epochs. One seed says little, so here are three:


def pruned(seed):
    network = ShadowMLPClassifier(random_state=seed, **sizes)
    return network.fit(X_train, y_train).score(X_test, y_test)


def from_scratch(seed):
    columns = list(clf.selected_features_)
    network = ShadowMLPClassifier((16, 8, 8), max_epochs=20, random_state=seed)
    return network.fit(X_train[columns], y_train).score(X_test[columns], y_test)


sizes = {"n_features_to_select": 8, "target_hidden_layer_sizes": (16, 8, 8), "max_epochs": 20}
for name, run in {"shrunk from 64-32-32": pruned, "small from the start": from_scratch}.items():
    scores = [run(seed) for seed in range(3)]
    print(f"{name}: accuracy {np.mean(scores):.4f}, from {min(scores):.4f} to {max(scores):.4f}")

# %%
# Differences within the ranges printed are noise. Where the two agree, the wide start has paid for one
# thing, the choice of the inputs, and the rival got that choice for nothing.
