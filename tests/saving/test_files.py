"""Files that are damaged, foreign or newer are refused in the package's words; none is half written."""

import contextlib
import errno
import hashlib
import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from skorch.callbacks import EarlyStopping
from torch import nn

from sk_shadownet import ShadowMLPClassifier, load
from sk_shadownet._saving.container import FORMAT, packed, unpacked
from sk_shadownet._saving.models import model_bytes, model_of_bytes
from sk_shadownet.exceptions import ExportError, InvalidParameterError, ModelFileError

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(200, 4))
Y = X[:, 0] > 0


@pytest.fixture(scope="module")
def clf():
    return ShadowMLPClassifier((4,), max_epochs=2, random_state=0).fit(X, Y)


@pytest.fixture(scope="module")
def data(clf):
    return model_bytes(clf)


def refused(data, match=None):
    with pytest.raises(ModelFileError, match=match):
        model_of_bytes(data, "tagger.shadow")


def with_part(data, name, change):
    """The file with one part changed, and a checksum that fits."""
    parts = unpacked(data, "file")
    parts[name] = change(parts[name])
    return packed(parts)


def with_state(data, change):
    def changed(document):
        state = json.loads(document)
        change(state)
        return json.dumps(state).encode()

    return with_part(data, "state.json", changed)


@pytest.mark.parametrize("seed", range(10))
def test_any_bit_that_flips_is_found(data, seed):
    random = np.random.default_rng(seed)
    for _ in range(20):
        changed = bytearray(data)
        place = int(random.integers(len(data)))
        changed[place] ^= 1 << int(random.integers(8))
        refused(bytes(changed))


@pytest.mark.parametrize("seed", range(5))
def test_any_missing_end_or_middle_or_extra_bytes_are_found(data, seed):
    random = np.random.default_rng(seed)
    for _ in range(10):
        first, last = sorted(random.integers(1, len(data), size=2).tolist())
        refused(data[:first])
        refused(data[first:])
        refused(data[:first] + data[last:] if first < last else data[:first])
        refused(data + bytes(random.integers(1, 256, size=first % 50 + 1).tolist()))
        block = random.integers(256, size=last - first).astype(np.uint8).tobytes()
        refused(data[:first] + block + data[last:] if block != data[first:last] else b"")


def foreign_files(clf):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as other:
        other.writestr("state.json", "{}")
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as other:
        other.writestr("state.json", bytes(10**7))
    weights = io.BytesIO()
    torch.save(clf.module_.state_dict(), weights)
    return {
        "empty": b"",
        "text": b"state.json",
        "zip": archive.getvalue(),
        "bomb": bomb.getvalue(),
        "torch": weights.getvalue(),
        "pickle": pickle.dumps(clf),
        "zeros": bytes(10_000),
    }


@pytest.mark.parametrize("kind", ["empty", "text", "zip", "bomb", "torch", "pickle", "zeros"])
def test_a_file_of_something_else_is_none_of_ours(clf, kind):
    refused(foreign_files(clf)[kind], match="no file that sk_shadownet saved, or its end is missing")


def test_compressed_parts_which_could_be_of_any_size_are_refused(data):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("state.json", bytes(10**7))
        archive.comment = b"sk_shadownet 1 " + b"0" * 64
    body = buffer.getvalue()[: -len(b"sk_shadownet 1 ") - 64]
    refused(body + f"sk_shadownet 1 {hashlib.sha256(body).hexdigest()}".encode(), match="compressed parts")


def test_a_newer_format_is_named(data):
    comment = f"sk_shadownet {FORMAT} ".encode()
    newer = data.replace(comment, f"sk_shadownet {FORMAT + 1} ".encode())
    refused(newer, match=f"has format {FORMAT + 1}, which a newer sk_shadownet wrote")


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state["objects"][-1].update({"object": "os.system"}),
        lambda state: state["objects"].insert(0, {"object": "Popen", "state": {}}),
        lambda state: state["objects"].insert(0, {"named": "eval"}),
        lambda state: state["objects"].insert(0, {"scorer": "of nobody"}),
        lambda state: state["objects"].insert(0, {"object": "torch.nn.Unflatten", "state": {}}),
        lambda state: state["objects"].insert(0, {"object": "torch.nn.ReLU", "state": {"__class__": 1}}),
        lambda state: state["objects"].insert(0, {"object": "torch.nn.ReLU", "state": {"_forward_hooks": 1}}),
        lambda state: state["objects"].insert(0, {"array": {"block": "0", "dtype": "|O", "shape": [10**12]}}),
        lambda state: state["objects"].insert(
            0, {"array": {"block": "0", "dtype": "<f8", "shape": [10**15]}}
        ),
        lambda state: state["objects"].insert(0, {"array": {"block": "0", "dtype": "<f8", "shape": [-1]}}),
        lambda state: state["objects"].insert(0, {"list": [{"ref": 0}]}),
        lambda state: state["objects"].insert(0, {"list": [{"outside": "rows"}]}),
        lambda state: state["objects"].insert(0, {"list": [[1]]}),
        lambda state: state.update(objects=3),
        lambda state: state.update(root={"ref": 10**6}),
        lambda state: state.update(root=None),
        lambda state: state.pop("root"),
    ],
)
def test_a_document_that_describes_nothing_that_can_be_is_refused(data, change):
    refused(with_state(data, change))


def mutated(value, random):
    """A document in which something has another value, is missing, or has another name."""
    kinds = [None, True, -1, 10**30, 2.5, "", "Linear", "|O", [], {}, {"ref": 0}, {"ref": 10**9}, [10**12]]
    if not isinstance(value, (dict, list)) or not value:
        return kinds[random.integers(len(kinds))]
    places = list(value) if isinstance(value, dict) else range(len(value))
    place = places[random.integers(len(places))]
    if random.random() < 0.2:
        del value[place]
    else:
        value[place] = mutated(value[place], random)
    return value


@pytest.mark.parametrize("seed", range(4))
def test_any_change_of_a_document_is_refused_in_our_words_or_does_no_harm(data, seed):
    random = np.random.default_rng(seed)
    for _ in range(25):
        with contextlib.suppress(ModelFileError):
            model_of_bytes(with_state(data, lambda state: mutated(state, random)), "tagger.shadow")


def test_a_document_nested_beyond_all_measure_is_refused(data):
    refused(with_part(data, "state.json", lambda _: b"[" * 10**6 + b"]" * 10**6))


@pytest.mark.parametrize("part", ["facts.json", "state.json", "arrays.safetensors"])
def test_a_part_that_is_missing_empty_or_garbage_is_found(data, part):
    parts = unpacked(data, "file")
    refused(packed({name: value for name, value in parts.items() if name != part}))
    for content in (b"", b"{}", b"\xff" * 100, (2**62).to_bytes(8, "little")):
        refused(with_part(data, part, lambda _, content=content: content))


def test_what_is_no_path_or_no_file_is_said(tmp_path):
    for path in (None, 3, "", b"x"):
        with pytest.raises(InvalidParameterError, match="path must be a path"):
            load(path)
    with pytest.raises(ModelFileError, match="cannot be read: No such file"):
        load(tmp_path / "nothing")
    with pytest.raises(ModelFileError, match="cannot be read: Is a directory"):
        load(tmp_path)


def test_a_large_file_of_something_else_is_refused_by_its_end_alone(tmp_path):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(2**40)  # a hole: no disk is used
    with pytest.raises(ModelFileError, match="no file that sk_shadownet saved"):
        load(tmp_path / "large")


def test_a_full_disk_leaves_the_file_that_was_there(clf, tmp_path, monkeypatch):
    path = tmp_path / "tagger.shadow"
    clf.save(path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
    with pytest.raises(ExportError, match="No space left"):
        clf.save(path)
    assert path.read_bytes() == before
    assert [*tmp_path.iterdir()] == [path]


class OwnLayer(nn.Module):
    def forward(self, x):
        return x


def hooked():
    module = nn.Sequential(nn.Linear(4, 2))
    module[0].register_forward_hook(lambda *_: None)
    return module


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"budget": {lambda architecture: 3: 5}}, r"a key of ShadowMLPClassifier\.budget is .*lambda"),
        ({"score_rule": lambda members, units: None}, r"ShadowMLPClassifier\.score_rule is .*lambda"),
        ({"scoring": lambda model, X, y: 1.0}, r"ShadowMLPClassifier\.scoring is .*lambda"),
        ({"callbacks": [EarlyStopping()]}, r"callbacks\[0\] is an object of skorch\..*EarlyStopping"),
        ({"module": nn.Sequential(OwnLayer())}, r"module\._modules\['0'\] is an object of .*OwnLayer"),
        ({"module": hooked()}, r"module\._modules\['0'\] has hooks \(_forward_hooks\)"),
    ],
)
def test_code_of_others_is_refused_by_its_place_and_the_network_saved_without_it(
    clf, tmp_path, parameters, match
):
    path = tmp_path / "tagger.shadow"
    other = ShadowMLPClassifier((4,), max_epochs=2, random_state=0).fit(X, Y).set_params(**parameters)
    with pytest.raises(ModelFileError, match=match):
        other.save(path)
    assert not path.exists()
    plain = ShadowMLPClassifier().get_params()
    other.set_params(**{name: plain[name] for name in parameters}).save(path)
    np.testing.assert_array_equal(load(path).predict(X), clf.predict(X))


def test_a_class_of_the_users_own_is_refused():
    class Mine(ShadowMLPClassifier):
        pass

    with pytest.raises(ModelFileError, match=r"Mine is an object of .*Mine"):
        model_bytes(Mine())


def test_a_list_that_contains_itself_is_refused():
    endless = []
    endless.append(endless)
    with pytest.raises(ModelFileError, match="contains itself"):
        model_bytes(ShadowMLPClassifier(prune=endless))


def test_own_callbacks_of_a_fit_do_not_keep_its_network_from_being_saved(tmp_path):
    clf = ShadowMLPClassifier(
        (4,), max_epochs=2, random_state=0, scoring=lambda model, X, y: 0.5, callbacks=[EarlyStopping()]
    ).fit(X, Y)
    clf.set_params(callbacks=None, scoring=None).save(tmp_path / "tagger.shadow")
    again = load(tmp_path / "tagger.shadow")
    np.testing.assert_array_equal(again.predict(X), clf.predict(X))
    with pytest.raises(InvalidParameterError, match="has the name of its scorer but not the scorer"):
        again.net_.scoring.scorer(None, None, None)
