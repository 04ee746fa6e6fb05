"""Networks on their way out of a run: what they take along."""

import pytest
import torch

import sk_shadownet._pruning.subnetwork_sampling as subnetwork_sampling
from sk_shadownet import ShadowMLPClassifier
from sk_shadownet._mlp.gated import GatedMLP

X = torch.randn(300, 6, generator=torch.Generator().manual_seed(0)).numpy()
y = [0, 1, 2] * 100


@pytest.fixture
def shares(monkeypatch):
    """Shares of new weights that subnetworks of a fit get."""
    seen = []
    refresh = subnetwork_sampling._refresh

    def remember(network, share):
        seen.append(share)
        refresh(network, share)

    monkeypatch.setattr(subnetwork_sampling, "_refresh", remember)
    return seen


def weights(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_new_weights_are_mixed_in_by_their_share(share):
    torch.manual_seed(0)
    network = GatedMLP((5, 4, 3), 1, "relu")
    old = weights(network)
    state = torch.random.get_rng_state()
    drawn = weights(GatedMLP((5, 4, 3), 1, "relu"))
    torch.random.set_rng_state(state)
    subnetwork_sampling._refresh(network, share)
    torch.testing.assert_close(weights(network), (1 - share) * old + share * drawn)


def test_every_network_of_a_frontier_starts_half_anew(shares):
    clf = ShadowMLPClassifier((8,), target_hidden_layer_sizes="auto", max_epochs=6, random_state=0).fit(X, y)
    assert shares == [0.5] * len(clf.frontier_)


def test_weights_that_the_user_trained_are_kept_whole(shares):
    module = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    ShadowMLPClassifier(module=module, target_hidden_layer_sizes="auto", max_epochs=6, random_state=0).fit(
        X, y
    )
    assert shares == []


def test_a_run_that_ends_in_one_network_keeps_its_weights_whole(shares):
    ShadowMLPClassifier((8,), budget={"multiplications": 30}, max_epochs=6, random_state=0).fit(X, y)
    assert shares == []
