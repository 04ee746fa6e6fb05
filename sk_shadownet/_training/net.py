"""A skorch net whose module is a committee of shadowed perceptrons fed by whole-tensor batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Tensor, nn

from sk_shadownet._distributed.ranks import Ranks
from sk_shadownet._metrics.scoring import Answers, Scoring
from sk_shadownet._mlp.flat_adam import FlatAdam
from sk_shadownet._training.callbacks import RunCallback
from sk_shadownet._training.dataset import EVALUATION_ROWS, Rows
from sk_shadownet._training.losses import Loss
from sk_shadownet._training.passes import Passes
from sk_shadownet._training.resumption import Midway, Stages
from sk_shadownet._training.rows import Batch, Batches, DrawnProbes, TrainingRows
from sk_shadownet.exceptions import InvalidParameterError

# Events of every batch.
_OF_BATCHES = ("on_batch_begin", "on_batch_end", "on_grad_computed")
# Losses of batches that are tensors of their own: each takes a kilobyte, and an epoch may have millions.
_LOSSES_APART = 1024
# What the net that is kept does not have.
_OF_THE_TRAINING = (
    "generator",
    "probes",
    "stages",
    "ranks",
    "teacher_weights",
    "_hooks",
    "_loader",
    "_midway",
    "_passes",
    "_prepared",
    "_targets",
)


class CommitteeNet(NeuralNet):  # type: ignore[misc]
    """skorch's net, its inner loop shortened for networks that take microseconds a layer.

    ``fit(training_rows, validation_rows)`` takes `TrainingRows` and `Rows`; losses are recorded once an
    epoch, not once a batch. All of skorch's hooks are called as usual, so its callbacks work. The module
    brings its own forward and backward pass: its method ``passes()`` gives a `Passes`.

    Attributes
    ----------
    interrupted_ : bool
        Whether Ctrl-C ended the training.
    generator : torch.Generator
        Shuffles the training rows.
    step, n_steps : int
        Gradient steps done and planned.
    probes : DrawnProbes or None
        Columns that training batches have besides the features.
    teacher_weights : Tensor of shape (n_members,) or None
        Share of each member in what all of them learn besides the targets; None where each learns alone.
    stages : Stages or None
        Where the trainings of a fit leave their states, and take them up; None for nowhere.
    ranks : Ranks or None
        Processes that take a share of every batch each; None for this one alone.
    weight_decay : float
        Decoupled, of the weights.
    scoring : Scoring or None
        What members and epochs are chosen by; None for the loss.
    """

    generator: torch.Generator | None = None
    step = 0
    n_steps = 1
    probes: DrawnProbes | None = None
    teacher_weights: Tensor | None = None
    scoring: Scoring | None = None
    ranks: Ranks | None = None
    weight_decay = 0.0
    stages: Stages | None = None
    _midway: Midway | None = None
    _loader: Batches | None = None
    _passes: Passes | None = None
    _prepared: Tensor | None = None
    _targets: Any = None

    @classmethod
    def over(
        cls,
        network: nn.Module,
        loss: Loss,
        *,
        callbacks: Sequence[Any] = (),
        device: str = "cpu",
        **sizes: Any,
    ) -> CommitteeNet:
        """A net that trains a network; `sizes` are ``lr``, ``max_epochs`` and ``batch_size``."""
        net = cls(
            network,
            criterion=loss,
            optimizer=FlatAdam,
            train_split=None,
            callbacks=list(callbacks),
            device=device,
            verbose=0,
            **sizes,
        )
        # Scoring callbacks predict anew: batches of several members hold no single prediction to cache.
        net.set_params(
            use_caching=False,
            callbacks__print_log=None,
            callbacks__train_loss=None,
            callbacks__valid_loss=None,
        )
        return net

    @property
    def loader(self) -> Batches | None:
        """The batches of the epoch that goes on."""
        return self._loader

    @property
    def progress(self) -> float:
        """Share of the run's gradient steps that are done, 0 to 1."""
        return float(self.step / self.n_steps)

    def get_split_datasets(
        self, X: TrainingRows, y: Rows | None = None, **_: Any
    ) -> tuple[TrainingRows, Rows | None]:
        """Rows arrive divided."""
        return X, y

    def get_iterator(self, dataset: TrainingRows, training: bool = False) -> Any:
        """Whole-tensor batches instead of a DataLoader, which handles row by row."""
        if not isinstance(dataset, TrainingRows):
            return super().get_iterator(dataset, training=training)
        if training:
            return dataset.batches(self.batch_size, self.generator, lambda: self.probes)
        return dataset.in_memory.batches(EVALUATION_ROWS)

    def infer(self, x: Any, **_: Any) -> Tensor:
        """Outputs of every member: shape (n_members, n_rows, n_outputs)."""
        outputs: Tensor = self.module_(torch.as_tensor(x, device=self.device))
        return outputs

    def fit_loop(self, X: Any, y: Any = None, epochs: int | None = None, **kwargs: Any) -> Any:
        """skorch's loop; remembers whether Ctrl-C ended it. Where there are checkpoints, their rest of it."""
        self.interrupted_ = False
        if self.ranks is not None:
            self.ranks.meet()  # what lies between trainings takes some longer than others
        if self.stages is not None:
            over, self._midway = self.stages.enter(self)
            done = len(self.history) - (self._midway is not None)
            epochs = 0 if over else (epochs or self.max_epochs) - done
        try:
            super().fit_loop(X, y, epochs, **kwargs)
        except KeyboardInterrupt as stop:
            self.interrupted_ = not getattr(stop, "asked_by_callback", False)
            if self.stages is not None:
                self.stages.leave(self)
            raise
        if self.stages is not None:
            self.stages.leave(self)
        return self

    def initialize_optimizer(self, *_: Any, **__: Any) -> CommitteeNet:
        """Adam for the module as it is now; its weights decay, its biases do not."""
        weights, biases = self.module_.weights, self.module_.biases
        self.optimizer_ = FlatAdam(
            [*weights, *biases], lr=self.lr, weight_decay=self.weight_decay, n_decayed=len(weights)
        )
        return self

    def notify(self, method_name: str, **cb_kwargs: Any) -> None:
        """Call all callbacks; tell Ctrl-C from a callback that stops training at an epoch's end."""
        if method_name == "on_train_begin":
            self._hooks: dict[str, list[Callable[..., Any]]] = {}
            self._passes = None
            self.optimizer_.pack()
        if method_name == "on_epoch_begin" and self._midway is not None:
            return  # that was in another process
        try:
            for hook in self._hooks_of(method_name):
                hook(self, **cb_kwargs)
        except KeyboardInterrupt as stop:
            stop.asked_by_callback = method_name == "on_epoch_end"  # type: ignore[attr-defined]
            raise
        if method_name == "on_epoch_end" and self.stages is not None:
            self.stages.offer(self)

    def _hooks_of(self, name: str) -> list[Callable[..., Any]]:
        """Methods that are called at an event; at those of batches, only such as do something."""
        if name not in self._hooks:
            owners: list[Any] = [callback for _, callback in self.callbacks_]
            if name in _OF_BATCHES:
                nothing = getattr(Callback, name)
                owners = [
                    one for one in owners if getattr(getattr(one, name), "__func__", None) is not nothing
                ]
            # skorch's own record of batches is for the user's callbacks alone.
            if name not in _OF_BATCHES or not all(map(_is_of_the_training, self.callbacks or ())):
                owners = [self, *owners]
            self._hooks[name] = [getattr(one, name) for one in owners]
        return self._hooks[name]

    def run_single_epoch(
        self, iterator: Any, training: bool, prefix: str, step_fn: Callable[..., Any], **_: Any
    ) -> None:
        """One pass over the rows, in the order of skorch's own: begin, step, end."""
        if iterator is None:
            return
        self._set_training(training)
        if not training:
            self._evaluate(iterator.rows)
            return
        self._loader = iterator
        losses, sizes = self._begun(iterator)
        begin, end = self._hooks_of("on_batch_begin"), self._hooks_of("on_batch_end")
        for batch in iterator:
            for hook in begin:
                hook(self, batch=batch, training=True)
            step = step_fn(batch)
            losses.append(step["loss"])
            if len(losses) == _LOSSES_APART:
                losses = [_one_tensor(losses)]
            sizes.append(iterator.n_rows)
            for hook in end:
                hook(self, batch=batch, training=True, **step)
            if self.stages is not None and self.stages.checkpoints.due:
                self._offer_midway(iterator, losses, sizes)
        self._loader = self._prepared = self._targets = None
        share_noise = getattr(self._passes, "share_noise", None)
        if share_noise is not None:
            share_noise(None)  # each epoch draws its own
        total_loss = _one_tensor(losses).cpu().double() @ torch.tensor(sizes, dtype=torch.float64)
        if self.ranks is not None:
            self.ranks.require_same("weights", self.optimizer_.value)
        total = float(total_loss)
        self.history.record("train_loss", total / (sum(sizes) * self.module_.n_members))

    def _begun(self, iterator: Batches) -> tuple[list[Tensor], list[int]]:
        """Losses and sizes of the epoch's batches that another process has trained on; the rest is left."""
        if self._midway is None:
            return [], []
        iterator.resume(self._midway.position)
        passes: Any = self.module_.passes()
        if self._midway.noise is not None:
            passes.share_noise(self._midway.noise)
        self._passes = passes
        losses, sizes = [self._midway.losses], [*self._midway.sizes]
        self._midway = None
        return losses, sizes

    def _offer_midway(self, iterator: Batches, losses: list[Tensor], sizes: list[int]) -> None:
        """Have the state written, if the rest of this epoch can be taken up from here."""
        assert self.stages is not None
        position, shared = iterator.position, getattr(self._passes, "shared_noise", None)
        if position is not None:
            noise = None if shared is None else shared()
            self.stages.offer(self, Midway(position, _one_tensor(losses), sizes, noise))

    def train_step(self, batch: Batch, **_: Any) -> dict[str, Tensor]:
        """One gradient step, by the module's own backward pass."""
        loader, passes = self._loader, self._passes
        assert loader is not None
        if passes is None or passes.module is not self.module_:
            passes, self._prepared = self.module_.passes(), None
            self._passes = passes
        if self._prepared is not loader.gathered:
            self._prepared = loader.gathered
            passes.prepare(loader.gathered, loader.places)
            self._targets = self.criterion_.columns(loader.targets, passes.like, passes.n_outputs)
        ranks, share, weight = self.ranks, 1.0, batch[2]
        start, stop = loader.start, loader.stop
        if ranks is not None:
            start, stop, share = loader.share(ranks)
            weight = None if weight is None else weight[start - loader.start : stop - loader.start]
        outputs = passes.forward(start, stop)
        seen = outputs
        if self._hooks_of("on_batch_end"):
            # Callbacks may keep it, and expect the members in order; the next pass writes over `outputs`.
            seen = outputs.clone() if passes.order is None else outputs[passes.order.argsort()]
        weights = self.teacher_weights
        if weights is not None and passes.order is not None:
            weights = weights[passes.order]
        loss, error = self.criterion_.gradient(outputs, self._targets[:, start:stop], weight, weights)
        passes.backward(error)
        if ranks is not None:
            # Each rank's is the mean over its own rows; their sum is that over all.
            gradient = self.optimizer_.gradient
            found = torch.cat([gradient, loss.reshape(1).to(gradient)]).mul_(share)
            ranks.add(found)
            gradient.copy_(found[:-1])
            loss = found[-1]
        for hook in self._hooks_of("on_grad_computed"):
            hook(self, named_parameters=self.module_.named_parameters(), batch=batch)
        self.optimizer_.step()
        # What skorch does at a plain assignment takes as long as a product.
        self.__dict__["step"] = self.step + 1
        return {"loss": loss, "y_pred": seen.mT}

    def _evaluate(self, rows: Rows) -> None:
        found = self.evaluate(rows)
        losses, scores = (one.tolist() for one in found)
        loss, score = (sum(one) / len(one) for one in (losses, scores))
        before = (row["valid_loss"] for row in reversed(self.history) if row.get("valid_loss_best"))
        # skorch's Checkpoint asks for the flag under this name.
        self.history.record("valid_loss_best", loss < next(before, math.inf))
        self.history.record("valid_loss", loss)
        self.history.record("valid_score", score)
        self.history.record("member_valid_loss", losses)
        self.history.record("member_valid_score", scores)

    @torch.no_grad()
    def evaluate(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """Loss and score of every member on `rows`: two tensors of shape (n_members,)."""
        module, criterion = self.module_, self.criterion_
        spread, n_rows = criterion.spread(rows.y, rows.w), len(rows)
        parts, answers = [], []
        for x, y, weight in rows.batches(EVALUATION_ROWS):
            outputs = module(x)
            losses = criterion.per_member(outputs, y, weight)
            if self.scoring is None:
                scores = criterion.score(outputs, y, weight, spread)
            else:
                answers.append(outputs)
                scores = losses
            parts.append(torch.stack([losses, scores]).cpu().double().mul_(len(x) / n_rows))
        means = parts[0] if len(parts) == 1 else torch.stack(parts).sum(dim=0)
        weights = rows.w
        if weights is not None:
            means /= weights.double().mean().cpu()
        if self.scoring is not None:
            answered = answers_of(criterion, torch.cat(answers, dim=1), rows)
            means[1] = torch.from_numpy(self.scoring.of(answered))
        if self.ranks is not None:
            means = self.ranks.from_first(means)
        return means[0], means[1]

    def standing(self) -> list[tuple[float, float]]:
        """Standing of each member after the last epoch, on the validation rows; less is better.

        A score of few rows is often the same in several epochs: then the loss decides.
        """
        losses: list[float] = self.history[-1, "member_valid_loss"]
        if self.scoring is None:
            return [(loss, loss) for loss in losses]
        scores = self.history[-1, "member_valid_score"]
        return [(-score, loss) for score, loss in zip(scores, losses, strict=True)]

    def keeping(self, network: nn.Module) -> CommitteeNet:
        """Another net that has `network` and, of all else that this one has, what outlives the training.

        Copying a net as skorch does would pickle every tensor and read the source of every module.
        """
        self.optimizer_.release()
        other = type(self).__new__(type(self))
        other.__dict__.update({k: v for k, v in vars(self).items() if k not in _OF_THE_TRAINING})
        other.__dict__.update(
            module=network,
            module_=network,
            callbacks=[entry for entry in self.callbacks if not _is_of_the_training(entry)],
            callbacks_=[entry for entry in self.callbacks_ if not _is_of_the_training(entry)],
        )
        return other

    def _stored_state(self) -> dict[str, Any]:
        """What a file has of a net that is kept: its network, loss and history."""
        scoring = self.scoring
        return {
            "network": self.module_,
            "loss": self.criterion_,
            "history": self.history.to_list(),
            "sizes": {"lr": self.lr, "max_epochs": self.max_epochs, "batch_size": self.batch_size},
            "steps": (self.step, self.n_steps),
            "weight_decay": self.weight_decay,
            "scoring": None if scoring is None else (scoring.name, scoring.classes, scoring.flat),
        }

    @classmethod
    def _restored(cls, state: dict[str, Any]) -> CommitteeNet:
        """The net of a file, on the CPU."""
        net = cls.over(state["network"], state["loss"], **state["sizes"])
        net.initialize()
        net.optimizer_.release()
        net.history_.extend(state["history"])
        net.step, net.n_steps = state["steps"]
        net.weight_decay = state["weight_decay"]
        if state["scoring"] is not None:
            name, classes, flat = state["scoring"]
            net.scoring = Scoring(name, _forgotten, classes, flat)
        return net

    @torch.no_grad()
    def predict_proba(self, X: Any) -> npt.NDArray[np.float32]:
        """Class probabilities, or numbers, averaged over the members, for callbacks that score."""
        outputs = self.infer(X)
        probabilities: npt.NDArray[np.float32] = (
            self.criterion_.probabilities(outputs).mean(dim=0).cpu().numpy()
        )
        return probabilities

    def predict(self, X: Any) -> npt.NDArray[np.generic]:
        """Index of the likeliest class, or numbers of shape (n_rows, n_outputs)."""
        decided: npt.NDArray[np.generic] = self.criterion_.decide(self.predict_proba(X))
        return decided


def _one_tensor(losses: Sequence[Tensor]) -> Tensor:
    """Losses of an epoch's batches so far, of which some are together already: shape (n_batches,)."""
    return torch.cat([loss.reshape(-1) for loss in losses])


def _is_of_the_training(callback: Any) -> bool:
    """Whether a callback, or a pair of its name and itself, is one of ours."""
    return isinstance(callback[1] if isinstance(callback, tuple) else callback, RunCallback)


def _forgotten(*_: Any, **__: Any) -> float:
    """Stands for the scorer that a network was chosen by, of which a file has the name."""
    raise InvalidParameterError(
        "this net comes out of a file, which has the name of its scorer but not the scorer; fit anew to "
        "score."
    )


def answers_of(loss: Loss, outputs: Tensor, rows: Rows) -> Answers:
    """Answers of several networks to `rows`, from outputs of shape (n_networks, n_rows, n_outputs)."""
    return Answers(
        outputs=outputs.cpu().double().numpy(),
        probabilities=loss.probabilities(outputs).cpu().double().numpy(),
        X=rows.X.cpu().numpy(),
        y=rows.y.cpu().numpy(),
        weight=None if rows.w is None else rows.w.cpu().double().numpy(),
    )
