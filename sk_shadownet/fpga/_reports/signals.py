"""The signals at the ports of an exported design: what README and notebooks say of them."""

from __future__ import annotations

from dataclasses import dataclass

from sk_shadownet.fpga._backends.base import Device, RTLDevice
from sk_shadownet.fpga._config import FPGAConfig
from sk_shadownet.fpga._decision import Score
from sk_shadownet.fpga._frontend import ExportedModel
from sk_shadownet.fpga._quantization.formats import FixedFormat
from sk_shadownet.fpga._quantization.plan import FixedPointPlan

__all__ = ["Signal", "input_signals", "output_signals"]


@dataclass(frozen=True)
class Signal:
    """One input or output.

    Attributes
    ----------
    port, bits : str
        The port and which of its bits.
    name : str
        Feature or output.
    format : FixedFormat
        Of one signal.
    column : int or None
        Which column of ``X`` an input is.
    """

    port: str
    bits: str
    name: str
    format: FixedFormat
    column: int | None = None

    @property
    def width(self) -> int:
        """Total bits."""
        return int(self.format.width)

    @property
    def fraction(self) -> int:
        """Bits right of the binary point."""
        return int(self.format.fraction)

    @property
    def signed(self) -> str:
        """Yes or no."""
        return "yes" if int(self.format.signed) else "no"

    @property
    def limits(self) -> str:
        """Smallest and largest number."""
        return f"{float(self.format.lowest):g} … {float(self.format.highest):g}"


def input_signals(plan: FixedPointPlan, model: ExportedModel, device: Device) -> tuple[Signal, ...]:
    """Inputs in the order of the ports; the cut of a trigger that takes it from a port is the last."""
    width = int(plan.inputs.width.max())
    signals = []
    for j, name in enumerate(model.input_names):
        port, bits = f"input_1[{j}]", f"[{width - 1}:0]"
        if isinstance(device, RTLDevice):
            port, bits = "model_inp", device.design.ports.inputs[j].bits
        signals.append(Signal(port, bits, name, plan.inputs[j], int(model.columns[j])))
    if isinstance(device, RTLDevice):
        fields = device.design.ports.inputs[len(signals) :]
        signals += [Signal("model_inp", field.bits, "cut", field.format) for field in fields]
    return tuple(signals)


def output_signals(
    plan: FixedPointPlan,
    model: ExportedModel,
    config: FPGAConfig,
    device: Device,
    score: Score | None = None,
) -> tuple[Signal, ...]:
    """Outputs in the order of the ports; none where the hardware puts out a class, a bit or probabilities."""
    if config.output == "decision" and score is not None:
        port, bits = "output[0]", "all"
        if isinstance(device, RTLDevice):
            port, bits = "model_out", device.design.ports.outputs[0].bits
        return (Signal(port, bits, "score", score.format(plan.outputs)[0]),)
    if config.output != "logits":
        return ()
    labels, signals = model.class_labels, []
    for i in range(plan.widths[-1]):
        one, port, bits = plan.outputs[i], f"output[{i}]", "all"
        named = labels is not None and len(labels) == plan.widths[-1]
        name = f"logit of {labels[i]}" if labels is not None and named else f"y{i}"
        if isinstance(device, RTLDevice):
            field = device.design.ports.outputs[i]
            one, port, bits = field.format, "model_out", field.bits
        signals.append(Signal(port, bits, name, one))
    return tuple(signals)
