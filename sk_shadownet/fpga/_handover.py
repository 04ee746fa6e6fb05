"""The folder ``emulator/`` of an export: emulators for the experiment's software, with test vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from sk_shadownet.fpga._config import FPGAConfig
from sk_shadownet.fpga._device import Device, HLSDevice, RTLDevice
from sk_shadownet.fpga._fixed_point import FixedPointPlan
from sk_shadownet.fpga._folding import ExportedModel
from sk_shadownet.fpga._handover_content import MAX_BITS, Ending, Handover, IntegerNetwork, integer_network
from sk_shadownet.fpga._handover_cpp import cpp_check, cpp_emulator, cpp_example
from sk_shadownet.fpga._handover_numpy import numpy_emulator

__all__ = ["HANDOVER_FOLDER", "handover_lines", "write_handover"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Where the files lie in the folder of an export.
HANDOVER_FOLDER = "emulator"
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
}


def write_handover(
    plan: FixedPointPlan, model: ExportedModel, config: FPGAConfig, device: Device, folder: Path
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
    """
    content = _content(plan, model, config, device)
    raw = _vectors(plan, model)
    place = folder / HANDOVER_FOLDER
    place.mkdir()
    texts = {
        f"{content.name}.hpp": cpp_emulator(content),
        f"{content.name}.py": numpy_emulator(content),
        "test_vectors.csv": _vector_file(plan, model, content, raw),
        "example.cpp": cpp_example(content, raw[0]),
        "check.cpp": cpp_check(content),
    }
    for name, text in texts.items():
        (place / name).write_text(text, encoding="utf-8")


def handover_lines(
    plan: FixedPointPlan, model: ExportedModel, config: FPGAConfig, device: Device
) -> list[str]:
    """What the export's README says of the folder."""
    content = _content(plan, model, config, device)
    name = content.name
    lines = [
        "## Emulator in the experiment's software",
        "",
        f"`{HANDOVER_FOLDER}/{name}.hpp` (C++17, nothing else) and `{HANDOVER_FOLDER}/{name}.py` (numpy, "
        "nothing else) compute the bits of this hardware from raw features. `example.cpp`:",
        "",
        "```cpp",
        *cpp_example(content, _vectors(plan, model)[0]).splitlines(),
        "```",
        "",
        f"In `{HANDOVER_FOLDER}/`, the example, and a comparison with every row of `test_vectors.csv` (raw "
        "features, integers at the input ports, integers at the outputs), in C++ and in Python:",
        "",
        "```",
        "g++ -std=c++17 -O2 example.cpp -o example && ./example",
        "g++ -std=c++17 -O2 check.cpp -o check && ./check",
        f"python {name}.py",
        "```",
    ]
    if content.remark:
        lines += ["", content.remark]
    return [*lines, ""]


def _content(plan: FixedPointPlan, model: ExportedModel, config: FPGAConfig, device: Device) -> Handover:
    ending, remark = _ENDINGS[config.output]
    if ending == "class" and isinstance(device, HLSDevice):
        remark = "The hardware has one bit for each class, and sets that of the index given here."
    scaling, network = model.scaling, integer_network(plan)
    return Handover(
        name=config.project_name,
        title=f"{config.project_name}, {model.title}",
        network=network,
        ending=ending,
        output_fraction=(0,) if ending == "class" else _output_fraction(network, device),
        feature_names=model.input_names,
        columns=tuple(model.columns.tolist()),
        class_labels=() if model.class_labels is None else tuple(map(str, model.class_labels)),
        scale=() if scaling is None else tuple(scaling.scale.tolist()),
        shift=() if scaling is None else tuple(scaling.shift.tolist()),
        remark=remark,
    )


def _output_fraction(network: IntegerNetwork, device: Device) -> tuple[int, ...]:
    """Bits right of the binary point at the hardware's outputs, which may share one type."""
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


def _vectors(plan: FixedPointPlan, model: ExportedModel) -> FloatArray:
    """Raw rows: some known ones, random ones, the ends, ties of rounding and their lower neighbours."""
    random = np.random.default_rng(0)
    low, high, step = plan.inputs.lowest, plan.inputs.highest, plan.inputs.step
    span = np.maximum(high - low, step)
    wide = random.uniform(low - 0.25 * span, high + 0.25 * span, (N_VECTORS, len(low)))
    ties = plan.inputs.quantize(random.uniform(low, high, (N_VECTORS // 4, len(low)))) + step / 2
    at_ends = [low, high, low - step / 2, high + step / 2, 0 * low, 0.49999999999999994 * step, -step / 2]
    far = [np.full(len(low), value) for value in (np.inf, -np.inf, 1e30, -1e30, 1e-30)]
    rows = [model.rows[:N_VECTORS], wide, ties, np.nextafter(ties, -np.inf), at_ends, far]
    inputs = np.concatenate([np.asarray(part, dtype=np.float64) for part in rows])
    return inputs if model.scaling is None else model.scaling.invert(inputs)


def _vector_file(plan: FixedPointPlan, model: ExportedModel, content: Handover, raw: FloatArray) -> str:
    """The vectors with what the plan, not the emulators, says of them."""
    inputs = model.select(raw)
    network_outputs = plan.forward(inputs)
    held = plan.inputs.width <= MAX_BITS
    ports = np.ldexp(plan.quantize_inputs(inputs) * held, plan.inputs.fraction).astype(np.int64)
    outputs = _answers(content, network_outputs)
    names = [
        f"{kind}_{n}"
        for kind, table in (("raw", raw), ("port", ports), ("output", outputs))
        for n in range(table.shape[1])
    ]
    rows = zip(raw.tolist(), ports.tolist(), outputs.tolist(), strict=True)
    cells = [names, *([repr(value) for part in row for value in part] for row in rows)]
    return "".join(",".join(line) + "\n" for line in cells)


def _answers(content: Handover, outputs: FloatArray) -> IntArray:
    if content.ending == "class":
        winner = outputs[:, 0] > 0 if outputs.shape[1] == 1 else outputs.argmax(axis=1)
        return winner.astype(np.int64)[:, None]
    return np.ldexp(outputs, content.output_fraction).astype(np.int64)
