"""A budget in a loop of one's own: ShadowNetwork against uniform scaling, scratch, and the estimator.

    python examples/benchmarks/own_loop.py                     # three tables, 10 seeds
    python examples/benchmarks/own_loop.py digits --seeds 20

The loop is that of ``existing_tagger.py``, 40 epochs from random weights of 64-32-32 hidden units. For every
budget of multiplications and the same split it trains

- budget: ``ShadowNetwork(budget={"multiplications": ...})``;
- uniform: ``ShadowNetwork`` to inputs and layers that are all scaled alike, as large as the budget allows;
- scratch: a dense network of the first one's widths on its inputs.

Beside them the estimator of the same budget, with its own loop, epochs and validation rows.
"""

from __future__ import annotations

import numpy as np
import torch
from _common import Split, digits, parser_of, redundant, seeds_of, split, spread, timed_fit, warm_up
from budget import against, other_jets, uniform_widths
from existing_tagger import HIDDEN, Task, accuracy, dense, train
from grid import jets
from torch import nn

from sk_shadownet import ShadowNetwork
from sk_shadownet.architecture import count_multiplications

EPOCHS = 40

#: Data, rows of a batch, budgets.
TASKS = {
    "jets": (jets, 256, (150, 300, 600)),
    "digits": (digits, 64, (100, 300, 600)),
    "redundant": (redundant, 256, (200, 400, 800)),
}


def shrunk(task: Task, seed: int, **sizes: object) -> tuple[np.ndarray, tuple[int, ...], nn.Module]:
    """Inputs, hidden widths and network that a shadow leaves of one with random weights."""
    torch.manual_seed(seed)
    wide = dense((task.X.shape[1], *HIDDEN, int(task.y.max()) + 1))
    shadow = ShadowNetwork(wide, **sizes)
    train(shadow, task, slice(None), EPOCHS, seed)
    small = shadow.prune().eval()
    hidden = [layer.out_features for layer in small.modules() if isinstance(layer, nn.Linear)][:-1]
    return np.asarray(shadow.selected_features), tuple(hidden), small


def compare(part: Split, batch_size: int, limit: int, seed: int) -> tuple[dict[str, float], tuple[int, ...]]:
    """Test accuracy of each way to keep one budget, and the widths that the budget chose."""
    rows, labels = torch.as_tensor(part.X), torch.as_tensor(part.y)
    X_test, y_test = torch.as_tensor(part.X_test), torch.as_tensor(part.y_test)
    n_classes = int(labels.max()) + 1
    task = Task(rows, labels, {}, nn.Sequential(), 0, batch_size)
    columns, hidden, ours = shrunk(task, seed, budget={"multiplications": limit})
    widths = (len(columns), *hidden, n_classes)
    assert count_multiplications(widths) <= limit
    scores = {"budget": accuracy(ours, X_test[:, columns], y_test)}
    n_inputs, *narrow = uniform_widths(part.X.shape[1], n_classes, limit)
    alike = {"n_features_to_select": n_inputs, "target_hidden_layer_sizes": tuple(narrow)}
    theirs, _, uniform = shrunk(task, seed, **alike)
    scores["uniform"] = accuracy(uniform, X_test[:, theirs], y_test)
    torch.manual_seed(seed)
    scratch = train(dense(widths), task, columns, EPOCHS, seed)
    scores["scratch"] = accuracy(scratch, X_test[:, columns], y_test)
    estimator, _ = timed_fit(part, HIDDEN, seed, budget={"multiplications": limit})
    scores["estimator"] = estimator.score(part.X_test, part.y_test)
    return scores, widths


def main() -> None:
    """Print a block for each data set, a line for each budget."""
    options = parser_of(__doc__, TASKS, seeds=10).parse_args()
    warm_up()
    torch.set_num_threads(1)  # the fastest for networks of this size
    for name in options.tasks or TASKS:
        load, batch_size, budgets = TASKS[name]
        X, y, _ = load()
        more = other_jets(len(X)) if name == "jets" else None
        print(f"{name}, {options.seeds} seeds from {options.first_seed}")
        for limit in budgets:
            table: dict[str, list[float]] = {}
            shapes = []
            for seed in seeds_of(options):
                scores, widths = compare(split(X, y, seed, more), batch_size, limit, seed)
                shapes.append("-".join(map(str, widths)))
                for way, score in scores.items():
                    table.setdefault(way, []).append(score)
            cells = "   ".join(f"{way} {spread(scores)}" for way, scores in table.items())
            print(f"  {limit:5d}  {cells}   {' '.join(shapes[:2])}")
            margins = (f"{way} {against(table['budget'], table[way])}" for way in list(table)[1:])
            print(f"         points ahead of {', '.join(margins)}", flush=True)


if __name__ == "__main__":
    main()
