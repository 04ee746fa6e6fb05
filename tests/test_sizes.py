"""Sizes, budgets and automatic sizes as a user asks for them: kept always, refused in plain words."""

import json

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from sk_shadownet import Architecture, ShadowMLPClassifier, ShadowMLPRegressor
from sk_shadownet._estimator import hardware_budget
from sk_shadownet._estimator.model_selection import Selection, select_model
from sk_shadownet._estimator.sizes import exact_widths, plan_sizes
from sk_shadownet.architecture import count_multiplications, count_parameters
from sk_shadownet.exceptions import ExportError, InvalidParameterError
from sk_shadownet.fpga import FPGAConfig
from sk_shadownet.fpga._costs import hardware_costs

N_CLASSES = 3
X = np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32)
Y = X[:, :3].argmax(axis=1)
SIX_BITS = FPGAConfig(backend="verilog", precision=6)


def small(**parameters):
    defaults = {"hidden_layer_sizes": (8, 6), "max_epochs": 10, "batch_size": 90, "random_state": 0}
    return ShadowMLPClassifier(**{**defaults, **parameters})


def units(architecture):
    """A user's own cost."""
    return float(sum(architecture.widths))


def lines(architecture):
    """A cost of depth: layers are dear, units cheap."""
    return 10.0 * (len(architecture.widths) - 1) + 0.1 * sum(architecture.widths)


COSTS = {
    "multiplications": lambda architecture: float(architecture.n_multiplications),
    "parameters": lambda architecture: float(architecture.n_parameters),
    units: units,
    lines: lines,
}

# ------------------------------------------------------------------ the law: a budget is kept


@st.composite
def requests(draw):
    """Estimator, rows and limits that at least one unit a layer keeps."""
    n_features = draw(st.integers(1, 10))
    hidden = tuple(draw(st.lists(st.integers(1, 12), max_size=3)))
    exact = [draw(st.sampled_from([None, None, "auto", max(1, n // 2), n])) for n in (n_features, *hidden)]
    least = tuple(n if isinstance(n, int) else 1 for n in exact)
    budget = {}
    for name in draw(st.lists(st.sampled_from(list(COSTS)), min_size=1, max_size=3, unique=True)):
        low, high = (
            COSTS[name](Architecture.dense((*widths, N_CLASSES))) for widths in (least, (n_features, *hidden))
        )
        budget[name] = low + draw(st.floats(0, 1)) * (high - low)
    model = ShadowMLPClassifier(
        hidden,
        n_features_to_select=exact[0],
        target_hidden_layer_sizes=tuple(exact[1:]),
        budget=budget,
        n_shadows=draw(st.sampled_from([1, 1, 1, 2])),
        score_rule=draw(st.sampled_from(["fisher", "fisher", "taylor"])),
        max_epochs=draw(st.integers(1, 3)),
        batch_size=30,
        random_state=draw(st.integers(0, 1000)),
    )
    return model, n_features, exact


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(requests())
def test_a_budget_is_never_exceeded_and_exact_counts_are_exact(request):
    model, n_features, exact = request
    rows = np.random.default_rng(0).normal(size=(60, n_features)).astype(np.float32)
    model.fit(rows, np.arange(60) % N_CLASSES)
    architecture = model.architecture_
    for name, limit in model.budget.items():
        assert COSTS[name](architecture) <= limit
    for mask, asked in zip(architecture.masks, exact, strict=True):
        assert not isinstance(asked, int) or mask.sum() == asked
    assert model.support_.any()
    assert model.module_[0].in_features == model.support_.sum()
    assert np.isfinite(model.predict_proba(rows)).all()


@pytest.mark.parametrize("outputs", [1, 2])
def test_a_regressors_budget_is_kept(outputs):
    target = X[:, :outputs] * X[:, 2:3]
    reg = ShadowMLPRegressor((8, 6), budget={"parameters": 50}, max_epochs=5, random_state=0).fit(X, target)
    assert reg.architecture_.n_parameters <= 50


def test_a_budget_the_wide_network_keeps_leaves_it_as_it_is():
    clf = small(budget={"multiplications": count_multiplications((6, 8, 6, 3))}).fit(X, Y)
    assert clf.architecture_.widths == (6, 8, 6, 3)


def test_eight_features_and_a_budget():
    clf = small(n_features_to_select=4, budget={"multiplications": 40}).fit(X, Y)
    assert clf.support_.sum() == 4
    assert clf.architecture_.n_multiplications <= 40


def test_a_share_of_the_features_counts_as_exact():
    clf = small(n_features_to_select=0.5, budget={"multiplications": 40}).fit(X, Y)
    assert clf.support_.sum() == 3


# ------------------------------------------------------------------ hardware


def estimate(clf, folder):
    figures = clf.to_fpga(folder).estimate()
    return {
        "lut": figures.lut,
        "ff": figures.ff,
        "dsp": figures.dsp,
        "latency_cycles": figures.latency_cycles,
    }


@pytest.mark.parametrize(
    "budget",
    [
        {"lut": 500},
        {"lut": 500, "dsp": 0},
        {"latency_cycles": 4},
        {"lut": 500, "multiplications": 30},
        {"lut": 500, "latency_cycles": 5},
    ],
    ids=json.dumps,
)
def test_hardware_limits_are_kept_by_the_exports_own_estimate(budget, tmp_path):
    clf = small(budget=budget, fpga=SIX_BITS).fit(X, Y)
    needed = {**estimate(clf, tmp_path), "multiplications": clf.architecture_.n_multiplications}
    for name, limit in budget.items():
        assert needed[name] <= limit


def test_the_frontier_knows_what_the_export_will_need(tmp_path):
    clf = small(budget={"lut": 500, "latency_cycles": 6}, fpga=SIX_BITS).fit(X, Y)
    point = clf.frontier_[clf.frontier_.chosen]
    needed = estimate(clf, tmp_path)
    assert {name: point.costs[name] for name in ("lut", "latency_cycles")} == {
        name: needed[name] for name in ("lut", "latency_cycles")
    }


def test_of_networks_within_the_hardware_the_least_loss_is_taken():
    frontier = small(budget={"lut": 500}, fpga=SIX_BITS).fit(X, Y).frontier_
    allowed = [point for point in frontier if point.costs["lut"] <= 500]
    assert frontier[frontier.chosen].loss == min(point.loss for point in allowed)


@pytest.mark.parametrize("size", [None, "auto"])
def test_a_limit_that_nothing_touches_changes_nothing(size):
    # Shift-and-add logic needs no DSP blocks, whatever its widths.
    clf = small(budget={"dsp": 0}, fpga=SIX_BITS, n_features_to_select=size).fit(X, Y)
    assert size == "auto" or clf.architecture_.widths == (6, 8, 6, 3)
    assert np.isfinite(clf.predict_proba(X)).all()


def test_a_quantized_network_keeps_its_budget(tmp_path):
    clf = small(budget={"lut": 500}, fpga=FPGAConfig(backend="verilog"), quantization=6).fit(X, Y)
    assert estimate(clf, tmp_path)["lut"] <= 500
    assert clf.fixed_point_plan_.widths == clf.architecture_.widths


@pytest.mark.parametrize("factor", [0.1, 0.3, 4.0])
def test_a_budget_is_neither_missed_nor_left_unspent_where_costs_were_foretold_wrongly(monkeypatch, factor):
    honest = hardware_budget.calibrate

    def wrong(budget, widths, config):
        return hardware_budget.scaled(honest(budget, widths, config), {"lut": factor})

    monkeypatch.setattr("sk_shadownet._estimator.sizes.calibrate", wrong)
    clf = small(budget={"lut": 300}, fpga=FPGAConfig(backend="verilog"), quantization=4).fit(X, Y)
    costs = [point.costs["lut"] for point in clf.frontier_]
    assert min(costs) <= 300
    assert max(costs) > 300 / 1.3


@pytest.mark.parametrize("bits", [3, 8])
def test_costs_are_foretold_by_the_bits_of_a_network_that_is_finished_in_fixed_point(monkeypatch, bits):
    seen = []
    honest = hardware_budget.calibrate
    monkeypatch.setattr(
        "sk_shadownet._estimator.sizes.calibrate",
        lambda budget, widths, config: seen.append(config.precision) or honest(budget, widths, config),
    )
    small(budget={"lut": 500}, fpga=SIX_BITS, quantization=bits).fit(X, Y)
    assert seen == [bits]


def widths_of(module):
    linear = [layer for layer in module if isinstance(layer, torch.nn.Linear)]
    return (linear[0].in_features, *(layer.out_features for layer in linear))


def costs_of(estimator, config):
    """Costs of a fitted estimator's network, and the plan they are of."""
    known = {"class_labels": getattr(estimator, "classes_", None), "scoring": estimator.scoring}
    targets = getattr(estimator, "calibration_targets_", None)
    return hardware_costs(estimator.module_, estimator.calibration_rows_, config, targets=targets, **known)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_costs_of_a_network_and_its_rows_are_those_of_the_estimators_export(n_classes, tmp_path):
    clf = small(target_hidden_layer_sizes=(4, 3), n_features_to_select=3, scoring="accuracy")
    clf.fit(X, np.minimum(Y, n_classes - 1))
    fpga = clf.to_fpga(tmp_path / "hw", backend="verilog")
    costs, plan = costs_of(clf, FPGAConfig(backend="verilog"))
    assert costs["lut"] == fpga.estimate().lut
    assert costs["bit_operations"] == fpga.plan.bit_operations
    assert plan == fpga.plan or repr(plan) == repr(fpga.plan)


def test_costs_of_a_regressors_outputs_are_not_those_of_classes(tmp_path):
    reg = ShadowMLPRegressor((8,), max_epochs=3, random_state=0).fit(X, X[:, :2])
    fpga = reg.to_fpga(tmp_path / "hw", backend="verilog")
    costs, _ = costs_of(reg, FPGAConfig(backend="verilog"))
    assert (costs["lut"], costs["bit_operations"]) == (fpga.estimate().lut, fpga.plan.bit_operations)


@pytest.mark.parametrize("quantization", [None, 6])
def test_an_estimator_becomes_one_network_and_no_other_on_the_way(quantization, monkeypatch):
    adopted = []
    adopt = ShadowMLPClassifier._adopt

    def watched(clf, candidate, *rest):
        adopted.append(candidate.module)
        adopt(clf, candidate, *rest)

    monkeypatch.setattr(ShadowMLPClassifier, "_adopt", watched)
    config = FPGAConfig(backend="verilog")
    clf = small(budget={"lut": 500}, fpga=config, quantization=quantization, n_features_to_select="auto")
    assert clf.fit(X, Y).module_ is adopted[0]
    assert len(adopted) == 1


def test_a_second_run_counts_its_own_networks_and_not_the_first_ones_plan(monkeypatch):
    counted = []

    def watched(module, rows, config, *, plan, **options):
        counted.append(plan is None or plan.widths == widths_of(module))
        return hardware_costs(module, rows, config, plan=plan, **options)

    def twice(fit, result, **_):
        runs.append(select_model(fit, result))
        return Selection(None, runs[0].frontier) if len(runs) == 1 else runs[-1]

    runs = []
    monkeypatch.setattr("sk_shadownet.fpga._costs.hardware_costs", watched)
    monkeypatch.setattr("sk_shadownet._estimator.base.select_model", twice)
    small(budget={"lut": 500}, fpga=FPGAConfig(backend="verilog"), quantization=6).fit(X, Y)
    assert len(runs) == 2
    assert all(counted)


def test_where_the_wide_network_itself_fits_it_is_among_the_rivals(tmp_path):
    wide = small(fpga=SIX_BITS).fit(X, Y)
    limit = 1.2 * estimate(wide, tmp_path)["lut"]
    frontier = small(budget={"lut": limit}, fpga=SIX_BITS).fit(X, Y).frontier_
    assert (6, 8, 6, 3) in [point.widths for point in frontier]


def test_a_network_that_cannot_be_built_leaves_the_others(monkeypatch):
    def counted(module, *rest, **options):
        if widths_of(module) == (6, 8, 6, 3):
            raise ExportError("every output is a constant")
        return hardware_costs(module, *rest, **options)

    monkeypatch.setattr("sk_shadownet.fpga._costs.hardware_costs", counted)
    clf = small(budget={"lut": 10_000}, fpga=SIX_BITS, n_features_to_select="auto").fit(X, Y)
    widths = [point.widths for point in clf.frontier_]
    assert len(widths) > 1
    assert (6, 8, 6, 3) not in widths


def test_a_budget_of_hardware_compares_classifiers_after_rounding():
    config = FPGAConfig(backend="verilog", precision=3)
    clf = small(budget={"bit_operations": 2000}, fpga=config, validation_fraction=None)
    clf.fit(X, Y)
    for n, point in enumerate(clf.frontier_):
        _, plan = costs_of(clf.at(n), config)
        logs = log_softmax(plan.forward(X[:, point.masks[0]].astype(float)), axis=1)
        assert point.loss == pytest.approx(-logs[np.arange(len(Y)), Y].mean())
        assert point.score == pytest.approx((logs.argmax(axis=1) == Y).mean())


def test_a_budget_of_hardware_compares_regressors_after_rounding():
    config = FPGAConfig(backend="verilog", precision=4)
    y = np.column_stack([X[:, 0] + X[:, 1], 1000 * X[:, 2]])
    reg = ShadowMLPRegressor(
        (8, 6),
        budget={"bit_operations": 3000},
        fpga=config,
        max_epochs=6,
        validation_fraction=None,
        random_state=0,
    ).fit(X, y)
    for n, point in enumerate(reg.frontier_):
        _, plan = costs_of(reg.at(n), config)
        said = plan.forward(X[:, point.masks[0]].astype(float))
        assert point.score == pytest.approx(r2_score(y, said), abs=1e-5)
        # Errors count in units of each output's spread: 1 - R² where the mean and spread are of these rows.
        assert point.loss == pytest.approx(1 - r2_score(y, said), rel=1e-4)


def test_with_quantization_networks_are_compared_before_rounding():
    # Training in fixed point makes up for what rounding would lose now.
    clf = small(
        budget={"bit_operations": 4000},
        fpga=FPGAConfig(backend="verilog"),
        quantization=4,
        validation_fraction=None,
    ).fit(X, Y)
    for point in clf.frontier_:
        logits = point.module(torch.as_tensor(X[:, point.masks[0]])).detach().double().numpy()
        logs = log_softmax(logits, axis=1)
        assert point.loss == pytest.approx(-logs[np.arange(len(Y)), Y].mean(), rel=1e-4)


def test_no_network_of_a_frontier_is_counted_twice(monkeypatch):
    counted = []

    def watched(module, *rest, **options):
        counted.append(module)
        return hardware_costs(module, *rest, **options)

    monkeypatch.setattr("sk_shadownet.fpga._costs.hardware_costs", watched)
    clf = small(
        budget={"lut": 500}, fpga=SIX_BITS, n_features_to_select="auto", target_hidden_layer_sizes="auto"
    ).fit(X, Y)
    assert len(clf.frontier_) > 1
    assert len({id(module) for module in counted}) == len(counted)


def test_where_none_can_be_built_the_reason_comes_through(monkeypatch):
    def counted(*_, **__):
        raise ExportError("every output is a constant")

    monkeypatch.setattr("sk_shadownet.fpga._costs.hardware_costs", counted)
    clf = small(budget={"lut": 500}, fpga=SIX_BITS)
    with pytest.raises(ExportError, match="every output is a constant"):
        clf.fit(X, Y)
    assert not hasattr(clf, "module_")


def test_the_export_is_as_fpga_has_it(tmp_path):
    config = FPGAConfig(backend="verilog", precision=6, clock_period=2.5)
    clf = small(n_features_to_select=3, fpga=config).fit(X, Y)
    assert clf.to_fpga(tmp_path / "a").config.clock_period == 2.5
    assert clf.to_fpga(tmp_path / "b", clock_period=4.0).config.clock_period == 4.0


# ------------------------------------------------------------------ what parameters mean


class Asked:
    """The parameters that decide sizes."""

    def __init__(self, features=None, hidden=None, budget=None):
        self.n_features_to_select = features
        self.target_hidden_layer_sizes = hidden
        self.budget = budget


SOME = {"multiplications": 50}


@pytest.mark.parametrize(
    "asked, widths",
    [
        (Asked(), (6, 8, 4)),
        (Asked(3, (5, None)), (3, 5, 4)),
        (Asked("auto"), (None, 8, 4)),
        (Asked(None, "auto"), (6, None, None)),
        (Asked(None, ("auto", None)), (6, None, 4)),
        (Asked(budget=SOME), (None, None, None)),
        (Asked(3, budget=SOME), (3, None, None)),
        (Asked(1.0, (5, None), budget=SOME), (6, 5, None)),
        (Asked("auto", (5, "auto"), budget=SOME), (None, 5, None)),
    ],
    ids=lambda value: str(vars(value)) if isinstance(value, Asked) else None,
)
def test_none_keeps_a_width_where_there_is_no_budget_and_frees_it_where_there_is_one(asked, widths):
    assert exact_widths(asked, 6, (8, 4)) == widths


def plan(exact, budget=None, is_auto=False, may_lose_layers=False):
    return plan_sizes(
        (6, 8, 4, 3), exact, budget=budget, fpga=None, is_auto=is_auto, may_lose_layers=may_lose_layers
    )


def test_without_budget_or_auto_there_is_one_network_of_the_asked_widths():
    sizes = plan((3, 5, 4))
    assert sizes.targets == (3, 5, 4)
    assert sizes.budget_schedule is None
    assert sizes.loads == ()


@settings(max_examples=100, deadline=None)
@given(st.integers(8, 200), st.sampled_from([(None, None, None), (3, None, None), (None, 8, None)]))
def test_a_frontier_closes_from_the_budget_or_the_wide_network_downwards(limit, exact):
    least = count_multiplications((*(n or 1 for n in exact), 3))
    sizes = plan(exact, {"multiplications": max(limit, least)}, is_auto=True)
    full = sizes.budget_schedule.load(tuple(n or wide for n, wide in zip(exact, (6, 8, 4), strict=True)))
    assert list(sizes.loads) == sorted(sizes.loads, reverse=True)
    assert sizes.loads[0] == pytest.approx(min(1.0, full))
    assert sizes.loads[-1] >= sizes.budget_schedule.load(tuple(n or 1 for n in exact)) * (1 - 1e-9)


def test_only_one_network_alone_counts_on_stand_ins():
    alone = plan((None,) * 3, {"multiplications": 40}).budget_schedule
    many = plan((None,) * 3, {"multiplications": 40}, is_auto=True).budget_schedule
    # Networks of a frontier choose their hidden units themselves.
    assert alone.has_stand_ins
    assert not many.has_stand_ins


# ------------------------------------------------------------------ in scikit-learn's hands


def test_a_grid_searches_over_budgets():
    budgets = [{"multiplications": 20}, {"multiplications": 80}, {"parameters": 60}]
    search = GridSearchCV(small(max_epochs=5), {"budget": budgets}, cv=2).fit(X, Y)
    assert search.best_params_["budget"] in budgets
    assert len(search.cv_results_["mean_test_score"]) == 3


def test_a_pipeline_takes_a_budget():
    pipeline = make_pipeline(StandardScaler(), small(budget={"multiplications": 40})).fit(X, Y)
    assert pipeline[-1].architecture_.n_multiplications <= 40


def test_fitting_leaves_the_budget_as_it_was_given():
    budget = {"multiplications": 40}
    clf = small(budget=budget).fit(X, Y)
    assert clf.budget is budget
    assert budget == {"multiplications": 40}


def test_the_same_random_state_gives_the_same_network():
    one, other = (small(budget={"multiplications": 40}).fit(X, Y) for _ in range(2))
    assert one.architecture_ == other.architecture_
    assert all(
        np.array_equal(a.detach(), b.detach()) for a, b in zip(*map(parameters_of, (one, other)), strict=True)
    )


def parameters_of(clf):
    return list(clf.module_.parameters())


def test_warm_start_continues_the_network_that_the_budget_gave():
    clf = small(budget={"multiplications": 40}, warm_start=True).fit(X, Y)
    masks = clf.architecture_.masks
    clf.fit(X, Y)
    assert all(np.array_equal(a, b) for a, b in zip(masks, clf.architecture_.masks, strict=True))


# ------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    "parameters, words",
    [
        ({"budget": 600}, r"budget must be a dict of upper limits such as .*got 600"),
        ({"budget": {}}, r"budget must be a dict of upper limits"),
        ({"budget": [("lut", 4)]}, r"budget must be a dict of upper limits"),
        ({"budget": {"luts": 4}}, r"'luts', which is no resource; known are multiplications, .*latency_ns"),
        ({"budget": {3: 4}}, r"3, which is no resource"),
        (
            {"budget": {"multiplications": -1}},
            r"budget\['multiplications'\] must be a finite number .* got -1",
        ),
        ({"budget": {"multiplications": float("nan")}}, r"must be a finite number"),
        ({"budget": {"multiplications": float("inf")}}, r"must be a finite number"),
        ({"budget": {"lut": True}}, r"must be a finite number of at least 0, got True"),
        ({"budget": {"lut": "4"}}, r"must be a finite number of at least 0, got '4'"),
        (
            {"budget": {"lut": 500}, "activation": "tanh"},
            r"budget\['lut'\] is a limit on hardware, which needs activation='relu' or .*got .*'tanh'",
        ),
        ({"tolerance": -0.1}, r"tolerance must be a number in \[0, inf\), got -0.1"),
        ({"tolerance": "2-se"}, r"tolerance must be one of 'auto', '1-se', '1-se-paired'; got '2-se'"),
        ({"tolerance": None}, r"tolerance must be a number"),
        ({"fpga": {"precision": 6}}, r"fpga must be .*FPGAConfig.*pass FPGAConfig\(\*\*\{'precision': 6\}\)"),
        ({"fpga": "verilog"}, r"fpga must be .*FPGAConfig or None, got 'verilog'"),
        ({"n_features_to_select": "all"}, r"n_features_to_select must be .*got 'all'"),
        ({"target_hidden_layer_sizes": "all"}, r"target_hidden_layer_sizes must be one of 'auto'; got 'all'"),
        ({"target_hidden_layer_sizes": (4, "all")}, r"target_hidden_layer_sizes\[1\] must be one of 'auto'"),
        ({"target_hidden_layer_sizes": ("auto",)}, r"names 1 layers, but hidden_layer_sizes=\(8, 6\) has 2"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else None,
)
def test_what_cannot_be_is_refused_in_plain_words(parameters, words):
    with pytest.raises(InvalidParameterError, match=words):
        small(**parameters).fit(X, Y)


@pytest.mark.parametrize(
    "parameters, words",
    [
        # Without hidden layers a single input, 1-3, is the least that there is.
        ({"budget": {"multiplications": 2}}, r"multiplications 2; but .*, 1-3, needs multiplications 3"),
        (
            {"budget": {"multiplications": 50, "parameters": 9}, "target_hidden_layer_sizes": (8, 6)},
            r"1-8-6-3, needs multiplications 74, parameters 91",
        ),
        (
            {
                "n_features_to_select": 5,
                "budget": {"multiplications": 50},
                "target_hidden_layer_sizes": (8, 6),
            },
            r"5-8-6-3, needs multiplications 106\. Raise the budget to that at least, or free a width",
        ),
        ({"budget": {units: 3}}, r"units 3; but .*needs units 4"),
    ],
    ids=["alone", "both", "exact", "callable"],
)
def test_what_no_network_keeps_is_refused_naming_the_smallest_one(parameters, words):
    with pytest.raises(InvalidParameterError, match=words):
        small(**parameters).fit(X, Y)


def test_an_impossible_budget_is_refused_before_training():
    begun = []

    class Watch(Callback):
        def on_train_begin(self, net, **_):
            begun.append(net)

    with pytest.raises(InvalidParameterError, match="needs multiplications"):
        small(budget={"multiplications": 2}, callbacks=[Watch()]).fit(X, Y)
    assert not begun


def test_the_smallest_budget_that_the_refusal_names_is_enough():
    clf = small(budget={"multiplications": 3}).fit(X, Y)
    assert clf.architecture_.widths == (1, 3)
    assert count_parameters(clf.architecture_.widths) == 6


@pytest.mark.parametrize("value", [-1, "many", float("nan"), None, True])
def test_a_cost_of_the_users_must_be_a_number(value):
    def mine(architecture):
        return value

    with pytest.raises(InvalidParameterError, match=r"'mine' must give a finite number .* it gave"):
        small(budget={mine: 10}).fit(X, Y)


def test_an_error_in_a_users_cost_is_named_with_its_cause():
    def mine(architecture):
        raise ZeroDivisionError("mine")

    clf = small(budget={mine: 10})
    with pytest.raises(
        InvalidParameterError, match="budget's 'mine' stopped with ZeroDivisionError"
    ) as caught:
        clf.fit(X, Y)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert not hasattr(clf, "module_")


@pytest.mark.parametrize(
    "parameters", [{"budget": {"multiplications": 40}}, {"n_features_to_select": "auto"}]
)
def test_a_rule_that_knows_no_worth_is_refused(parameters):
    with pytest.raises(
        InvalidParameterError, match=r"update and scores, and importance where a budget or 'auto'"
    ):
        small(score_rule="gradient", **parameters).fit(X, Y)


@pytest.mark.parametrize("importance", [np.full((1, 6), -1.0), np.full((1, 6), np.nan), np.ones((1, 5))])
def test_worth_must_be_of_every_unit_and_at_least_nothing(importance):
    class Mine:
        def __init__(self, n_members, n_units):
            self.shape = (n_members, n_units)

        def update(self, saliency, gates, temperature):
            pass

        def scores(self):
            return np.zeros(self.shape)

        def importance(self):
            return importance if self.shape[1] == 6 else np.ones(self.shape)

    with pytest.raises(
        InvalidParameterError, match=r"importance\(\) must give finite numbers of at least 0 of shape"
    ):
        small(score_rule=Mine, budget={"multiplications": 40}).fit(X, Y)
