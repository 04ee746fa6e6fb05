"""How many adders fit between two registers at a clock, for each FPGA family."""

from __future__ import annotations

import re

from sk_shadownet.exceptions import InvalidParameterError

#: Time between two registers: of registers and wires, and of each adder in series, ns. 5 adders in 5 ns are
#: the choice of da4ml, alkaid's predecessor, for a VU13P-2; for UltraScale and 7 series, slower silicon, we
#: guess 30 % and 70 % more, and no tool has checked it. ECP5 alone was measured: of six designs of 8-16-8-8-5
#: with 6 bits and 1 to 5 adders, placed and routed, none needed longer than this.
STAGE_NS = {"xcup": (0.0, 1.0), "xcu": (0.0, 1.3), "xc7": (0.0, 1.7), "ecp5": (7.3, 3.7)}
#: Taken for a part of an unknown family.
DEFAULT_FAMILY = "xcup"


def adder_levels_for(clock_period: float, family: str | None = None) -> int:
    """Adders in series between two registers: ``max(1, floor((clock_period - wires) / adder))``.

    The clock asked for, in ns, is a wish: nothing says that the hardware reaches it. The two times are those
    of the family in ``STAGE_NS``; None takes UltraScale+'s.

    >>> adder_levels_for(5.0), adder_levels_for(2.5), adder_levels_for(0.4), adder_levels_for(5.0, "xc7")
    (5, 2, 1, 2)
    """
    if not clock_period > 0:
        raise InvalidParameterError(f"clock_period must be a positive number of ns, got {clock_period!r}.")
    wires, adder = STAGE_NS[DEFAULT_FAMILY if family is None else family]
    # The small term keeps 3.0 / 1.0 from becoming 2.
    return max(1, int((clock_period - wires) / adder + 1e-9))


def family_of(part: str) -> str | None:
    """Family of an FPGA part by its name, such as "xcup" of "xcvu13p-flga2577-2-e"; None where not known."""
    name = part.lower().split("-")[0]
    if name.startswith("xc7"):
        return "xc7"
    if re.match(r"xczu|xcau|xc[vk]u\d+p", name):
        return "xcup"
    if name.startswith(("xcvu", "xcku")):
        return "xcu"
    return "ecp5" if name.startswith("lfe5u") else None
