"""The emulator of an export as a C++ header without dependencies, an example and a check of it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

from sk_shadownet.fpga._emulator.content import (
    EmulatorContent,
    IntegerLayer,
    IntegerNetwork,
    LookupLayer,
    constants_of,
)
from sk_shadownet.fpga._emulator.output_stage import CPP, EndingText, ending_of

_HEAD = """// {title}: the bits of the hardware in this folder, for one event's raw features.
//
{about}
//
// An integer counts steps of 2^-F. Sums have at most 53 bits, so 64 hold each exactly. NaN, which no
// fixed-point number can say, throws std::invalid_argument; -ffast-math would hide it: compile without.

#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>

namespace {namespace} {{

inline constexpr std::size_t n_inputs = {n_inputs};
inline constexpr std::size_t n_network_outputs = {n_network_outputs};
inline constexpr std::size_t n_outputs = {n_outputs};

using Features = std::array<double, n_inputs>;
using Ports = std::array<std::int64_t, n_inputs>;
using NetworkOutputs = std::array<std::int64_t, n_network_outputs>;
using Outputs = std::array<std::int64_t, n_outputs>;

template <typename T, std::size_t rows, std::size_t columns>
using Table = std::array<std::array<T, columns>, rows>;

"""

_FUNCTIONS = """
static_assert((std::int64_t{{-3}} >> 1) == -2, "shifts of negative numbers must round down");

{scaled}// Integers at the input ports, {rounded}; what is out of range, infinity too, saturates.
inline Ports to_ports(const Features& {value}) {{
    Ports ports{{}};
    for (std::size_t j = 0; j < n_inputs; ++j) {{
        if (std::isnan({value}[j])) {{
            throw std::invalid_argument(std::string(feature_names[j]) + " is NaN, which no port can carry");
        }}
        const double low = static_cast<double>(input_lowest[j]);
        const double high = static_cast<double>(input_highest[j]);
        const double steps = std::clamp(std::ldexp({value}[j], input_fraction[j]), low - 1.0, high + 1.0);
{nearest}        ports[j] = static_cast<std::int64_t>(std::clamp(nearest, low, high));
    }}
    return ports;
}}

{arithmetic}
// Integers that the last layer gives.
inline NetworkOutputs network_outputs(const Ports& ports) {{
{steps}
}}

{ending}

}}  // namespace {namespace}
"""

_ROUNDING = """\
        // floor(steps + 0.5) would round 0.49999999999999994 up, since the sum itself rounds to 1.
        double nearest = std::floor(steps);
        nearest += steps - nearest >= 0.5 ? 1.0 : 0.0;
"""

_LOOKUPS = """// Codes of the ports' integers.
inline Ports codes(Ports a) {
    for (std::size_t j = 0; j < n_inputs; ++j) {
        a[j] = std::clamp(a[j] - code_offset[j], std::int64_t{0}, code_highest[j]);
    }
    return a;
}

// Sums of what the codes look up.
template <std::size_t n, std::size_t m, std::size_t edges, std::size_t k>
constexpr std::array<std::int64_t, n> sums(const std::array<std::int64_t, m>& a,
                                           const std::array<int, edges>& source,
                                           const std::array<int, edges>& unit,
                                           const Table<std::int64_t, edges, k>& table,
                                           const std::array<std::int64_t, n>& bias) {
    std::array<std::int64_t, n> z = bias;
    for (std::size_t e = 0; e < edges; ++e) z[unit[e]] += table[e][a[source[e]]];
    return z;
}

// Sums in steps of 2^shift, rounded down, as codes.
template <std::size_t n>
constexpr std::array<std::int64_t, n> coded(std::array<std::int64_t, n> z, const std::array<int, n>& shift,
                                            const std::array<std::int64_t, n>& highest) {
    for (std::size_t i = 0; i < n; ++i) {
        z[i] = shift[i] < 0 ? z[i] * (std::int64_t{1} << -shift[i]) : z[i] >> shift[i];
        z[i] = std::clamp(z[i], std::int64_t{0}, highest[i]);
    }
    return z;
}
"""

_PRODUCTS = """// weight a + bias, exactly.
template <std::size_t n, std::size_t m>
constexpr std::array<std::int64_t, n> sums(const std::array<std::int64_t, m>& a,
                                           const Table<std::int64_t, n, m>& weight,
                                           const std::array<std::int64_t, n>& bias) {
    std::array<std::int64_t, n> z = bias;
    for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < m; ++j) z[i] += weight[i][j] * a[j];
    }
    return z;
}

template <std::size_t n>
constexpr std::array<std::int64_t, n> relu(std::array<std::int64_t, n> z) {
    for (std::size_t i = 0; i < n; ++i) z[i] = std::max(z[i], std::int64_t{0});
    return z;
}

// Sums in steps of 2^shift, halves upwards, cut off at both ends.
template <std::size_t n>
constexpr std::array<std::int64_t, n> rounded(std::array<std::int64_t, n> z, const std::array<int, n>& shift,
                                              const std::array<std::int64_t, n>& lowest,
                                              const std::array<std::int64_t, n>& highest) {
    for (std::size_t i = 0; i < n; ++i) {
        if (shift[i] > 0) z[i] = (z[i] + (std::int64_t{1} << (shift[i] - 1))) >> shift[i];
        if (shift[i] < 0) {
            // The ends are cut off first: a large sum must not run out of 64 bits.
            z[i] = std::clamp(z[i], lowest[i] >> -shift[i], (highest[i] >> -shift[i]) + 1);
            z[i] *= std::int64_t{1} << -shift[i];
        }
        z[i] = std::clamp(z[i], lowest[i], highest[i]);
    }
    return z;
}
"""

_SCALED = """// What the hardware takes for raw features: this scaling stays outside of it.
inline Features scaled(const Features& raw) {
    Features x{};
    for (std::size_t j = 0; j < n_inputs; ++j) {
        // volatile: rounded by itself, not fused with the sum into one instruction of other bits.
        const volatile double product = raw[j] * input_scale[j];
        x[j] = product + input_shift[j];
    }
    return x;
}

"""

_EXAMPLE = """// Prints {what} of test_vectors.csv.
#include <iostream>

#include "{name}.hpp"

int main() {{
    const {namespace}::Features raw = {{{{{values}}}}};
    {print}
}}
"""

_CHECK = """// Compares {name}.hpp with test_vectors.csv, or with a file named; ends in 1 where bits differ.
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>

#include "{name}.hpp"

int main(int argc, char** argv) {{
    using namespace {namespace};
    std::ifstream file(argc > 1 ? argv[1] : "test_vectors.csv");
    std::string line, cell;
    int rows = 0, wrong = 0;
    std::getline(file, line);  // the columns' names
    while (std::getline(file, line)) {{
        std::istringstream cells(line);
        const auto next = [&] {{ return std::getline(cells, cell, ',') ? cell.c_str() : ""; }};
        Features raw{{}};
        Ports ports{{}};
        Outputs outputs{{}};
        for (double& value : raw) value = std::strtod(next(), nullptr);
        for (std::int64_t& value : ports) value = std::strtoll(next(), nullptr, 10);
{read_cut}        for (std::int64_t& value : outputs) value = std::strtoll(next(), nullptr, 10);
        const bool same = to_ports({ports_of_raw}) == ports && emulate(raw{cut}) == {expected};
        if (!same || emulate_ports(ports{cut}) != {expected}) ++wrong;
        ++rows;
    }}
    const bool passed = rows > 0 && wrong == 0;
    std::cout << (passed ? "PASS: " : "FAIL: ") << wrong << " of " << rows << " rows differ\\n";
    return passed ? 0 : 1;
}}
"""


def cpp_emulator(content: EmulatorContent) -> str:
    """The text of ``<name>.hpp``."""
    ending = ending_of(content, CPP)
    head = _HEAD.format(
        title=content.title,
        about=_about(content, ending),
        namespace=content.namespace,
        n_inputs=len(content.feature_names),
        n_network_outputs=len(content.network.output_fraction),
        n_outputs=len(content.output_fraction),
    )
    products = content.network.codes is None
    functions = _FUNCTIONS.format(
        namespace=content.namespace,
        value="x" if content.scale else "raw",
        scaled=_SCALED if content.scale else "",
        steps="\n".join(_steps(content.network)),
        rounded="halves rounded upwards" if products else "rounded down",
        nearest=_ROUNDING if products else "        const double nearest = std::floor(steps);\n",
        arithmetic=_PRODUCTS if products else _LOOKUPS,
        ending=ending.code,
    )
    return head + "\n".join(_declared(*one) for one in constants_of(content)) + "\n" + functions


def cpp_example(content: EmulatorContent, raw: Iterable[float], cut: int | None = None) -> str:
    """The text of ``example.cpp``, which asks for one row, with its cut where that is an input."""
    space, cut_text = content.namespace, "" if cut is None else f", {cut}"
    what, show = (
        "the outputs of the first row",
        "for (double output : {space}::to_doubles({call})) std::cout << output",
    )
    if content.ending == "trigger":
        what, show = "whether the hardware passes the first row", "std::cout << std::boolalpha << {call}"
    call = show.format(space=space, call=f"{space}::emulate(raw{cut_text})")
    return _EXAMPLE.format(
        name=content.name,
        namespace=space,
        values=", ".join(repr(float(value)) for value in raw),
        what=what,
        print=f'{call} << "\\n";',
    )


def cpp_check(content: EmulatorContent) -> str:
    """The text of ``check.cpp``."""
    cut = ending_of(content, CPP).cut_argument
    return _CHECK.format(
        name=content.name,
        namespace=content.namespace,
        ports_of_raw=content.ports_of_raw,
        cut=cut,
        read_cut="        const std::int64_t cut = std::strtoll(next(), nullptr, 10);\n" if cut else "",
        expected="(outputs[0] == 1)" if content.ending == "trigger" else "outputs",
    )


def _about(content: EmulatorContent, ending: EndingText) -> str:
    """What the entry points take and give, as a comment."""
    text = (
        "Written by sk_shadownet; needs C++17 alone. emulate(raw) takes raw features in the order of "
        "feature_names, emulate_ports(ports) the integers at the hardware's input ports; "
    )
    parts = [text + ending.gives, *([content.remark] if content.remark else [])]
    return "\n".join(
        textwrap.fill(part, 105, initial_indent="// ", subsequent_indent="// ", break_on_hyphens=False)
        for part in parts
    )


#: C++ types of a constant's numbers by its kind, where they are no int.
_TYPES = {"number": "std::int64_t", "whole": "std::int64_t", "real": "double"}


def _declared(kind: str, name: str, values: Any) -> str:
    """The line, or lines, of one constant."""
    if kind == "remark":
        return f"{chr(10) if name.startswith('Layer') else ''}// {name}"
    if kind == "table":
        n, m = values.shape
        rows = [_wrapped(f"    {{{{{', '.join(map(str, row))}}}}},") for row in values.tolist()]
        return "\n".join([f"inline constexpr Table<std::int64_t, {n}, {m}> {name} = {{{{", *rows, "}};"])
    if isinstance(values, str):
        return f"inline constexpr const char* {name} = {_literal(values)};"
    if kind == "text":
        # One a line: a name may hold blanks, which wrapping would move.
        head = f"inline constexpr std::array<const char*, {len(values)}> {name} = {{{{"
        return "\n".join([head, *(f"    {_literal(value)}," for value in values), "}};"])
    number = _TYPES.get(kind, "int")
    if isinstance(values, int):
        return f"inline constexpr {number} {name} = {values};"
    numbers = ", ".join(map(repr, values))
    line = f"inline constexpr std::array<{number}, {len(values)}> {name} = {{{{{numbers}}}}};"
    return line if kind == "shift" else _wrapped(line)


def _steps(network: IntegerNetwork) -> list[str]:
    lines, value = [], "ports" if network.codes is None else "codes(ports)"
    for n, layer in enumerate(network.layers, start=1):
        step = _lookups(value, n, layer) if isinstance(layer, LookupLayer) else _products(value, n, layer)
        value = f"a_{n}"
        last = n == len(network.layers)
        lines.append(f"    return {step};" if last else f"    const auto {value} = {step};")
    return lines


def _products(value: str, n: int, layer: IntegerLayer) -> str:
    step = f"sums({value}, weight_{n}, bias_{n})"
    if layer.relu:
        step = f"relu({step})"
    return step if layer.shift is None else f"rounded({step}, shift_{n}, lowest_{n}, highest_{n})"


def _lookups(value: str, n: int, layer: LookupLayer) -> str:
    step = f"sums({value}, source_{n}, unit_{n}, table_{n}, bias_{n})"
    return step if layer.shift is None else f"coded({step}, shift_{n}, highest_{n})"


def _literal(text: str) -> str:
    """A string of C++ in letters that every compiler reads alike, all others as octal bytes of UTF-8."""
    plain = (
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\?' else f"\\{byte:03o}"
        for byte in text.encode("utf-8", "surrogatepass")
    )
    return f'"{"".join(plain)}"'


def _wrapped(line: str) -> str:
    return textwrap.fill(line, 105, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
