"""The hardware that an estimator's network is for: its configuration, its costs, its arithmetic."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from sk_shadownet._estimator.candidate import Candidate
from sk_shadownet._metrics.scoring import row_scoring
from sk_shadownet.exceptions import ExportError

if TYPE_CHECKING:
    from sk_shadownet.fpga import FixedPointPlan, FixedPointSequential, FPGAConfig
    from sk_shadownet.fpga._quantization.format_search import Task


@dataclass(frozen=True, eq=False)
class Hardware:
    """What an estimator says of hardware, as the user gave it, and of what its outputs mean there.

    The `classes` of numbers are None.
    """

    fpga: FPGAConfig | None
    quantization: Any
    scoring: Any
    task: Task
    classes: npt.NDArray[Any] | None

    @classmethod
    def of(cls, estimator: Any) -> Hardware:
        """What an estimator's parameters, and its classes once they are known, come to."""
        e = estimator
        return cls(e.fpga, e.quantization, e.scoring, e._task, getattr(e, "classes_", None))

    def costs(
        self, candidate: Candidate, names: tuple[str, ...]
    ) -> tuple[dict[str, float], FixedPointPlan | None]:
        """Costs by name; infinite where there can be no hardware, as rounding may leave only constants."""
        try:
            return self.require_costs(candidate, names) if names else ({}, None)
        except ExportError:
            return dict.fromkeys(names, float("inf")), None

    def require_costs(
        self, candidate: Candidate, names: tuple[str, ...]
    ) -> tuple[dict[str, float], FixedPointPlan]:
        """Costs that the estimate of an export would print, and the plan they are of; an error if none."""
        from sk_shadownet.fpga._costs import hardware_costs

        config = _configuration(self.fpga, candidate.plan)
        if self.quantization is not None and candidate.plan is None:
            config = replace(config, precision=self.quantization)
        costs, plan = hardware_costs(
            candidate.module,
            candidate.calibration_rows,
            config,
            plan=candidate.plan,
            class_labels=self.classes,
            targets=candidate.calibration_targets,
            scoring=self.scoring,
        )
        return {name: costs[name] for name in names}, plan

    def fixed_point(self, candidate: Candidate) -> FixedPointSequential:
        """The network in the fixed point that `quantization` asks for, not yet trained in it."""
        from sk_shadownet.fpga import quantized_module

        return quantized_module(
            candidate.module,
            candidate.calibration_rows,
            self.quantization,
            task=self.task,
            targets=candidate.calibration_targets,
            scoring=row_scoring(self.scoring, self.classes),
        )

    def rounded(self, candidate: Candidate) -> Candidate:
        """The candidate in fixed point, without training in it."""
        fixed = self.fixed_point(candidate)
        return replace(candidate, module=fixed.to_sequential(), plan=fixed.plan())


def export_options(fpga: FPGAConfig | None, plan: FixedPointPlan | None) -> dict[str, Any]:
    """Keywords of `to_fpga` for the hardware that the estimator is configured for."""
    if fpga is None:
        return {}
    config = _configuration(fpga, plan)
    keywords = {field.name: getattr(config, field.name) for field in fields(config)}
    options = keywords.pop("options")
    return {**keywords, **options}


def _configuration(fpga: FPGAConfig | None, plan: FixedPointPlan | None) -> FPGAConfig:
    """The configuration that a network is exported with.

    A network that was finished in fixed point has its formats: to round it once more would give other
    hardware than what the estimator answers as.
    """
    from sk_shadownet.fpga import FPGAConfig

    config = fpga or FPGAConfig()
    return config if plan is None else replace(config, precision="auto")
