"""
Against other selectors, and where trees win
============================================

Choosing columns is an old trade. Here are five ways to choose, on two tables, judged in the same way: a
small network is trained from scratch on whatever columns were chosen. So only the choice differs.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_classification
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.feature_selection import RFE, SelectFromModel, SelectKBest, f_classif
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet.datasets import load_lhc_jets


def selectors(k, seed):
    """Whatever has ``fit`` and ``get_support``."""
    trees = ExtraTreesClassifier(100, random_state=seed)
    return {
        "F test": SelectKBest(f_classif, k=k),
        "RFE, logistic regression": RFE(LogisticRegression(max_iter=1000), n_features_to_select=k, step=0.2),
        "extremely random trees": SelectFromModel(trees, max_features=k, threshold=-np.inf),
        "shadow network": ShadowMLPClassifier(
            (32, 16), n_features_to_select=k, max_epochs=20, random_state=seed
        ),
        "shadow network, committee of 4": ShadowMLPClassifier(
            (32, 16), n_features_to_select=k, n_shadows=4, max_epochs=20, random_state=seed
        ),
    }


def judge(X, y, k, seed):
    """Accuracy, columns and seconds of every selector on one division of the rows."""
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=seed)
    scale = StandardScaler().fit(X_train)
    X_train, X_test = scale.transform(X_train), scale.transform(X_test)
    for name, selector in selectors(k, seed).items():
        start = time.perf_counter()
        columns = selector.fit(X_train, y_train).get_support()
        seconds = time.perf_counter() - start
        network = ShadowMLPClassifier((16, 8), max_epochs=20, random_state=seed)
        network.fit(X_train[:, columns], y_train)
        yield name, network.score(X_test[:, columns], y_test), columns, seconds


# %%
# The tables: three of the sixteen features of jets, many of which say nearly the same; and twenty of two
# hundred columns, five of which carry the class, fifteen are mixtures of those, and all others are noise.

X, y = load_lhc_jets(return_X_y=True, subset="train")
mixtures = make_classification(
    n_samples=1500,
    n_features=200,
    n_informative=5,
    n_redundant=15,
    n_clusters_per_class=8,
    shuffle=False,
    random_state=1,
)
tables = {"jets, 3 of 16": (X[::12], y[::12], 3), "mixtures, 20 of 200": (*mixtures, 20)}

results = {}
for table, (X, y, k) in tables.items():
    for seed in range(3):
        for name, accuracy, columns, seconds in judge(X, y, k, seed):
            results.setdefault((table, name), []).append((accuracy, columns, seconds))

# %%
# Every dot is one division of the rows, the bar their mean.

figure, axes = plt.subplots(1, 2, figsize=(10, 3.4), sharey=True, layout="constrained")
for ax, table in zip(axes, tables, strict=True):
    names = [name for at, name in results if at == table]
    for place, name in enumerate(names):
        scores = [accuracy for accuracy, _, _ in results[table, name]]
        ax.plot(scores, [place] * len(scores), "o", color="0.55")
        ax.plot(np.mean(scores), place, "|", color="0", markersize=18, markeredgewidth=2.5)
    ax.set(title=table, xlabel="accuracy of a 16-8 network on test rows")
    ax.grid(axis="x", color="0.9")
axes[0].set_yticks(range(len(names)), names)
axes[0].invert_yaxis()

# %%
# In numbers, with the time that choosing took. In the second table one can count how many of the chosen
# columns are not noise.

for table in tables:
    print(f"\n{table:38s}accuracy  seconds" + ("  not noise" if "mixtures" in table else ""))
    for (at, name), runs in results.items():
        if at == table:
            accuracy, _, seconds = (np.mean([run[n] for run in runs], axis=0) for n in range(3))
            good = np.mean([run[1][:20].sum() for run in runs])
            print(
                f"  {name:36s}{accuracy:8.3f}{seconds:9.2f}"
                + (f"{good:11.1f}" if "mixtures" in table else "")
            )

# %%
# Columns that are good each by itself may repeat one another, and a network that has to live with three of
# them notices. Where few rows stand against many noise columns, a forest of random trees is hard to beat at
# choosing: it averages a hundred learners. Then let the trees choose and the network learn::
#
#     trees = SelectFromModel(ExtraTreesClassifier(100), max_features=20, threshold=-np.inf)
#     make_pipeline(trees, ShadowMLPClassifier())
