"""
In a Pipeline, in a grid
========================

The estimator behaves as scikit-learn's do. So how many inputs are worth having can be asked with the
tools that are there: a pipeline in front, a grid over sizes, cross-validation around it all.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_shadownet import ShadowMLPClassifier

digits = load_digits(as_frame=True)
X_train, X_test, y_train, y_test = train_test_split(
    digits.data, digits.target, test_size=0.25, stratify=digits.target, random_state=0
)

pipe = make_pipeline(
    StandardScaler().set_output(transform="pandas"),
    ShadowMLPClassifier((32, 16), target_hidden_layer_sizes=(16, 8), max_epochs=30, random_state=0),
)
grid = {"shadowmlpclassifier__n_features_to_select": [4, 8, 16, 32, None]}
search = GridSearchCV(pipe, grid, cv=3).fit(X_train, y_train)
print(search.best_params_)
print(f"accuracy on test rows {search.score(X_test, y_test):.3f}")

# %%
# The best is rarely what hardware wants. The curve says where more inputs stop paying:

results = search.cv_results_
counts = [count or X_train.shape[1] for count in results["param_shadowmlpclassifier__n_features_to_select"]]

figure, ax = plt.subplots(figsize=(5, 3.6), layout="constrained")
ax.errorbar(counts, results["mean_test_score"], results["std_test_score"], marker="o", color="0.1", capsize=3)
ax.set(xscale="log", xlabel="inputs kept, of 64", ylabel="accuracy, mean and spread of 3 folds")
ax.set_xticks(counts, counts)
ax.minorticks_off()

# %%
# Which pixels are they? Refit with sixteen and look at where they lie. ``get_support`` is the selector's
# own answer.

pipe.set_params(shadowmlpclassifier__n_features_to_select=16).fit(X_train, y_train)
kept = pipe[-1].get_support().reshape(8, 8)
figure, ax = plt.subplots(figsize=(3.6, 3.6), layout="constrained")
ax.imshow(digits.images.mean(axis=0), cmap="Greys")
ax.plot(*kept.nonzero()[::-1], "o", markersize=9, markerfacecolor="white", markeredgecolor="black")
ax.set(xticks=range(8), yticks=range(8))
ax.set(title="mean digit, and the 16 pixels kept", xlabel="column (pixel)", ylabel="row (pixel)")
