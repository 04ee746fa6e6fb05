"""Fits that are killed and go on, what checkpoints cost, and fits that lose one of two processes.

    python examples/benchmarks/checkpoints.py kill --times 50
    python examples/benchmarks/checkpoints.py cost
    python examples/benchmarks/checkpoints.py lose --times 20

`kill` starts each fit in a process of its own and ends that with SIGKILL after a random share of the time
that the undisturbed fit takes, twice, before it lets a third process end it. The kinds of fit take turns, and
the networks are compared bit for bit with those of undisturbed fits. `cost` is the time that fits take with
and without checkpoints. `lose` fits in two processes, ranks of torchrun and Dask workers in turn, and ends
one of them, with SIGKILL and SIGSTOP in turn, within the first seconds of the fit: it prints when an error
was said that names the process.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from sk_shadownet import (
    ShadowMLPClassifier,
    ShadowMLPRegressor,
    ShadowTableClassifier,
    ShadowTableRegressor,
    load,
)
from sk_shadownet._training import dataset
from sk_shadownet.datasets import load_lhc_jets
from sk_shadownet.exceptions import DistributedError

WIDE = {"hidden_layer_sizes": (32, 16, 16), "max_epochs": 12, "random_state": 0}
SIZES = {"n_features_to_select": 8, "target_hidden_layer_sizes": (16, 8, 8)}
AUTO = {"n_features_to_select": "auto", "target_hidden_layer_sizes": "auto"}
TABLES = {"hidden_layer_sizes": (8,), "max_epochs": 4, "random_state": 0}
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "exact": (ShadowMLPClassifier, WIDE | SIZES),
    "budget": (ShadowMLPClassifier, WIDE | {"budget": {"multiplications": 200}}),
    "hardware": (ShadowMLPClassifier, WIDE | {"budget": {"lut": 2000}}),
    "auto": (ShadowMLPClassifier, WIDE | AUTO),
    "committee": (ShadowMLPClassifier, WIDE | SIZES | {"n_shadows": 4}),
    "quantization": (ShadowMLPClassifier, WIDE | SIZES | {"quantization": 6, "max_epochs": 30}),
    "regressor": (ShadowMLPRegressor, WIDE | AUTO),
    "without a seed": (ShadowMLPClassifier, WIDE | SIZES | {"random_state": None}),
    "tables": (ShadowTableClassifier, TABLES | {"budget": {"lut": [300, 500, 800]}}),
    "numbers by tables": (ShadowTableRegressor, TABLES | {"budget": {"lut": 500}}),
    "edges": (ShadowTableClassifier, TABLES | {"n_edges": 60}),
}


def rows(kind: str, n_rows: int) -> tuple[Any, Any]:
    """Jets, and their flavours or a number."""
    jets = load_lhc_jets()
    X = np.asarray(jets.data[:n_rows], dtype=np.float64)
    return X, X[:, 0] + np.abs(X[:, 3]) if "Regressor" in KINDS[kind][0].__name__ else jets.target[:n_rows]


def fit(kind: str, n_rows: int, seconds: float, folder: str, file: str) -> None:
    """Fit an estimator and save it: what a process of its own does."""
    np.random.seed(7)  # noqa: NPY002 - what random_state=None draws from
    cls, parameters = KINDS[kind]
    more = {"checkpoint": folder, "checkpoint_seconds": seconds} if folder else {}
    model = cls(**parameters, **more).fit(*rows(kind, n_rows))
    model.set_params(checkpoint=None, checkpoint_seconds=60.0).save(file)


def answers(file: str, kind: str, n_rows: int) -> str:
    """A checksum of everything that a saved estimator is but for the times that its epochs took."""
    model = load(file)
    found = hashlib.sha256()
    for point in getattr(model, "frontier_", ()):
        found.update(repr((point.widths, point.costs, point.loss, point.score)).encode())
    X, _ = rows(kind, n_rows)
    for name in ("predict", "_outputs"):
        found.update(np.ascontiguousarray(getattr(model, name)(X)).tobytes())
    found.update(np.ascontiguousarray(model.feature_scores_).tobytes())
    found.update(repr({name: one for name, one in model.history_.items() if name != "dur"}).encode())
    return found.hexdigest()


def kill(times: int, n_rows: int, seconds: float, seed: int) -> None:
    """Kill fits, take them up, and compare."""
    # Small windows of rows: epochs are taken up in their middle.
    dataset.GATHERED_VALUES = 2**13
    # This process trains nothing, so that others can be forked from it.
    forked = multiprocessing.get_context("fork").Process
    draw, known, same = random.Random(seed), {}, 0
    for number in range(times):
        kind = list(KINDS)[number % len(KINDS)]
        with tempfile.TemporaryDirectory() as place:
            file, folder = f"{place}/model.shadow", f"{place}/run"
            if kind not in known:
                begin = time.monotonic()
                whole = forked(target=fit, args=(kind, n_rows, seconds, "", file))
                whole.start()
                whole.join()
                known[kind] = answers(file, kind, n_rows), time.monotonic() - begin
                Path(file).unlink()
            want, took = known[kind]
            left = []
            for _ in range(3):
                process = forked(target=fit, args=(kind, n_rows, seconds, folder, file))
                process.start()
                process.join(took * draw.uniform(0.1, 0.9) if len(left) < 2 else None)
                process.kill()
                process.join()
                left.append(sorted(int(path.stem[-8:]) for path in Path(folder).glob("checkpoint-*")))
            found = answers(file, kind, n_rows)
            same += found == want
            verdict = "same" if found == want else "DIFFERS"
            print(f"{number + 1:3d} {kind:20s} states left {left[0]}, {left[1]}: {verdict}", flush=True)
    print(f"{same} of {times} the same network")


def cost(n_rows: int) -> None:
    """Time with and without checkpoints."""
    for kind in ("exact", "auto", "tables"):
        X, y = rows(kind, n_rows)
        cls, parameters = KINDS[kind]
        cls(**parameters).fit(X[:500], y[:500])  # what is loaded late is not counted
        for seconds in (None, 60.0, 1.0, 0.1):
            with tempfile.TemporaryDirectory() as folder:
                more = {} if seconds is None else {"checkpoint": folder, "checkpoint_seconds": seconds}
                begin = time.process_time(), time.monotonic()
                cls(**parameters, **more).fit(X, y)
                cpu, wall = time.process_time() - begin[0], time.monotonic() - begin[1]
                often = "without checkpoints" if seconds is None else f"every {seconds:g} s"
                print(f"{kind:8s} {often:20s} {cpu:6.2f} CPU seconds, {wall:6.2f} seconds")


def shared_fit(how: str, folder: Path) -> None:
    """A fit in two processes, which says in the folder who they are: what a process of its own does."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20000, 16)).astype(np.float32)
    y = (X[:, 0] + X[:, 1] * X[:, 2] > 0).astype(int)
    model = ShadowMLPClassifier(**WIDE | SIZES | {"max_epochs": 120, "batch_size": 256})
    if how == "torchrun":
        say(folder / os.environ["RANK"], f"rank {os.environ['RANK']}", os.getpid())
        model.fit(X, y)
        return
    from dask import array
    from distributed import Client, LocalCluster

    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs="CRITICAL")
    with cluster, Client(cluster) as client:
        for number, (address, process) in enumerate(client.run(os.getpid).items()):
            say(folder / str(number), address, process)
        try:
            model.fit(array.from_array(X, chunks=(1000, 16)), array.from_array(y, chunks=1000))
        except DistributedError as error:
            print(error, flush=True)  # the cluster's end takes its time
            raise


def say(file: Path, *words: Any) -> None:
    """Write words into a file that is there as a whole or not at all."""
    file.with_suffix(".part").write_text(" ".join(map(str, words)), encoding="utf-8")
    file.with_suffix(".part").rename(file.with_suffix(".process"))


def lose(times: int, seed: int) -> None:
    """End one of two processes, and wait for the others to say so."""
    draw, seconds, verdicts = random.Random(seed), [], []
    for number in range(times):
        how, how_ended = ("torchrun", "Dask")[number // 2 % 2], (signal.SIGKILL, signal.SIGSTOP)[number % 2]
        moment, victim = draw.uniform(0, 8), draw.randrange(2)
        with tempfile.TemporaryDirectory() as place:
            verdict, took = lost(how, Path(place), how_ended, moment, victim)
        seconds += [took] if verdict == "named" else []
        verdicts.append(verdict)
        when = f"{how_ended.name} to process {victim} after {moment:3.1f} s"
        print(f"{number + 1:3d} {how:8s} {when}: {verdict} after {took:4.1f} s", flush=True)
    print(
        f"{len(seconds)} of {times} ended with an error that names it, within {max(seconds):.1f} s; "
        f"{verdicts.count('went on')} went on; {verdicts.count('HUNG')} hung"
    )


def lost(how: str, folder: Path, how_ended: signal.Signals, moment: float, victim: int) -> tuple[str, float]:
    """What became of one fit, and how many seconds after the signal."""
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2"] if how == "torchrun" else []
    command = [sys.executable, *launcher, __file__, "fit", how, str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    files = [folder / f"{number}.process" for number in range(2)]
    with (folder / "said").open("w") as said:
        fit = subprocess.Popen(command, stdout=said, stderr=said, env=environment, start_new_session=True)
    while not all(file.exists() for file in files):
        time.sleep(0.1)
    names, processes = zip(*(file.read_text(encoding="utf-8").rsplit(" ", 1) for file in files), strict=True)
    time.sleep(moment)
    begin = time.monotonic()
    os.kill(int(processes[victim]), how_ended)
    marks = [f"process {processes[victim]})", f"pid: {processes[victim]})"]
    marks += [f"{names[victim]} of 2 died"] if how == "Dask" else []
    try:
        return watch(fit, folder / "said", marks), time.monotonic() - begin
    finally:
        for process in map(int, processes):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(fit.pid, signal.SIGKILL)
        fit.wait()


def watch(fit: subprocess.Popen[bytes], said: Path, marks: list[str], limit: float = 120.0) -> str:
    """What becomes of a fit that has lost a process: of the words that it says, a mark names that one."""
    begin = time.monotonic()
    while time.monotonic() - begin < limit:
        time.sleep(0.1)
        ended = fit.poll() is not None
        words = said.read_text(encoding="utf-8", errors="replace")
        if any(mark in words for mark in marks):
            return "named"
        if ended:
            return f"NOT NAMED: {words[-500:]}" if fit.returncode else "went on"
    return "HUNG"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    what = parser.add_subparsers(dest="what", required=True)
    one = what.add_parser("kill")
    one.add_argument("--times", type=int, default=50)
    one.add_argument("--rows", type=int, default=3000)
    one.add_argument("--seconds", type=float, default=0.1)
    one.add_argument("--seed", type=int, default=0)
    two = what.add_parser("lose")
    two.add_argument("--times", type=int, default=20)
    two.add_argument("--seed", type=int, default=0)
    three = what.add_parser("fit")
    three.add_argument("how")
    three.add_argument("folder", type=Path)
    what.add_parser("cost").add_argument("--rows", type=int, default=30000)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    if given.what == "kill":
        kill(given.times, given.rows, given.seconds, given.seed)
    elif given.what == "lose":
        lose(given.times, given.seed)
    elif given.what == "fit":
        shared_fit(given.how, given.folder)
    else:
        cost(given.rows)


if __name__ == "__main__":
    main()
