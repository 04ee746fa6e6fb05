"""The command line: what it prints, what it keeps, what it refuses."""

import json

import joblib
import pytest
import torch

from sk_shadownet.__main__ import main
from sk_shadownet.datasets import load_lhc_jets

FAST = ["--hidden", "12", "6", "--target", "6", "4", "--features", "5"]


@pytest.fixture(autouse=True)
def few_epochs(monkeypatch):
    """The same job in a few seconds."""
    monkeypatch.setattr("sk_shadownet._estimator.parameters.MIN_EPOCHS", 4)
    monkeypatch.setattr("sk_shadownet._estimator.parameters.SHRINKING_EPOCHS", 4)
    monkeypatch.setattr("sk_shadownet._estimator.parameters.MIN_STEPS", 1)
    monkeypatch.setattr("sk_shadownet._demo._TABLE_EPOCHS", 4)


def test_it_prints_four_networks_and_keeps_what_a_user_wants(tmp_path, capsys):
    assert main([*FAST, "--backend", "none", "--output-dir", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    for words in (
        "dense",
        "pruned",
        "from scratch",
        "within 500 look-up tables",
        "AUC t",
        "multiplications",
        "16-12-6-5 -> 5-6-4-5",
        "selected: ",
    ):
        assert words in printed
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert len(report["selected_features"]) == 5
    assert [row["n_features"] for row in report["results"]][1:] == [16, 5, 5]
    assert report["results"][0]["n_multiplications"] == 0
    assert report["results"][0]["accuracy"] > 0.6
    jets = load_lhc_jets()
    model = joblib.load(tmp_path / "out" / "model.joblib")
    accuracy = model.score(jets.X_test, jets.y_test)
    assert accuracy == pytest.approx(report["results"][2]["accuracy"])
    tables = joblib.load(tmp_path / "out" / "tables.joblib")
    assert tables.score(jets.X_test, jets.y_test) == pytest.approx(report["results"][0]["accuracy"])
    network = torch.load(tmp_path / "out" / "network.pt", weights_only=False)
    scaled = model[0].transform(jets.X_test)[:, model[-1].support_]
    answers = network(torch.tensor(scaled, dtype=torch.float32)).argmax(1).numpy()
    assert (answers == model.predict(jets.X_test)).mean() > 0.999


@pytest.mark.hardware
def test_it_writes_and_emulates_both_hardware_projects(tmp_path, capsys):
    assert main([*FAST, "--output-dir", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert printed.count("same class as the float network") == 2
    lut = [int(row.split("|")[3].replace(",", "")) for row in printed.splitlines()[-4:-2]]
    assert lut[0] <= 500 < lut[1]
    for name in ("tables", "pruned"):
        assert (tmp_path / "out" / "firmware" / name / "README.md").is_file()


def test_a_folder_of_somebody_else_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("years of work")
    assert main([*FAST, "--output-dir", str(tmp_path)]) == 1
    assert "was not written by this package" in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_sizes_that_cannot_be_are_told_and_leave_no_folder(tmp_path, capsys):
    assert main([*FAST[:-1], "17", "--backend", "none", "--output-dir", str(tmp_path / "out")]) == 1
    assert "exceeds the 16 features" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
