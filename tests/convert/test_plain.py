"""What a module computes besides its layers: worked in, or refused by name, wherever a module is read."""

import copy
import warnings

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from torch import fx, nn
from torch.nn.utils import parametrizations, parametrize, prune

from sk_shadownet import ShadowMLPClassifier, ShadowNetwork
from sk_shadownet.convert import to_keras, to_onnx, to_sklearn
from sk_shadownet.exceptions import ShadowNetError
from sk_shadownet.fpga._quantization.float_network import FloatNetwork

from .nets import assert_same, run_torch

X, Y = load_iris(return_X_y=True)
X = X.astype(np.float32)


def chain():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


# Each door: what it makes of a module says these outputs for X, before any training.


def by_onnx(module):
    onnx = pytest.importorskip("onnx.reference")
    return onnx.ReferenceEvaluator(to_onnx(module)).run(None, {"X": X})[0]


def by_keras(module):
    keras = pytest.importorskip("keras")
    return keras.ops.convert_to_numpy(to_keras(module)(keras.ops.convert_to_tensor(X)))


def by_sklearn(module):
    return to_sklearn(module).predict(X)


def by_fpga(module):
    return FloatNetwork.from_module(module).forward(X)


def by_shadow(module):
    shadow = ShadowNetwork(module, n_features_to_select=2, target_hidden_layer_sizes=4).eval()
    return run_torch(shadow, X)


def by_estimator(module):
    clf = ShadowMLPClassifier(module=module, max_epochs=1, learning_rate_init=1e-12, weight_decay=0.0)
    return clf.fit(X, Y).decision_function(X)


EXPORTS = {"onnx": by_onnx, "keras": by_keras, "sklearn": by_sklearn, "fpga": by_fpga}
TRAINS = {"shadow": by_shadow, "estimator": by_estimator}
DOORS = {**EXPORTS, **TRAINS}


def masked():
    module = chain()
    prune.l1_unstructured(module[0], "weight", 0.5)
    prune.random_unstructured(module[2], "bias", 1)
    return module


def masked_twice_and_run():
    module = chain()
    prune.l1_unstructured(module[0], "weight", 0.3)
    prune.ln_structured(module[0], "weight", 0.3, n=2, dim=0)
    module(torch.from_numpy(X)).sum().backward()
    return module


def old_weight_norm():
    module = chain()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.nn.utils.weight_norm(module[0])
    with torch.no_grad():
        module[0].weight_g.mul_(3)
    module(torch.from_numpy(X)).sum().backward()
    return module


def new_weight_norm():
    module = chain()
    parametrizations.weight_norm(module[2])
    with torch.no_grad():
        module[2].parametrizations.weight.original0.mul_(3)
    return module


def lazy_but_run():
    module = nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(3))
    module(torch.from_numpy(X))
    return module


def remembering():
    """Keeps what a pass left behind, which torch does not copy."""
    module = chain()
    module.seen = {"last": [module(torch.from_numpy(X))]}
    return module


def one_layer_twice():
    module = chain()
    relu = nn.ReLU()
    return nn.Sequential(module[0], relu, nn.Linear(8, 8), relu, module[2])


def part_compiled():
    module = chain()
    return nn.Sequential(torch.compile(module[0], backend="eager"), module[1], module[2])


WORKED_IN = {
    "masks": masked,
    "masks upon masks, after a pass": masked_twice_and_run,
    "old weight norm": old_weight_norm,
    "new weight norm": new_weight_norm,
    "torch.compile": lambda: torch.compile(chain(), backend="eager"),
    "torch.compile of a part": part_compiled,
    "DataParallel": lambda: nn.DataParallel(chain()),
    "AveragedModel": lambda: torch.optim.swa_utils.AveragedModel(chain()),
    "lazy layers that have run": lazy_but_run,
    "tensors of a graph": remembering,
    "one activation at two places": one_layer_twice,
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", WORKED_IN)
def test_wrappers_and_weights_that_are_computed_change_no_output(name, door):
    module = WORKED_IN[name]().eval()
    expected = run_torch(module, X)
    if door == "shadow" and name == "one activation at two places":
        outputs = run_torch(ShadowNetwork(module, target_hidden_layer_sizes=(4, 4)).eval(), X)
    else:
        outputs = DOORS[door](module)
    np.testing.assert_allclose(outputs, expected, atol=2e-5 * np.abs(expected).max())


def spectral():
    module = chain()
    parametrizations.spectral_norm(module[0])
    return module


def orthogonal():
    module = chain()
    parametrizations.orthogonal(module[2])
    return module


def old_spectral():
    module = chain()
    torch.nn.utils.spectral_norm(module[0])
    module(torch.from_numpy(X))
    return module


class Positive(nn.Module):
    def forward(self, w):
        return w.abs()


def own_parametrization():
    module = chain()
    parametrize.register_parametrization(module[2], "weight", Positive())
    return module


CONSTRAINED = {
    "spectral norm": spectral,
    "old spectral norm": old_spectral,
    "orthogonal": orthogonal,
    "one's own": own_parametrization,
}


@pytest.mark.parametrize("door", EXPORTS)
@pytest.mark.parametrize("name", CONSTRAINED)
def test_any_parametrization_is_exported_as_the_weights_it_gives(name, door):
    module = CONSTRAINED[name]().eval()
    assert_same(np.asarray(DOORS[door](module), np.float32), run_torch(module, X))


@pytest.mark.parametrize("door", TRAINS)
@pytest.mark.parametrize("name", CONSTRAINED)
def test_what_training_would_not_obey_is_refused(name, door):
    with pytest.raises(ShadowNetError, match=r"remove_parametrizations|is computed by|SpectralNorm"):
        DOORS[door](CONSTRAINED[name]())


def test_a_parametrization_of_a_layer_that_stays_whole_is_kept_by_a_shadow():
    shadow = ShadowNetwork(orthogonal(), n_features_to_select=2)
    assert parametrize.is_parametrized(shadow.module[2])


def with_hook(place):
    def make():
        module = chain()
        place(module)
        return module

    return make


def minus(layer, args, output):
    return -output


HOOKS = {
    "forward hook": with_hook(lambda m: m[0].register_forward_hook(minus)),
    "forward hook of an activation": with_hook(lambda m: m[1].register_forward_hook(minus)),
    "forward hook of the root": with_hook(lambda m: m.register_forward_hook(minus)),
    "pre-hook": with_hook(lambda m: m[2].register_forward_pre_hook(lambda layer, args: (-args[0],))),
    "pre-hook of the root": with_hook(lambda m: m.register_forward_pre_hook(lambda layer, args: (-args[0],))),
    "hook with keywords": with_hook(
        lambda m: m[2].register_forward_hook(lambda m, a, k, out: -out, with_kwargs=True)
    ),
}
IN_TRAINING = {
    "backward hook": with_hook(lambda m: m[0].register_full_backward_hook(lambda m, gi, go: None)),
    "backward pre-hook": with_hook(lambda m: m.register_full_backward_pre_hook(lambda m, go: None)),
    "hook of a gradient": with_hook(lambda m: m[0].weight.register_hook(lambda g: 0 * g)),
    "hook after a gradient": with_hook(
        lambda m: m[0].weight.register_post_accumulate_grad_hook(lambda p: None)
    ),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", HOOKS)
def test_hooks_of_the_forward_pass_are_refused_by_name_and_layer(name, door):
    with pytest.raises(ShadowNetError, match=r"(layer '\d'|the Sequential).*hook.*would not be kept.*remove"):
        DOORS[door](HOOKS[name]())


@pytest.mark.parametrize("door", TRAINS)
@pytest.mark.parametrize("name", IN_TRAINING)
def test_hooks_of_the_backward_pass_are_refused_where_there_is_training(name, door):
    with pytest.raises(ShadowNetError, match=r"hook.*would not be kept"):
        DOORS[door](IN_TRAINING[name]())


@pytest.mark.parametrize("door", EXPORTS)
@pytest.mark.parametrize("name", IN_TRAINING)
def test_hooks_of_the_backward_pass_change_no_export(name, door):
    module = IN_TRAINING[name]()
    assert_same(np.asarray(DOORS[door](module), np.float32), run_torch(chain(), X))


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "register",
    [nn.modules.module.register_module_forward_hook, nn.modules.module.register_module_forward_pre_hook],
)
def test_hooks_of_the_whole_process_are_refused(register, door):
    module = chain()
    handle = register(lambda *args: None)
    try:
        with pytest.raises(ShadowNetError, match="for all modules of the process"):
            DOORS[door](module)
    finally:
        handle.remove()


def quantised():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(chain(), {nn.Linear}, dtype=torch.qint8)


def observed():
    return nn.Sequential(torch.ao.quantization.QuantStub(), *chain())


def patched():
    module = chain()
    module[0].forward = lambda x: -nn.functional.linear(x, module[0].weight)
    return module


class Calling(nn.Sequential):
    def __call__(self, x):
        return -super().__call__(x)


class Linear(nn.Linear):
    """Of the name of torch's, but with a forward of its own."""

    def forward(self, x):
        return -super().forward(x)


class Noisy(nn.Dropout):
    def forward(self, x):
        return x + 1


def sparse():
    module = chain()
    module[0].weight = nn.Parameter(module[0].weight.detach().to_sparse())
    return module


def on_meta():
    with torch.device("meta"):
        return chain()


def scripted(how):
    def make():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return how(chain())

    return make


REFUSED = {
    "torch.jit.script": (scripted(torch.jit.script), "compiled by torch.jit"),
    "torch.jit.trace": (scripted(lambda m: torch.jit.trace(m, torch.zeros(1, 4))), "compiled by torch.jit"),
    "a part scripted": (
        scripted(lambda m: nn.Sequential(torch.jit.script(m[0]), *m[1:])),
        "layer '0'.*torch.jit",
    ),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(3)), "lazy.*one batch first"),
    "quantised": (quantised, "layer '0'.*quantised"),
    "observed": (observed, "quantised or holds an observer"),
    "forward of one object": (patched, "layer '0'.*forward or __call__"),
    "a call of its own": (lambda: Calling(*chain()), "forward or __call__"),
    "sparse weights": (sparse, "layer '0'.*dense real numbers"),
    "weights without numbers": (on_meta, "layer '0'.*meta"),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", REFUSED)
def test_what_hides_its_layers_is_refused_by_its_name(name, door):
    make, words = REFUSED[name]
    with pytest.raises(ShadowNetError, match=words):
        DOORS[door](make())


@pytest.mark.parametrize("door", EXPORTS)
@pytest.mark.parametrize("layer", [lambda: Linear(8, 8), Noisy, lambda: nn.Flatten(0)])
def test_layers_that_are_not_what_their_name_says_are_not_taken_for_it(layer, door):
    with pytest.raises(ShadowNetError, match="layer"):
        DOORS[door](nn.Sequential(nn.Linear(4, 8), nn.ReLU(), layer(), nn.Linear(8, 3)))


class Initialised(nn.Linear):
    """Torch's own but for its first weights."""

    def reset_parameters(self):
        nn.init.orthogonal_(self.weight)
        nn.init.zeros_(self.bias)


class Stack(nn.Sequential):
    def __init__(self, *widths):
        super().__init__(Initialised(*widths[:2]), nn.ReLU(), Initialised(*widths[1:]))


@pytest.mark.parametrize("door", DOORS)
def test_a_subclass_that_only_starts_from_other_weights_is_torchs_layer(door):
    module = Stack(4, 8, 3)
    np.testing.assert_allclose(DOORS[door](module), run_torch(module, X), atol=1e-4)
    assert type(module[0]) is Initialised


def test_layers_that_are_not_read_are_named_where_widths_are_asked_for():
    with pytest.raises(ShadowNetError, match=r"Hidden layers: none; not read: linear\(\) of '0.weight'"):
        by_shadow(nn.Sequential(Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)))
    with pytest.raises(ShadowNetError, match=r"not read: '0' \(ParametrizedLinear\), where its weight is"):
        by_shadow(spectral())


def test_a_compiled_shadow_has_a_shadow_already():
    shadow = torch.compile(ShadowNetwork(chain()), backend="eager")
    with pytest.raises(ShadowNetError, match="has a shadow already"):
        ShadowNetwork(shadow)
    for door in EXPORTS.values():
        with pytest.raises(ShadowNetError, match=r"prune\(\)"):
            door(shadow)


def test_a_graph_module_is_traced_like_any_other():
    graph = fx.symbolic_trace(chain())
    for door in TRAINS.values():
        np.testing.assert_allclose(door(graph), run_torch(chain(), X), atol=1e-4)
    for door in EXPORTS.values():
        with pytest.raises(ShadowNetError, match=r"Sequential .*was expected, got GraphModule"):
            door(graph)


class Casting(nn.Module):
    def __init__(self, cast):
        super().__init__()
        self.body, self.cast = chain(), cast

    def forward(self, x):
        return self.body(self.cast(self, x))


CASTS = {
    "float": lambda self, x: x.float(),
    "to a type": lambda self, x: x.to(torch.float32),
    "to the type of a weight": lambda self, x: x.to(self.body[0].weight.dtype),
    "to the place of a weight": lambda self, x: x.to(self.body[0].weight.device),
    "type_as": lambda self, x: x.type_as(self.body[0].weight),
    "there and back": lambda self, x: x.double().float(),
    "clone": lambda self, x: x.clone().contiguous(),
}


@pytest.mark.parametrize("door", TRAINS)
@pytest.mark.parametrize("name", CASTS)
def test_changes_of_type_and_place_in_forward_change_no_output(name, door):
    np.testing.assert_allclose(DOORS[door](Casting(CASTS[name])), run_torch(chain(), X), atol=1e-4)


@pytest.mark.parametrize("door", EXPORTS)
def test_a_shadow_is_converted_by_its_small_network(door):
    with pytest.raises(ShadowNetError, match=r"prune\(\)"):
        DOORS[door](ShadowNetwork(chain(), n_features_to_select=2))


@pytest.mark.parametrize("make", [masked_twice_and_run, old_weight_norm, new_weight_norm])
def test_the_users_module_keeps_its_masks_and_norms(make):
    module = make().eval()
    outputs = run_torch(module, X)
    before = copy.deepcopy({name: p.detach() for name, p in module.state_dict().items()})
    for door in DOORS.values():
        door(module)
    assert_same(run_torch(module, X), outputs)
    assert before.keys() == module.state_dict().keys()
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


def test_what_cannot_be_copied_is_refused_with_the_reason():
    module = chain()
    module.lines = iter(open(__file__).readlines())  # noqa: SIM115, PTH123
    module.handle = (n for n in range(3))
    with pytest.raises(ShadowNetError, match="cannot be copied"):
        ShadowNetwork(module)
