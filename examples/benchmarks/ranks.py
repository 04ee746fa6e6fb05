"""What a second process buys: wall time of one fit by one process and by two ranks of torchrun.

    python examples/benchmarks/ranks.py             # two free cores, please

The same fit with the same global batches of 4,096 rows, 2,048 for each of two ranks, one thread a rank. Wall
time is that of the epochs, without the start of the processes; runs take turns, and the median of the ratios
counts. The networks of one and of two ranks are compared by their weights. Of a step of one process, the last
column has what one sum over two ranks adds to half of it, in torch alone (gloo): no package could be faster.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence

import numpy as np

WIDTHS = ((64, 32, 32), (256, 128, 64))
N_ROWS, N_FEATURES, BATCH, EPOCHS = 200_000, 16, 4096, 4


def fit(widths: Sequence[int]) -> None:
    """Fit in this process, which may be one of several ranks; the first prints seconds and a weight."""
    from sk_shadownet import ShadowMLPClassifier

    random = np.random.default_rng(0)
    X = random.normal(size=(N_ROWS, N_FEATURES)).astype(np.float32)
    y = (X[:, :6] @ random.normal(size=(6, 5)).astype(np.float32)).argmax(axis=1)
    clf = ShadowMLPClassifier(tuple(widths), batch_size=BATCH, max_epochs=EPOCHS, random_state=0).fit(X, y)
    if os.environ.get("RANK", "0") == "0":
        norm = float(sum(weight.double().norm() for weight in clf.module_.parameters()))
        print(f"{sum(clf.history_['dur'])} {norm!r}")


def bare(widths: Sequence[int]) -> None:
    """Products of a step's size and nothing else, without and with a sum of the gradients; prints seconds."""
    import torch
    from torch import distributed

    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    shapes = list(zip((N_FEATURES, *widths), (*widths, 5), strict=True))
    layers = [(torch.randn(n_out, n_in), torch.randn(n_in, BATCH // 2)) for n_in, n_out in shapes]
    gradient = torch.zeros(sum(weight.numel() + len(weight) for weight, _ in layers))

    def seconds(add: bool) -> float:
        distributed.barrier()
        start = time.perf_counter()
        for _ in range(200):
            for weight, rows in layers:
                for _ in range(3):  # forward, and backward by weights and by inputs
                    torch.mm(weight, rows)
            if add:
                distributed.all_reduce(gradient)
        return (time.perf_counter() - start) / 200

    pairs = [(seconds(add=False), seconds(add=True)) for _ in range(5)]
    if distributed.get_rank() == 0:
        print(f"{np.median([b - a for a, b in pairs])} 0.0")
    distributed.barrier()
    distributed.destroy_process_group()


def run(widths: Sequence[int], n_ranks: int, what: str = "--fit") -> tuple[float, float]:
    """The same in processes of its own: wall seconds of the epochs, and the norm of the weights."""
    asked = [__file__, what, *map(str, widths)]
    command = [sys.executable, *asked]
    if n_ranks > 1:
        together = [f"--nproc-per-node={n_ranks}", "--standalone"]
        command = [sys.executable, "-m", "torch.distributed.run", *together, *asked]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    seconds, norm = output.split()[-2:]
    return float(seconds), float(norm)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3)
    for name in ("--fit", "--bare"):
        parser.add_argument(name, type=int, nargs="+", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.fit or asked.bare:
        fit(asked.fit) if asked.fit else bare(asked.bare)
        return
    print(
        "hidden layers    one process, s   two ranks, s   ratio   weights differ by   half a step and a sum"
    )
    for widths in WIDTHS:
        pairs = [(run(widths, 1), run(widths, 2)) for _ in range(asked.repeats)]
        one, two = (np.median([pair[n][0] for pair in pairs]) for n in (0, 1))
        ratio = np.median([b[0] / a[0] for a, b in pairs])
        apart = max(abs(b[1] / a[1] - 1) for a, b in pairs)
        step = one / (EPOCHS * -(-N_ROWS * 9 // (10 * BATCH)))
        least = 0.5 + run(widths, 2, "--bare")[0] / step
        name = "-".join(map(str, widths))
        print(f"{name:15s} {one:15.2f} {two:14.2f} {ratio:7.2f} {apart:19.1e} {least:23.2f}", flush=True)


if __name__ == "__main__":
    main()
