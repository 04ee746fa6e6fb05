"""How do gates close? Open units and temperature of one training run on the embedded jets.

    python examples/plot_gates_closing.py [FILE]

Trains 16-64-32-32-5 down to 8-16-8-8-5 and draws, epoch by epoch, how many units of each layer are still
open, the temperature of the gates that are still soft, and the validation loss. What is seen: inputs close
before hidden units do; counts fall steeply at first and then level out on the asked widths; the temperature
falls geometrically until gates are as good as 0 or 1; and the validation loss falls on after the last cut,
when the small network is trained alone.
"""

from __future__ import annotations

import sys

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet.datasets import load_lhc_jets


def fitted() -> ShadowMLPClassifier:
    X, y = load_lhc_jets(return_X_y=True, subset="train")
    clf = ShadowMLPClassifier(
        hidden_layer_sizes=(64, 32, 32),
        n_features_to_select=8,
        target_hidden_layer_sizes=(16, 8, 8),
        random_state=0,
    )
    return clf.fit(X, y)


def draw(clf: ShadowMLPClassifier) -> Figure:
    history, before, after = clf.history_, clf.architecture_.initial_widths, clf.architecture_.widths
    figure, (top, middle, bottom) = plt.subplots(
        3, 1, sharex=True, figsize=(7, 6.5), height_ratios=(2, 1, 1.5), layout="constrained"
    )
    names = ["inputs", *(f"hidden layer {n}" for n in range(1, len(before) - 1))]
    for layer, (name, style) in enumerate(zip(names, ("-", "--", "-.", ":"), strict=True)):
        counts = [open_counts[layer] for open_counts in history["open_counts"]]
        label = f"{name}: {before[layer]} to {after[layer]}"
        top.semilogy(history["epoch"], counts, style, base=2, label=label)
    top.set(ylabel="open units", yticks=(8, 16, 32, 64), yticklabels=("8", "16", "32", "64"), ylim=(6, 90))
    top.legend(frameon=False)
    closing = [(e, t) for e, t in zip(history["epoch"], history["temperature"], strict=True) if t > 0]
    middle.semilogy(*zip(*closing, strict=True), color="black")
    middle.set(ylabel="highest\ntemperature")
    bottom.plot(history["epoch"], history["valid_loss"], color="black")
    bottom.plot(clf.best_epoch_, history["valid_loss"][clf.best_epoch_ - 1], "o", color="black")
    bottom.annotate(
        "kept",
        (clf.best_epoch_, history["valid_loss"][clf.best_epoch_ - 1]),
        xytext=(0, 8),
        textcoords="offset points",
        ha="center",
    )
    bottom.set(ylabel="validation loss", xlabel="epoch")
    cut = 0.5 + sum(phase != "finishing" for phase in history["phase"])
    for axes in (top, middle, bottom):
        axes.axvline(cut, color="grey", linewidth=1)
    top.annotate("last cut", (cut, 75), xytext=(-4, 0), textcoords="offset points", ha="right", color="grey")
    return figure


if __name__ == "__main__":
    path = sys.argv[1] if len(sys.argv) > 1 else "gates_closing.svg"
    plt.rcParams["svg.hashsalt"] = "gates"
    draw(fitted()).savefig(path, metadata={"Date": None} if path.endswith(".svg") else None)
    print(f"wrote {path}")
