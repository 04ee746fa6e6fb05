"""
From a budget of LUTs to Verilog
================================

The FPGA is nearly full: 3,000 look-up tables are left, and no multiplier block. How good a tagger fits?
Say what the hardware has, and let the training decide which inputs and which units are worth it.
"""

import tempfile
from pathlib import Path

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet.datasets import load_lhc_jets
from sk_shadownet.display import PrecisionDisplay, ResourceDisplay
from sk_shadownet.fpga import FPGAConfig

jets = load_lhc_jets(as_frame=True)
X_train, X_test, y_train, y_test = jets.X_train, jets.X_test, jets.y_train, jets.y_test
hardware = FPGAConfig(backend="verilog", clock_period=5.0)

clf = ShadowMLPClassifier(
    (32, 16), budget={"lut": 3000}, fpga=hardware, quantization=6, max_epochs=15, random_state=0
)
clf.fit(X_train, y_train)
print(clf.architecture_)
print("inputs:", *clf.selected_features_)
print(f"accuracy in 6 bits {clf.score(X_test, y_test):.3f}")

# %%
# ``quantization=6`` finishes the training through 6-bit arithmetic, so that ``predict`` above already
# answered as the hardware will, bit for bit. Writing that hardware is one call. The estimate is
# arithmetic; no tool was asked.

folder = Path(tempfile.mkdtemp())
fpga = clf.to_fpga(folder / "tagger")
print(fpga.estimate())

# %%
# What was written:

for file in sorted(path for path in fpga.output_dir.rglob("*.v")):
    print(f"{file.relative_to(fpga.output_dir)}: {len(file.read_text().splitlines()):,} lines")
print(fpga.plan)

# %%
# Does the emulated hardware do as it should? It must give the answers of ``predict``, and it is compared
# with the same rounded weights where sums and results are not rounded.

print("answers that differ from predict:", (fpga.predict(X_test) != clf.predict(X_test)).sum())
print(fpga.compare(X_test, y_test))

# %%
# Formats of all signals, from the most significant bit to the least, and what test rows filled of them:

display = PrecisionDisplay.from_estimator(fpga, X_test)

# %%
# What did the budget save? The same start without a budget, in the same 6 bits:

wide = ShadowMLPClassifier((32, 16), quantization=6, max_epochs=15, random_state=0).fit(X_train, y_train)
dense = wide.to_fpga(folder / "dense", backend="verilog", clock_period=5.0)
print(f"accuracy of the dense network in 6 bits {wide.score(X_test, y_test):.3f}")
display = ResourceDisplay.from_models(dense, fpga)

# %%
# The estimate counts logic, not the wires that a placed design needs. ``fpga.synthesize()`` measures with
# yosys where that is installed; a vendor's report decides.
