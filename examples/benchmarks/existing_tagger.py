"""Does it pay to start from trained weights? A published jet tagger, and a network for digits, shrunk.

    python examples/benchmarks/existing_tagger.py jets                   # 10 seeds
    python examples/benchmarks/existing_tagger.py digits --seeds 30

jets: the 16-64-32-32-5 tagger of the hls4ml tutorial, whose weights were learnt on the public set of
LHC jets, is shrunk to 8-16-8-8-5 on the jets that come with the package, and judged on 1,000 jets of
the public set. Needs ``jsc_pretrained_mlp_64_32_32.npz`` (arrays W0 … W3,
b0 … b3) and ``jsc_hlf_1k.npz`` (X_std, y, scaler_mean, scaler_scale) in the folder that
SHADOWNET_DATA names; without them this part is skipped.

digits: a 64-64-32-32-10 network, trained for 100 epochs, is shrunk to 32-16-8-8-10.

All columns share loop, optimizer (Adam) and learning rate (.01 for half of the run, then a cosine to
zero); a row is a run of so many epochs: the shadow from trained weights and from random ones; both again
with the trained network as a teacher, whose softened answers the loss asks for besides the labels (Hinton
et al. 2015); and a network of the final size trained from scratch on the inputs that the first one chose.
A cell is the mean over seeds [smallest largest]. A margin is the mean of the differences seed by seed, with
its standard error.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi
from pathlib import Path

import numpy as np
import torch
from _common import digits, parser_of, seeds_of, split, spread
from torch import Tensor, nn

from sk_shadownet import ShadowNetwork
from sk_shadownet.datasets import load_lhc_jets

HIDDEN, TARGET = (64, 32, 32), (16, 8, 8)
LENGTHS = (2, 3, 5, 7, 10, 20, 40)

# Hinton et al. 2015 soften their answers by temperatures from 2.5 to 20.
TEMPERATURE = 4.0


@dataclass(frozen=True)
class Task:
    """Standardised rows, a trained network for them, and what to make of it."""

    X: Tensor
    y: Tensor
    tests: dict[str, tuple[Tensor, Tensor]]
    trained: nn.Sequential
    k: int
    batch_size: int


def dense(widths: tuple[int, ...]) -> nn.Sequential:
    """Linear layers and ReLU."""
    layers: list[nn.Module] = []
    for n_in, n_out in zip(widths[:-1], widths[1:], strict=True):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def train(
    network: nn.Module,
    task: Task,
    columns: np.ndarray | slice,
    n_epochs: int,
    seed: int,
    answers: Tensor | None = None,
) -> nn.Module:
    """A training loop as anybody writes it; a shadow steps along, a teacher's answers count as labels do."""
    torch.manual_seed(seed)
    batches = -(-len(task.X) // task.batch_size)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: (
            min(1.0, 0.5 * (1 + cos(pi * (2 * step / (batches * n_epochs) - 1))))
            if 2 * step > batches * n_epochs
            else 1.0
        ),
    )
    for _ in range(n_epochs):
        for rows in torch.randperm(len(task.X)).split(task.batch_size):
            outputs = network(task.X[rows][:, columns])
            loss = nn.functional.cross_entropy(outputs, task.y[rows])
            if answers is not None:
                # The square keeps gradients as large as those of the labels.
                taught = nn.functional.cross_entropy(outputs / TEMPERATURE, answers[rows])
                loss = loss + TEMPERATURE**2 * taught
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rate.step()
            if isinstance(network, ShadowNetwork):
                network.step(optimizer, progress=(rate.last_epoch) / (batches * n_epochs))
    return network


@torch.no_grad()
def softened(network: nn.Module, X: Tensor) -> Tensor:
    """Class probabilities at the temperature of teaching."""
    return torch.softmax(network(X) / TEMPERATURE, dim=1)


@torch.no_grad()
def accuracy(network: nn.Module, X: Tensor, y: Tensor) -> float:
    """Share of rows whose largest output is theirs."""
    return float((network(X).argmax(dim=1) == y).double().mean())


def jets(_: int) -> Task | None:
    """Simulated jets to train on, simulated and real ones to judge on."""
    folder = Path(os.environ.get("SHADOWNET_DATA", Path(__file__).parents[3] / "shared" / "data"))
    weights, real = folder / "jsc_pretrained_mlp_64_32_32.npz", folder / "jsc_hlf_1k.npz"
    if not (weights.exists() and real.exists()):
        print(f"jets: skipped, {weights.name} and {real.name} are not in {folder}; set SHADOWNET_DATA")
        return None
    tagger = dense((16, *HIDDEN, 5))
    with np.load(weights) as stored, torch.no_grad():
        for n, layer in enumerate(tagger[::2]):
            layer.weight.copy_(torch.as_tensor(stored[f"W{n}"].T))
            layer.bias.copy_(torch.as_tensor(stored[f"b{n}"]))
    sample = load_lhc_jets()
    with np.load(real) as stored:
        mean, scale = stored["scaler_mean"], stored["scaler_scale"]
        public = torch.as_tensor(stored["X_std"]), torch.as_tensor(stored["y"])
    X, X_test = (torch.as_tensor((x - mean) / scale).float() for x in (sample.X_train, sample.X_test))
    simulated = X_test, torch.as_tensor(sample.y_test)
    tests = {"1,000 public jets": public, "10,000 simulated jets": simulated}
    return Task(X, torch.as_tensor(sample.y_train), tests, tagger, k=8, batch_size=256)


def digit_images(seed: int) -> Task:
    """Digits and a network trained on them."""
    X, y, _ = digits()
    part = split(X, y, seed)
    rows, test = (torch.as_tensor(part.X), torch.as_tensor(part.y)), (part.X_test, part.y_test)
    tests = {"test rows": tuple(map(torch.as_tensor, test))}
    torch.manual_seed(seed)
    task = Task(*rows, tests, dense((64, *HIDDEN, 10)), k=32, batch_size=32)
    train(task.trained, task, slice(None), 100, seed)
    return task


TASKS: dict[str, tuple[Callable[[int], Task | None], tuple[int, ...]]] = {
    "jets": (jets, LENGTHS),
    "digits": (digit_images, LENGTHS),
}
TRAINED, RANDOM, TRAINED_TAUGHT, RANDOM_TAUGHT, SCRATCH = COLUMNS = (
    "from trained weights",
    "from random weights",
    "trained, with teacher",
    "random, with teacher",
    "final size from scratch",
)
# What is compared: a start, and the start whose accuracy it is to reach.
RACES = ((TRAINED, RANDOM), (TRAINED_TAUGHT, RANDOM), (TRAINED_TAUGHT, RANDOM_TAUGHT))


def one_seed(task: Task, n_epochs: int, seed: int) -> list[tuple[nn.Module, np.ndarray | slice]]:
    """The networks of a row, and the columns that each reads."""
    wide = (task.X.shape[1], *HIDDEN, task.trained[-1].out_features)
    sizes = {"n_features_to_select": task.k, "target_hidden_layer_sizes": TARGET}
    answers = softened(task.trained, task.X)

    def shadow(start: nn.Module, answers: Tensor | None = None) -> ShadowNetwork:
        return train(ShadowNetwork(start, **sizes), task, slice(None), n_epochs, seed, answers)

    torch.manual_seed(seed)
    new = dense(wide)
    shadows = [shadow(task.trained), shadow(new), shadow(task.trained, answers), shadow(new, answers)]
    columns = shadows[0].selected_features
    torch.manual_seed(seed)
    small = train(dense((task.k, *TARGET, wide[-1])), task, columns, n_epochs, seed)
    return [*((network, slice(None)) for network in shadows), (small, columns)]


def run(name: str, seeds: range) -> None:
    """Print one task's tables."""
    load, lengths = TASKS[name]
    tasks = [load(seed) for seed in seeds]
    if tasks[0] is None:
        return
    cells: dict[tuple[str, int, str], list[float]] = {}
    for n_epochs in lengths:
        for task, seed in zip(tasks, seeds, strict=True):
            networks = one_seed(task, n_epochs, seed)
            for label, (network, columns) in zip(COLUMNS, networks, strict=True):
                for test, (X, y) in task.tests.items():
                    cells.setdefault((test, n_epochs, label), []).append(accuracy(network, X[:, columns], y))
    for test in tasks[0].tests:
        before = [accuracy(task.trained, *task.tests[test]) for task in tasks]
        print_table(f"{name}, {test}; before: {spread(before)}", test, lengths, cells)


def print_table(
    title: str, test: str, lengths: tuple[int, ...], cells: dict[tuple[str, int, str], list[float]]
) -> None:
    """Accuracies by length of the run, and how long trained weights take to those of random ones."""
    print(f"\n{title}\n{'epochs':8s}" + "".join(f"{label:26s}" for label in COLUMNS))
    for n in lengths:
        print(f"{n:<8d}" + "".join(f"{spread(cells[test, n, label]):26s}" for label in COLUMNS))
    for start, rival in RACES:
        print(f"{start!r}: epochs to the accuracy of so many {rival!r}, and margin at as many:")
        means = [float(np.mean(cells[test, n, start])) for n in lengths]
        for n in lengths:
            goal = float(np.mean(cells[test, n, rival]))
            needed = epochs_to(goal, lengths, means)
            ahead = margin(cells[test, n, start], cells[test, n, rival])
            print(f"  {n:<4d}{goal:.3f}: {needed:14s}{ahead}", flush=True)


def margin(scores: list[float], rivals: list[float]) -> str:
    """Mean difference, seed by seed, and its standard error."""
    apart = np.subtract(scores, rivals)
    error = f" ± {apart.std(ddof=1) / len(apart) ** 0.5:.3f}" if len(apart) > 1 else ""
    return f"{apart.mean():+.3f}{error}"


def epochs_to(goal: float, lengths: tuple[int, ...], means: list[float]) -> str:
    """Length of the run at which the means, joined by straight lines, reach `goal`."""
    best = np.maximum.accumulate(means)
    if goal <= best[0]:
        return f"at most {lengths[0]}"
    return "more than any" if goal > best[-1] else f"{np.interp(goal, best, lengths):.1f}"


def main() -> None:
    """Run the tasks named on the command line."""
    options = parser_of(__doc__, TASKS, seeds=10).parse_args()
    torch.set_num_threads(1)
    for name in options.tasks or TASKS:
        run(name, seeds_of(options))


if __name__ == "__main__":
    main()
