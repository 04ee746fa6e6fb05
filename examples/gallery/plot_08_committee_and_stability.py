"""
Would another seed choose the same?
===================================

A selection that changes with the seed is an opinion. Here the truth is known: of sixty columns the first
six carry the class, and the others are noise. Eight seeds are asked alone, and eight committees, each of
four networks that pool what they learn about the inputs.
"""

from sklearn.datasets import make_classification

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet.display import SelectionDisplay

X, y = make_classification(
    n_samples=500,
    n_features=60,
    n_informative=6,
    n_redundant=0,
    n_clusters_per_class=4,
    class_sep=1.2,
    shuffle=False,
    random_state=3,
)
true = range(6)
names = [f"true {column}" if column in true else f"noise {column}" for column in range(60)]


def fits(**options):
    return [
        ShadowMLPClassifier(
            (24, 12), n_features_to_select=6, max_epochs=60, random_state=seed, **options
        ).fit(X, y)
        for seed in range(8)
    ]


alone, committees = fits(), fits(n_shadows=4)

# %%
# Eight seeds, each for itself:

display = SelectionDisplay.from_estimators(alone, feature_names=names, max_features=16)

# %%
# Eight committees:

pooled = SelectionDisplay.from_estimators(committees, feature_names=names, max_features=16)

# %%
# *Stability* is 1 where all choose the same, and about 0 where choices are as alike as random ones. How
# many of the six true columns were found is a different question: a method can be wrong with great
# stability.

for name, one, networks in (("alone", display, alone), ("committee", pooled, committees)):
    found = [int(network.support_[true].sum()) for network in networks]
    print(f"{name:10s} stability {one.stability:.2f}, true columns found {found}")
