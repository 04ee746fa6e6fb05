"""A small OpenML in a folder: what scikit-learn would have kept of data set 42468."""

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sk_shadownet.datasets import load_lhc_jets

FILE_ID = 22_000_000


def arff(names: list[str], rows: np.ndarray, labels: list[str]) -> str:
    """Text of an ARFF file with real columns and the nominal column ``class``."""
    classes = ",".join(sorted(set(labels)))
    head = [*(f"@ATTRIBUTE {name} REAL" for name in names), f"@ATTRIBUTE class {{{classes}}}", "@DATA"]
    body = [",".join([*map(repr, row), label]) for row, label in zip(rows.tolist(), labels, strict=True)]
    return "\n".join(["@RELATION jets", *head, *body, ""])


def column(index: int, name: str, kind: str, *, target: bool = False) -> dict[str, object]:
    """What OpenML says about one column."""
    return {
        "index": str(index),
        "name": name,
        "data_type": kind,
        "is_target": str(target).lower(),
        "is_ignore": "false",
        "is_row_identifier": "false",
        "number_of_missing_values": "0",
    }


def write_openml(home: Path, names: list[str], rows: np.ndarray, labels: list[str]) -> None:
    """Fill `home` the way ``fetch_openml`` leaves it behind after a download."""
    text = arff(names, rows, labels).encode()
    description = {
        "id": "42468",
        "name": "hls4ml_lhc_jets_hlf",
        "version": "1",
        "description": "Text of the publishers.",
        "format": "ARFF",
        "status": "active",
        "file_id": str(FILE_ID),
        "md5_checksum": hashlib.md5(text).hexdigest(),
        "url": f"https://api.openml.org/data/v1/download/{FILE_ID}",
    }
    columns = [column(i, name, "numeric") for i, name in enumerate(names)]
    columns.append(column(len(names), "class", "nominal", target=True))
    quality = [{"name": "NumberOfInstances", "value": str(len(rows))}]
    files = {
        "api/v1/json/data/42468": json.dumps({"data_set_description": description}).encode(),
        "api/v1/json/data/features/42468": json.dumps({"data_features": {"feature": columns}}).encode(),
        "api/v1/json/data/qualities/42468": json.dumps({"data_qualities": {"quality": quality}}).encode(),
        f"data/v1/download/{FILE_ID}": text,
    }
    for path, content in files.items():
        target = home / "openml" / "openml.org" / f"{path}.gz"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(gzip.compress(content))


@pytest.fixture
def openml_home(tmp_path: Path) -> Callable[..., Path]:
    """Make a folder for ``data_home`` that holds 50 jets, with the columns and labels asked for."""

    def make(names: list[str] | None = None, labels: list[str] | None = None, order: object = None) -> Path:
        jets = load_lhc_jets(subset="test")
        columns = list(range(16)) if order is None else list(order)  # type: ignore[call-overload]
        names = [jets.feature_names[c] for c in columns] if names is None else names
        labels = jets.target_names[jets.target[:50]].tolist() if labels is None else labels
        write_openml(tmp_path, names, jets.data[:50][:, columns].astype(float), labels)
        return tmp_path

    return make
