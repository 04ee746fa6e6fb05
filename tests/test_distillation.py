"""Networks of a population teach each other."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

import sk_shadownet._training.losses as losses
import sk_shadownet._training.net as nets
from sk_shadownet import ShadowMLPClassifier
from sk_shadownet._pruning.distillation import equal_weights, teacher_weights_of
from sk_shadownet._training.losses import LOSSES, CrossEntropy

SEEDS = st.integers(0, 2**32 - 1)
SHAPES = st.tuples(st.integers(1, 5), st.integers(1, 8), st.integers(2, 6))


def draw(shape, seed, dtype=torch.float64):
    """Outputs of members, labels, weights of rows, and shares of the say."""
    generator = torch.Generator().manual_seed(seed)
    m, n, c = shape
    outputs = torch.randn(shape, generator=generator, dtype=dtype) * 3
    labels = torch.randint(c, (n,), generator=generator)
    weight = torch.rand(n, generator=generator, dtype=dtype)
    teacher_weights = torch.rand(m, generator=generator, dtype=dtype)
    return outputs.requires_grad_(), labels, weight, teacher_weights / teacher_weights.sum()


def gradient(loss, outputs, y, weight, teacher_weights):
    """Loss and derivative by the outputs, where members learn from all of them too; rows first again."""
    said = outputs.detach().mT
    value, error = loss.gradient(said, loss.columns(y, said, said.shape[1]), weight, teacher_weights)
    return value, error.mT


@settings(deadline=None)
@given(SHAPES, SEEDS, st.booleans())
def test_cross_entropy_of_rows_is_torchs_of_each_member(shape, seed, soft):
    outputs, y, _, _ = draw(shape, seed)
    if soft:
        y = torch.rand(shape[1:], generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    rows = CrossEntropy().of_rows(outputs, y)
    expected = torch.stack([cross_entropy(member, y, reduction="none") for member in outputs])
    torch.testing.assert_close(rows, expected)


@settings(deadline=None)
@given(SHAPES, SEEDS, st.booleans())
def test_half_of_what_a_classifier_learns_is_what_all_say_together(shape, seed, weighted):
    outputs, y, weight, teacher_weights = draw(shape, seed)
    weight = weight if weighted else None
    loss = CrossEntropy()
    said = torch.einsum("m,mnc->nc", teacher_weights, outputs.detach().softmax(-1))
    share = losses.DISTILLATION_SHARE
    expected = (1 - share) * loss(outputs, y, weight) + share * loss(outputs, said, weight)
    distilled, error = gradient(loss, outputs, y, weight, teacher_weights)
    torch.testing.assert_close(distilled, expected.detach())
    torch.testing.assert_close(error, torch.autograd.grad(expected, outputs)[0])


@settings(deadline=None)
@given(SHAPES, SEEDS)
def test_a_regressor_is_pulled_towards_what_all_say_together(shape, seed):
    outputs, _, _, teacher_weights = draw(shape, seed)
    generator = torch.Generator().manual_seed(seed)
    mean, scale, y = (torch.rand(n, generator=generator, dtype=torch.float64) + 0.5 for n in (shape[2],) * 3)
    y = y.expand(shape[1:])
    loss = LOSSES["squared_error"](mean, scale)
    said = torch.einsum("m,mno->no", teacher_weights, outputs.detach() * scale + mean)
    share = losses.DISTILLATION_SHARE
    _, error = gradient(loss, outputs, y, None, teacher_weights)
    expected = (1 - share) * loss(outputs, y) + share * loss(outputs, said)
    torch.testing.assert_close(error, torch.autograd.grad(expected, outputs)[0])


@settings(deadline=None)
@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=12), st.floats(1e-3, 1e3))
def test_less_loss_has_more_say_whatever_the_unit(values, unit):
    teacher_weights = teacher_weights_of(values)
    assert float(teacher_weights.sum()) == pytest.approx(1.0)
    assert (np.diff(teacher_weights.numpy()[np.argsort(values)]) <= 0).all()
    torch.testing.assert_close(
        teacher_weights_of([unit * value for value in values]), teacher_weights, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("values", [[0.0, 0.0], [-1.0, -1.0]])
def test_networks_of_the_same_loss_have_the_same_say(values):
    assert teacher_weights_of(values).tolist() == [0.5, 0.5]


def test_a_network_without_loss_has_all_the_say():
    assert teacher_weights_of([0.0, 0.1]).tolist() == [1.0, 0.0]


def test_nobody_teaches_a_network_alone():
    assert equal_weights(1, torch.device("cpu")) is None
    assert equal_weights(4, torch.device("cpu")).tolist() == [0.25] * 4


@pytest.fixture
def says(monkeypatch):
    """Shares of the say at every gradient step of a fit, one entry for each different one."""
    seen = []
    step = nets.CommitteeNet.train_step

    def remember(net, batch, **kwargs):
        if not seen or net.teacher_weights is not seen[-1]:
            seen.append(net.teacher_weights)
        return step(net, batch, **kwargs)

    monkeypatch.setattr(nets.CommitteeNet, "train_step", remember)
    return seen


X = torch.randn(300, 6, generator=torch.Generator().manual_seed(0)).numpy()
Y = (X[:, 0] * X[:, 1] > 0).astype(int)


def test_a_frontier_is_taught_by_those_that_do_well_on_rows_nobody_has_learnt(says):
    clf = ShadowMLPClassifier((8,), target_hidden_layer_sizes="auto", max_epochs=10, random_state=0).fit(X, Y)
    assert says[0] is None
    assert len(set(says[1].tolist())) == 1
    losses_then = clf.net_.history[-2, "member_valid_loss"]
    torch.testing.assert_close(says[-1], teacher_weights_of(losses_then))
    assert clf.net_.teacher_weights is None


def test_without_validation_rows_all_have_the_same_say(says):
    ShadowMLPClassifier(
        (8,), target_hidden_layer_sizes="auto", max_epochs=10, validation_fraction=0, random_state=0
    ).fit(X, Y)
    assert len(says) == 2
    assert len(set(says[1].tolist())) == 1


def test_a_run_that_ends_in_one_network_has_no_teacher(says):
    ShadowMLPClassifier((8,), budget={"multiplications": 30}, max_epochs=6, random_state=0).fit(X, Y)
    assert says == [None]
