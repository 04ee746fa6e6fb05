"""ONNX graphs of table networks: the integers of the network, from the estimator and from its hardware."""

import numpy as np
import pytest

from sk_shadownet.convert import to_onnx
from sk_shadownet.fpga import to_fpga

from .networks import FittedTables, random_tables, rows_for, with_reach

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
LABELS = ["g", "q", "t"]


def answers(proto, rows):
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"X": rows})


def fitted(seed: int, widths: tuple[int, ...] = (4, 3, 3)):
    network = random_tables(seed, widths=widths)
    rows = rows_for(network, seed, 500, widths[0] + 2)
    return FittedTables(with_reach(network, rows), rows, LABELS), network, rows


@pytest.mark.parametrize("seed", range(5))
def test_logits_of_an_estimator_are_the_integers_of_its_network(seed):
    estimator, network, rows = fitted(seed, widths=(5, 4, 3, 3))
    (logits,) = answers(to_onnx(estimator, output="logits"), rows)
    np.testing.assert_array_equal(logits, network.integers(rows) * network.step)


def test_labels_of_an_estimator_are_those_of_the_largest_logit():
    estimator, network, rows = fitted(6)
    labels, probabilities = answers(to_onnx(estimator), rows)
    np.testing.assert_array_equal(labels, np.array(LABELS)[network.integers(rows).argmax(axis=1)])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)


def test_trigger_of_hardware_is_its_bit(tmp_path):
    pytest.importorskip("alkaid")
    estimator, network, rows = fitted(2)
    logits = network.integers(rows) * network.step
    score = logits[:, 2] - np.maximum(logits[:, 0], logits[:, 1])
    wish = {"backend": "verilog", "signal": "t"}
    step = to_fpga(estimator, tmp_path / "fw", output="decision", **wish).score_format.step[0]
    cut = int(np.sort(score)[len(score) // 2] / step)
    fpga = to_fpga(estimator, tmp_path / "fw", output="trigger", cut=cut, **wish)
    (bit,) = answers(to_onnx(fpga), rows)
    np.testing.assert_array_equal(bit, fpga.trigger(rows))
    np.testing.assert_array_equal(bit, score >= cut * step)
    assert 0 < bit.mean() < 1


def test_a_row_with_nan_has_logits_of_nan_and_infinity_saturates():
    estimator, network, rows = fitted(8)
    rows[0, network.features[0]] = np.nan
    rows[1, network.features[0]] = np.inf
    (logits,) = answers(to_onnx(estimator, output="logits"), rows)
    assert np.isnan(logits[0]).all()
    np.testing.assert_array_equal(logits[1:], network.integers(rows[1:]) * network.step)
