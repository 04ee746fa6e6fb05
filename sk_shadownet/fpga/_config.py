"""What is asked of an export, checked before anything is written."""

from __future__ import annotations

import numbers
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from sk_shadownet.exceptions import InvalidParameterError
from sk_shadownet.fpga._identifiers import require_top_name
from sk_shadownet.fpga._quantization.precision import parse_precision

#: Strategies of all of hls4ml's backends: multiplications side by side, or sharing multipliers.
SHARING = ("latency", "resource")
VU13P = "xcvu13p-flga2577-2-e"
#: hls4ml's backends, with the part each exports for by default and the strategies each knows.
HLS_BACKENDS: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "Vitis": (VU13P, (*SHARING, "resource_unrolled", "distributed_arithmetic")),
    "Vivado": (VU13P, (*SHARING, "resource_unrolled", "distributed_arithmetic")),
    "VivadoAccelerator": (None, (*SHARING, "resource_unrolled")),
    "Quartus": ("Arria10", SHARING),
    "Catapult": ("xcku115-flvb2104-2-i", SHARING),
    "oneAPI": ("Agilex7", SHARING),
}
#: Hardware description languages, written through alkaid.
RTL_BACKENDS = ("verilog", "vhdl")
#: C++ for Vitis HLS, written through alkaid, beside hls4ml's "Vitis".
CPP_BACKENDS = ("alkaid-vitis",)
ALKAID_BACKENDS = (*RTL_BACKENDS, *CPP_BACKENDS)
BACKENDS = (*HLS_BACKENDS, *ALKAID_BACKENDS)
IO_TYPES = ("io_parallel", "io_stream")
OUTPUTS = ("logits", "class", "probability", "decision", "trigger")
#: The outputs that are a score, or come of one.
SCORE_OUTPUTS = ("decision", "trigger")

#: What hls4ml reads of a configuration: as a whole, of the model, and of a layer.
HLS_KEYS = ("Model", "LayerName", "LayerType", "Optimizers", "SkipOptimizers", "Flows")
MODEL_KEYS = tuple(
    "Precision ReuseFactor Strategy BramFactor TraceOutput ChannelsLastConversion TransposeOutputs "
    "TargetCycles Compression ConvImplementation PipelineStyle PipelineInterval WriteWeightsTxt "
    "WriteEmulationConstants WriteTar".split()
)
LAYER_KEYS = tuple(
    "Precision ReuseFactor Strategy Trace TargetCycles Compression ConvImplementation "
    "ParallelizationFactor Implementation Skip TableSize TableT ExpTableT InvInpT InvTableT AccumT "
    "BiasT ResultT WeightT".split()
)

#: Families of AMD (Xilinx) parts; a part number goes on with size, package and speed.
AMD_FAMILIES = ("xc7a", "xc7k", "xc7s", "xc7v", "xc7z", "xcau", "xcku", "xcvu", "xczu", "xcu", "xck", "xcv")
#: Families of Intel (Altera) parts that its compilers take by name.
INTEL_FAMILIES = ("Arria10", "Stratix10", "Agilex5", "Agilex7", "Cyclone10GX", "CycloneV", "MAX10")
#: Intel's ordering codes, such as 10AX115N2F40E2SG, and boards of oneAPI, such as intel_a10gx_pac:pac_a10.
_INTEL_CODE = re.compile(r"^(10|1s|ag|5c|ep)[a-z0-9]{5,}$|^[\w/.-]+:\w+$", re.IGNORECASE)


@dataclass(frozen=True)
class FPGAConfig:
    """Everything that an export can be told.

    Parameters
    ----------
    backend : str, default="Vitis"
        One of hls4ml's "Vitis", "Vivado", "VivadoAccelerator", "Quartus", "Catapult", "oneAPI", or "verilog"
        or "vhdl", or "alkaid-vitis", C++ for Vitis HLS, which are written through alkaid.
    part : str or None, default=None
        The vendor's part number; None takes the backend's default.
    clock_period : float, default=5.0
        Clock period asked for, in ns. A constraint for the vendor's tool, never a result.
    precision : "auto", int, str or dict, default="auto"
        See :func:`sk_shadownet.fpga.to_fpga`.
    tolerance : float, default=0.01
        What ``precision="auto"`` may lose against the float network; see :func:`sk_shadownet.fpga.to_fpga`.
    reuse_factor : int, default=1
        Multiplications that share one multiplier (hls4ml).
    strategy : str, default="latency"
        "latency", "resource", "resource_unrolled" or "distributed_arithmetic", as the backend knows them.
    io_type : {"io_parallel", "io_stream"}, default="io_parallel"
    output : {"logits", "class", "probability", "decision", "trigger"}, default="logits"
        What the hardware puts out: every logit, the class, probabilities (hls4ml alone), one score that is
        above 0 for ``signal``, or one bit, set where that score reaches ``cut`` (through alkaid alone).
    project_name : str, default="shadownet"
        Name of the top function or module: at most 100 letters, digits and underscores, and no word that C++,
        Verilog, VHDL or the sources written here use themselves, such as "class", "main" or "input_t".
    hls_config : mapping or None, default=None
        Merged into hls4ml's configuration, such as ``{"LayerName": {"dense_1": {"ReuseFactor": 4}}}``.
    options : mapping
        Further keywords of the backend, such as ``clock_uncertainty`` or ``board``.
    signal : label or None, default=None
        With ``output="decision"`` or ``"trigger"``, the class that the score speaks for: its logit less the
        largest of the others. None takes the second of two classes.
    cut : int, object with a ``value``, "port" or None, default=None
        With ``output="trigger"``, the integer of the score's port, its value in units of ``2**-F``, from
        which on a row passes; "port" makes it an input of the hardware.

    Raises
    ------
    InvalidParameterError
        If a value is unknown to the backend; the known ones are listed.

    Examples
    --------
    What a budget of an estimator is kept on, and what its `to_fpga` then exports for:

    >>> from sk_shadownet import ShadowMLPClassifier
    >>> config = FPGAConfig(backend="verilog", clock_period=2.5, precision=6)
    >>> config.is_rtl
    True
    >>> clf = ShadowMLPClassifier((32, 16), budget={"lut": 3000}, fpga=config)

    >>> FPGAConfig(backend="vits")
    Traceback (most recent call last):
      ...
    sk_shadownet.exceptions.InvalidParameterError: backend='vits' is unknown; ... mean 'Vitis'?
    """

    backend: str = "Vitis"
    part: str | None = None
    clock_period: float = 5.0
    precision: Any = "auto"
    tolerance: float = 0.01
    reuse_factor: int = 1
    strategy: str = "latency"
    io_type: str = "io_parallel"
    output: str = "logits"
    project_name: str = "shadownet"
    hls_config: Mapping[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    signal: Any = None
    cut: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "backend", _known("backend", self.backend, BACKENDS))
        strategies = (
            ("latency", "distributed_arithmetic") if self.by_alkaid else HLS_BACKENDS[self.backend][1]
        )
        short = str(self.strategy).lower() == "da" and not self.by_alkaid
        strategy = "distributed_arithmetic" if short else self.strategy
        object.__setattr__(
            self, "strategy", _known(f"strategy of backend {self.backend!r}", strategy, strategies)
        )
        object.__setattr__(self, "io_type", _known("io_type", self.io_type, IO_TYPES))
        object.__setattr__(self, "output", _known("output", self.output, OUTPUTS))
        _require_score(self.output, self.backend, self.signal, self.cut)
        _require_part(self.part, self.backend)
        if not (_is_number(self.clock_period) and self.clock_period > 0):
            raise InvalidParameterError(
                f"clock_period must be a number above 0 ns, got {self.clock_period!r}."
            )
        if not (_is_number(self.tolerance) and 0 <= self.tolerance < 1):
            raise InvalidParameterError(
                f"tolerance must be a number at least 0 and below 1, got {self.tolerance!r}."
            )
        if not _is_number(self.reuse_factor) or self.reuse_factor % 1 != 0 or self.reuse_factor < 1:
            raise InvalidParameterError(
                f"reuse_factor must be a whole number of at least 1, got {self.reuse_factor!r}."
            )
        for is_rtl in {self.by_alkaid, self.is_rtl}:
            require_top_name(self.project_name, is_rtl=is_rtl)
        if not isinstance(self.precision, Mapping):  # the keys of a dict depend on the network
            parse_precision(self.precision, 1)
        _require_mapping("options", self.options)
        if self.hls_config is not None:
            _require_hls_config(self.hls_config)

    @property
    def is_rtl(self) -> bool:
        """Whether the export is a hardware description, written through alkaid."""
        return self.backend in RTL_BACKENDS

    @property
    def by_alkaid(self) -> bool:
        """Whether alkaid writes the export: a hardware description, or C++ of the same logic."""
        return self.backend in ALKAID_BACKENDS

    @property
    def resolved_part(self) -> str | None:
        """The part asked for, or the backend's default."""
        return self.part or (None if self.by_alkaid else HLS_BACKENDS[self.backend][0])


def _known(name: str, value: Any, known: tuple[str, ...]) -> str:
    for word in known:
        if isinstance(value, str) and value.lower() == word.lower():
            return word
    raise InvalidParameterError(
        f"{name}={value!r} is unknown; known are {', '.join(map(repr, known))}.{_hint(value, known)}"
    )


def _hint(value: Any, known: tuple[str, ...]) -> str:
    """What was perhaps meant, as a sentence behind a message; "" where nothing comes near."""
    by_lower = {word.lower(): word for word in known}
    close = get_close_matches(str(value).lower(), by_lower, n=1)
    return f" Did you mean {by_lower[close[0]]!r}?" if close else ""


def _require_score(output: str, backend: str, signal: Any, cut: Any) -> None:
    """Refuse a signal or a cut that nothing asks for, and a trigger that has no cut or no comparator."""
    if signal is not None and output not in SCORE_OUTPUTS:
        raise InvalidParameterError(
            f"signal={signal!r} belongs to output='decision' or 'trigger', got output={output!r}; leave it "
            "out."
        )
    if output != "trigger":
        if cut is not None:
            raise InvalidParameterError(
                f"cut={cut!r} belongs to output='trigger', got output={output!r}; leave it out."
            )
        return
    if backend not in ALKAID_BACKENDS:
        raise InvalidParameterError(
            f"output='trigger' is a comparator in Verilog or VHDL; backend={backend!r} has none: take "
            "backend='verilog', 'vhdl' or 'alkaid-vitis', or output='decision' and compare behind it."
        )
    whole = getattr(cut, "value", cut)
    if not (isinstance(cut, str) and cut == "port") and (
        isinstance(whole, bool) or not hasattr(whole, "__index__")
    ):
        raise InvalidParameterError(
            "output='trigger' needs cut=, the integer of the score's port from which on a row passes, an "
            f"object with such a value, or 'port' for an input that carries it; got {cut!r}."
        )


def _require_part(part: Any, backend: str) -> None:
    if part is None:
        return
    intel = backend in ("Quartus", "oneAPI")
    families = INTEL_FAMILIES if intel else AMD_FAMILIES
    # Hardware descriptions and Catapult are for parts of any vendor.
    word = part.lower().replace(" ", "") if isinstance(part, str) else ""
    known = word.startswith(tuple(family.lower() for family in families))
    known = known or bool(intel and _INTEL_CODE.match(word))
    if not known and not (word.strip() and backend in (*RTL_BACKENDS, "Catapult")):
        example = (
            "'Arria10' or '10AX115N2F40E2SG'" if intel else "'xcvu13p-flga2577-2-e' or 'xc7z020clg400-1'"
        )
        raise InvalidParameterError(
            f"part={part!r} is no part of backend {backend!r}; known families are {', '.join(families)}, "
            f"and a part looks like {example}."
        )


def _require_mapping(name: str, value: Any) -> None:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InvalidParameterError(f"{name} must be a dict with words as keys, got {value!r}.")


def _require_hls_config(value: Any) -> None:
    """Refuse keys that hls4ml would pass over in silence; which layers there are is not known yet."""
    _require_mapping("hls_config", value)
    _require_keys("hls_config", value, HLS_KEYS)
    if "Model" in value:
        _require_mapping("hls_config['Model']", value["Model"])
        _require_keys("hls_config['Model']", value["Model"], MODEL_KEYS)
    for kind in ("LayerName", "LayerType"):
        layers = value.get(kind, {})
        _require_mapping(f"hls_config[{kind!r}]", layers)
        for name, layer in layers.items():
            where = f"hls_config[{kind!r}][{name!r}]"
            _require_mapping(where, layer)
            _require_keys(where, layer, LAYER_KEYS)


def _require_keys(where: str, value: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in value:
        if key not in known:
            raise InvalidParameterError(
                f"{where} names {key!r}; known are {', '.join(known)}.{_hint(key, known)}"
            )


def _is_number(value: Any) -> bool:
    """Whether it is a finite number."""
    return (
        isinstance(value, numbers.Real) and not isinstance(value, bool) and abs(float(value)) < float("inf")
    )
