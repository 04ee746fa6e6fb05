"""
Numbers instead of classes: an energy
=====================================

A calorimeter of 16 layers sees a shower, but its electronics saturate: what a layer gets above 5 GeV is
lost, and deep showers leak out behind. A network that knows the profile can correct for both. Which six
layers must be read out, and how well is the energy known then?
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import gamma
from sklearn.linear_model import LinearRegression

from sk_shadownet import ShadowMLPRegressor
from sk_shadownet.display import SelectionDisplay


def showers(n_rows, seed):
    """Energies in the layers, and of the particle, in GeV."""
    rng = np.random.default_rng(seed)
    energy = rng.uniform(10, 100, n_rows)
    depth = np.log(energy) + rng.normal(0, 0.6, n_rows)
    edges = np.linspace(0, 16, 17)  # in radiation lengths
    profile = np.diff(gamma.cdf(edges / 2.0, 1 + depth[:, None]), axis=1)
    seen = rng.normal(energy[:, None] * profile, 0.1 * np.sqrt(energy[:, None] * profile))
    return np.minimum(seen + rng.normal(0, 0.05, seen.shape), 5.0).astype(np.float32), energy


X_train, y_train = showers(12_000, seed=0)
X_test, y_test = showers(8_000, seed=1)
names = [f"layer {n}" for n in range(16)]

reg = ShadowMLPRegressor(
    (32, 16), n_features_to_select=6, target_hidden_layer_sizes=(12, 6), max_epochs=40, random_state=0
)
reg.fit(X_train, y_train)
print(reg.architecture_)
print(f"R² on test rows {reg.score(X_test, y_test):.4f}")

# %%
# Targets need no scaling, and predictions are in GeV. The layers that were kept:

display = SelectionDisplay.from_estimator(reg, feature_names=names)

# %%
# Beside it: a weighted sum of all layers (linear regression), the same of the six layers that were kept,
# and a network of the same widths that reads all sixteen.

kept = reg.selected_features_
full = ShadowMLPRegressor((12, 6), max_epochs=40, random_state=0).fit(X_train, y_train)
predictions = {
    "16 layers, linear": LinearRegression().fit(X_train, y_train).predict(X_test),
    "6 layers, linear": LinearRegression().fit(X_train[:, kept], y_train).predict(X_test[:, kept]),
    "16 layers, network 12-6": full.predict(X_test),
    "6 layers, network 12-6": reg.predict(X_test),
}

edges = np.linspace(10, 100, 10)
bins = np.digitize(y_test, edges[1:-1])
figure, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
styles = zip(predictions.items(), ("--", ":", "-.", "-"), "s^vo", strict=True)
for (name, predicted), line, marker in styles:
    error = (predicted - y_test) / y_test
    resolution = [100 * np.sqrt(np.mean(error[bins == b] ** 2)) for b in range(9)]
    ax.plot((edges[1:] + edges[:-1]) / 2, resolution, linestyle=line, marker=marker, label=name)
    print(f"{name:24s} root mean square error {np.sqrt(np.mean((predicted - y_test) ** 2)):.2f} GeV")
ax.set(xlabel="true energy (GeV)", ylabel="root mean square of relative error (%)", yscale="log")
ax.yaxis.set_major_formatter(plt.ScalarFormatter())
ax.yaxis.set_minor_formatter(plt.ScalarFormatter())
ax.legend()

# %%
# The hardware puts out the energy itself. Rounding is given a limit: what it adds to the squared error
# may be at most one thousandth of the variance.

fpga = reg.to_fpga(Path(tempfile.mkdtemp()) / "energy", backend="verilog", tolerance=0.001)
print(fpga.compare(X_test, y_test))
print(fpga.estimate())
