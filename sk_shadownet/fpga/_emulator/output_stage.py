"""What emulators do behind the last layer, as C++ and as Python: five outputs in two languages."""

from __future__ import annotations

from dataclasses import dataclass

from sk_shadownet.fpga._emulator.content import EmulatorContent, ScoreStep


@dataclass(frozen=True)
class EndingText:
    """Parts of an emulator's file, which differ by what the hardware puts out.

    ``gives`` is what the entry points give, for the head of the file; ``code`` the last step and the entry
    points; ``cut_argument`` what stands behind the first argument of each, such as ``", cut"``; "" without a
    cut.
    """

    gives: str
    code: str
    cut_argument: str = ""


_NUMBERS = "both give the integers at its outputs. {convert} makes numbers of these."
_SCORE = (
    "both give the integer of the score, which is above 0 for the signal. {convert} makes a number of it."
)
_BIT = "both give whether the event passes: whether the score is at least the cut."
_BIT_OF_CUT = (
    "both, and the cut, an integer in the score's steps; they give whether the event passes: whether the "
    "score is at least the cut."
)


@dataclass(frozen=True)
class Language:
    """Texts of one language: its templates for each output, and how a score is written in it."""

    convert: str
    #: The score where the network has one output, and where it has several.
    formulas: tuple[str, str]
    logits: str
    winner: str
    score: str
    decision: str
    numbers: str
    trigger: str
    trigger_of_cut: str


CPP = Language(
    convert="to_doubles",
    formulas=(
        "    return {sign}z[0];",
        """    std::int64_t others = std::numeric_limits<std::int64_t>::min();
    for (std::size_t i = 0; i < n_network_outputs; ++i) {{
        if (i != {signal}) others = std::max(others, z[i]);
    }}
    return z[{signal}] - others;""",
    ),
    logits="""// The outputs of the network, counted in the steps of the hardware's.
constexpr Outputs last_step(NetworkOutputs z) {
    for (std::size_t i = 0; i < n_outputs; ++i) {
        const int finer = output_fraction[i] - network_fraction[i];
        // What goes to the right is 0 in every output.
        z[i] = finer < 0 ? z[i] >> -finer : z[i] * (std::int64_t{1} << finer);
    }
    return z;
}""",
    winner="""// Index of the largest output, the first of equals; of a single one whether it is above 0.
inline Outputs last_step(const NetworkOutputs& z) {
    if (n_network_outputs == 1) return {z[0] > 0 ? 1 : 0};
    // Outputs may count in unlike steps; a double holds each number exactly.
    const auto number = [&z](std::size_t i) {
        return std::ldexp(static_cast<double>(z[i]), -network_fraction[i]);
    };
    std::size_t winner = 0;
    for (std::size_t i = 1; i < n_network_outputs; ++i) {
        if (number(i) > number(winner)) winner = i;
    }
    return {static_cast<std::int64_t>(winner)};
}""",
    score="""// The score in steps of 2^-score_fraction: {words}.
constexpr std::int64_t score(NetworkOutputs z) {{
    for (std::size_t i = 0; i < n_network_outputs; ++i) {{
        const int finer = score_shift[i];
        // What goes to the right is 0 in every output.
        z[i] = finer < 0 ? z[i] >> -finer : z[i] * (std::int64_t{{1}} << finer);
    }}
{formula}
}}""",
    decision="""

// The only output is the score.
constexpr Outputs last_step(const NetworkOutputs& z) { return {score(z)}; }""",
    numbers="""

// Integers at the outputs for integers at the input ports.
inline Outputs emulate_ports(const Ports& ports) {{ return last_step(network_outputs(ports)); }}

// Integers at the outputs for raw features.
inline Outputs emulate(const Features& raw) {{ return emulate_ports(to_ports({ports_of_raw})); }}

// The numbers that integers at the outputs stand for.
inline std::array<double, n_outputs> to_doubles(const Outputs& outputs) {{
    std::array<double, n_outputs> numbers{{}};
    for (std::size_t i = 0; i < n_outputs; ++i) {{
        numbers[i] = std::ldexp(static_cast<double>(outputs[i]), -output_fraction[i]);
    }}
    return numbers;
}}""",
    trigger="""

// Whether the event passes, for integers at the input ports.
inline bool emulate_ports(const Ports& ports) {{ return score(network_outputs(ports)) >= cut; }}

// Whether the event passes, for raw features.
inline bool emulate(const Features& raw) {{ return emulate_ports(to_ports({ports_of_raw})); }}""",
    trigger_of_cut="""

// Whether the event passes the cut, for integers at the input ports.
inline bool emulate_ports(const Ports& ports, std::int64_t cut) {{
    if (cut < cut_lowest || cut > cut_highest) {{
        throw std::invalid_argument("the cut's port holds {lowest} to {highest}, not " + std::to_string(cut));
    }}
    return score(network_outputs(ports)) >= cut;
}}

// Whether the event passes the cut, for raw features.
inline bool emulate(const Features& raw, std::int64_t cut) {{
    return emulate_ports(to_ports({ports_of_raw}), cut);
}}""",
)

_PY_LAST_STEP = '''def last_step(z):
    """{words}"""
{code}'''

PYTHON = Language(
    convert="to_floats",
    formulas=("{sign}z[:, 0]", "z[:, {signal}] - np.delete(z, {signal}, axis=1).max(axis=1)"),
    logits=_PY_LAST_STEP.format(
        words="The outputs of the network, counted in the steps of the hardware's.",
        code="    finer = OUTPUT_FRACTION - NETWORK_FRACTION\n"
        "    # What goes to the right is 0 in every output.\n"
        "    return (z << np.maximum(finer, 0)) >> np.maximum(-finer, 0)",
    ),
    winner=_PY_LAST_STEP.format(
        words="Index of the largest output, the first of equal ones; of a single one whether it is above 0.",
        code="    # Outputs may count in unlike steps; float64 holds each number exactly.\n"
        "    numbers = np.ldexp(z.astype(np.float64), -NETWORK_FRACTION)\n"
        "    winner = numbers[:, 0] > 0 if numbers.shape[1] == 1 else numbers.argmax(axis=1)\n"
        "    return winner.astype(np.int64)[:, None]",
    ),
    score='''def score(z):
    """The score in steps of 2**-SCORE_FRACTION, shape (n_rows,): {words}."""
    # What goes to the right is 0 in every output.
    z = (z << np.maximum(SCORE_SHIFT, 0)) >> np.maximum(-SCORE_SHIFT, 0)
    return {formula}''',
    decision="\n\n\n"
    + _PY_LAST_STEP.format(words="The only output is the score.", code="    return score(z)[:, None]"),
    numbers='''


def emulate_ports(ports):
    """Integers at the outputs, shape (n_rows, {n_outputs}), for integers at the input ports."""
    return last_step(network_outputs(ports))


def emulate(raw):
    """Integers at the outputs, shape (n_rows, {n_outputs}), for rows of raw features."""
    return emulate_ports(to_ports({ports_of_raw}))


def to_floats(outputs):
    """The numbers that integers at the outputs stand for."""
    return np.ldexp(outputs.astype(np.float64), -OUTPUT_FRACTION)''',
    trigger='''


def emulate_ports(ports):
    """Whether each row passes, bool of shape (n_rows,), for integers at the input ports."""
    return score(network_outputs(ports)) >= CUT


def emulate(raw):
    """Whether each row passes, bool of shape (n_rows,), for rows of raw features."""
    return emulate_ports(to_ports({ports_of_raw}))''',
    trigger_of_cut='''


def emulate_ports(ports, cut):
    """Whether each row passes, bool of shape (n_rows,), for integers at the input ports.

    The cut is one integer, or one for each row. Raises ValueError for one that its port cannot carry.
    """
    cut = np.asarray(cut)
    if not np.issubdtype(cut.dtype, np.integer):
        raise ValueError(f"the cut must be an integer in steps of 2**-SCORE_FRACTION, got {{cut.dtype}}")
    if ((cut < CUT_LOWEST) | (cut > CUT_HIGHEST)).any():
        raise ValueError("the cut's port holds {lowest} to {highest}")
    scores = score(network_outputs(ports))
    if cut.shape not in ((), scores.shape):
        raise ValueError(f"one cut or {{len(scores)}}, one for each row, was expected, got {{cut.shape}}")
    return scores >= cut


def emulate(raw, cut):
    """Whether each row passes, bool of shape (n_rows,), for rows of raw features; cut as above."""
    return emulate_ports(to_ports({ports_of_raw}), cut)''',
)


def ending_of(content: EmulatorContent, language: Language) -> EndingText:
    """What an emulator's file ends in."""
    step, convert = content.score, language.convert
    raw, n_outputs = content.ports_of_raw, len(content.output_fraction)
    numbers = language.numbers.format(ports_of_raw=raw, n_outputs=n_outputs)
    if step is None:
        code = language.winner if content.ending == "class" else language.logits
        return EndingText(_NUMBERS.format(convert=convert), code + numbers)
    sign = "-" if step.signal == 0 else ""
    formula = language.formulas[len(step.shift) > 1].format(sign=sign, signal=step.signal)
    score = language.score.format(words=_words(step), formula=formula)
    if content.ending == "decision":
        return EndingText(_SCORE.format(convert=convert), score + language.decision + numbers)
    if step.cut is not None:
        return EndingText(_BIT, score + language.trigger.format(ports_of_raw=raw))
    code = language.trigger_of_cut.format(ports_of_raw=raw, lowest=step.lowest, highest=step.highest)
    return EndingText(_BIT_OF_CUT, score + code, ", cut")


def _words(step: ScoreStep) -> str:
    if len(step.shift) > 1:
        return f"output {step.signal} less the largest of the others"
    return "the network's only output" + (", its sign turned" if step.signal == 0 else "")
