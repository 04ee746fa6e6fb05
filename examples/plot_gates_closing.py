"""How do gates close? Open units and temperature of one training run on the embedded jets.

    python examples/plot_gates_closing.py [FILE]

Trains 16-64-32-32-5 down to 8-16-8-8-5 and draws, epoch by epoch, how many units of each layer are still
open, the temperature of the gates that are still soft, losses and the validation accuracy. What is seen:
all layers close between a tenth and a quarter of the run; counts fall steeply at first and then level out on
the asked widths; the temperature falls geometrically until gates are as good as 0 or 1; and the validation
loss falls on after the cut, when the small network is trained alone.
"""

from __future__ import annotations

import sys

import matplotlib.pyplot as plt

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet.datasets import load_lhc_jets
from sk_shadownet.display import ShrinkageDisplay

if __name__ == "__main__":
    path = sys.argv[1] if len(sys.argv) > 1 else "gates_closing.svg"
    clf = ShadowMLPClassifier(
        hidden_layer_sizes=(64, 32, 32),
        n_features_to_select=8,
        target_hidden_layer_sizes=(16, 8, 8),
        random_state=0,
    )
    clf.fit(*load_lhc_jets(return_X_y=True, subset="train"))
    plt.rcParams["svg.hashsalt"] = "gates"
    display = ShrinkageDisplay.from_estimator(clf)
    display.figure_.savefig(path, metadata={"Date": None} if path.endswith(".svg") else None)
    print(f"wrote {path}")
