"""The folder ``emulator/`` of an export: emulators for the experiment's software, with test vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sk_shadownet._typing import FloatArray, IntArray
from sk_shadownet.fpga._backends import HDLBackend, HLSBackend
from sk_shadownet.fpga._codegen.rtl_design import proof_cuts
from sk_shadownet.fpga._decision import Score
from sk_shadownet.fpga._emulator.content import (
    MAX_BITS,
    EmulatorContent,
    Ending,
    IntegerNetwork,
    ScoreStep,
    network_of,
    score_step,
)
from sk_shadownet.fpga._emulator.cpp import cpp_check, cpp_emulator, cpp_example
from sk_shadownet.fpga._emulator.numpy_file import numpy_emulator
from sk_shadownet.fpga._plan import Plan
from sk_shadownet.fpga._project import Project
from sk_shadownet.fpga._quantization.fidelity import decisions

#: Where the files lie in the folder of an export.
EMULATOR_FOLDER = "emulator"
#: Test vectors of each kind: calibration rows, and random rows that reach beyond every range.
N_VECTORS = 40
#: What emulators say of what the hardware does behind their outputs.
SOFTMAX = (
    "The hardware's probabilities are a softmax by tables of these outputs, the logits, which is left out "
    "here: its order is theirs, its bits are not computed."
)
ONE_HOT = "The hardware has one bit for each class, and sets that of the index given here."


def write_emulators(project: Project, folder: Path) -> list[str]:
    """Write the folder of emulators into an export's folder; what the export's README says of it.

    An ExportError says where 64 bits cannot hold what the hardware computes.
    """
    content = _content(project)
    raw = _vectors(project, content)
    cuts = None
    if isinstance(project.backend, HDLBackend):
        # Backwards: the ends of the range then stand at the last rows, not in the example.
        cuts = proof_cuts(project.backend.design, project.model.select(raw)[::-1])
        cuts = None if cuts is None else cuts[::-1]
    example = cpp_example(content, raw[0], None if cuts is None else int(cuts[0]))
    place = folder / EMULATOR_FOLDER
    place.mkdir()
    texts = {
        f"{content.name}.hpp": cpp_emulator(content),
        f"{content.name}.py": numpy_emulator(content),
        "test_vectors.csv": _vector_file(project, content, raw, cuts),
        "example.cpp": example,
        "check.cpp": cpp_check(content),
    }
    for name, text in texts.items():
        (place / name).write_text(text, encoding="utf-8")
    return _readme_lines(content, example)


def _readme_lines(content: EmulatorContent, example: str) -> list[str]:
    name, last = content.name, "integers at the outputs"
    if content.ending == "trigger":
        last = "the bit" if content.score is None or content.score.cut is not None else "the cut, the bit"
    said = content.remark if content.score is None else _score_words(content.ending, content.score)
    return [
        "## Emulator in the experiment's software",
        "",
        f"`{EMULATOR_FOLDER}/{name}.hpp` (C++17, nothing else) and `{EMULATOR_FOLDER}/{name}.py` (numpy, "
        "nothing else) compute the bits of this hardware from raw features. `example.cpp`:",
        "",
        "```cpp",
        *example.splitlines(),
        "```",
        "",
        f"In `{EMULATOR_FOLDER}/`, the example, and a comparison with every row of `test_vectors.csv` (raw "
        f"features, integers at the input ports, {last}), in C++ and in Python:",
        "",
        "```",
        "g++ -std=c++17 -O2 example.cpp -o example && ./example",
        "g++ -std=c++17 -O2 check.cpp -o check && ./check",
        f"python {name}.py",
        "```",
        *(["", said] if said else []),
        "",
    ]


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


def _content(project: Project) -> EmulatorContent:
    model, config, score = project.model, project.config, project.score
    remarks = {"probability": SOFTMAX, "class": "" if config.by_alkaid else ONE_HOT}
    scaling, network = model.scaling, network_of(project.plan)
    fractions = _output_fraction(network, project)
    return EmulatorContent(
        name=config.project_name,
        title=f"{config.project_name}, {model.title}",
        network=network,
        ending="logits" if config.output == "probability" else config.output,  # type: ignore[arg-type]
        output_fraction=fractions,
        feature_names=model.input_names,
        columns=tuple(model.columns.tolist()),
        class_labels=() if model.class_labels is None else tuple(map(str, model.class_labels)),
        scale=() if scaling is None else tuple(scaling.scale.tolist()),
        shift=() if scaling is None else tuple(scaling.shift.tolist()),
        remark=remarks.get(config.output, ""),
        score=None if score is None else _score_step(network, project, score, fractions[0]),
        signal_label="" if score is None else str(project.signal),
    )


def _score_step(network: IntegerNetwork, project: Project, score: Score, fraction: int) -> ScoreStep:
    """The score in the steps of its port, or of the comparator's."""
    if not isinstance(project.backend, HDLBackend):
        return score_step(project.plan, network, score, fraction)
    cut, fraction = project.backend.design.cut, int(score.format(project.plan.outputs).fraction[0])
    return score_step(project.plan, network, score, fraction, cut if isinstance(cut, int) else None)


def _output_fraction(network: IntegerNetwork, project: Project) -> tuple[int, ...]:
    """Bits right of the binary point at the hardware's outputs, which may share one type."""
    backend, output = project.backend, project.config.output
    own: list[int] = network.output_fraction.tolist()
    if output in ("class", "trigger"):
        return (0,)
    if isinstance(backend, HLSBackend):
        shared = backend.lowered.outputs
        return (int(shared.fraction),) * len(own) if int(shared.width) <= MAX_BITS else tuple(own)
    formats = [port.format for port in backend.outputs]
    if output == "decision":
        return (int(formats[0].fraction),)
    return tuple(int(f.fraction) if f.width else mine for f, mine in zip(formats, own, strict=True))


def _vectors(project: Project, content: EmulatorContent) -> FloatArray:
    """Raw rows: some known ones, random ones, the ends, ties of rounding and their lower neighbours.

    Of a cut that is built in, half of the known rows are those with scores nearest to it.
    """
    random, formats, model = np.random.default_rng(0), project.plan.inputs, project.model
    low, high, step = formats.lowest, formats.highest, formats.step
    span = np.maximum(high - low, step)
    wide = random.uniform(low - 0.25 * span, high + 0.25 * span, (N_VECTORS, len(low)))
    ties = formats.quantize(random.uniform(low, high, (N_VECTORS // 4, len(low)))) + step / 2
    at_ends = [low, high, low - step / 2, high + step / 2, 0 * low, 0.49999999999999994 * step, -step / 2]
    far = [np.full(len(low), value) for value in (np.inf, -np.inf, 1e30, -1e30, 1e-30)]
    known = model.rows[:N_VECTORS]
    if content.score is not None and content.score.cut is not None:
        known = _around_cut(project.plan, model.rows, content.score)
    rows = [known, wide, ties, np.nextafter(ties, -np.inf), at_ends, far]
    inputs = np.concatenate([np.asarray(part, dtype=np.float64) for part in rows])
    return inputs if model.scaling is None else model.scaling.invert(inputs)


def _around_cut(plan: Plan, rows: FloatArray, step: ScoreStep) -> FloatArray:
    """The first rows, and behind them those whose scores are nearest to the cut."""
    first, others = rows[: N_VECTORS // 2], rows[N_VECTORS // 2 :]
    distance = np.abs(np.ldexp(Score(step.signal).of(plan.forward(others))[:, 0], step.fraction) - step.cut)
    return np.concatenate([first, others[np.argsort(distance, kind="stable")[: N_VECTORS // 2]]])


def _vector_file(project: Project, content: EmulatorContent, raw: FloatArray, cuts: IntArray | None) -> str:
    """The vectors with what the plan, not the emulators, says of them."""
    plan, inputs = project.plan, project.model.select(raw)
    held = plan.inputs.width <= MAX_BITS
    ports = np.ldexp(plan.quantize_inputs(inputs) * held, plan.inputs.fraction).astype(np.int64)
    outputs = _answers(content, plan.forward(inputs), cuts, project.score)
    tables = {"raw": raw, "port": ports, "cut": None if cuts is None else cuts[:, None], "output": outputs}
    head, rows = list[str](), [list[str]() for _ in raw]
    for kind, table in tables.items():
        if table is not None:
            head += [kind] if kind == "cut" else [f"{kind}_{n}" for n in range(table.shape[1])]
            for row, cells in zip(rows, table.tolist(), strict=True):
                row.extend(map(repr, cells))
    return "".join(",".join(line) + "\n" for line in (head, *rows))


def _answers(
    content: EmulatorContent, outputs: FloatArray, cuts: IntArray | None, score: Score | None
) -> IntArray:
    """Integers at the outputs of shape (n_rows, n_outputs) for outputs of the plan's."""
    step = content.score
    if score is not None and step is not None:
        scores = np.ldexp(score.of(outputs), step.fraction).astype(np.int64)
        if content.ending == "decision":
            return scores
        levels = np.full(len(scores), step.cut) if cuts is None else cuts
        return (scores >= levels[:, None]).astype(np.int64)
    if content.ending == "class":
        return decisions(outputs)[:, None]
    return np.ldexp(outputs, content.output_fraction).astype(np.int64)
