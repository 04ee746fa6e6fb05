"""Ctrl-C, divergence, and callbacks that stop, watch or break a run."""

import pickle
import signal

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    GradientNormClipping,
)

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet.exceptions import ShadowNetError, TrainingDivergedError, TrainingInterruptedWarning

X = np.random.default_rng(0).normal(size=(300, 6))
Y = X[:, :3].argmax(axis=1)
EPOCHS = 20
WIDTHS = (3, 5, 4, 3)


def small(**parameters):
    defaults = {
        "hidden_layer_sizes": (8, 6),
        "n_features_to_select": 3,
        "target_hidden_layer_sizes": (5, 4),
        "max_epochs": EPOCHS,
        "batch_size": 90,
        "random_state": 0,
    }
    return ShadowMLPClassifier(**{**defaults, **parameters})


class Stop(Callback):
    """Raise KeyboardInterrupt in one hook of one epoch, as Ctrl-C or as skorch's callbacks do."""

    def __init__(self, epoch, hook):
        self.epoch = epoch
        self.hook = hook

    def raise_in(self, hook, net):
        if hook == self.hook and len(net.history) == self.epoch:
            raise KeyboardInterrupt

    def on_batch_begin(self, net, training=False, **_):
        self.raise_in("on_batch_begin", net)

    def on_batch_end(self, net, training=False, **_):
        self.raise_in("on_batch_end", net)

    def on_grad_computed(self, net, **_):
        self.raise_in("on_grad_computed", net)

    def on_epoch_end(self, net, **_):
        self.raise_in("on_epoch_end", net)


@pytest.mark.parametrize("sizes", [{}, {"target_hidden_layer_sizes": "auto"}], ids=["plain", "auto"])
def test_the_net_that_is_kept_has_the_users_callbacks_and_none_of_the_trainings(sizes):
    watch = Callback()
    clf = small(callbacks=[("shadow_of_mine", watch)], max_epochs=4, verbose=True, **sizes).fit(X, Y)
    assert dict(clf.net_.callbacks) == {"shadow_of_mine": watch}
    kept = dict(clf.net_.callbacks_)
    assert kept["shadow_of_mine"] is watch
    assert not any(type(callback).__module__.startswith("sk_shadownet") for callback in kept.values())
    assert clf.net_.generator is None


class Answers(Callback):
    """Keeps the answers to each batch, and what the module says before and after the step."""

    def on_train_begin(self, net, **_):
        self.kept = []

    @torch.no_grad()
    def on_grad_computed(self, net, batch=None, **_):
        noise, self.said = getattr(net.module_, "input_noise", None), None
        if noise is None and net.probes is None:
            self.said = net.module_(batch[0])

    def on_batch_end(self, net, y_pred=None, **_):
        self.kept.append((self.said, y_pred))


@pytest.mark.parametrize("sizes", [{}, {"target_hidden_layer_sizes": "auto"}], ids=["plain", "auto"])
def test_answers_to_a_batch_may_be_kept(sizes):
    answers = Answers()
    small(callbacks=[answers], max_epochs=8, input_noise=0, **sizes).fit(X, Y)
    told = [pair for pair in answers.kept if pair[0] is not None]
    assert len(told) > 4
    for said, y_pred in told:
        torch.testing.assert_close(y_pred, said, rtol=1e-4, atol=1e-5)


class LastHook(Callback):
    """Asks skorch's history how many batches there were so far."""

    def on_batch_end(self, net, **_):
        self.n_batches = len(net.history[-1]["batches"])

    def on_epoch_end(self, net, **_):
        assert len(net.history[-1]["batches"]) == self.n_batches


def test_a_callback_finds_each_batch_in_the_history():
    watch = LastHook()
    small(callbacks=[watch], max_epochs=3, validation_fraction=0).fit(X, Y)
    assert watch.n_batches == 4


class Poison(Callback):
    """Fill the weights with something in one hook of one epoch."""

    def __init__(self, epoch, hook, value):
        self.epoch = epoch
        self.hook = hook
        self.value = value

    def fill_in(self, hook, net):
        if hook == self.hook and len(net.history) == self.epoch:
            with torch.no_grad():
                for parameter in net.module_.parameters():
                    parameter.fill_(self.value)

    def on_batch_end(self, net, training=False, **_):
        self.fill_in("on_batch_end", net)

    def on_epoch_end(self, net, **_):
        self.fill_in("on_epoch_end", net)


# ------------------------------------------------------------------ Ctrl-C


@pytest.mark.parametrize("hook", ["on_batch_begin", "on_grad_computed", "on_batch_end"])
@pytest.mark.parametrize("epoch", [2, 7, 15, EPOCHS])
@pytest.mark.parametrize("n_shadows", [1, 2])
def test_ctrl_c_keeps_a_network_of_the_asked_widths(epoch, hook, n_shadows):
    clf = small(callbacks=[Stop(epoch, hook)], n_shadows=n_shadows)
    with pytest.warns(TrainingInterruptedWarning, match=f"interrupted after {epoch - 1} of {EPOCHS} epochs"):
        clf.fit(X, Y)
    assert clf.architecture_.widths == WIDTHS
    assert clf.support_.sum() == 3
    assert clf.n_iter_ == epoch - 1
    assert {len(column) for column in clf.history_.values()} == {epoch - 1}
    assert np.isfinite(clf.predict_proba(X)).all()
    assert clf.transform(X).shape == (300, 3)
    assert np.array_equal(pickle.loads(pickle.dumps(clf)).predict(X), clf.predict(X))


def test_ctrl_c_after_the_freeze_keeps_the_best_epoch_so_far():
    plain = small().fit(X, Y)
    clf = small(callbacks=[Stop(EPOCHS, "on_batch_end")])
    with pytest.warns(TrainingInterruptedWarning):
        clf.fit(X, Y)
    losses = plain.history_["valid_loss"][: EPOCHS - 1]
    assert clf.history_["valid_loss"] == losses
    frozen = plain.history_["phase"].index("finishing")
    assert clf.best_epoch_ == frozen + int(np.argmin(losses[frozen:])) + 1
    assert np.array_equal(clf.support_, plain.support_)


def test_the_warning_tells_that_gates_had_not_closed():
    with pytest.warns(TrainingInterruptedWarning, match="before its gates had closed"):
        small(callbacks=[Stop(3, "on_batch_end")]).fit(X, Y)


def test_the_warning_points_at_the_line_that_called_fit():
    with pytest.warns(TrainingInterruptedWarning) as caught:
        small(callbacks=[Stop(3, "on_batch_end")]).fit(X, Y)
    assert caught[0].filename == __file__


def test_a_real_ctrl_c_is_survived():
    # A shell that starts the tests in the background has them ignore the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    class Signal(Callback):
        def on_batch_end(self, net, training=False, **_):
            if len(net.history) == 12:
                signal.raise_signal(signal.SIGINT)

    clf = small(callbacks=[Signal()])
    try:
        with pytest.warns(TrainingInterruptedWarning):
            clf.fit(X, Y)
    finally:
        signal.signal(signal.SIGINT, before)
    assert clf.architecture_.widths == WIDTHS


def test_ctrl_c_before_the_first_epoch_ends_goes_through():
    clf = small(callbacks=[Stop(1, "on_batch_end")])
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, Y)
    assert not hasattr(clf, "module_")


@pytest.mark.parametrize("step", [2, 10])
@pytest.mark.parametrize("validation_fraction", [0.2, None])
def test_ctrl_c_while_fine_tuning_keeps_a_network_in_fixed_point(monkeypatch, step, validation_fraction):
    from sk_shadownet._training.net import CommitteeNet

    whole, seen = CommitteeNet.train_step, []

    def stopped(net, batch, **options):
        if net.max_epochs < EPOCHS:  # fine-tuning is shorter
            seen.append(batch)
            if len(seen) == step:
                raise KeyboardInterrupt
        return whole(net, batch, **options)

    monkeypatch.setattr(CommitteeNet, "train_step", stopped)
    clf = small(quantization=5, validation_fraction=validation_fraction)
    n_batches = 3 if validation_fraction else 4
    n_done = (step - 1) // n_batches
    with pytest.warns(TrainingInterruptedWarning, match=f"fixed point was interrupted after {n_done} of 4"):
        clf.fit(X, Y)
    assert {len(column) for column in clf.quantization_history_.values()} == {n_done}
    assert clf.architecture_.widths == WIDTHS
    np.testing.assert_array_equal(clf.predict(X), clf.classes_[clf.decision_function(X).argmax(axis=1)])


def test_an_interrupted_fit_without_validation_rows_is_usable():
    clf = small(callbacks=[Stop(8, "on_batch_end")], validation_fraction=None, n_shadows=2)
    with pytest.warns(TrainingInterruptedWarning):
        clf.fit(X, Y)
    assert clf.architecture_.widths == WIDTHS
    assert clf.best_epoch_ == clf.n_iter_ == 7


# ------------------------------------------------------------------ stopping on purpose


@pytest.mark.parametrize("epoch", [1, 7, 15])
def test_a_callback_may_end_the_run_at_an_epochs_end_without_a_warning(epoch, recwarn):
    clf = small(callbacks=[Stop(epoch, "on_epoch_end")]).fit(X, Y)
    assert clf.n_iter_ == epoch
    assert clf.architecture_.widths == WIDTHS
    assert not [w for w in recwarn if issubclass(w.category, TrainingInterruptedWarning)]


@pytest.mark.parametrize("load_best", [False, True])
def test_skorchs_early_stopping_works(load_best):
    noise = np.random.default_rng(1).permutation(Y)
    stopper = EarlyStopping(patience=2, load_best=load_best, sink=lambda _: None)
    clf = small(callbacks=[stopper], max_epochs=60).fit(X, noise)
    assert clf.n_iter_ < 60
    assert clf.architecture_.widths == WIDTHS
    assert np.isfinite(clf.predict_proba(X)).all()


# ------------------------------------------------------------------ divergence


@pytest.mark.parametrize("rate", [1e30, 1e300])
def test_a_rate_far_too_large_is_named(rate):
    clf = small(learning_rate_init=rate)
    with pytest.raises(TrainingDivergedError, match="Lower learning_rate_init") as error:
        clf.fit(X, Y)
    assert f"{rate:g}" in str(error.value)
    assert isinstance(error.value, ShadowNetError)
    assert isinstance(error.value, RuntimeError)
    assert not hasattr(clf, "module_")


@pytest.mark.parametrize("epoch", [1, 8, 18])
def test_a_loss_that_becomes_nan_stops_the_run(epoch):
    clf = small(callbacks=[Poison(epoch, "on_batch_end", float("nan"))])
    with pytest.raises(TrainingDivergedError, match=rf"became NaN.* in epoch {epoch}\..*learning_rate_init"):
        clf.fit(X, Y)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("validation_fraction", [None, 0.1])
def test_weights_that_diverge_in_the_last_step_are_not_returned(value, validation_fraction):
    clf = small(callbacks=[Poison(EPOCHS, "on_epoch_end", value)], validation_fraction=validation_fraction)
    try:
        clf.fit(X, Y)
    except TrainingDivergedError:
        assert not hasattr(clf, "module_")
    else:
        assert np.isfinite(clf.predict_proba(X)).all()


def test_a_diverged_refit_leaves_the_estimator_unfitted():
    clf = small().fit(X, Y)
    with pytest.raises(TrainingDivergedError):
        clf.set_params(learning_rate_init=1e30).fit(X, Y)
    with pytest.raises(NotFittedError):
        clf.predict(X)
    assert not [name for name in vars(clf) if name.endswith("_")]


def test_a_diverged_continuation_leaves_the_estimator_unfitted():
    clf = small(warm_start=True).fit(X, Y)
    with pytest.raises(TrainingDivergedError):
        clf.set_params(learning_rate_init=1e30).fit(X, Y)
    assert not hasattr(clf, "module_")


def test_the_callers_state_comes_back_after_a_failure():
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(2)
    try:
        with pytest.raises(TrainingDivergedError):
            small(learning_rate_init=1e30).fit(X, Y)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(torch.get_rng_state(), state)


# ------------------------------------------------------------------ callbacks


def test_every_hook_is_called_as_skorch_calls_it():
    calls = {}

    class Recorder(Callback):
        pass

    for hook in [
        "initialize",
        "on_train_begin",
        "on_train_end",
        "on_epoch_begin",
        "on_epoch_end",
        "on_batch_begin",
        "on_batch_end",
        "on_grad_computed",
    ]:

        def method(self, *_, hook=hook, **__):
            calls[hook] = calls.get(hook, 0) + 1
            return self

        setattr(Recorder, hook, method)

    small(callbacks=[Recorder()], validation_fraction=None).fit(X, Y)
    n_batches = EPOCHS * 4  # 300 rows in batches of at most 90
    assert calls.pop("initialize") >= 1
    assert calls == {
        "on_train_begin": 1,
        "on_train_end": 1,
        "on_epoch_begin": EPOCHS,
        "on_epoch_end": EPOCHS,
        "on_batch_begin": n_batches,
        "on_batch_end": n_batches,
        "on_grad_computed": n_batches,
    }


@pytest.mark.parametrize("use_caching", [True, False])
def test_epoch_scoring_sees_the_validation_rows(use_caching):
    scoring = EpochScoring("accuracy", name="accuracy", lower_is_better=False, use_caching=use_caching)
    clf = small(callbacks=[scoring]).fit(X, Y)
    np.testing.assert_allclose(clf.history_["accuracy"], clf.history_["valid_score"], atol=1e-6)
    assert len(clf.history_["accuracy_best"]) == EPOCHS


def test_epoch_scoring_of_the_users_validation_rows_uses_the_users_score():
    def share_right(net, X, y):
        return float((net.predict(X) == np.asarray(y)).mean())

    scoring = EpochScoring(share_right, name="mine", lower_is_better=False, use_caching=False)
    clf = small(callbacks=[("scoring", scoring)]).fit(X[:200], Y[:200], X_val=X[200:], y_val=Y[200:])
    np.testing.assert_allclose(clf.history_["mine"], clf.history_["valid_score"], atol=1e-6)


def test_checkpoint_saves_the_best_epoch(tmp_path):
    small(callbacks=[Checkpoint(dirname=str(tmp_path), f_history=None)]).fit(X, Y)
    state = torch.load(tmp_path / "params.pt")
    assert all(torch.isfinite(tensor).all() for tensor in state.values())


@pytest.mark.parametrize("callback", [GradientNormClipping(1.0), BatchScoring("accuracy"), EarlyStopping])
def test_other_callbacks_of_skorch_work(callback):
    assert small(callbacks=[callback]).fit(X, Y).architecture_.widths == WIDTHS


def test_gradient_clipping_changes_the_network():
    plain = small().fit(X, Y)
    clipped = small(callbacks=[GradientNormClipping(1e-3)]).fit(X, Y)
    assert not torch.equal(plain.module_[0].bias, clipped.module_[0].bias)


def test_an_error_in_a_callback_comes_through_and_leaves_the_estimator_unfitted():
    class Broken(Callback):
        def on_epoch_end(self, net, **_):
            raise ZeroDivisionError("mine")

    clf = small(callbacks=[Broken()])
    with pytest.raises(ZeroDivisionError, match="mine"):
        clf.fit(X, Y)
    assert not hasattr(clf, "module_")
