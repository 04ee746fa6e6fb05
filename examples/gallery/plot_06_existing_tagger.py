"""
Shrink a PyTorch tagger that exists
===================================

The tagger is there, trained, and too large. Nobody wants to start anew. There are two ways to shrink it
from the weights that it has: hand it to the estimator, or lay a shadow on it in your own training loop.
"""

import torch
from torch import nn

from sk_shadownet import ShadowMLPClassifier, ShadowNetwork
from sk_shadownet.datasets import load_lhc_jets
from sk_shadownet.display import ArchitectureDisplay

jets = load_lhc_jets()
mean, scale = jets.X_train.mean(axis=0), jets.X_train.std(axis=0)
X_train, X_test = ((X - mean) / scale for X in (jets.X_train, jets.X_test))
X, y = torch.as_tensor(X_train), torch.as_tensor(jets.y_train)


class Tagger(nn.Module):
    """Somebody's tagger."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU()
        )
        self.head = nn.Linear(32, 5)

    def forward(self, x):
        return self.head(self.body(x))


def train(network, n_epochs, lr=0.01, shadow=None):
    """A loop as anybody writes it; the one line for the shadow is the last."""
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), lr=lr)
    rate = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, total_iters=n_epochs)
    for _ in range(n_epochs):
        for rows in torch.randperm(len(X)).split(256):
            loss = nn.functional.cross_entropy(network(X[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if shadow is not None:
                shadow.step(optimizer)
        rate.step()


@torch.no_grad()
def accuracy(network, rows):
    return (network(torch.as_tensor(rows)).argmax(dim=1).numpy() == jets.y_test).mean()


torch.manual_seed(0)
tagger = Tagger()
train(tagger, 10)
tagger.eval()
print(f"the tagger that exists: {accuracy(tagger, X_test):.3f}")

# %%
# In your own loop
# ----------------
#
# A ``ShadowNetwork`` trains a copy; the tagger stays as it is. It wants to know how many steps there will
# be, since gates close by the clock.

n_epochs = 12
shadow = ShadowNetwork(
    tagger,
    n_features_to_select=8,
    target_hidden_layer_sizes=(16, 8, 8),
    n_steps=n_epochs * len(X.split(256)),
)
train(shadow, n_epochs, shadow=shadow)
small = shadow.prune().eval()
print(small)
print("inputs:", *(jets.feature_names[column] for column in shadow.selected_features))
print(f"shrunk in a loop: {accuracy(small, X_test[:, shadow.selected_features]):.3f}")

# %%
# As an estimator
# ---------------
#
# ``module=`` starts from its weights, and all of the estimator is there: validation rows, selection by
# name, frontiers, export to hardware.

clf = ShadowMLPClassifier(
    module=tagger,
    n_features_to_select=8,
    target_hidden_layer_sizes=(16, 8, 8),
    max_epochs=n_epochs,
    random_state=0,
)
clf.fit(X_train, jets.y_train)
print(clf.architecture_)
print(f"shrunk by the estimator: {clf.score(X_test, jets.y_test):.3f}")

display = ArchitectureDisplay.from_estimator(clf, feature_names=jets.feature_names)

# %%
# A part of it
# ------------
#
# ``prune=`` names what may become smaller. The rest keeps its width; here inputs and last hidden layer
# are untouched.

part = ShadowMLPClassifier(
    module=tagger,
    prune=["body.0", "body.2"],
    target_hidden_layer_sizes=(24, 12, 32),
    max_epochs=n_epochs,
    random_state=0,
)
part.fit(X_train, jets.y_train)
print(part.architecture_)
print(f"a part shrunk: {part.score(X_test, jets.y_test):.3f}")
