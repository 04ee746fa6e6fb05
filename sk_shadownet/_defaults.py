"""Every tuned number of the method, with what it does and what it was measured by.

"Worth" is what `python examples/benchmarks/ablation.py NAME` prints: points of test accuracy (R² on tracks)
with the number less those with its neutral value, mean over tables and seeds ± its standard error. The whole
print is docs/results/ablation.txt. Bounds on memory and time, facts of formats and quantiles of tests stand
beside their code.
"""

from __future__ import annotations

# ---- How long a fit trains, and what keeps it from learning the rows by heart -----------------------------

# Epochs, at least; small tables take more, until they have made the steps. One epoch, as many as the steps
# need, costs "auto" .8 ± .1 points on jets. No steps, 50 epochs whatever the table, costs 1.1 ± .6 points on
# digits, breast cancer, wine and iris (ten seeds from 600), of which iris 3.3 ± 1.9; with five from 300 -.4 ±
# .5.
MIN_EPOCHS = 50
MIN_STEPS = 2000
# Epochs of a fit that leaves one small network, which costs little from then on: it searches for as many as
# one of 50, and trains that network three times as long. Together with the shorter window below worth .5 ± .2
# points, for 25 ± 2 % more time. Twelve networks side by side would take 1.9 times the time; one that stays
# wide loses .3 points on jets.
SHRINKING_EPOCHS = 100
# Weight decay is a prior that counts as so many rows. Worth .6 ± .2 points, on mc100 1.9 ± .5. With 400 of
# regression, too, tables of 5,000 rows are the same, tracks of 600 rows lose 7 ± 5 points.
PRIOR_ROWS = {"classification": 400, "regression": 100}
# Variance of the noise on the inputs of a classifier while they are being chosen, times rows over features.
# Worth 1.0 ± .6 points: 4.9 ± 2.0 on madelon, -.3 ± .04 on jets.
NOISE_PER_FEATURE = 10.0
# Share of each part of a training in which the learning rate rises from near 0. Worth .5 ± .5 points to what
# "auto" chooses, on madelon .8 ± .7 over its frontier (on other seeds .7 ± .3); nothing to exact sizes.
WARM_UP = 0.05

# ---- When gates close, and how ----------------------------------------------------------------------------

# Shares of a run at which gates begin to close, and at which the best units are kept for good. Windows of
# their own for inputs (.1, .5), hidden units (.3, .5) and budgets (.1, .4) were worth -.06 ± .19 points in
# 47 fits of exact sizes, budgets and loops of one's own. From .1 to .25, loops of 40 epochs lose .3 ± .1
# points on jets and 2.5 ± .5 on sums of inputs within larger budgets.
PRUNING_WINDOW = (0.2, 0.5)
# A fit's window is half as long where it still ends after so many steps, ten memories of the average below:
# the small network costs little, and trains longer. That saves 31 ± 1 % of the time and no points (-.1 ± .2).
# With fewer steps half as long a window loses: fits of 10 epochs 6.3 ± 1.9 points.
SHORTEST_WINDOW, SEARCH_STEPS = 0.5, 1000
# Temperatures of the gates at the start and at the end of the closing, in units of the scores. A start at
# COLD is as good with the rule "fisher" (-.1 ± .2 points); the rule "gradient", which learns nothing by
# gates that are all but 0 or 1, loses 4.2 ± 1.2 points on madelon. An end at HOT, gates soft until they are
# cut, costs .2 ± .5, on other seeds .5 ± .2.
HOT, COLD = 2.0, 0.05

# ---- What a unit is worth ---------------------------------------------------------------------------------

# Weight of the past in the running average of a unit's saliencies: a hundred batches. The last batch alone
# costs budgets 5.4 ± 1.5 points on digits and 6.3 ± 1.1 on madelon; for exact sizes it is as good.
AVERAGE_DECAY = 0.99
# Inputs that know nothing, against which real ones must hold where their number is left open. Without any,
# budgets lose 21 ± 1 points on madelon and 9 ± 0 on mc100; of four the best is too easily beaten, which
# costs madelon 4.5 ± 2.2. Of table networks, which judge their inputs once, none costs mc100 3 points within
# 1,000 look-up tables and 10 within 4,000 (two seeds); jets lose nothing by them.
N_PROBES = 16
# The best of them is worth two to six times the middle one. Far more it is by one row only, of a column that
# is nearly constant; no real input could hold against that. On digits worth 2.1 ± 1.4 points with 1,200
# multiplications and .9 ± .8 with 300; no network of mc100 and redundant changes.
MOST_OF_A_PROBE = 4.0
# Rows by which units, straight lines, correlations and formats are compared. 512 of the first two, or all
# 4,096 for formats, change nothing beyond the error.
IMPORTANCE_ROWS = 2048

# ---- What a budget buys -----------------------------------------------------------------------------------

# The best five units of a layer have nothing to take their place, and where every layer stays they count as
# much as in the layer where they are worth most: all that is known goes through each layer. In a loop of
# one's own worth 22 ± 7 points on digits with 100 multiplications.
IRREPLACEABLE = 5
# Other hidden units take the place of one that goes: beyond the first five a unit counts for half in the
# first hidden layer, for half of that in the next, and so on. What a layer does not let through is lost to
# all that come after it, what a later one makes of it can be learnt anew. Worth .2 ± .4 points, on other
# seeds .7 ± .5; none of both loses 5.8 ± 2.2. 1 - R² of the activations in place of both
# loses .5 ± .2 points on jets with 80 multiplications, 3.3 ± 2.1 on digits with 100, 1.7 ± .7 and 1.9 ± 1.1
# on redundant with 400 and 800.
STAND_IN = 0.5

# Inputs of which others tell more than half count for what is new in them, all others in full. If all count
# for what is new, digits lose .8 ± .4 points at 600 multiplications; at 300 nothing, on other seeds 1.1 ± .4.
NEW_ENOUGH = 0.5

# ---- Many sizes from one run ------------------------------------------------------------------------------

# How many times the smallest network of a frontier the largest costs. At a span of 1,000 the budget has to
# close so fast that madelon lost five points. With 256, frontiers lose 3.8 ± 1.0 points in the mean over
# their sizes, which are smaller, and what is chosen is as good.
FRONTIER_SPAN = 64
# How much wider than they shall end they start to train, if that takes at most so many multiplications.
# Worth .3 ± .1 points; without the limit frontiers lose .1 ± .04 and take 7 ± 5 % more time.
STARTING_WIDTH = 2
STARTING_WIDTH_UP_TO = 3000
# Shares of their training at which they get narrower. A single stage costs what is chosen .3 ± .2 points.
PRUNING_STAGES = (0.1, 0.2, 0.3)
# Share of what all say together in what each learns (deep mutual learning, Zhang et al. 2018). Worth 1.2 ±
# .4 points, on madelon 3.0 ± .3.
DISTILLATION_SHARE = 0.5
# One whose loss is above the least by this share of it has 1/e of the best one's say. Equal say costs .7 ±
# .2.
TEACHER_TEMPERATURE = 0.1

# ---- Which size is chosen ---------------------------------------------------------------------------------

# What "auto" calls equal in any case, as a share. Buys 85 ± 14 % of the size, for .3 ± .2 points.
EQUAL_SHARE = 0.01
# Share of the tolerance that hidden widths may use where inputs are eliminated after them. All of it leaves
# networks a third smaller, with 4 ± 4 % more inputs, of the same accuracy on digits and jets; of a rare
# signal (trigger.py choices) their exports lose .023 ± .010 of the efficiency at 1 % background.
WIDTHS_SHARE = 0.5
# Inputs of each network as a share of those of the next larger one, and how many sizes there are. With a
# step of .5 the chosen network reads 23 ± 8 % more inputs, with one size 29 ± 7 %.
ELIMINATION_STEP, ELIMINATION_SIZES = 0.8, 6
# Epochs of these networks, and of one in fixed point, as a share of the run's. Half of the run's takes 2.5
# times the time, for nothing; a twentieth leaves "auto" with 19 ± 6 % more inputs.
FINETUNING_EPOCHS = 0.2

# ---- Training through the rounding ------------------------------------------------------------------------

# Learning rate as a share of that of the float network. The whole rate costs .2 ± .1.
QUANTIZED_RATE = 0.1
# Bits of weights whose precision is left open, while it is still to be found and where this training
# follows.
WEIGHT_BITS = 8
# What the formats of inputs and activations may lose before the training: see `Fidelity`, or squared error
# over variance. Of decisions and order the training makes up for twice as much, which buys 17 ± 3 % of the
# look-up tables. .01 of numbers costs tracks .4 ± .1 points and buys 7 ± 1 %.
FORMAT_TOLERANCE: dict[str, float] = {"classification": 0.01, "regression": 0.005}
FINETUNED_TOLERANCE = 2.0

# ---- Formats of a trained network -------------------------------------------------------------------------

# How many integer bits fewer than the largest value needs are tried. Worth .7 ± .2 points on jets of 3 bits
# and .6 ± .4 on tracks of 4; with more bits nothing, for 9 ± 2 % of the look-up tables.
CLIPPED_BITS = 3
# Share of a tolerance that the loss of information may have. On jets with 1 % signal the whole kept .993
# and .947 of the efficiency at 1 % and .1 % background, a quarter .998 and .979.
INFORMATION_SHARE = 0.5
# Rows that know the ranges and that a format is judged on.
CALIBRATION_ROWS = 4096
# Exchanges of a bit between two signals that are tried on all rows, of those that save. One costs 1.5 ± .9 %
# look-up tables; none at all cost 6.3 ± 3.5 %.
TRIED_EXCHANGES = 5

# ---- Budgets on hardware ----------------------------------------------------------------------------------

# Of a budget whose cost widths only foretell, networks from the first of these shares to the last are trained
# side by side; the best that keeps it, once its own weights have been counted, is taken. Twelve shares chosen
# by hand in place of equal ratios were worth -.2 ± 1.2 points. From 1 on digits lose 1.9 ± 2.5; and a margin
# above the budget is what shows that it was not left unspent.
HARDWARE_SHARES = (1.3, 0.3)

# ---- Table networks ---------------------------------------------------------------------------------------

# "Worth" is what ablation.py prints: jets within 300 look-up tables, digits within 1,000. Else points are of
# accuracy on 10,000 rows of the jets' training part, held out, mean of one to four seeds; between seeds they
# vary by .2.

# The penalty on tables counts as so many rows. Worth 47 ± 12 points. 1.5 cost .2 points at 300 and 1,200
# look-up tables, 20 cost .8 at 300 and .2 at 1,200.
TABLE_PRIOR_ROWS = 5.0
# By what factor the penalty grows from one grid of hats to the next finer one. Worth 2.9 ± .9 points, 5.6 ±
# .1 on jets. Other values were not compared.
TABLE_ROUGHNESS = 4.0
# How many times what is lost by rounding counts next to what is lost by closing edges: survivors make up for
# closed edges. Worth 1.0 ± .2 points. 5 cost .8 at 300 look-up tables, 50 are as good.
TABLE_ROUNDING_SHARE = 16.0
# The same of what a table knows of its code's lowest bit, without which it takes half the look-up tables.
# Worth .3 ± .1 points.
# With 2, 300 look-up tables lost .02 of the loss on the rows held out; 16 was between (two seeds, before
# slopes of coarse tables were smoothed). With 8, coarse tables and clips by registers together lower that
# loss from .757 .725 .709 .704 to .739 .720 .706 .700 at 300, 500, 800, 1,200; at 2,000 there is no
# difference.
TABLE_COARSE_SHARE = 8.0
# Steps of a training, whatever the rows. Half as many cost .2 ± .2 points, and .2 and more from 800 look-up
# tables on; 1.6 times as many are as good at 300 and 1,200.
TABLE_STEPS = 9000
# Shares of the run from which codes are looked up and edges close, and at which edges and steps are as they
# will stay. Worth .4 ± .25 points next to (.1, .6); (.25, .75) cost .1.
TABLE_WINDOW = (0.1, 0.75)
