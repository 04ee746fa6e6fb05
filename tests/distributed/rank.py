"""One rank of a fit: ``python rank.py folder rank size what``; ranks meet at a file of the folder."""

import hashlib
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
from skorch.callbacks import Callback
from torch import distributed

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet._mlp import backpropagation
from sk_shadownet._training import dataset
from sk_shadownet.exceptions import CheckpointError, DistributedError

N_ROWS, BATCH = 2000, 100
# So few values are watched of a batch, where batches shall be wide.
WATCHED = 250


class Watch(Callback):
    """Hash of the network after every step; at a step of the second rank, or of all, its end."""

    def __init__(self, what: str, rank: int) -> None:
        self.what, self.rank = what, rank
        self.hashes: list[str] = []

    def on_batch_end(self, net, training=False, **_):
        self.hashes.append(hashlib.sha256(net.optimizer_.value.numpy().tobytes()).hexdigest())
        if self.rank == 1 and len(self.hashes) == 5:
            if self.what == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            elif self.what == "stopped":
                os.kill(os.getpid(), signal.SIGSTOP)
            elif self.what == "altered":
                net.optimizer_.value[0] += 1e-3
        if len(self.hashes) == 25 and (self.what == "cut off" or (self.what == "cut down" and self.rank)):
            os.kill(os.getpid(), signal.SIGKILL)


def table(seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N_ROWS, 6)).astype(np.float32)
    return X, (X[:, 0] + X[:, 1] * X[:, 2] > 0).astype(int)


def fitted(watch=None, seed=0, **changes):
    settings = {"n_features_to_select": 4, "target_hidden_layer_sizes": (6,), "max_epochs": 2, **changes}
    clf = ShadowMLPClassifier(
        (12,), batch_size=BATCH, random_state=1, callbacks=[watch] if watch else None, **settings
    )
    return clf.fit(*table(seed))


def weights(clf):
    return np.concatenate([p.detach().numpy().ravel() for p in clf.module_.parameters()])


def main() -> None:
    folder, what = Path(sys.argv[1]), sys.argv[4]
    rank, size = (int(os.environ.get(name, sys.argv[n])) for n, name in ((2, "RANK"), (3, "WORLD_SIZE")))
    if what != "torchrun":
        meet, limit = f"file://{folder}/meet", timedelta(seconds=60)
        os.environ["MASTER_ADDR"] = "127.0.0.1"
        distributed.init_process_group("gloo", init_method=meet, rank=rank, world_size=size, timeout=limit)
    watch = Watch(what, rank)
    if what == "wide":
        backpropagation._WATCHED_VALUES = WATCHED
    more = {}
    if what in ("cut off", "cut down", "taken up", "other settings"):
        dataset.GATHERED_VALUES = 3 * 6 * BATCH  # few batches at a time: an epoch is taken up in its middle
        more = {"checkpoint": folder / "run", "checkpoint_seconds": 0}
    if what == "other settings":
        more["learning_rate_init"] = 0.01 * (1 + rank)
    try:
        clf = fitted(watch, **more, seed=rank if what == "other rows" else 0)
    except (CheckpointError, DistributedError) as error:
        (folder / f"{rank}.error").write_text(str(error), encoding="utf-8")
        if what not in ("killed", "stopped", "cut down"):
            distributed.destroy_process_group()  # whose threads abort a process that ends with them
        return
    np.save(folder / f"{rank}.npy", weights(clf))
    np.save(folder / f"{rank}-losses.npy", clf.history_["train_loss"])
    (folder / f"{rank}.hashes").write_text("\n".join(watch.hashes), encoding="utf-8")


if __name__ == "__main__":
    main()
