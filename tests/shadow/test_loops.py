"""Any training loop: three lines more, any optimizer, and clear words where the loop is wrong."""

import copy
import io
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from sk_shadownet import SelectFeatures, ShadowNetwork
from sk_shadownet.exceptions import InvalidParameterError, TrainingDivergedError

N_STEPS = 60


def planted(n_rows=400, n_features=8):
    """Rows of which columns 1 and 5 decide the class."""
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(n_rows, n_features, generator=generator)
    return X, (X[:, 1] + X[:, 5] > 0).long()


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(8, 24), nn.ReLU(), nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 2))


def lay(module, **parameters):
    parameters = {
        "n_features_to_select": 2,
        "target_hidden_layer_sizes": (6, 4),
        "n_steps": N_STEPS,
        **parameters,
    }
    return ShadowNetwork(module, **parameters)


def train(shadow, optimizer, pass_optimizer=True, n_steps=N_STEPS):
    X, y = planted()
    for _ in range(n_steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(shadow(X), y).backward()
        optimizer.step()
        shadow.step(optimizer if pass_optimizer else None)
    return shadow


def test_a_strangers_loop_takes_three_lines():
    class NeuralNetwork(nn.Module):
        def __init__(self):
            super().__init__()
            self.flatten = nn.Flatten()
            self.linear_relu_stack = nn.Sequential(
                nn.Linear(2 * 4, 32),
                nn.ReLU(),
                nn.Linear(32, 32),
                nn.ReLU(),
                nn.Linear(32, 2),
            )

        def forward(self, x):
            x = self.flatten(x)
            return self.linear_relu_stack(x)

    X, y = planted()
    images = torch.utils.data.TensorDataset(X.reshape(-1, 2, 4), y)
    dataloader = torch.utils.data.DataLoader(images, batch_size=50, shuffle=True)
    torch.manual_seed(0)
    model = NeuralNetwork()
    model = ShadowNetwork(
        model, n_features_to_select=2, target_hidden_layer_sizes=(8, 4), n_steps=20 * 8
    )  # 1
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(20):
        model.train()
        for rows, labels in dataloader:
            loss = loss_fn(model(rows), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            model.step(optimizer)
    small = model.prune()
    assert model.selected_features.tolist() == [1, 5]
    assert [layer.out_features for layer in small if isinstance(layer, nn.Linear)] == [8, 4, 2]
    assert (small(X[:, model.selected_features]).argmax(1) == y).float().mean() > 0.95


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
        lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True),
        lambda p: torch.optim.AdamW(p, lr=0.01, fused=True),
        lambda p: torch.optim.RMSprop(p, lr=0.01),
        lambda p: torch.optim.Adagrad(p, lr=0.05),
        lambda p: torch.optim.NAdam(p, lr=0.01),
    ],
    ids=["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam"],
)
def test_any_optimizer_with_a_state_of_the_weights_shape_goes_on_after_the_cut(make):
    shadow = lay(network())
    optimizer = make(shadow.parameters())
    train(shadow, optimizer)
    assert shadow.selected_features.tolist() == [1, 5]
    assert [tuple(p.shape) for p in shadow.parameters()] == [(6, 2), (6,), (4, 6), (4,), (2, 4), (2,)]
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in shadow.parameters()}
    assert set(optimizer.state) == set(shadow.parameters())


def test_without_the_optimizer_gates_of_zero_stand_in_for_the_cut():
    shadow = lay(network())
    train(shadow, torch.optim.Adam(shadow.parameters(), lr=0.01), pass_optimizer=False)
    assert next(shadow.parameters()).shape == (24, 8)
    small = shadow.prune()
    X, y = planted()
    assert (small(X[:, [1, 5]]).argmax(1) == y).float().mean() > 0.9
    torch.testing.assert_close(small(X[:, [1, 5]]), shadow(X))


def test_both_ways_train_the_same_network():
    one, other = lay(network()), lay(network())
    train(one, torch.optim.SGD(one.parameters(), lr=0.1, momentum=0.9))
    train(other, torch.optim.SGD(other.parameters(), lr=0.1, momentum=0.9), pass_optimizer=False)
    X, _ = planted()
    torch.testing.assert_close(one(X), other(X), rtol=1e-4, atol=1e-4)


def test_the_pruned_network_goes_on_with_the_optimizer_or_is_independent():
    shadow = lay(network())
    optimizer = torch.optim.Adam(shadow.parameters(), lr=0.01)
    train(shadow, optimizer, pass_optimizer=False, n_steps=40)
    apart = shadow.prune()
    before = copy.deepcopy(apart.state_dict())
    small = shadow.prune(optimizer)
    X, y = planted()
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(small(X[:, shadow.selected_features]), y).backward()
        optimizer.step()
    assert all(torch.equal(before[key], value) for key, value in apart.state_dict().items())
    assert not torch.equal(small[0].weight, apart[0].weight)
    assert optimizer.state[small[0].weight]["step"] == 43


def test_accumulated_gradients_count_as_one_step():
    shadow = lay(network())
    optimizer = torch.optim.Adam(shadow.parameters(), lr=0.01)
    X, y = planted()
    for _ in range(N_STEPS):
        optimizer.zero_grad()
        for part in (slice(0, 200), slice(200, 400)):
            (nn.functional.cross_entropy(shadow(X[part]), y[part]) / 2).backward()
        optimizer.step()
        shadow.step(optimizer)
    assert shadow.selected_features.tolist() == [1, 5]


def test_evaluation_between_steps_changes_nothing():
    one, other = lay(network()), lay(network())
    optimizers = [torch.optim.Adam(s.parameters(), lr=0.01) for s in (one, other)]
    X, y = planted()
    for _ in range(N_STEPS):
        for shadow, optimizer in zip((one, other), optimizers, strict=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(shadow(X), y).backward()
            optimizer.step()
            shadow.step(optimizer)
        other.eval()
        with torch.no_grad():
            other(X)
        other.train()
    assert torch.equal(one(X), other(X))


def test_a_pickled_shadow_goes_on_where_it_stopped():
    shadow = lay(network())
    optimizer = torch.optim.SGD(shadow.parameters(), lr=0.1)
    train(shadow, optimizer, n_steps=25)
    assert shadow.phase == "closing"
    file = io.BytesIO()
    torch.save((shadow, optimizer), file)
    file.seek(0)
    copied, its_optimizer = torch.load(file, weights_only=False)
    train(shadow, optimizer, n_steps=35)
    train(copied, its_optimizer, n_steps=35)
    X, _ = planted()
    assert torch.equal(shadow(X), copied(X))
    assert copied.phase == "finishing"


PRUNING_STAGES = {"open": 3, "closing": 25, "cut": 35}


@pytest.mark.parametrize("stage", PRUNING_STAGES)
def test_weights_of_a_shadow_go_back_into_it_later_in_the_same_stage(stage):
    shadow = lay(network())
    optimizer = torch.optim.SGD(shadow.parameters(), lr=0.1)
    train(shadow, optimizer, n_steps=PRUNING_STAGES[stage])
    kept = copy.deepcopy(shadow.state_dict())
    train(shadow, optimizer, n_steps=1)
    progress = shadow.progress
    shadow.load_state_dict(kept)
    assert shadow.progress == progress
    assert all(torch.equal(kept[name], p) for name, p in shadow.named_parameters())


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("stage", PRUNING_STAGES)
def test_weights_from_later_in_a_run_do_not_start_the_schedule_again(stage, inside):
    shadow, fresh = lay(network()), lay(network())
    train(shadow, torch.optim.SGD(shadow.parameters(), lr=0.1), n_steps=PRUNING_STAGES[stage])
    before = [p.detach().clone() for p in fresh.parameters()]
    with pytest.raises(InvalidParameterError, match=r"at 0% of its own.*torch.save\(shadow, file\)"):
        if inside:
            nn.ModuleDict({"net": fresh}).load_state_dict(nn.ModuleDict({"net": shadow}).state_dict())
        else:
            fresh.load_state_dict(shadow.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(before, fresh.parameters(), strict=True))


def test_weights_from_before_the_cut_do_not_go_into_the_cut_network():
    shadow = lay(network())
    optimizer = torch.optim.SGD(shadow.parameters(), lr=0.1)
    train(shadow, optimizer, n_steps=10)
    kept = copy.deepcopy(shadow.state_dict())
    train(shadow, optimizer, n_steps=25)
    with pytest.raises(InvalidParameterError, match="one is from before the cut, the other from after it"):
        shadow.load_state_dict(kept)


def test_weights_of_other_units_do_not_go_into_a_cut_network():
    first, second = lay(network()), lay(network(seed=1))
    for shadow in (first, second):
        train(shadow, torch.optim.SGD(shadow.parameters(), lr=0.1), n_steps=35)
    assert not np.array_equal(first.masks[1], second.masks[1])
    with pytest.raises(InvalidParameterError, match="kept other units than this shadow"):
        second.load_state_dict(first.state_dict())


def test_weights_without_a_word_of_the_run_are_taken():
    shadow = lay(network())
    module = network(seed=1)
    shadow.load_state_dict({f"module.{name}": tensor for name, tensor in module.state_dict().items()})
    assert all(torch.equal(a, b) for a, b in zip(shadow.parameters(), module.parameters(), strict=True))


@pytest.mark.parametrize("around", ["each pass", "the whole loop"])
def test_a_loop_within_autocast_is_pruned(around):
    X, y = planted()
    shadow = lay(network())
    optimizer = torch.optim.Adam(shadow.parameters(), lr=0.01)
    whole = torch.autocast("cpu", dtype=torch.bfloat16, enabled=around == "the whole loop")
    with whole:
        for _ in range(N_STEPS):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = nn.functional.cross_entropy(shadow(X), y)
            loss.backward()
            optimizer.step()
            shadow.step(optimizer)
    assert shadow.selected_features.tolist() == [1, 5]
    assert (shadow(X).argmax(1) == y).float().mean() > 0.9


def test_weights_are_averaged_from_the_cut_on():
    shadow = lay(network())
    optimizer = torch.optim.Adam(shadow.parameters(), lr=0.01)
    averaged = None
    for _ in range(N_STEPS):
        train(shadow, optimizer, n_steps=1)
        if shadow.finished and averaged is None:
            averaged = torch.optim.swa_utils.AveragedModel(shadow)
        if averaged is not None:
            averaged.update_parameters(shadow)
    X, y = planted()
    assert averaged.n_averaged > 20
    assert (averaged(X).argmax(1) == y).float().mean() > 0.9
    small = averaged.module.prune(full_width=True)
    torch.testing.assert_close(small(X), averaged(X))


@pytest.mark.parametrize("use_buffers", [False, True])
def test_an_average_from_before_the_cut_is_refused_at_the_cut(use_buffers):
    shadow = lay(network())
    optimizer = torch.optim.Adam(shadow.parameters(), lr=0.01)
    averaged = torch.optim.swa_utils.AveragedModel(shadow, use_buffers=use_buffers)
    with pytest.raises(InvalidParameterError, match="AveragedModel was made before the cut"):
        for _ in range(N_STEPS):
            train(shadow, optimizer, n_steps=1)
            averaged.update_parameters(shadow)
    assert shadow.finished


def test_phases_and_open_counts_follow_the_progress():
    shadow = lay(network())
    optimizer = torch.optim.Adam(shadow.parameters(), lr=0.01)
    seen = []
    for _ in range(10):
        train(shadow, optimizer, n_steps=6)
        seen.append((shadow.phase, shadow.open_counts))
    assert [phase for phase, _ in seen] == ["open"] * 2 + ["closing"] * 2 + ["finishing"] * 6
    counts = np.array([count for _, count in seen])
    assert (np.diff(counts, axis=0) <= 0).all()
    assert counts[-1].tolist() == [2, 6, 4]
    assert repr(shadow).startswith("ShadowNetwork(\n  8-24-16-2 -> 2-6-4-2, finishing")


def test_scores_of_the_planted_inputs_are_the_largest():
    shadow = lay(network())
    train(shadow, torch.optim.Adam(shadow.parameters(), lr=0.01))
    assert sorted(np.argsort(-shadow.feature_scores)[:2]) == [1, 5]
    assert ShadowNetwork(network()).feature_scores is None


def test_mixed_precision_and_double_are_gated_in_their_own_type():
    X, y = planted()
    shadow = lay(network().double())
    optimizer = torch.optim.Adam(shadow.parameters(), lr=0.01)
    for _ in range(N_STEPS):
        optimizer.zero_grad()
        outputs = shadow(X.double())
        assert outputs.dtype == torch.float64
        nn.functional.cross_entropy(outputs, y).backward()
        optimizer.step()
        shadow.step(optimizer)
    assert shadow.selected_features.tolist() == [1, 5]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert lay(network())(X).dtype == torch.bfloat16


def test_an_optimizer_of_the_users_own_module_is_noticed():
    module = network()
    shadow = lay(module)
    with pytest.raises(InvalidParameterError, match=r"build the optimizer on shadow.parameters\(\)"):
        train(shadow, torch.optim.SGD(module.parameters(), lr=0.1), pass_optimizer=False)
    other = lay(module)
    train(other, torch.optim.SGD(other.parameters(), lr=0.1), n_steps=29)
    stranger = torch.optim.SGD(module.parameters(), lr=0.1)
    other._checked = (id(stranger), 0)  # of an optimizer that is gone: its id is given anew
    with pytest.raises(InvalidParameterError, match=r"holds no weight of the shadow"):
        other.prune(stranger)


def test_a_loop_that_shows_no_gradient_chooses_no_units():
    shadow = lay(network()).eval()
    with pytest.raises(InvalidParameterError, match=r"call shadow.train\(\) before the loop"):
        train(shadow, torch.optim.SGD(shadow.parameters(), lr=0.1))
    with pytest.raises(InvalidParameterError, match="and train before pruning"):
        lay(network()).prune()


class Wrapper(torch.optim.SGD):
    """Keeps another optimizer, which steps in its place."""

    def __init__(self, params):
        params = list(params)
        super().__init__(params, lr=0.1)
        self.inner = torch.optim.Adam(params)


class Listing(torch.optim.SGD):
    """Keeps past gradients in a list."""

    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p].setdefault("past", []).append(p.grad.clone())
        return super().step(closure)


CANNOT_FOLLOW = {
    "Adafactor": (lambda p: torch.optim.Adafactor(p), r"Adafactor keeps 'row_var' of shape"),
    "LBFGS": (lambda p: torch.optim.LBFGS(p), r"LBFGS keeps weights in '_params'"),
    "an optimizer inside": (Wrapper, r"Wrapper keeps weights in 'inner'"),
    "a list of tensors": (lambda p: Listing(p, lr=0.1), r"Listing keeps 'past' as a list of tensors"),
    "no optimizer": (
        lambda p: torch.optim.lr_scheduler.StepLR(torch.optim.SGD(p, lr=0.1), 5),
        r"optimizer must be a torch.optim.Optimizer or None, got <torch.*StepLR",
    ),
    "of other weights": (
        lambda p: torch.optim.SGD(network().parameters(), lr=0.1),
        r"holds no weight of the shadow; build it on shadow.parameters\(\)",
    ),
}


def step_once(shadow, optimizer):
    X, y = planted()

    def closure():
        for parameter in shadow.parameters():
            parameter.grad = None
        loss = nn.functional.cross_entropy(shadow(X), y)
        loss.backward()
        return loss

    if isinstance(optimizer, torch.optim.LBFGS):
        optimizer.step(closure)
    else:
        closure()
        optimizer.step()
    shadow.step(optimizer)


@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.parametrize("name", CANNOT_FOLLOW)
def test_an_optimizer_that_cannot_follow_the_cut_is_refused_at_the_first_step(name):
    make, message = CANNOT_FOLLOW[name]
    shadow = lay(network())
    with pytest.raises(InvalidParameterError, match=message):
        step_once(shadow, make(shadow.parameters()))
    assert shadow.progress == 0


def all_of_torch():
    return [
        kind
        for name, kind in vars(torch.optim).items()
        if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer) and name != "Optimizer"
    ]


@pytest.mark.parametrize("kind", all_of_torch())
def test_every_optimizer_of_torch_goes_through_the_cut_or_is_refused_at_the_first_step(kind):
    shadow = lay(network(), n_steps=12)
    if kind.__name__ in ("SparseAdam", "Muon"):  # refuse dense gradients, or vectors, themselves
        pytest.skip("not for networks like this one")
    optimizer = kind(shadow.parameters(), lr=0.01)
    try:
        step_once(shadow, optimizer)
    except InvalidParameterError as refusal:
        assert kind in (torch.optim.Adafactor, torch.optim.LBFGS), refusal
        return
    for _ in range(11):
        step_once(shadow, optimizer)
    assert [tuple(p.shape) for p in shadow.parameters()] == [(6, 2), (6,), (4, 6), (4,), (2, 4), (2,)]
    assert {id(p) for g in optimizer.param_groups for p in g["params"]} == set(map(id, shadow.parameters()))


def test_an_optimizer_that_cannot_follow_trains_where_it_is_left_out():
    shadow = lay(network(), n_steps=12)
    optimizer = torch.optim.LBFGS(shadow.parameters(), max_iter=2)
    X, y = planted()

    def closure():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(shadow(X), y)
        loss.backward()
        return loss

    for _ in range(12):
        optimizer.step(closure)
        shadow.step()
    assert shadow.prune()[0].out_features == 6


def test_a_step_without_progress_needs_the_number_of_steps():
    with pytest.raises(InvalidParameterError, match=r"n_steps=len\(loader\) \* n_epochs"):
        lay(network(), n_steps=None).step()
    with pytest.raises(InvalidParameterError, match=r"progress must be a number in \[0, 1\], got 2"):
        lay(network()).step(progress=2)


def test_weights_that_are_no_numbers_choose_no_units():
    shadow = lay(network())
    with pytest.raises(TrainingDivergedError, match="lower the learning rate"):
        train(shadow, torch.optim.SGD(shadow.parameters(), lr=1e30))
    broken = network()
    broken[0].weight.data.fill_(float("nan"))
    with pytest.raises(TrainingDivergedError, match="NaN or infinite"):
        train(lay(broken), torch.optim.SGD(broken.parameters(), lr=0.1), pass_optimizer=False)


def test_select_features_picks_columns_and_flattens_if_asked():
    x = torch.arange(12.0).reshape(2, 2, 3)
    assert SelectFeatures([5, 0], flatten=True)(x).tolist() == [[5, 0], [11, 6]]
    assert SelectFeatures([2])(x).shape == (2, 2, 1)


def test_a_pytorch_user_needs_neither_scikit_learn_nor_skorch():
    code = "from sk_shadownet import ShadowNetwork; import sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert not {"sklearn", "skorch", "pandas", "hls4ml"} & set(loaded.split())
