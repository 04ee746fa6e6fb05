"""
Which inputs does the network need?
===================================

Sixteen numbers describe a jet. Which five of them suffice to tell the five kinds of jet apart? One
training run answers: gates on the inputs close while the network learns, until five are left. Nothing is
trained again.
"""

import numpy as np

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet.datasets import load_lhc_jets
from sk_shadownet.display import SelectionDisplay

jets = load_lhc_jets(as_frame=True)
X_train, y_train = jets.X_train.iloc[::3], jets.y_train.iloc[::3]
X_test, y_test = jets.X_test, jets.y_test

clf = ShadowMLPClassifier((32, 16), n_features_to_select=5, max_epochs=20, random_state=0)
clf.fit(X_train, y_train)
print(clf.architecture_)
print("kept:", *clf.selected_features_)

# %%
# The estimator is a scikit-learn selector, too. Since it was fitted on a table, it selects by name:

clf.set_output(transform="pandas").transform(X_test.head(3))

# %%
# Scores are there for every input, those of the removed ones from the moment at which they were given up.
# They are natural logarithms: one unit further right means that closing the gate costs about *e* times as
# much.

display = SelectionDisplay.from_estimator(clf)

# %%
# Is that choice better than luck? Beside it stand the network that keeps all sixteen inputs, and networks
# of the same widths on five inputs drawn at random.


def accuracy(columns, seed=0):
    """Of a network that was trained on these columns alone."""
    network = ShadowMLPClassifier((32, 16), max_epochs=20, random_state=seed)
    return network.fit(X_train[columns], y_train).score(X_test[columns], y_test)


rng = np.random.default_rng(0)
names = np.array(jets.feature_names)
drawn = [accuracy(list(rng.choice(names, 5, replace=False)), seed) for seed in range(5)]

print(f"the run above, five inputs      {clf.score(X_test, y_test):.3f}")
print(f"its five inputs, from scratch   {accuracy(list(clf.selected_features_)):.3f}")
print(f"all sixteen inputs              {accuracy(list(names)):.3f}")
print(f"five at random, five draws      {min(drawn):.3f} to {max(drawn):.3f}, mean {np.mean(drawn):.3f}")

# %%
# The first and the second line are the same question asked in two ways: whether the run that chose the
# inputs also trained the network on them as well as a fresh training would. Where inputs are correlated,
# as these are, another seed can keep others that are as good: :doc:`plot_08_committee_and_stability`
# counts how often.
