"""
Table networks on jets
======================

On an FPGA any function of a number of six bits costs as much as its product with a constant. So why
multiply? In a *table network* every edge is a small table that is learnt, and a unit adds up what its tables
say. How many look-up tables (LUT) does a jet tagger need then?
"""

import tempfile
from pathlib import Path

from sk_shadownet import ShadowMLPClassifier, ShadowTableClassifier
from sk_shadownet.datasets import load_lhc_jets
from sk_shadownet.display import FrontierDisplay, TableDisplay
from sk_shadownet.fpga import FPGAConfig

jets = load_lhc_jets(as_frame=True)
X_train, X_test, y_train, y_test = jets.X_train, jets.X_test, jets.y_train, jets.y_test

clf = ShadowTableClassifier(budget={"lut": [200, 300, 500, 800, 1200]}, max_epochs=20, random_state=0)
clf.fit(X_train, y_train)
print(clf.frontier_)

# %%
# The features are raw: the network cuts each into 64 codes by itself, and the hardware's part in that is in
# the count. One run gave all five networks, as the budget fell. The line marked ``>`` is what the estimator
# is now: the cheapest that is about as good as the best one on the validation rows.
#
# Beside a perceptron
# -------------------
#
# The same for a multilayer perceptron in 6 bits, whose sizes are left open up to 4,000 LUT. All networks are
# judged on test rows; the perceptrons before they are rounded, which favours them a little.

hardware = FPGAConfig(backend="verilog", precision=6)
perceptron = ShadowMLPClassifier(
    (32, 16),
    n_features_to_select="auto",
    target_hidden_layer_sizes="auto",
    budget={"lut": 4000},
    fpga=hardware,
    max_epochs=15,
    random_state=0,
)
perceptron.fit(X_train, y_train)
display = FrontierDisplay.from_estimator(
    clf,
    name="table networks, one run",
    rivals={"perceptrons, one run, before rounding": perceptron},
    scoring="accuracy",
    X=X_test,
    y=y_test,
)
display.ax_.set_ylim(bottom=0.69)  # the smallest perceptrons are far below

# %%
# Read the picture sideways: how many LUT does either need for the same accuracy? With a few hundred LUT the
# tables are ahead, with some thousands a perceptron is as good.
#
# What a few hundred LUT hold
# ---------------------------
#
# Any other point of the frontier is one call away. The curves of its tables can be looked at: above, what
# each input does to each hidden unit; below, what each unit does to the logits.

small = clf.at(lut=300)
print(small.architecture_)
print("inputs:", *small.selected_features_)
display = TableDisplay.from_estimator(small)

# %%
# Hardware
# --------
#
# The tables are integers already, so nothing is rounded on the way to Verilog, and what ``predict`` says
# the design says too, bit for bit.

fpga = small.to_fpga(Path(tempfile.mkdtemp()) / "tagger", clock_period=2.5)
print(fpga.estimate())
print("LUT within the budget:", fpga.estimate().lut <= 300)
print("outputs that differ:", int((fpga.decision_function(X_test) != small.decision_function(X_test)).sum()))

# %%
# The estimate is that of alkaid, which wrote the design. Wires and timing are for the vendor's tool to say.
