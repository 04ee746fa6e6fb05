"""Registers stand where they need few bits, and never further apart than the clock allows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sk_shadownet._tables.costs import cut
from sk_shadownet.exceptions import ExportError
from sk_shadownet.fpga._codegen.alkaid import design_rtl
from sk_shadownet.fpga._codegen.pipeline import CONSTANT, INPUT, number_stages

from .test_rtl import random_plan

pytest.importorskip("alkaid")


def logic_of(seed, output="logits"):
    """All of a random network in one stage."""
    return design_rtl(random_plan(seed, [4, 5, 3]), adder_levels=1000, output=output).stages[0]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), levels=st.integers(1, 6), output=st.sampled_from(["logits", "class"]))
def test_no_stage_is_deeper_than_asked_and_none_reads_a_later_one(seed, levels, output):
    try:
        logic = logic_of(seed, output)
    except ExportError:
        return
    found = number_stages(logic, levels)
    stages, n_stages = found.numbers, found.count
    depths = []
    for op, stage in zip(logic.ops, stages, strict=True):
        before = [i for i in op.addr if logic.ops[i].opcode not in (INPUT, CONSTANT)]
        assert all(stages[i] <= stage for i in before)
        arrives = max((logic.ops[i].latency for i in op.addr), default=0)
        depths.append(
            int(op.latency > arrives) + max((depths[i] for i in before if stages[i] == stage), default=0)
        )
    assert max(depths) <= levels
    assert max(stages) <= n_stages


@settings(max_examples=30, deadline=None)
@given(bits=st.lists(st.integers(0, 99), min_size=2, max_size=9), levels=st.integers(1, 4))
def test_no_other_places_for_as_many_registers_need_fewer_bits(bits, levels):
    from itertools import combinations

    depth = len(bits) - 1
    n_stages = -(-depth // levels)
    deepest = -(-depth // n_stages)
    allowed = [
        cuts
        for cuts in combinations(range(1, depth), n_stages - 1)
        if max(np.diff([0, *cuts, depth])) <= deepest
    ]
    best = min(sum(bits[level] for level in cuts) for cuts in allowed)
    found, cuts = cut(np.array(bits), depth, levels)
    assert found == best == sum(bits[level] for level in cuts)
    assert cuts in allowed


def test_logic_of_no_depth_is_one_stage():
    assert cut(np.array([7]), 0, 3) == (0, ())
