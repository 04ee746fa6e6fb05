"""
What do fewer bits cost?
========================

A trigger throws events away for good, so what matters of an eight-bit network is not its average accuracy
but how much background it lets through. Hardware is emulated bit for bit and laid over the float network.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet.datasets import load_lhc_jets
from sk_shadownet.display import RocDisplay

jets = load_lhc_jets(as_frame=True)
X_test, y_test = jets.X_test, jets.target_names[jets.y_test]

clf = ShadowMLPClassifier(
    (64, 32, 32),
    n_features_to_select=8,
    target_hidden_layer_sizes=(16, 8, 8),
    max_epochs=20,
    random_state=0,
)
clf.fit(jets.X_train, jets.target_names[jets.y_train])

# %%
# Three pieces of hardware from the same network: inputs, weights and results of 12, 8 and 5 bits. Binary
# points are set layer by layer from training rows. Nothing is trained again.

folder = Path(tempfile.mkdtemp())
models = {"float": clf}
for bits in (12, 8, 5):
    models[f"{bits} bit"] = clf.to_fpga(folder / f"bits{bits}", backend="verilog", precision=bits)
    print(models[f"{bits} bit"].compare(X_test, y_test))
    print(models[f"{bits} bit"].estimate(), end="\n\n")

# %%
# Background rejection, one over the share of the other kinds that passes, against the share of the signal
# that passes:

display = RocDisplay.from_estimators(models, X_test, y_test, classes=["t", "w", "g"], kind="rejection")

# %%
# The same at one working point, with the statistical errors of the test rows:

display = RocDisplay.from_estimators(models, X_test, y_test, kind="working_point", signal_efficiency=0.5)

# %%
# Can bits be had back? The network goes on training in 5-bit arithmetic with ``quantization=5``, from the
# same seed:

tuned = ShadowMLPClassifier(**{**clf.get_params(), "quantization": 5})
tuned.fit(jets.X_train, jets.target_names[jets.y_train])
after = tuned.to_fpga(folder / "tuned", backend="verilog")

scores = {
    "float": clf.score(X_test, y_test),
    "5 bit, rounded afterwards": (models["5 bit"].predict(X_test) == y_test).mean(),
    "5 bit, trained in it": (after.predict(X_test) == y_test).mean(),
}
figure, ax = plt.subplots(figsize=(6, 2.2), layout="constrained")
bars = ax.barh(list(scores), list(scores.values()), color="0.6", edgecolor="0.2")
ax.bar_label(bars, fmt="%.3f", padding=3)
ax.set(xlabel="accuracy on test rows", xlim=(0, 1))
ax.invert_yaxis()
