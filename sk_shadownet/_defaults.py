"""Every tuned number of the method, with what it does and what it was measured by."""

from __future__ import annotations

# _gating/schedule.py
# Shares of the run from the start of the closing to its end, of inputs and of hidden units. Measured on jets,
# digits, madelon, mc100 and breast cancer; docs/explanation says how.
INPUT_WINDOW = (0.1, 0.5)
HIDDEN_WINDOW = (0.3, 0.5)
# Where a budget closes inputs and hidden layers together, more time is left to what remains. Against an end
# at .5, mean points over three budgets each: digits +.2, mc100 +.4, madelon +1.2, jets +.0 (5 to 12 seeds,
# errors .2, .3, .6, .05), at five sixths of the CPU time; an end at .3 costs madelon 1.8. A stranger's loop,
# whose learning rate does not start anew, gains nothing by it.
BUDGET_WINDOW = (0.1, 0.4)
# Where networks of many sizes are taken on the way, the first of them have to have learnt something: with a
# start at .1 those of Madelon with 20 to 70 inputs were a point or two worse, at .3 the smallest of jets. One
# network alone is better off from .1 on.
FRONTIER_WINDOW = (0.2, 0.5)
# Temperatures of the gates at the start and at the end of the closing, in units of the scores. The last must
# be tiny: gates that are half open when the mask is frozen make the accuracy drop.
HOT, COLD = 2.0, 0.05
# Share of each part of a training in which the learning rate rises from near 0.
WARM_UP = 0.05

# _gating/score_rules.py
# Weight of the past in the running average of a unit's saliencies: a hundred batches.
AVERAGE_DECAY = 0.99

# _gating/layer.py
# Inputs that all stay are scored by one batch in so many: a ranking needs no more, and each costs time.
RANKING_INTERVAL = 8
# Inputs that know nothing, against which real ones must hold: of fewer the best is too easily beaten.
N_PROBES = 16
# The best of them is worth two to six times the middle one. Far more it is by one row only, of a column that
# is nearly constant; no real input could hold against that.
MOST_OF_A_PROBE = 4.0

# _gating/controller.py
# How often gates are moved in a run; more often changes no figure.
GATE_UPDATES = 250
# Share of the run, before gates close, in which units are observed: averages forget a hundred batches.
OBSERVED_BEFORE = 0.1

# _mlp/bucketing.py
# Starting the products of a network's training step takes as long as so many multiplications, on one core. Of
# 2e5 to 5e6 the fastest for jets, digits and tables of 100 inputs, with batches of 32 to 512 rows: within 2 %
# of the best at each.
STARTING_COST = 2e6

# _pruning/subnetwork_sampling.py
# Share of new weights in the networks of a frontier. Mean accuracy over 12 points and 4 seeds with a share of
# 0, a half and 1: mc100 .897 .901 .902, madelon .735 .737 .724, digits .953 .954 .952; jets .744 .744, and
# nearly two points less at 1. A run that ends in one network is better off without (madelon -1.5 points).
NEW_WEIGHTS_SHARE = 0.5
# How much wider than they shall end networks of a frontier start to train, if that takes at most so many
# multiplications. Mean gain of the smallest three, in points, if they start twice as wide: mc100 .5, digits
# .9. Three times was no better (mc100 .4), twice for those of up to 1000 multiplications worse (mc100 .1).
STARTING_WIDTH = 2
STARTING_WIDTH_UP_TO = 3000

# _pruning/iterative_pruning.py
# Shares of the population's training at which networks get narrower. A single stage at .15 gained nothing
# over cutting at once, two at .2 and .4 half as much as these.
PRUNING_STAGES = (0.1, 0.2, 0.3)
# Rows in one gradient of a network. The squares of sums over fewer rows tell less of units and more of rows.
ROWS_PER_GRADIENT = 128

# _pruning/distillation.py
# A network whose loss is above the least by this share of it has 1/e of the best one's weight as a teacher.
TEACHER_TEMPERATURE = 0.1
# Targets of a population are less noisy than labels, so that it bears larger steps. Of .6, 1, 1.5 and 2 times
# the usual rate 1.5 was the best for small networks on mc100, and no worse on jets, digits and madelon.
DISTILLATION_RATE = 1.5

# _training/losses.py
# Share of the mean prediction of all subnetworks in the target of each. With .35, .5, .65 and .8 the
# twelve sizes of madelon gained 2, 3, 4 and 6 points, of mc100 1, 1, 2 and 2; jets lost at .8, digits a
# little.
DISTILLATION_SHARE = 0.5

# _pruning/feature_elimination.py
# Inputs of each network as a share of those of the next larger one, and how many sizes there are.
ELIMINATION_STEP, ELIMINATION_SIZES = 0.8, 6
# Epochs as a share of the run's: weights are trained, only inputs have to be made up for. Twice as many found
# networks no smaller on jets; at a third of a population's rate they had two inputs more.
ELIMINATION_EPOCHS = 0.1

# _pruning/quantized_finetuning.py
FORMAT_UPDATE_EPOCHS = (2, 3, 5, 9)  # epochs, from 1
# Training through the rounding: epochs and learning rate as shares of those of the float network.
QUANTIZED_EPOCHS = 0.5
QUANTIZED_RATE = 0.1

# _budget/schedule.py
# Of deep networks not every set of layers can be tried: there are as many as subsets.
MOST_LAYERS_GONE = 3

# _budget/replaceable_units.py
# The first five of a layer have nothing to stand in for them, whatever they are. Where every layer stays the
# first of each layer count alike, the second too, to the fifth: all that is known goes through each layer.
# In a loop of one's own, points of test accuracy on digits with 100 and 300 multiplications: +19, +.3; where
# 20 of 40 inputs are sums of 8, with 200, +1.3; jets the same networks. With the first three +7, 0, 0.
IRREPLACEABLE = 5
# Inputs of which others tell more than half count for what is new in them, those of which they tell less in
# full. Points of test accuracy with budgets of 200, 400, 800 where 20 of 40 inputs are sums of 8: +4.9, +7.1,
# +2.7; jets with 150, 300, 600: +.1 each. Digits, whose inputs are half new or more, lose .7 points at
# 300 and 600 if all of them count for what is new. Jets with 80 lose .8 if no more than three count in full.
NEW_ENOUGH = 0.5
# Hidden units stand in for one another when one goes, if there are others: beyond the first five of a layer
# they count for half. Points of test accuracy on digits with budgets of 100, 170, 300, 600 and 1,200
# multiplications: -.6, +2.4, +1.6, +1.0, +.2 (16 seeds; standard errors .6, .8, .4, .2, .3). Half from the
# first on: -3.6 at 100, where few are left.
STAND_IN = 0.5
# What a layer does not let through is lost to all that come after it, what a later one makes of it can be
# learnt anew: from each hidden layer to the next a unit that has stand-ins counts for so much less. Points of
# test accuracy with .6 in place of 1: where 20 of 40 inputs are sums of 8, with budgets of 200, 400, 800, two
# tables, +2.1, +.6, +.4; digits with 100, 300, 600 +1.0, +.1, -.1; jets with 150, 300, 600 +.03, +.06, -.01;
# mc100 and Madelon the same within errors. With .5 +2.6, +1.1, +.3; jets with 600 -.05 (36 seeds; .03).
DEEPER = 0.6

# _budget/knapsack.py
# Units given up at once, as a share of the layer: far from the budget one at a time changes nothing. Bites of
# a sixth there save CPU time, but on digits at 1,200 multiplications cost 2.7 points.
GREEDY_STEP = 1 / 16

# _budget/input_redundancy.py
# Moves of the gates from one to the next at which inputs are compared: of 500, each comparison takes 5 ms.
REDUNDANCY_INTERVAL = 10
# Correlations are those of so many rows, or of so many for each input. Those of 2,000 inputs fill 32 MB.
ROWS_CORRELATED = 2**14
ROWS_PER_INPUT = 16
MOST_CORRELATED = 2000

# _estimator/base.py
# Runs after which a budget on hardware counts as impossible; each aims lower by what the last one measured.
BUDGET_ATTEMPTS = 3

# _estimator/model_selection.py
# Held-out rows of a class with which its losses are known to a tenth, and the share of an equal part below
# which a class is rare.
ENOUGH_ROWS, RARE_SHARE = 100, 0.5
# Share of the tolerance that hidden widths may use where feature elimination follows.
WIDTHS_SHARE = 0.5

# _estimator/tolerance.py
#: What "auto" calls equal in any case, as a share.
EQUAL_SHARE = 0.01

# _estimator/parameters.py
# Measured on jets, digits, madelon, mc100 and breast cancer; docs/explanation says how.
MIN_EPOCHS = 50
MIN_STEPS = 2000
PRIOR_ROWS = {"classification": 400, "regression": 100}  # weight decay as a prior that counts as so many
NOISE_PER_FEATURE = {"classification": 10.0, "regression": 2.5}

# _estimator/sizes.py
FRONTIER_POINTS = 12
# The largest network of a frontier costs so many times the smallest. Where the budget has to close further in
# the same time, the networks in between are worse: at 1,000 madelon lost five points.
FRONTIER_SPAN = 64
# Of a budget on hardware, whose cost widths only foretell, networks of these shares are trained side by
# side; the best that keeps the budget, once its own weights have been counted, is taken.
HARDWARE_LOADS = (1.3, 1.2, 1.12, 1.05, 0.98, 0.92, 0.86, 0.8, 0.73, 0.65, 0.5, 0.3)

# _estimator/hardware_budget.py
#: Bits of a network whose precision is still to be found.
TYPICAL_BITS = 8

# _estimator/calibration.py
CALIBRATION_ROWS = 4096

# _estimator/table.py
# Up to so many rows, equal rows become one row with the sum of their weights. A table this small is
# trained in one or a few batches, where a weight of 2 and a row given twice would otherwise differ
# by the order of additions and by how batches fall.
EQUAL_ROWS_MERGED_UP_TO = 1000
# With fewer validation rows their loss says nothing about the best epoch.
MIN_VALIDATION_ROWS = 20

# _training/dataset.py
# Rows from which the importance of units and nonlinearities is computed, and affine functions are fitted.
IMPORTANCE_ROWS = 2048

# fpga/_quantization/gptq.py
#: Share of the mean input power added to each: keeps rounding sane where few rows or copied inputs leave
#: the best weights undetermined. One hundredth is the value of Frantar et al. 2023.
GPTQ_DAMPING = 0.01

# fpga/_quantization/format_search.py
#: Widths tried for all signals at once, from which the search goes down.
FIRST_WIDTHS = (4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 18, 20)
#: Bits above the smallest sufficient common width from which the descent starts.
SEARCH_HEADROOM = 2
#: Fewest bits of a signal or weight.
FEWEST_BITS = 2
#: Rows on which the next step is chosen; whether it is allowed is decided on all rows.
RANKING_ROWS = 1024
#: Divergences that grow by less than this share count as equal.
SMALLEST_STEP = 0.01
#: Exchanges made at most, and pairs tried on all rows for each.
MOST_EXCHANGES, TRIED_EXCHANGES = 10, 5

# fpga/_quantization/fidelity.py
#: One-sided 99 % point of the normal distribution: a search takes the luckiest of about 60 plans.
CONFIDENCE = 2.326
#: Share of a tolerance that the loss of information may have. At 1, one signal in a hundred jets kept .993
#: and .947 of its efficiency at 1 % and .1 % background, at a quarter .998 and .979; on balanced jets the
#: formats were the same.
INFORMATION_SHARE = 0.5

# fpga/_quantization/qat.py
#: Bits of the weights while the formats of inputs and activations are searched: so many that only the
#: latter round.
WIDE_WEIGHTS = 16
#: Integer bits that a bias may grow by before formats are chosen again; they cost no hardware.
BIAS_HEADROOM = 2
#: What the formats of inputs and activations may lose before the finishing training: see `Fidelity`, or
#: squared error over variance.
FORMAT_TOLERANCE: dict[str, float] = {"classification": 0.01, "regression": 0.005}
#: Of decisions twice as many may change, and twice as much of the order be lost: the training makes up for
#: that. On balanced jets this saves 2 % of the look-up tables at equal accuracy (seeds 200 to 209: 2,860 for
#: 2,909 with 4 bits, 4,371 for 4,486 with 6), and with one signal in a hundred the efficiencies at 1 % and
#: .1 % stay within their errors (.562 .263 for .566 .258 with 4 bits).
FINETUNED_TOLERANCE = 2.0
#: Bits of weights that are left to the planner: with these, finishing lost nothing measurable.
QAT_WEIGHT_BITS = 8

# fpga/_quantization/planner.py
#: How many integer bits fewer than the largest value needs are tried.
CLIPPED_BITS = 3
#: Rows on which the binary points of a signal are compared, together with its smallest and largest values.
ERROR_ROWS = 1024
#: Stages kept by a planner, each with the calibration rows as they leave a layer.
KEPT_STAGES = 64
#: Fraction bits of the bias of a unit that no input reaches, a constant; more where it is small.
FREE_BIAS_FRACTION = 8
