"""First model: which eight numbers tell jets apart, and how small may the network be? One training run.

A trigger has room for a network of 8 inputs and hidden layers of 16, 8 and 8 units. We start from
16 inputs and 64-32-32 units, train once, and get exactly that network.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import joblib
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet.datasets import load_lhc_jets


def main() -> None:
    # Load: 25,000 simulated jets to train on, 10,000 to test on, 16 features, 5 classes.
    jets = load_lhc_jets(as_frame=True)
    X_train, X_test, y_train, y_test = jets.X_train, jets.X_test, jets.y_train, jets.y_test
    print(X_train.shape, *jets.target_names)

    # Fit: one training run, from the wide network to the small one.
    clf = ShadowMLPClassifier(
        hidden_layer_sizes=(64, 32, 32),
        n_features_to_select=8,
        target_hidden_layer_sizes=(16, 8, 8),
        random_state=0,
    )
    clf.fit(X_train, y_train)
    print(clf.architecture_)
    print(f"accuracy {clf.score(X_test, y_test):.3f}")

    # Look: the selected features, and a score for every feature, the removed ones included.
    for name, score, kept in sorted(
        zip(clf.feature_names_in_, clf.feature_scores_, clf.support_, strict=True), key=lambda row: -row[1]
    ):
        print(f"{name:14s} {score:6.2f} {'kept' if kept else ''}")
    print(clf.transform(X_test).shape)
    print(clf.module_)

    # Compare: what would the same small size have reached, had it never been wide?
    names = list(clf.selected_features_)
    scratch = ShadowMLPClassifier(hidden_layer_sizes=(16, 8, 8), max_epochs=clf.n_iter_, random_state=0)
    scratch.fit(X_train[names], y_train)
    print(f"same size from scratch {scratch.score(X_test[names], y_test):.3f}")

    # Pipeline: scaling in front changes nothing here, since the network standardises its inputs itself.
    few = X_train.iloc[::5], y_train.iloc[::5]
    pipe = make_pipeline(StandardScaler(), ShadowMLPClassifier(n_features_to_select=8, max_epochs=10))
    pipe.set_params(shadowmlpclassifier__random_state=0).fit(*few)
    print(f"pipeline {pipe.score(X_test, y_test):.3f}")

    # Search: how many features are worth having? A short search on a fifth of the rows.
    search = GridSearchCV(pipe, {"shadowmlpclassifier__n_features_to_select": [2, 4, 8]}, cv=2)
    search.fit(*few)
    for candidate, score in zip(
        search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
    ):
        print(candidate["shadowmlpclassifier__n_features_to_select"], f"features: {score:.3f}")

    # Committee: four shadow networks side by side pool what they learn about the inputs.
    committee = ShadowMLPClassifier(n_features_to_select=4, n_shadows=4, max_epochs=10, random_state=0)
    committee.fit(*few)
    print(list(committee.selected_features_))

    # Save: the estimator as any of scikit-learn's, the network as plain torch.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "jets.joblib"
        joblib.dump(clf, path)
        again = joblib.load(path)
    print("reloaded equals saved:", bool((again.predict(X_test) == clf.predict(X_test)).all()))


if __name__ == "__main__":
    main()
