"""
How large need it be?
=====================

If nothing dictates a size, let one training run offer many. With ``"auto"`` sizes the network shrinks
step by step, and at each step a copy is trained to the end: a *frontier* of networks from the full one
down to a few units.
"""

from sk_shadownet import Architecture, ShadowMLPClassifier
from sk_shadownet.datasets import load_lhc_jets
from sk_shadownet.display import FrontierDisplay

jets = load_lhc_jets(as_frame=True)
X_train, X_test, y_train, y_test = jets.X_train, jets.X_test, jets.y_train, jets.y_test

clf = ShadowMLPClassifier(
    (64, 32, 32),
    n_features_to_select="auto",
    target_hidden_layer_sizes="auto",
    max_epochs=15,
    random_state=0,
)
clf.fit(X_train, y_train)
print(clf.frontier_)

# %%
# The line marked ``>`` is what the estimator is now. The rule is that of one standard error: the cheapest
# network whose validation score cannot be told from the best one's. As a table, for a report:

clf.frontier_.to_frame().round(3)

# %%
# Is it a good frontier? Its networks have seen the validation rows, which chose their epochs; so here
# they are once more on test rows, beside networks that were trained from scratch at sizes somebody might
# have guessed, on all inputs.

costs = [point.costs["multiplications"] for point in clf.frontier_]
tests = [clf.at(n).score(X_test, y_test) for n in range(len(clf.frontier_))]

guesses = [(4, 4, 4), (8, 8, 8), (16, 8, 8), (32, 16, 16), (64, 32, 32)]
cost, score = [], []
for hidden in guesses:
    rival = ShadowMLPClassifier(hidden, max_epochs=15, random_state=0).fit(X_train, y_train)
    cost.append(Architecture.dense((16, *hidden, 5)).n_multiplications)
    score.append(rival.score(X_test, y_test))

rivals = {"same networks, test rows": (costs, tests), "guessed sizes, test rows": (cost, score)}
display = FrontierDisplay.from_estimator(clf, rivals=rivals)

# %%
# Error bars are standard errors, and the points share their validation rows: the differences between
# neighbours are known better than the bars suggest, but not well enough to hunt for the last half per
# cent.
#
# Another point of the frontier is one call away, by a limit or by its position. It is a fitted estimator,
# and no training happens:

for limit in (150, 400, 1500):
    small = clf.at(multiplications=limit)
    accuracy = small.score(X_test, y_test)
    print(f"at most {limit:4d} multiplications: test accuracy {accuracy:.3f}, {small.architecture_}")
