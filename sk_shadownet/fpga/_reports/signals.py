"""The signals at the ports of an exported design: what README and notebooks say of them."""

from __future__ import annotations

from collections.abc import Iterable

from sk_shadownet.fpga._backends.base import Port
from sk_shadownet.fpga._project import Project

#: Port and bits there, name, width and fraction bits, whether it is signed, and the range of its numbers.
Signal = tuple[str, str, str, int, int, str, str]


def input_signals(project: Project) -> tuple[Signal, ...]:
    """Inputs in the order of the ports; the cut of a trigger that takes it from a port is the last."""
    return _signals(project.backend.inputs, (*project.model.input_names, "cut"))


def output_signals(project: Project) -> tuple[Signal, ...]:
    """Outputs in the order of the ports; none where the hardware puts out a class, a bit or probabilities."""
    ports, labels = project.backend.outputs, project.model.class_labels
    if project.config.output == "decision":
        return _signals(ports, ["score"])
    if project.config.output != "logits":
        return ()
    if labels is not None and len(labels) == len(ports):
        return _signals(ports, (f"logit of {label}" for label in labels))
    return _signals(ports, (f"y{i}" for i in range(len(ports))))


def _signals(ports: tuple[Port, ...], names: Iterable[str]) -> tuple[Signal, ...]:
    return tuple(
        (
            port.name,
            port.bits,
            name,
            int(port.format.width),
            int(port.format.fraction),
            "yes" if int(port.format.signed) else "no",
            f"{float(port.format.lowest):g} … {float(port.format.highest):g}",
        )
        for port, name in zip(ports, names, strict=False)
    )
