"""The graph of a table network: equal to its integers, whatever the widths, offsets and shifts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sk_shadownet.fpga._tables.graph import Adders, network_outputs
from sk_shadownet.fpga._tables.plan import TablePlan

from .networks import random_tables, rows_for

alkaid = pytest.importorskip("alkaid")


def traced(plan: TablePlan, adders: Adders):
    from alkaid.trace import FVArray, HWConfig, trace

    f = plan.inputs
    live = f.width > 0
    x = FVArray.from_kif(
        f.signed * live, np.where(live, f.width - f.signed, 0), 0 * f.signed, hwconf=HWConfig(1, -1, -1)
    )
    symbols = network_outputs(plan, list(np.asarray(x)), adders)
    return trace(x, symbols)


@given(
    seed=st.integers(0, 2**32 - 1),
    most_bits=st.sampled_from([3, 6, 8]),
    adders=st.builds(Adders, st.sampled_from([2, 3]), st.integers(1, 6)),
)
@settings(max_examples=60, deadline=None)
def test_graph_gives_the_integers_of_the_network(seed, most_bits, adders):
    network = random_tables(seed, most_bits=most_bits)
    rows = rows_for(network, seed, 200, 20)
    plan = TablePlan(network)
    ports = np.ldexp(plan.quantize_inputs(rows[:, network.features]), plan.inputs.fraction)
    got = np.asarray(traced(plan, adders).predict(ports)).reshape(len(rows), -1)
    np.testing.assert_array_equal(got, network.integers(rows))


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_ports_lose_nothing_that_a_code_sees(seed):
    network = random_tables(seed)
    rows = rows_for(network, seed, 200, 20)
    plan = TablePlan(network)
    np.testing.assert_array_equal(
        plan.forward(rows[:, network.features]), network.integers(rows) * network.step
    )


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_outputs_fit_their_formats(seed):
    network = random_tables(seed)
    plan = TablePlan(network)
    assert plan.outputs.holds(plan.forward(rows_for(network, seed, 200, 20)[:, network.features])).all()


def test_difference_of_two_outputs_is_one_network():
    network = random_tables(3, widths=(4, 5, 2))
    rows = rows_for(network, 3, 300, 6)[:, network.features]
    plan = TablePlan(network)
    logits = plan.forward(rows)
    np.testing.assert_array_equal(
        plan.combined(np.array([-1, 1])).forward(rows)[:, 0], logits[:, 1] - logits[:, 0]
    )
