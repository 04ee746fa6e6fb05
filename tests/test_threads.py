"""No public call leaves threads behind, and fits work in forked processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

if not Path("/proc/self/task").is_dir():
    pytest.skip("the system does not list the threads of a process", allow_module_level=True)

# Wide enough for torch to share out copies and sums: it does so from 32,768 numbers on.
SETTING = """
import copy, multiprocessing, os, sys, tempfile, warnings
import numpy as np, torch
from torch import nn
import sk_shadownet.convert as convert, sk_shadownet.display as display, sk_shadownet.fpga as fpga
from sk_shadownet import ShadowMLPClassifier, ShadowMLPRegressor, ShadowNetwork

assert torch.get_num_threads() > 1
warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
X = rng.normal(size=(1200, 200)).astype(np.float32)
y = (X[:, 0] > 0).astype(int)
many = np.tile(X, (40, 1))
wide = nn.Sequential(nn.Linear(200, 300), nn.ReLU(), nn.Linear(300, 200), nn.ReLU(), nn.Linear(200, 2))
n_threads = torch.get_num_threads()
torch.set_num_threads(1)
doubled = copy.deepcopy(wide).double()
small = nn.Sequential(nn.Linear(200, 4), nn.ReLU(), nn.Linear(4, 2))
torch.set_num_threads(n_threads)
folder = tempfile.mkdtemp()

def fitted(kind=ShadowMLPClassifier, hidden=(300, 200), **parameters):
    return kind(hidden, max_epochs=2, random_state=0, **parameters).fit(X, y)

def shadowed():
    # One step of a loop that is the user's own, with no more threads than it wants.
    shadow = ShadowNetwork(wide, target_hidden_layer_sizes=(250, 200), n_steps=2)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    optimizer = torch.optim.SGD(shadow.parameters(), 0.1)
    shadow(torch.from_numpy(X)).square().sum().backward()
    optimizer.step()
    shadow.step()
    torch.set_num_threads(before)
    return shadow

def threads():
    return len(os.listdir("/proc/self/task"))
"""

CALLS = {
    "a fit of all inputs": "fitted()",
    "a fit that selects": "fitted(n_features_to_select=40)",
    "a fit that chooses": 'fitted(n_features_to_select="auto", target_hidden_layer_sizes="auto")',
    "a budget on hardware": 'fitted(hidden=(8,), n_features_to_select=8, budget={"lut": 20000})',
    "a committee": "fitted(n_shadows=3)",
    "a fit from a module": "fitted(module=wide)",
    "a fit in fixed point": "fitted(hidden=(200,), quantization=6)",
    "a regression": "fitted(ShadowMLPRegressor)",
    "a warm start": "fitted(warm_start=True).fit(X, y)",
    "predictions": "fitted().predict(many)",
    "probabilities": "fitted().predict_proba(many)",
    "probabilities in fixed point": "fitted(hidden=(8,), quantization=6).predict_proba(many)",
    "numbers": "fitted(ShadowMLPRegressor).predict(many)",
    "a network in fixed point": "fpga.quantized_module(wide, X, 6).replan()",
    "emulated hardware": (
        'fpga.to_fpga(small, f"{folder}/c", backend="verilog", precision=6, X_calibration=X).predict(many)'
    ),
    "an export": 'fitted(n_features_to_select=40).to_fpga(f"{folder}/a", precision=6)',
    "an export of a module": 'fpga.to_fpga(wide, f"{folder}/b", precision=6, X_calibration=X)',
    "a shadow": "shadowed()",
    "a pruned module": "shadowed().prune()",
    "a conversion to ONNX": "convert.to_onnx(doubled)",
    "a conversion to scikit-learn": "convert.to_sklearn(wide)",
    "a conversion from scikit-learn": "convert.from_sklearn(convert.to_sklearn(wide))",
    "a conversion from ONNX": "convert.from_onnx(convert.to_onnx(wide))",
    "a drawing": "display.ArchitectureDisplay.from_estimator(fitted())",
}


def _run(program: str) -> str:
    """What a process of its own prints, where torch may have as many threads as it likes."""
    # Dask's nannies leave numbers of threads in the environment of the process that starts them.
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", SETTING + program],
        env={**environment, "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


pytestmark = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="one core: torch starts no threads of its own"
)


@pytest.mark.slow
def test_no_public_call_leaves_threads_behind():
    tries = "\n".join(
        f"before = threads()\n{call}\nif threads() > before: print({name!r}, threads() - before)"
        for name, call in CALLS.items()
    )
    # What other packages start when they are loaded is not ours.
    warm = "import onnx, matplotlib.pyplot, hls4ml, alkaid, sklearn.neural_network\n"
    assert _run(warm + tries) == ""


@pytest.mark.slow
def test_layers_that_are_worth_several_threads_leave_none_behind():
    program = """
X, y = np.random.default_rng(0).normal(size=(600, 400)).astype("f4"), np.arange(600) % 2
warm = torch.zeros(1)
before = threads()
network = ShadowMLPClassifier((2000, 8), batch_size=300, max_epochs=1, random_state=0).fit(X, y)
print(threads() - before)
"""
    assert _run(program) == "0"


FORKS = {
    "fit": "fitted(n_features_to_select=20)",
    "predict": "network.predict(many)",
    "export": 'network.to_fpga(f"{folder}/fork", precision=6)',
    "prune": "shadowed().prune()",
    "convert": "convert.to_onnx(wide)",
    "draw": "display.ArchitectureDisplay.from_estimator(network)",
}


@pytest.mark.slow
def test_forked_processes_fit_and_predict_even_after_torch_has_started_threads():
    pool = """
network = fitted(n_features_to_select=20)
(torch.randn(2000, 2000) @ torch.randn(2000, 2000)).sum()
def call(program):
    exec(program, globals())
    return "done"
"""
    tries = "\n".join(
        "with multiprocessing.get_context('fork').Pool(1) as workers: "
        f"print(*workers.map_async(call, [{program!r}]).get(timeout=60))"
        for program in FORKS.values()
    )
    assert _run(pool + tries).split() == ["done"] * len(FORKS)


def test_a_limit_gives_the_callers_threads_back_within_and_after():
    counts = """
from sk_shadownet._system.threads import thread_limit
torch.set_num_threads(2)
seen = []
with thread_limit():
    seen.append(torch.get_num_threads())
    with thread_limit(1e12):
        seen.append(torch.get_num_threads())
        with thread_limit(1):
            seen.append(torch.get_num_threads())
    seen.append(torch.get_num_threads())
print(*seen, torch.get_num_threads())
"""
    assert _run(counts) == "1 2 1 1 2"
