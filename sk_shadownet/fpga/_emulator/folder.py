"""The folder ``emulator/`` of an export: emulators for the experiment's software, with test vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from sk_shadownet.fpga._backends.base import Device, HLSDevice, RTLDevice
from sk_shadownet.fpga._codegen.rtl_design import proof_cuts
from sk_shadownet.fpga._config import FPGAConfig
from sk_shadownet.fpga._decision import Score
from sk_shadownet.fpga._emulator.content import (
    MAX_BITS,
    EmulatorFolder,
    Ending,
    IntegerNetwork,
    ScoreStep,
    integer_network,
    score_step,
)
from sk_shadownet.fpga._emulator.cpp import cpp_check, cpp_emulator, cpp_example
from sk_shadownet.fpga._emulator.numpy_file import numpy_emulator
from sk_shadownet.fpga._frontend import ExportedModel
from sk_shadownet.fpga._quantization.plan import FixedPointPlan
from sk_shadownet.fpga._trigger.decision_comparison import signal_label

__all__ = ["EMULATOR_FOLDER", "emulator_lines", "write_emulators"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Where the files lie in the folder of an export.
EMULATOR_FOLDER = "emulator"
#: Test vectors of each kind: calibration rows, and random rows that reach beyond every range.
N_VECTORS = 40
#: What the emulators of each output end in, and what they say where the hardware goes on from there.
_ENDINGS: dict[str, tuple[Ending, str]] = {
    "logits": ("logits", ""),
    "class": ("class", ""),
    "probability": (
        "logits",
        "The hardware's probabilities are a softmax by tables of these outputs, the logits, which is left "
        "out here: its order is theirs, its bits are not computed.",
    ),
    "decision": ("decision", ""),
    "trigger": ("trigger", ""),
}


def write_emulators(
    plan: FixedPointPlan,
    model: ExportedModel,
    config: FPGAConfig,
    device: Device,
    folder: Path,
    score: Score | None = None,
) -> None:
    """Write the folder of emulators into an export's folder.

    Parameters
    ----------
    plan : FixedPointPlan
    model : ExportedModel
    config : FPGAConfig
    device : Device
        Whose output ports the emulators' outputs are.
    folder : Path
        Of the export.
    score : Score or None, default=None
        How the score comes of the plan's outputs, where the hardware has one.

    Raises
    ------
    ExportError
        If 64 bits cannot hold what the hardware computes.
    """
    content = _content(plan, model, config, device, score)
    raw = _vectors(plan, model, content)
    cuts = _cuts(model, device, raw)
    place = folder / EMULATOR_FOLDER
    place.mkdir()
    texts = {
        f"{content.name}.hpp": cpp_emulator(content),
        f"{content.name}.py": numpy_emulator(content),
        "test_vectors.csv": _vector_file(plan, model, content, raw, cuts, score),
        "example.cpp": cpp_example(content, raw[0], _first(cuts)),
        "check.cpp": cpp_check(content),
    }
    for name, text in texts.items():
        (place / name).write_text(text, encoding="utf-8")


def emulator_lines(
    plan: FixedPointPlan,
    model: ExportedModel,
    config: FPGAConfig,
    device: Device,
    score: Score | None = None,
) -> list[str]:
    """What the export's README says of the folder."""
    content = _content(plan, model, config, device, score)
    raw = _vectors(plan, model, content)
    example = cpp_example(content, raw[0], _first(_cuts(model, device, raw)))
    name = content.name
    lines = [
        "## Emulator in the experiment's software",
        "",
        f"`{EMULATOR_FOLDER}/{name}.hpp` (C++17, nothing else) and `{EMULATOR_FOLDER}/{name}.py` (numpy, "
        "nothing else) compute the bits of this hardware from raw features. `example.cpp`:",
        "",
        "```cpp",
        *example.splitlines(),
        "```",
        "",
        f"In `{EMULATOR_FOLDER}/`, the example, and a comparison with every row of `test_vectors.csv` ("
        f"{_columns(content)}), in C++ and in Python:",
        "",
        "```",
        "g++ -std=c++17 -O2 example.cpp -o example && ./example",
        "g++ -std=c++17 -O2 check.cpp -o check && ./check",
        f"python {name}.py",
        "```",
    ]
    said = content.remark if content.score is None else _score_words(content.ending, content.score)
    return [*lines, *(["", said] if said else []), ""]


def _score_words(ending: Ending, step: ScoreStep) -> str:
    """What the emulators give of a score, in words."""
    unit = f"2**-{step.fraction}"
    if ending == "decision":
        return (
            f"The output is the score's integer, in steps of {unit}; `to_doubles` in C++ and `to_floats` in "
            "Python make the score of it."
        )
    if step.cut is not None:
        return f"`emulate` says whether the score's integer is at least {step.cut}."
    return (
        f"`emulate(raw, cut)` says whether the score's integer is at least the cut, an integer in steps of "
        f"{unit} from {step.lowest} to {step.highest}; others, which the port cannot carry, are refused."
    )


def _columns(content: EmulatorFolder) -> str:
    """What stands in a row of the test vectors, in words."""
    if content.ending != "trigger":
        return "raw features, integers at the input ports, integers at the outputs"
    cut = "the cut, " if content.score is not None and content.score.cut is None else ""
    return f"raw features, integers at the input ports, {cut}the bit"


def _first(cuts: IntArray | None) -> int | None:
    return None if cuts is None else int(cuts[0])


def _content(
    plan: FixedPointPlan, model: ExportedModel, config: FPGAConfig, device: Device, score: Score | None
) -> EmulatorFolder:
    ending, remark = _ENDINGS[config.output]
    if ending == "class" and isinstance(device, HLSDevice):
        remark = "The hardware has one bit for each class, and sets that of the index given here."
    scaling, network = model.scaling, integer_network(plan)
    return EmulatorFolder(
        name=config.project_name,
        title=f"{config.project_name}, {model.title}",
        network=network,
        ending=ending,
        output_fraction=_output_fraction(network, device, ending),
        feature_names=model.input_names,
        columns=tuple(model.columns.tolist()),
        class_labels=() if model.class_labels is None else tuple(map(str, model.class_labels)),
        scale=() if scaling is None else tuple(scaling.scale.tolist()),
        shift=() if scaling is None else tuple(scaling.shift.tolist()),
        remark=remark,
        score=None if score is None else _score_step(plan, network, device, score),
        signal_label="" if score is None else str(signal_label(np.asarray(model.class_labels), score)),
    )


def _score_step(plan: FixedPointPlan, network: IntegerNetwork, device: Device, score: Score) -> ScoreStep:
    """The score in the steps of its port, or of the comparator's."""
    if not isinstance(device, RTLDevice):
        return score_step(plan, network, score, *_output_fraction(network, device, "decision"))
    cut, fraction = device.design.cut, int(score.format(plan.outputs).fraction[0])
    return score_step(plan, network, score, fraction, cut if isinstance(cut, int) else None)


def _output_fraction(network: IntegerNetwork, device: Device, ending: Ending) -> tuple[int, ...]:
    """Bits right of the binary point at the hardware's outputs, which may share one type."""
    if ending in ("class", "trigger"):
        return (0,)
    if ending == "decision" and isinstance(device, RTLDevice):
        return (device.design.ports.outputs[0].fraction,)
    own = network.output_fraction.tolist()
    if isinstance(device, RTLDevice):
        fields = device.design.ports.outputs
        return tuple(one.fraction if one.width else mine for one, mine in zip(fields, own, strict=True))
    if isinstance(device, HLSDevice):
        last = device.lowered.layers[-1]
        shared = last.accumulator if last.activation is None else last.activation
        if int(shared.width) <= MAX_BITS:
            return (int(shared.fraction),) * len(own)
    return tuple(own)


def _vectors(plan: FixedPointPlan, model: ExportedModel, content: EmulatorFolder) -> FloatArray:
    """Raw rows: some known ones, random ones, the ends, ties of rounding and their lower neighbours.

    Of a cut that is built in, half of the known rows are those with scores nearest to it.
    """
    random = np.random.default_rng(0)
    low, high, step = plan.inputs.lowest, plan.inputs.highest, plan.inputs.step
    span = np.maximum(high - low, step)
    wide = random.uniform(low - 0.25 * span, high + 0.25 * span, (N_VECTORS, len(low)))
    ties = plan.inputs.quantize(random.uniform(low, high, (N_VECTORS // 4, len(low)))) + step / 2
    at_ends = [low, high, low - step / 2, high + step / 2, 0 * low, 0.49999999999999994 * step, -step / 2]
    far = [np.full(len(low), value) for value in (np.inf, -np.inf, 1e30, -1e30, 1e-30)]
    known = model.rows[:N_VECTORS]
    if content.score is not None and content.score.cut is not None:
        known = _around_cut(plan, model.rows, content.score)
    rows = [known, wide, ties, np.nextafter(ties, -np.inf), at_ends, far]
    inputs = np.concatenate([np.asarray(part, dtype=np.float64) for part in rows])
    return inputs if model.scaling is None else model.scaling.invert(inputs)


def _around_cut(plan: FixedPointPlan, rows: FloatArray, step: ScoreStep) -> FloatArray:
    """The first rows, and behind them those whose scores are nearest to the cut."""
    first, others = rows[: N_VECTORS // 2], rows[N_VECTORS // 2 :]
    distance = np.abs(np.ldexp(Score(step.signal).of(plan.forward(others))[:, 0], step.fraction) - step.cut)
    return np.concatenate([first, others[np.argsort(distance, kind="stable")[: N_VECTORS // 2]]])


def _cuts(model: ExportedModel, device: Device, raw: FloatArray) -> IntArray | None:
    """A cut for each row of the vectors, where the cut is an input."""
    if not isinstance(device, RTLDevice):
        return None
    # Backwards: the ends of the range then stand at the last rows, not in the example, which has the first.
    cuts = proof_cuts(device.design, model.select(raw)[::-1])
    return None if cuts is None else cuts[::-1]


def _vector_file(
    plan: FixedPointPlan,
    model: ExportedModel,
    content: EmulatorFolder,
    raw: FloatArray,
    cuts: IntArray | None,
    score: Score | None,
) -> str:
    """The vectors with what the plan, not the emulators, says of them."""
    inputs = model.select(raw)
    network_outputs = plan.forward(inputs)
    held = plan.inputs.width <= MAX_BITS
    ports = np.ldexp(plan.quantize_inputs(inputs) * held, plan.inputs.fraction).astype(np.int64)
    outputs = _answers(content, network_outputs, cuts, score)
    tables = {"raw": raw, "port": ports, "cut": cuts, "output": outputs}
    columns = {
        name: values
        for kind, table in tables.items()
        if table is not None
        for name, values in _named_columns(kind, table).items()
    }
    rows = zip(*columns.values(), strict=True)
    cells = [list(columns), *([repr(value) for value in row] for row in rows)]
    return "".join(",".join(line) + "\n" for line in cells)


def _named_columns(kind: str, table: FloatArray | IntArray) -> dict[str, list[float]]:
    if table.ndim == 1:
        return {kind: table.tolist()}
    return {f"{kind}_{n}": column for n, column in enumerate(table.T.tolist())}


def _answers(
    content: EmulatorFolder, outputs: FloatArray, cuts: IntArray | None, score: Score | None
) -> IntArray:
    """Integers at the outputs of shape (n_rows, n_outputs) for outputs of the plan's."""
    step = content.score
    if score is not None and step is not None:
        scores = np.ldexp(score.of(outputs), step.fraction).astype(np.int64)
        if content.ending == "decision":
            return scores
        level = cuts if cuts is not None else np.full(len(scores), step.cut)
        return (scores >= level[:, None]).astype(np.int64)
    if content.ending == "class":
        winner = outputs[:, 0] > 0 if outputs.shape[1] == 1 else outputs.argmax(axis=1)
        return winner.astype(np.int64)[:, None]
    return np.ldexp(outputs, content.output_fraction).astype(np.int64)
