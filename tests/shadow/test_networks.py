"""Which networks can be read, what is refused, and by which name and reason."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations

from sk_shadownet import ShadowNetwork
from sk_shadownet.exceptions import InvalidDataError, InvalidParameterError, UnsupportedModuleError


def forward(body, **layers):
    """A module whose forward is `body`, with these layers."""

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            for name, layer in layers.items():
                setattr(self, name, layer)

        def forward(self, x):
            return body(self, x)

    return Network()


def small_of(network, rows=None, **parameters):
    """The small network after one step, and whether it says what the shadow says."""
    shadow = ShadowNetwork(network, **parameters)
    optimizer = torch.optim.SGD(shadow.parameters(), lr=1e-3)
    x = torch.randn(16, 6) if rows is None else rows
    shadow(x).square().sum().backward()
    optimizer.step()
    shadow.step(progress=1.0)
    shadow.eval()
    small = shadow.prune()
    taken = x if shadow.masks[0].all() else x.flatten(1)[:, shadow.selected_features]
    with torch.no_grad():
        torch.testing.assert_close(small(taken), shadow(x), rtol=1e-5, atol=1e-6)
    return small


def shapes(network):
    return [(m.in_features, m.out_features) for m in network.modules() if isinstance(m, nn.Linear)]


def test_functions_become_layers_where_forward_is_a_chain():
    def body(self, x):
        x = F.dropout(F.leaky_relu(self.a(x), 0.2), 0.3, training=self.training)
        return F.log_softmax(self.b(torch.tanh(x)), dim=1)

    small = small_of(
        forward(body, a=nn.Linear(6, 9), b=nn.Linear(9, 3)),
        n_features_to_select=4,
        target_hidden_layer_sizes=5,
    )
    assert type(small) is nn.Sequential
    kinds = [nn.Linear, nn.LeakyReLU, nn.Dropout, nn.Tanh, nn.Linear, nn.LogSoftmax]
    assert [type(layer) for layer in small] == kinds
    assert (small[1].negative_slope, small[2].p) == (0.2, 0.3)


def test_one_activation_used_twice_becomes_two_layers():
    relu = nn.ReLU()
    network = forward(
        lambda self, x: self.c(self.relu(self.b(self.relu(self.a(x))))),
        relu=relu,
        a=nn.Linear(6, 5),
        b=nn.Linear(5, 4),
        c=nn.Linear(4, 2),
    )
    small = small_of(network, target_hidden_layer_sizes=(3, 2))
    assert shapes(small) == [(6, 3), (3, 2), (2, 2)]
    assert small[1] is not small[3]


def test_images_are_flattened_in_front():
    rows = torch.randn(16, 4, 5)
    for first in (
        lambda x: x.view(-1, 20),
        lambda x: x.view(x.size(0), -1),
        lambda x: x.reshape(x.shape[0], -1),
        lambda x: torch.flatten(x, 1),
    ):
        network = forward(
            lambda self, x, first=first: self.b(F.relu(self.a(first(x)))),
            a=nn.Linear(20, 8),
            b=nn.Linear(8, 2),
        )
        small = small_of(network, rows=rows, n_features_to_select=7, target_hidden_layer_sizes=3)
        assert shapes(small) == [(7, 3), (3, 2)]
        shadow = ShadowNetwork(network, n_features_to_select=7)
        assert shadow(rows).shape == (16, 2)


def test_a_shadow_of_images_takes_images_after_the_cut():
    network = nn.Sequential(nn.Flatten(), nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 2))
    shadow = ShadowNetwork(network, n_features_to_select=7)
    optimizer = torch.optim.SGD(shadow.parameters(), lr=1e-3)
    rows = torch.randn(16, 4, 5)
    shadow(rows).sum().backward()
    optimizer.step()
    shadow.step(optimizer, progress=1.0)
    full = shadow.prune(full_width=True)
    assert torch.equal(full(rows), shadow(rows))
    assert torch.equal(shadow.prune()(rows.flatten(1)[:, shadow.selected_features]), shadow(rows))


def test_layers_of_a_list_are_a_chain():
    def body(self, x):
        for layer in self.layers[:-1]:
            x = F.relu(layer(x), inplace=True)
        return self.layers[-1](x)

    layers = nn.ModuleList([nn.Linear(6, 9), nn.Linear(9, 8), nn.Linear(8, 2)])
    small = small_of(forward(body, layers=layers), target_hidden_layer_sizes=(4, 3), n_features_to_select=2)
    assert [type(layer) for layer in small] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    assert shapes(small) == [(2, 4), (4, 3), (3, 2)]


def test_moving_and_casting_leave_units_apart():
    network = forward(
        lambda self, x: self.b(self.a(x.to("cpu").float()).relu_().clone()),
        a=nn.Linear(6, 9),
        b=nn.Linear(9, 2),
    )
    small = small_of(network, target_hidden_layer_sizes=4, n_features_to_select=2)
    assert shapes(small) == [(2, 4), (4, 2)]


def test_sums_in_place_couple_like_others():
    def body(self, x):
        x = F.relu(self.a(x))
        y = self.b(x)
        y += x
        return self.c(y)

    network = forward(body, a=nn.Linear(6, 9), b=nn.Linear(9, 9), c=nn.Linear(9, 2))
    assert shapes(small_of(network, target_hidden_layer_sizes=4)) == [(6, 4), (4, 4), (4, 2)]


def test_further_arguments_of_forward_keep_their_defaults():
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(6, 9), nn.Linear(9, 2)

        def forward(self, x, mask=None, scale=1.0):
            if mask is not None:
                x = x * mask
            return self.b(F.relu(self.a(x)) * scale)

    assert shapes(small_of(Masked(), target_hidden_layer_sizes=4)) == [(6, 4), (4, 2)]


def test_several_outputs_are_all_kept_whole():
    def body(self, x):
        hidden = F.relu(self.a(x))
        return {"logits": self.b(hidden), "features": (self.c(hidden),)}

    network = forward(body, a=nn.Linear(6, 9), b=nn.Linear(9, 2), c=nn.Linear(9, 3))
    shadow = ShadowNetwork(network, target_hidden_layer_sizes=4)
    assert shadow.layer_names == (("inputs",), ("a",))
    optimizer = torch.optim.SGD(shadow.parameters(), lr=1e-3)
    x = torch.randn(16, 6)
    (shadow(x)["logits"].sum() + shadow(x)["features"][0].sum()).backward()
    optimizer.step()
    shadow.step(progress=1.0)
    small = shadow.prune()
    assert shapes(small) == [(6, 4), (4, 2), (4, 3)]
    torch.testing.assert_close(small(x)["features"][0], shadow(x)["features"][0])


def test_layers_that_are_added_lose_the_same_units():
    network = forward(
        lambda self, x: self.c(F.relu(self.a(x)) + F.relu(self.b(x))),
        a=nn.Linear(6, 9),
        b=nn.Linear(6, 9),
        c=nn.Linear(9, 2),
    )
    assert ShadowNetwork(network).layer_names == (("inputs",), ("a", "b"))
    small = small_of(network, target_hidden_layer_sizes=4)
    assert type(small) is type(network)
    assert shapes(small) == [(6, 4), (6, 4), (4, 2)]


def test_layers_side_by_side_have_widths_of_their_own():
    network = forward(
        lambda self, x: self.c(torch.cat([F.relu(self.a(x)), torch.sigmoid(self.b(x)), x], dim=-1)),
        a=nn.Linear(6, 9),
        b=nn.Linear(6, 5),
        c=nn.Linear(20, 2),
    )
    small = small_of(network, target_hidden_layer_sizes=(4, 1), n_features_to_select=2)
    assert shapes(small) == [(2, 4), (2, 1), (7, 2)]


def test_a_sum_over_layers_side_by_side_couples_each_part():
    network = forward(
        lambda self, x: self.d(self.c(x) + torch.cat([self.a(x), self.b(x)], dim=1)),
        a=nn.Linear(6, 5),
        b=nn.Linear(6, 3),
        c=nn.Linear(6, 8),
        d=nn.Linear(8, 2),
    )
    shadow = ShadowNetwork(network)
    assert shadow.layer_names[1:] == (("c", "a"), ("c", "b"))
    small = small_of(network, target_hidden_layer_sizes=(2, 1))
    assert sorted(shapes(small)) == sorted([(6, 2), (6, 1), (6, 3), (3, 2)])


def test_a_layer_used_twice_reads_the_same_units_twice():
    network = forward(
        lambda self, x: self.c(F.relu(self.b(F.relu(self.b(F.relu(self.a(x))))))),
        a=nn.Linear(6, 9),
        b=nn.Linear(9, 9),
        c=nn.Linear(9, 2),
    )
    assert shapes(small_of(network, target_hidden_layer_sizes=4)) == [(6, 4), (4, 4), (4, 2)]


def test_the_head_of_a_convolution_is_pruned_and_the_rest_stays():
    network = nn.Sequential(
        nn.Conv1d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 2)
    )
    rows = torch.randn(16, 1, 6)
    small = small_of(network, rows=rows, target_hidden_layer_sizes=5)
    assert shapes(small) == [(16, 5), (5, 2)]
    with pytest.raises(UnsupportedModuleError, match=r"inputs cannot be pruned: '0' \(Conv1d\) reads them"):
        ShadowNetwork(network, n_features_to_select=3, n_features=6)


def test_normalisation_over_units_counts_only_those_that_stay():
    network = nn.Sequential(nn.Linear(6, 9), nn.LayerNorm(9), nn.ReLU(), nn.Linear(9, 2))
    small = small_of(network, target_hidden_layer_sizes=4)
    assert small[1].normalized_shape == (4,)


def test_torchs_own_layer_alone_is_a_network():
    small = small_of(nn.Linear(6, 2), n_features_to_select=3)
    assert shapes(small) == [(3, 2)]


REFUSED = {
    "softmax inside": (
        nn.Sequential(nn.Linear(6, 9), nn.Softmax(dim=1), nn.Linear(9, 2)),
        r"Hidden layer 0, '0', cannot be pruned: '1' \(Softmax\) mixes its units",
    ),
    "mean over units": (
        forward(
            lambda self, x: self.b(self.a(x) - self.a(x).mean(dim=1, keepdim=True)),
            a=nn.Linear(6, 9),
            b=nn.Linear(9, 2),
        ),
        r"cannot be pruned: mean\(\) reads them",
    ),
    "unknown layer": (
        nn.Sequential(nn.Linear(6, 9), nn.GLU(), nn.Linear(9 // 2 + 1, 2)),
        r"'1' \(GLU\) reads them",
    ),
    "computed weight": (
        nn.Sequential(nn.Linear(6, 9), nn.ReLU(), parametrizations.orthogonal(nn.Linear(9, 2))),
        r"'2' \(ParametrizedLinear\), where its weight is computed by Orthogonal, reads them",
    ),
    "size asked for": (
        forward(lambda self, x: self.b(self.a(x) / self.a(x).shape[1]), a=nn.Linear(6, 9), b=nn.Linear(9, 2)),
        "forward asks how many there are",
    ),
    "tensor made in forward": (
        forward(lambda self, x: self.b(self.a(x) + torch.ones(9)), a=nn.Linear(6, 9), b=nn.Linear(9, 2)),
        r"add\(\) reads them",
    ),
    "layer used otherwise": (
        forward(
            lambda self, x: self.c(self.b(self.a(x)) + self.b(x.cumsum(dim=1))),
            a=nn.Linear(6, 6),
            b=nn.Linear(6, 9),
            c=nn.Linear(9, 2),
        ),
        "'b' is also used where units cannot be told apart",
    ),
    "layer called in another way": (
        forward(
            lambda self, x: self.b(self.a(x)) + self.b(self.a(input=x)), a=nn.Linear(6, 9), b=nn.Linear(9, 2)
        ),
        "'a' is also used where units cannot be told apart",
    ),
    "units added to each other": (
        forward(
            lambda self, x: self.b(torch.cat([self.a(x), self.a(x)], dim=1) + self.c(x)),
            a=nn.Linear(6, 4),
            b=nn.Linear(8, 2),
            c=nn.Linear(6, 8),
        ),
        "two units of 'c' are added to each other or stand for one another",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_pruned_is_refused_by_name_and_reason(case):
    network, message = REFUSED[case]
    with pytest.raises(UnsupportedModuleError, match=message) as refusal:
        ShadowNetwork(network, target_hidden_layer_sizes={0: 3})
    assert "on_unsupported='skip'" in str(refusal.value)


def test_what_cannot_be_pruned_is_left_whole_if_asked():
    network = nn.Sequential(nn.Linear(6, 9), nn.Softmax(dim=1), nn.Linear(9, 7), nn.ReLU(), nn.Linear(7, 2))
    small = small_of(network, target_hidden_layer_sizes=(3, 3), on_unsupported="skip")
    assert shapes(small) == [(6, 9), (9, 3), (3, 2)]


def test_what_cannot_be_pruned_and_is_not_asked_for_is_no_trouble():
    network = nn.Sequential(nn.Linear(6, 9), nn.Softmax(dim=1), nn.Linear(9, 2))
    assert shapes(small_of(network, n_features_to_select=4)) == [(4, 9), (9, 2)]


def test_tied_weights_are_refused():
    network = forward(
        lambda self, x: self.c(F.relu(self.b(F.relu(self.a(x))))),
        a=nn.Linear(6, 6),
        b=nn.Linear(6, 6),
        c=nn.Linear(6, 2),
    )
    network.b.weight = network.a.weight
    with pytest.raises(UnsupportedModuleError, match="shares its weights with"):
        ShadowNetwork(network, target_hidden_layer_sizes=(3, None))


def test_a_forward_that_depends_on_values_is_refused():
    network = forward(lambda self, x: self.a(x) if x.sum() > 0 else x, a=nn.Linear(6, 6))
    with pytest.raises(UnsupportedModuleError, match=r"Network.forward cannot be read.*depend on"):
        ShadowNetwork(network)


def test_a_forward_that_trains_another_network_is_refused():
    network = forward(
        lambda self, x: self.a(x) if self.training else self.b(x), a=nn.Linear(6, 2), b=nn.Linear(6, 2)
    )
    with pytest.raises(UnsupportedModuleError, match="something else in training"):
        ShadowNetwork(network)


def test_a_forward_of_two_tensors_is_refused():
    class Two(nn.Module):
        def forward(self, x, y):
            return x + y

    with pytest.raises(UnsupportedModuleError, match=r"must take one tensor, it takes \['x', 'y'\]"):
        ShadowNetwork(Two())


def test_inputs_of_unknown_number_need_n_features():
    network = forward(
        lambda self, x: self.b(torch.cat([x, self.a(x)], dim=1)), a=nn.Linear(6, 3), b=nn.Linear(9, 2)
    )
    network.a = nn.LazyLinear(3)
    with pytest.raises(InvalidParameterError, match="lazy layers"):
        ShadowNetwork(network)
    doubled = forward(lambda self, x: self.a(torch.cat([x, x], dim=1)), a=nn.Linear(12, 2))
    with pytest.raises(UnsupportedModuleError, match="pass n_features"):
        ShadowNetwork(doubled, n_features_to_select=0.5)
    assert shapes(small_of(doubled, n_features_to_select=4, n_features=6)) == [(8, 2)]


def test_batch_norm_takes_tables_only():
    network = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    with pytest.raises(InvalidDataError, match=r"shape \(n_rows, n_features\), got shape \(3, 4, 6\)"):
        ShadowNetwork(network)(torch.randn(3, 4, 6))


def test_rows_of_any_number_of_axes_pass_where_nothing_forbids():
    network = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 2))
    shadow = ShadowNetwork(network, n_features_to_select=3, target_hidden_layer_sizes=4)
    optimizer = torch.optim.SGD(shadow.parameters(), lr=1e-3)
    x = torch.randn(3, 5, 6)
    shadow(x).square().sum().backward()
    optimizer.step()
    shadow.step(progress=1.0)
    torch.testing.assert_close(shadow.prune()(x[..., shadow.selected_features]), shadow(x))


def test_one_shadow_is_enough():
    with pytest.raises(InvalidParameterError, match="has a shadow already"):
        ShadowNetwork(ShadowNetwork(nn.Linear(6, 2)))


def test_only_modules_are_taken():
    with pytest.raises(InvalidParameterError, match=r"must be a torch.nn.Module, got 'net'"):
        ShadowNetwork("net")
