"""Ranks that train one network: the network of one process, the same on all, and an end where one is lost."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sk_shadownet._mlp import backpropagation
from sk_shadownet._saving.checkpoints import checkpoints_in

from .rank import N_ROWS, WATCHED, fitted, weights

SCRIPT = Path(__file__).with_name("rank.py")


def run(folder: Path, what="nothing", size=2, limit=100.0):
    """Seconds until the surviving ranks have ended."""
    command = [sys.executable, str(SCRIPT), str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    start = time.monotonic()
    ranks = [subprocess.Popen([*command, str(n), str(size), what], env=environment) for n in range(size)]
    try:
        ranks[0].wait(timeout=limit)
        if what in ("cut off", "cut down"):
            assert ranks[1].wait(timeout=limit) == -9
        elif what not in ("killed", "stopped"):
            assert [rank.wait(timeout=limit) for rank in ranks] == [0] * size
    finally:
        for rank in ranks:
            rank.kill()
            rank.wait()
    return time.monotonic() - start


def error_of(folder: Path, rank=0) -> str:
    return (folder / f"{rank}.error").read_text(encoding="utf-8")


@pytest.mark.parametrize("size", [2, 3])
def test_ranks_train_the_network_of_one_process(tmp_path, size):
    run(tmp_path, size=size)
    alone = weights(fitted())
    networks = [np.load(tmp_path / f"{rank}.npy") for rank in range(size)]
    assert np.linalg.norm(networks[0] - alone) <= 1e-6 * np.linalg.norm(alone)
    assert all(np.array_equal(networks[0], other) for other in networks)
    hashes = [(tmp_path / f"{rank}.hashes").read_text(encoding="utf-8").split() for rank in range(size)]
    assert len(hashes[0]) == 2 * N_ROWS * 0.9 / 100
    assert all(other == hashes[0] for other in hashes)


def test_wide_batches_are_those_of_one_process_too(tmp_path, monkeypatch):
    run(tmp_path, "wide", size=3)
    monkeypatch.setattr(backpropagation, "_WATCHED_VALUES", WATCHED)
    alone, found = weights(fitted()), np.load(tmp_path / "0.npy")
    assert np.linalg.norm(found - alone) <= 1e-6 * np.linalg.norm(alone)


@pytest.mark.parametrize("how", ["cut off", pytest.param("cut down", marks=pytest.mark.slow)])
def test_a_fit_that_is_killed_in_all_ranks_or_in_one_goes_on_to_the_same_network(tmp_path, how):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    run(whole, "taken up")
    run(parts, how)
    assert (parts / "0.error").exists() == (how == "cut down")
    assert list((parts / "run").glob("checkpoint-*"))
    assert not (parts / "0.npy").exists()
    (parts / "meet").unlink(missing_ok=True)
    run(parts, "taken up")
    for name in ("0.npy", "1.npy", "0-losses.npy", "1-losses.npy"):
        assert np.array_equal(np.load(parts / name), np.load(whole / name))
    n_left = len((parts / "0.hashes").read_text(encoding="utf-8").split())
    assert 36 - 25 <= n_left < 18
    assert not list((parts / "run").glob("checkpoint-*"))


def test_what_ails_a_checkpoint_is_said_by_all_ranks(tmp_path):
    run(tmp_path, "other settings")
    assert error_of(tmp_path, 0) == error_of(tmp_path, 1)
    assert "learning_rate_init was 0.01 and is 0.02" in error_of(tmp_path)
    (tmp_path / "meet").unlink(missing_ok=True)
    with checkpoints_in(tmp_path / "run", 0, {}):
        run(tmp_path, "taken up")
    assert "is used by another fit" in error_of(tmp_path, 0)
    assert "is used by another fit" in error_of(tmp_path, 1)


@pytest.mark.slow
def test_torchrun_alone_does(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", str(SCRIPT)]
    subprocess.run([*command, str(tmp_path), "0", "0", "torchrun"], check=True, timeout=200)
    assert np.array_equal(np.load(tmp_path / "0.npy"), np.load(tmp_path / "1.npy"))
    assert np.load(tmp_path / "0.npy") == pytest.approx(weights(fitted()), rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_lost_rank_is_named_within_a_minute(tmp_path, how):
    assert run(tmp_path, how) < 75  # with the imports of two processes
    assert "rank 1 (" in error_of(tmp_path)
    assert "stopped answering" in error_of(tmp_path)


@pytest.mark.parametrize(
    ("how", "word"), [("other rows", "rows of rank 1"), ("altered", "weights of rank 1")]
)
def test_ranks_that_differ_are_refused(tmp_path, how, word):
    run(tmp_path, how)
    assert word in error_of(tmp_path, 0)
    assert word in error_of(tmp_path, 1)
