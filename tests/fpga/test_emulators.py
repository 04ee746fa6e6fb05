"""The emulators handed over in C++ and numpy compute the bits of the plan, and of the hardware."""

import csv
import importlib.util
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sk_shadownet.exceptions import ExportError
from sk_shadownet.fpga import FixedFormat, FixedPointPlan, to_fpga
from sk_shadownet.fpga._codegen.design_record import netlist_hash
from sk_shadownet.fpga._emulator.content import EmulatorContent, integer_network
from sk_shadownet.fpga._emulator.cpp import cpp_emulator
from sk_shadownet.fpga._emulator.numpy_file import numpy_emulator
from sk_shadownet.fpga._quantization.plan import make_layer

from .plans import fitted_estimator, pipeline_scaled_outside, random_plan, random_rows, small_module

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
needs_alkaid = pytest.mark.skipif(
    importlib.util.find_spec("alkaid") is None, reason="alkaid is not installed"
)
STRICT = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-pedantic"]


def rounded_outputs(plan, seed):
    """A plan whose outputs are rounded, too, to formats of which some are finer than the sums."""
    random = np.random.default_rng(seed)
    last = plan.layers[-1]
    shape = last.n_outputs
    signed, integer = random.integers(0, 2, shape), random.integers(-2, 5, shape)
    formats = FixedFormat(signed, integer, random.integers(0, 12, shape) - integer)
    return FixedPointPlan(plan.inputs, (*plan.layers[:-1], replace(last, activation=formats)))


def any_plan(seed):
    plan = random_plan(seed)
    return rounded_outputs(plan, seed) if seed % 2 else plan


def hard_rows(plan, seed, n_rows):
    """Rows over all ranges and beyond, ties of rounding, their neighbours and infinities among them."""
    random = np.random.default_rng(seed)
    low, high, step = plan.inputs.lowest, plan.inputs.highest, plan.inputs.step
    rows = random.uniform(low - 0.3 * (high - low), high + 0.3 * (high - low), (n_rows, len(low)))
    ties = plan.inputs.quantize(rows) + step / 2
    kind = random.integers(0, 8, rows.shape)
    rows = np.where(kind == 0, ties, np.where(kind == 1, np.nextafter(ties, -np.inf), rows))
    rows[:6] = [[value] * len(low) for value in (np.inf, -np.inf, 0.0, -0.0, 1e-320, -1e30)]
    rows[6:8] = 0.49999999999999994 * step, -step / 2
    return rows


def content_of(plan, name="net", ending="logits"):
    network = integer_network(plan)
    names = tuple(f"x{j}" for j in range(plan.widths[0]))
    fraction = (0,) if ending == "class" else tuple(network.output_fraction.tolist())
    return EmulatorContent(name, "a plan", network, ending, fraction, names, tuple(range(len(names))))


def loaded(text, folder):
    path = folder / "net.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("net", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def winners(outputs):
    return outputs[:, 0] > 0 if outputs.shape[1] == 1 else outputs.argmax(axis=1)


def vectors(folder):
    with (folder / "emulator" / "test_vectors.csv").open() as file:
        names, *rows = csv.reader(file)
    kinds = [name.split("_")[0] for name in names]
    return tuple(
        np.array([[read(c) for c, k in zip(row, kinds, strict=True) if k == kind] for row in rows])
        for kind, read in (("raw", float), ("port", int), ("output", int))
    )


# ---------------------------------------------------------------- laws


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), ending=st.sampled_from(["logits", "class"]))
def test_the_numpy_file_gives_the_bits_of_the_plan(seed, ending, tmp_path):
    plan = any_plan(seed)
    rows = hard_rows(plan, seed, 300)
    module = loaded(numpy_emulator(content_of(plan, ending=ending)), tmp_path)
    expected = plan.forward(rows)
    numbers = module.to_floats(module.emulate(rows))
    assert np.array_equal(numbers, winners(expected)[:, None] if ending == "class" else expected)
    ports = module.to_ports(rows)
    assert np.array_equal(np.ldexp(ports, -plan.inputs.fraction), plan.quantize_inputs(rows))
    assert np.array_equal(module.emulate_ports(ports), module.emulate(rows))


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_no_integer_has_more_bits_than_its_sum(seed):
    plan = any_plan(seed)
    network, live = integer_network(plan), plan.inputs.width > 0
    for layer, integers in zip(plan.layers, network.layers, strict=True):
        steps = np.ldexp(1.0, -layer.accumulator.fraction)
        assert (np.abs(integers.weight) < 2.0**53).all()
        assert np.array_equal(integers.bias * steps, layer.bias)
        for i, j in np.argwhere((layer.weight != 0) & live):
            assert np.abs(integers.weight[i, j]) <= 2.0 ** layer.accumulator.width[i]
        live = layer.output_format.width > 0


TEST_MAIN = """
#include <fstream>
template <class Features, class Emulate>
void run(const char* name, Emulate emulate) {
    std::ifstream in(std::string(name) + ".in", std::ios::binary);
    std::ofstream out(std::string(name) + ".out", std::ios::binary);
    Features raw{};
    while (in.read(reinterpret_cast<char*>(raw.data()), sizeof raw)) {
        const auto outputs = emulate(raw);
        out.write(reinterpret_cast<const char*>(outputs.data()), sizeof outputs);
    }
}
int main() {
"""


@needs_compiler
@pytest.mark.hardware
@pytest.mark.parametrize("ending", ["logits", "class"])
def test_the_header_gives_the_bits_of_the_plan_and_never_overflows(ending, tmp_path):
    """Twenty plans, 10,000 rows each; the compiler's sanitiser stops at any undefined shift or sum."""
    plans = {f"p{seed}": any_plan(seed) for seed in range(20)}
    includes, calls = "", ""
    for name, plan in plans.items():
        (tmp_path / f"{name}.hpp").write_text(cpp_emulator(content_of(plan, name, ending)))
        (tmp_path / f"{name}.in").write_bytes(hard_rows(plan, 1, 10_000).tobytes())
        includes += f'#include "{name}.hpp"\n'
        calls += f'    run<{name}_emulator::Features>("{name}", {name}_emulator::emulate);\n'
    (tmp_path / "main.cpp").write_text(includes + TEST_MAIN + calls + "}\n")
    strict = [*STRICT, "-fsanitize=undefined", "-fno-sanitize-recover", "-Wno-conversion"]
    subprocess.run(["g++", *strict, "main.cpp", "-o", "main"], cwd=tmp_path, check=True)
    subprocess.run(["./main"], cwd=tmp_path, check=True)
    for name, plan in plans.items():
        expected = plan.forward(hard_rows(plan, 1, 10_000))
        got = np.frombuffer((tmp_path / f"{name}.out").read_bytes(), np.int64).reshape(10_000, -1)
        if ending == "class":
            assert np.array_equal(got[:, 0], winners(expected)), name
        else:
            assert np.array_equal(np.ldexp(got, -plan.outputs.fraction), expected), name


# ---------------------------------------------------------------- by hand


def one_layer(weight, inputs, activation=None, bias=0.0):
    held = FixedFormat(1, 8, 8)
    layer = make_layer(
        inputs, np.array([weight]), held, np.array([bias]), held, relu=False, activation=activation
    )
    return FixedPointPlan(inputs, (layer,))


def test_a_sum_by_hand(tmp_path):
    plan = one_layer([1.5, -0.25], FixedFormat(1, 3, [1, 2]), bias=0.125)
    network = integer_network(plan)
    # Sums count sixteenths: 1.5 * (steps of 1/2), -1/4 * (steps of 1/4), 1/8.
    assert network.layers[0].weight.tolist() == [[12, -1]]
    assert network.layers[0].bias.tolist() == [2]
    module = loaded(numpy_emulator(content_of(plan)), tmp_path)
    assert module.to_ports([[1.25, 1.0]]).tolist() == [[3, 4]]
    assert module.emulate([[1.25, 1.0]]).tolist() == [[3 * 12 - 4 + 2]]


@pytest.mark.parametrize(
    ("integer", "fraction"), [(2, 100), (-90, 100), (90, -80), (20, 70), (30, 28), (-5, 3), (3, 50)]
)
def test_formats_far_finer_or_coarser_than_the_sums_fit_into_64_bits(integer, fraction, tmp_path):
    activation = FixedFormat(1, [integer], [fraction])
    plan = one_layer([1.5, -0.25], FixedFormat(1, 3, [1, 2]), activation, bias=0.125)
    rows = hard_rows(plan, 0, 200)
    module = loaded(numpy_emulator(content_of(plan)), tmp_path)
    assert np.array_equal(module.to_floats(module.emulate(rows)), plan.forward(rows))


def test_an_input_of_too_many_bits_that_nothing_reads_is_left_at_0(tmp_path):
    plan = one_layer([1.5, 0.0], FixedFormat(1, 3, [1, 70]))
    module = loaded(numpy_emulator(content_of(plan)), tmp_path)
    rows = np.array([[1.25, 2.0], [-1.0, np.inf]])
    assert module.to_ports(rows).tolist() == [[3, 0], [-2, 0]]
    assert np.array_equal(module.to_floats(module.emulate(rows)), plan.forward(rows))


def test_classes_are_compared_in_numbers_not_in_their_integers(tmp_path):
    inputs = FixedFormat(1, 3, [4])
    held = FixedFormat(1, 8, 8)
    layer = make_layer(inputs, np.array([[1.0], [2.0]]), held, np.zeros(2), held, relu=False, activation=None)
    plan = FixedPointPlan(inputs, (layer,))
    assert integer_network(plan).layers[0].weight.tolist() == [[1], [1]]
    module = loaded(numpy_emulator(content_of(plan, ending="class")), tmp_path)
    assert module.emulate([[1.0], [-1.0], [0.0]])[:, 0].tolist() == [1, 0, 0]


def test_an_accumulator_too_coarse_for_its_terms_is_refused():
    plan = one_layer([1.5], FixedFormat(1, 3, [2]))
    layer = replace(plan.layers[0], accumulator=FixedFormat(1, [8], [0]))
    with pytest.raises(ExportError, match="accumulators are coarser than the terms"):
        integer_network(FixedPointPlan(plan.inputs, (layer,)))


# ---------------------------------------------------------------- folders


def export(folder, backend="verilog", model=None, **options):
    if backend == "verilog":
        pytest.importorskip("alkaid")
    return to_fpga(model or fitted_estimator(), folder, backend=backend, **({"precision": 7} | options))


@pytest.fixture(scope="module", name="fpga")
def _fpga(tmp_path_factory):
    return export(tmp_path_factory.mktemp("out") / "fw")


def passes(folder):
    """What the three programs of an emulator's folder say."""
    place = folder / "emulator"
    for name in ("example", "check"):
        subprocess.run(["g++", *STRICT, f"{name}.cpp", "-o", name], cwd=place, check=True)
    (script,) = place.glob("*.py")
    programs = (["./example"], ["./check"], [sys.executable, script.name])
    return [
        subprocess.run(program, cwd=place, check=True, capture_output=True, text=True).stdout.strip()
        for program in programs
    ]


@needs_compiler
@pytest.mark.hardware
@pytest.mark.parametrize("backend", ["verilog", "vhdl", "Vitis", "Quartus", "oneAPI"])
def test_every_backend_hands_over_an_emulator_that_passes_its_own_check(backend, tmp_path):
    if backend in ("verilog", "vhdl"):
        pytest.importorskip("alkaid")
    fpga = to_fpga(fitted_estimator(), tmp_path / "fw", backend=backend, precision=7, project_name="jets")
    example, check, script = passes(fpga.output_dir)
    assert check == script == "PASS: 0 of 112 rows differ"
    first = fpga.plan.forward(fpga._project.model.rows[:1])[0]
    np.testing.assert_allclose([float(line) for line in example.splitlines()], first, rtol=1e-5)


@needs_compiler
@pytest.mark.hardware
def test_a_wrong_vector_fails_both_checks(tmp_path):
    fpga = export(tmp_path / "fw")
    place = fpga.output_dir / "emulator"
    text = (place / "test_vectors.csv").read_text().splitlines()
    text[5] = text[5].rsplit(",", 1)[0] + ",12345"
    (place / "test_vectors.csv").write_text("\n".join(text) + "\n")
    subprocess.run(["g++", *STRICT, "check.cpp", "-o", "check"], cwd=place, check=True)
    for program in (["./check"], [sys.executable, "shadownet.py"]):
        done = subprocess.run(program, cwd=place, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout.strip()) == (1, "FAIL: 1 of 112 rows differ")


@needs_alkaid
def test_the_vectors_are_the_hardwares_own_bits(fpga):
    raw, ports, outputs = vectors(fpga.output_dir)
    fields = fpga._project.backend.design.ports
    assert np.array_equal(
        fpga._project.backend.emulate(raw), np.ldexp(outputs, [-f.fraction for f in fields.outputs])
    )
    assert np.array_equal(
        np.ldexp(ports, [-f.fraction for f in fields.inputs]), fpga.plan.quantize_inputs(raw)
    )
    assert np.isinf(raw).any()
    assert fpga.plan.count_overflows(raw).total > 0


@needs_compiler
@pytest.mark.hardware
def test_hls4mls_outputs_are_counted_in_the_steps_of_their_one_type(tmp_path):
    fpga = export(tmp_path / "fw", backend="Vitis", precision=8)
    raw, _, outputs = vectors(fpga.output_dir)
    steps = int(fpga._project.backend.lowered.layers[-1].accumulator.fraction)
    assert len(set(fpga.plan.outputs.fraction.tolist())) > 1
    assert np.array_equal(np.ldexp(outputs, -steps), fpga._project.backend.emulate(raw))


@needs_compiler
@pytest.mark.hardware
@pytest.mark.parametrize("backend", ["verilog", "Vitis"])
def test_a_class_output_is_its_index(backend, tmp_path):
    fpga = export(tmp_path / "fw", backend=backend, output="class")
    assert passes(fpga.output_dir)[1:] == ["PASS: 0 of 112 rows differ"] * 2
    raw, _, outputs = vectors(fpga.output_dir)
    hardware = fpga._project.backend.emulate(raw)
    index = hardware[:, 0] if backend == "verilog" else hardware.argmax(axis=1)
    assert outputs[:, 0].tolist() == index.tolist()


@needs_compiler
@pytest.mark.hardware
def test_probabilities_are_handed_over_as_logits_and_said_so(tmp_path):
    with pytest.warns(Warning, match="softmax comes from tables"):
        fpga = export(tmp_path / "fw", backend="Vitis", output="probability")
    place = fpga.output_dir / "emulator"
    for text in (place / "shadownet.hpp", place / "shadownet.py", fpga.output_dir / "README.md"):
        assert "softmax by tables of these outputs" in " ".join(text.read_text().replace("//", "").split())
    assert passes(fpga.output_dir)[1:] == ["PASS: 0 of 112 rows differ"] * 2


@needs_compiler
@needs_alkaid
@pytest.mark.hardware
def test_scaling_that_stays_outside_is_done_by_the_emulators(tmp_path):
    pipe, _, _, raw = pipeline_scaled_outside()
    with pytest.warns(Warning, match="scaling stays outside the hardware"):
        fpga = to_fpga(pipe, tmp_path / "fw", backend="verilog")
    assert passes(fpga.output_dir)[1:] == ["PASS: 0 of 112 rows differ"] * 2
    script = loaded((fpga.output_dir / "emulator" / "shadownet.py").read_text(), tmp_path)
    chosen = raw[:, script.FEATURE_COLUMNS]
    assert np.array_equal(script.to_floats(script.emulate(chosen)), fpga.decision_function(raw))


@needs_compiler
@needs_alkaid
@pytest.mark.hardware
def test_names_of_any_letters_are_kept(tmp_path):
    pandas = pytest.importorskip("pandas")
    names = ['a "quoted\\"', "Δη, φ", "what??/", "line\nend", "wide space", "😀"]
    frame = pandas.DataFrame(random_rows(0, 300, 6), columns=names)
    estimator = fitted_estimator(n_selected=6, rows=frame.to_numpy())
    estimator.feature_names_in_ = np.array(names, dtype=object)
    fpga = export(tmp_path / "fw", model=estimator)
    place = fpga.output_dir / "emulator"
    (place / "names.cpp").write_text(
        '#include <iostream>\n#include "shadownet.hpp"\n'
        'int main() { for (auto name : shadownet_emulator::feature_names) std::cout << name << "|"; }\n'
    )
    subprocess.run(["g++", *STRICT, "names.cpp", "-o", "names"], cwd=place, check=True)
    done = subprocess.run(["./names"], cwd=place, check=True, capture_output=True)
    assert done.stdout.decode("utf-8").split("|")[:-1] == names
    assert list(loaded((place / "shadownet.py").read_text(), tmp_path).FEATURE_NAMES) == names


@needs_compiler
@needs_alkaid
@pytest.mark.hardware
def test_nan_is_refused_by_the_name_of_its_feature(fpga):
    place = fpga.output_dir / "emulator"
    (place / "nan.cpp").write_text(
        '#include <iostream>\n#include "shadownet.hpp"\nint main() {\n'
        '    shadownet_emulator::Features raw{};\n    raw[2] = std::nan("");\n'
        "    try { shadownet_emulator::emulate(raw); }\n"
        "    catch (const std::invalid_argument& error) { std::cout << error.what(); }\n}\n"
    )
    subprocess.run(["g++", *STRICT, "nan.cpp", "-o", "nan"], cwd=place, check=True)
    said = subprocess.run(["./nan"], cwd=place, check=True, capture_output=True, text=True).stdout
    assert said == f"{fpga.input_names[2]} is NaN, which no port can carry"


def test_nan_and_rows_of_another_width_are_refused_in_numpy(tmp_path):
    module = loaded(numpy_emulator(content_of(any_plan(4))), tmp_path)
    n_inputs = len(module.FEATURE_NAMES)
    with pytest.raises(ValueError, match="rows hold NaN, which no port can carry"):
        module.emulate(np.full((1, n_inputs), np.nan))
    with pytest.raises(ValueError, match=rf"shape \(n_rows, {n_inputs}\) was expected, got \(2, 99\)"):
        module.emulate(np.zeros((2, 99)))


@needs_alkaid
def test_the_emulators_are_no_sources_of_the_hardware(tmp_path):
    fpga = export(tmp_path / "fw")
    before = netlist_hash(fpga.output_dir)
    shutil.rmtree(fpga.output_dir / "emulator")
    assert netlist_hash(fpga.output_dir) == before


@needs_alkaid
def test_a_folder_with_an_emulator_is_replaced_whole(tmp_path):
    rows = random_rows(0, 300, 4)
    for name in ("first", "second"):
        fpga = export(tmp_path / "fw", model=small_module(), X_calibration=rows, project_name=name)
    assert {path.name for path in (fpga.output_dir / "emulator").iterdir()} == {
        "second.hpp",
        "second.py",
        "example.cpp",
        "check.cpp",
        "test_vectors.csv",
    }


@needs_alkaid
def test_the_readme_shows_the_example_that_lies_there(fpga):
    text = (fpga.output_dir / "README.md").read_text().split("## Emulator in the experiment's software")[1]
    assert f"```cpp\n{(fpga.output_dir / 'emulator' / 'example.cpp').read_text()}```" in text
