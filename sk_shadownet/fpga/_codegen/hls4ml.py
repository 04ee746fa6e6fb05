"""From a lowered plan to hls4ml's project and its emulation: the only file that imports hls4ml."""

from __future__ import annotations

import contextlib
import io
import shutil
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from sk_shadownet._system.files import is_of_the_disk
from sk_shadownet._typing import FloatArray
from sk_shadownet.exceptions import ExportError, InvalidParameterError, MissingToolError
from sk_shadownet.fpga._codegen.lowering import LoweredPlan, LoweredTables, exact_name
from sk_shadownet.fpga._codegen.table_sources import AC, AP, table_sources
from sk_shadownet.fpga._codegen.vendors import VENDORS
from sk_shadownet.fpga._config import FPGAConfig

#: Where the compiler's words go, inside the project folder.
COMPILE_LOG = "compile.log"
#: Name that hls4ml gives the inputs of a torch module.
INPUT_LAYER = "input_1"
#: hls4ml's strategy that writes out every multiplication.
UNROLLED = "resource_unrolled"
#: hls4ml's strategy of shifts and adders, which it leaves to da4ml.
SHIFTS_AND_ADDERS = "distributed_arithmetic"
#: Name of the layer behind the logits, where there is one.
OUTPUT_LAYER = "answer"
#: Entries of the tables of a softmax behind tables.
SOFTMAX_TABLE = 1024
#: Name of the kind of layer that this package adds to hls4ml's.
TABLE_LAYER = "ShadowTables"
#: Backends whose C++ has AMD's types; the others have Algorithmic C's.
AP_BACKENDS = ("Vitis", "Vivado", "VivadoAccelerator")


def default_hls_config(plan: LoweredPlan | LoweredTables, config: FPGAConfig) -> dict[str, Any]:
    """hls4ml's configuration of a plan, every precision stated, the user's ``hls_config`` merged in."""
    model = {
        "Precision": {"default": "fixed<32,16,RND,SAT>"},
        "ReuseFactor": config.reuse_factor,
        "Strategy": config.strategy,
        "BramFactor": 1_000_000_000,
        "TraceOutput": False,
        # Without it hls4ml would not turn torch's (n_outputs, n_inputs) weights round.
        "ChannelsLastConversion": "full",
        "TransposeOutputs": False,
    }
    layers: dict[str, Any] = {INPUT_LAYER: {"Precision": {"result": plan.inputs.hls_name()}, "Trace": False}}
    if isinstance(plan, LoweredTables):
        for n, result in enumerate(plan.results, start=1):
            layers[f"tables_{n}"] = {"Precision": {"result": exact_name(result)}, "Trace": False}
    else:
        layers |= _dense_layers(plan, config)
    layers |= _output_layer(config)
    own: dict[str, Any] = {"Model": model, "LayerName": layers}
    return _merge(own, config.hls_config or {}, "hls_config")


def _dense_layers(plan: LoweredPlan, config: FPGAConfig) -> dict[str, Any]:
    """Configuration of the fully connected layers and of the ReLU behind each."""
    layers: dict[str, Any] = {}
    for n, layer in enumerate(plan.layers, start=1):
        sums = exact_name(layer.accumulator)
        last = n == len(plan.layers)
        rounded = sums if layer.activation is None else layer.activation.hls_name()
        layers[f"dense_{n}"] = {
            "Precision": {
                "weight": exact_name(layer.weight_format),
                "bias": exact_name(layer.bias_format),
                "accum": sums,
                "result": rounded if last else sums,
            },
            "ReuseFactor": config.reuse_factor,
            "Strategy": config.strategy,
            "Trace": False,
        }
        if not last:
            layers[f"relu_{n}"] = {
                "Precision": {"result": rounded, "table": rounded},
                "ReuseFactor": config.reuse_factor,
                "Trace": False,
            }
    return layers


def _output_layer(config: FPGAConfig) -> dict[str, Any]:
    """Configuration of the layer behind the sums of the last layer, where there is one."""
    if config.output == "class":
        return {OUTPUT_LAYER: {"Precision": {"result": "ufixed<1,1,TRN,WRAP,0>"}, "Implementation": "argmax"}}
    if config.output == "probability":
        return {OUTPUT_LAYER: {"Precision": {"result": "ufixed<16,0,RND,SAT>"}, "Implementation": "stable"}}
    return {}


def build_graph(plan: LoweredPlan | LoweredTables, config: FPGAConfig, output_dir: Path) -> Any:
    """hls4ml's ModelGraph of a plan, not yet written; an ExportError quotes hls4ml where it refuses."""
    if isinstance(plan, LoweredTables):
        return _table_graph(plan, config, output_dir)
    import torch
    from torch import nn

    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for n, layer in enumerate(plan.layers, start=1):
        dense = nn.Linear(layer.weight.shape[1], layer.weight.shape[0]).double()
        with torch.no_grad():
            dense.weight.copy_(torch.from_numpy(layer.weight))
            dense.bias.copy_(torch.from_numpy(layer.bias))
        parts[f"dense_{n}"] = dense
        if layer.relu:
            parts[f"relu_{n}"] = nn.ReLU()
    if _output_layer(config):
        parts[OUTPUT_LAYER] = nn.Softmax(dim=1)
    options = _options(config)
    hls_config = dict(default_hls_config(plan, config))
    hls_config["InputShape"] = (plan.layers[0].weight.shape[1],)

    def convert() -> Any:
        from hls4ml.converters import convert_from_pytorch_model

        return convert_from_pytorch_model(
            nn.Sequential(parts),
            output_dir=str(output_dir),
            project_name=config.project_name,
            backend=config.backend,
            hls_config=hls_config,
            clock_period=config.clock_period,
            io_type=config.io_type,
            **options,
        )

    if config.strategy == SHIFTS_AND_ADDERS and find_spec("da4ml") is None:
        raise MissingToolError(
            f"strategy={SHIFTS_AND_ADDERS!r} of hls4ml needs da4ml, which is not installed; "
            'pip install "sk-shadownet[da]".'
        )
    with _quoting("hls4ml could not convert the network"):
        graph = convert()
        # hls4ml writes C++ that does not compile for an unrolled layer too small to share multipliers.
        single = [name for name, (reuse, how) in dense_layers(graph).items() if (reuse, how) == (1, UNROLLED)]
        for name in single:
            hls_config["LayerName"][name]["Strategy"] = "resource"
        return convert() if single else graph


def _options(config: FPGAConfig) -> dict[str, Any]:
    """What hls4ml's backend is handed beside the configuration of the layers."""
    own = {} if config.resolved_part is None else {"part": config.resolved_part}
    return {**own, **config.options}


def _table_graph(plan: LoweredTables, config: FPGAConfig, output_dir: Path) -> Any:
    """The ModelGraph of a table network, of layers that hls4ml learns of here."""
    layers: list[dict[str, Any]] = [
        {"name": INPUT_LAYER, "class_name": "InputLayer", "input_shape": [plan.plan.widths[0]]}
    ]
    sources = table_sources(plan, AP if config.backend in AP_BACKENDS else AC, config.io_type == "io_stream")
    for (name, text), n_out in zip(sources.items(), plan.plan.widths[1:], strict=True):
        layers.append(
            {
                "name": name,
                "class_name": TABLE_LAYER,
                "inputs": [layers[-1]["name"]],
                "n_out": n_out,
                "text": text,
            }
        )
    if _output_layer(config):
        layers.append(
            {
                "name": OUTPUT_LAYER,
                "class_name": "Softmax",
                "activation": "softmax",
                "axis": -1,
                # Otherwise hls4ml makes the table of reciprocals as coarse as the logits.
                "inv_table_size": SOFTMAX_TABLE,
                "exp_table_size": min(SOFTMAX_TABLE, 2 ** int(plan.outputs.width - plan.outputs.signed)),
                "inputs": [layers[-1]["name"]],
            }
        )
    hls_config = default_hls_config(plan, config)
    with _quoting("hls4ml could not convert the network"):
        from hls4ml.model.graph import ModelGraph
        from hls4ml.utils.config import create_config

        # VivadoAccelerator wraps what Vivado's own templates write.
        _teach_tables(config.backend.removesuffix("Accelerator"))
        whole = create_config(
            output_dir=str(output_dir),
            project_name=config.project_name,
            backend=config.backend,
            clock_period=config.clock_period,
            io_type=config.io_type,
            **_options(config),
        )
        whole |= {"InputData": None, "OutputPredictions": None, "HLSConfig": hls_config}
        return ModelGraph.from_layer_list(whole, layers, [INPUT_LAYER], [layers[-1]["name"]])


@cache
def _teach_tables(backend: str) -> None:
    """Register the layer of tables by hls4ml's extension API: its shape, its C++, and how it is called."""
    from hls4ml.backends import get_backend
    from hls4ml.backends.template import FunctionCallTemplate
    from hls4ml.model.layers import Layer, register_layer
    from hls4ml.model.types import Source

    class ShadowTables(Layer):  # type: ignore[misc]
        def initialize(self) -> None:
            self.add_output_variable([self.attributes["n_out"]])
            self.set_attr("tables_codegen", Source(self.attributes["text"]))

    class Call(FunctionCallTemplate):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(ShadowTables, include_header=[])

        def format(self, node: Any) -> str:
            space = node.model.config.get_writer_config().get("Namespace") or "nnet"
            params = self._default_function_params(node)
            call = "{space}::{name}<{input_t}, {output_t}>({input}, {output});"
            return call.format(space=space, **params)

    register_layer(TABLE_LAYER, ShadowTables)
    get_backend(backend).register_template(Call)


def dense_layers(graph: Any) -> dict[str, tuple[int, str]]:
    """Reuse factor and strategy that hls4ml chose for each fully connected layer."""
    return {
        layer.name: (int(layer.get_attr("reuse_factor")), str(layer.get_attr("strategy")).lower())
        for layer in graph.get_layers()
        if layer.class_name == "Dense"
    }


def write_graph(graph: Any) -> None:
    """Write the project's files into its folder."""
    with _quoting("hls4ml could not write the project"):
        graph.write()


def move_graph(graph: Any, old: Path, new: Path) -> None:
    """Tell a graph, and the files it wrote, that its folder is about to move."""
    graph.config.config["OutputDir"] = str(new)
    for path in old.glob("*.yml"):
        path.write_text(path.read_text().replace(str(old), str(new)))


def compile_graph(graph: Any, backend: str) -> None:
    """Compile the project into a library that this process can call.

    A MissingToolError says that the compiler is not on PATH; an ExportError names its first error and its
    log.
    """
    compiler, install = "g++", "install it, such as with 'apt-get install g++' or 'conda install gxx'"
    if backend == "oneAPI":
        compiler, install = "icpx", "install the Intel oneAPI Base Toolkit and source its setvars.sh"
    folder = Path(graph.config.get_output_dir())
    if shutil.which(compiler) is None:
        raise MissingToolError(
            f"the emulation of backend {backend!r} needs {compiler}, which is not on PATH; {install}. "
            "Without it, fpga.plan.forward(X) gives the logits of the Python reference, bit for bit the same."
        )
    output = io.StringIO()
    try:
        with (
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(output),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            graph.compile()
    except Exception as error:
        log, printed = folder / COMPILE_LOG, output.getvalue()
        log.write_text(f"{printed}\n{error}\n")
        for leftover in folder.glob("*.o"):
            leftover.unlink()
        complaints = [line.strip() for line in printed.splitlines() if "error" in line.lower()]
        raise ExportError(
            f"{compiler} could not compile the project: {(complaints or [str(error)])[0]}. Its log: {log}"
        ) from error


def emulate(graph: Any, ports: FloatArray) -> FloatArray:
    """Run the compiled library on rows as the input ports carry them, shape (n_rows, n_inputs)."""
    if len(ports) == 0:
        n_outputs = int(np.prod(graph.get_output_variables()[0].shape))
        return np.zeros((0, n_outputs))
    result = np.asarray(graph.predict(np.ascontiguousarray(ports, dtype=np.float64)), dtype=np.float64)
    return result.reshape(len(ports), -1)


def run_vendor_build(graph: Any, backend: str, **options: Any) -> Any:
    """Run the vendor's flow on the project; hls4ml's report is returned.

    A MissingToolError says what to install and to run where the vendor's program is not on PATH.
    """
    vendor, folder = VENDORS[backend], graph.config.get_output_dir()
    if shutil.which(vendor.tool) is None:
        raise MissingToolError(
            f"building for backend {backend!r} needs {vendor.tool}, which is not on PATH. Install "
            f"{vendor.install}, and call fpga.build() again, or run it by hand in {folder}: {vendor.command}."
        )
    try:
        return graph.build(**options)
    except Exception as error:
        raise ExportError(f"{vendor.tool} failed: {error}. Its logs are in {folder}.") from error


@contextlib.contextmanager
def _quoting(what: str) -> Iterator[None]:
    """Turn hls4ml's bare exceptions and prints into one of our errors."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:
        if is_of_the_disk(error):
            raise
        words = str(error) or type(error).__name__
        raise ExportError(f"{what}: {words}. Check hls_config and the backend's options.") from error


def _merge(own: dict[str, Any], theirs: Mapping[str, Any], where: str) -> dict[str, Any]:
    """``own`` with the values of ``theirs`` in place; a layer that does not exist is an error."""
    merged = dict(own)
    for key, value in theirs.items():
        if where.endswith("LayerName']") and key not in own:
            raise InvalidParameterError(f"{where} names {key!r}; the layers are {', '.join(own)}.")
        if isinstance(value, Mapping) and isinstance(own.get(key), dict):
            merged[key] = _merge(own[key], value, f"{where}[{key!r}]")
        else:
            merged[key] = value
    return merged
