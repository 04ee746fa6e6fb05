"""Rounding of a layer's weights so that the errors of one make up for those of the others."""

from __future__ import annotations

import numpy as np

from sk_shadownet._typing import FloatArray
from sk_shadownet.fpga._quantization.formats import FixedFormat

# Share of the mean input power added to each: Frantar et al. 2023, section 3.3.
GPTQ_DAMPING = 0.01


def compensated_rounding(
    a: FloatArray, target: FloatArray, weight: FloatArray, bias: FloatArray, fmt: FixedFormat
) -> tuple[FloatArray, FloatArray]:
    """Weights of ``fmt``, and a bias that is not rounded yet, that bring ``a W^T + b`` close to ``target``.

    ``a``, shape (n_rows, n_inputs), comes in from the fixed-point layers before; ``target``, shape
    (n_rows, n_outputs), are the sums of the float network, whose weight and bias are given.

    With ``A`` the rows and a last column of ones, ``V = [W b]`` minimises
    ``|A V^T - target|^2 / n + lambda |W - weight|^2``; then, column by column in order of falling input
    power, a weight is rounded and the columns still free take over its error ``d`` by
    ``V_k -= d U_jk / U_jj``, ``U`` the upper Cholesky factor of the inverse of ``A^T A / n + lambda``. The
    bias comes last and takes over what is left of the mean error.

    Frantar, Ashkboos, Hoefler, Alistarh 2023, "GPTQ", algorithm 1. Departures: the target is the float
    network's sum, not the layer's own on changed inputs; the bias takes part.
    """
    n_rows, n_inputs = a.shape
    power = (a**2).mean(axis=0)
    order = np.argsort(-power, kind="stable")
    rows = np.hstack([a[:, order], np.ones((n_rows, 1))])
    damping = np.full(n_inputs + 1, GPTQ_DAMPING * max(float(power.mean()), 1e-12))
    damping[-1] = 1e-12
    hessian = rows.T @ rows / n_rows + np.diag(damping)
    start = np.hstack([weight[:, order], bias[:, None]])
    residual = target - rows @ start.T
    values = start + np.linalg.solve(hessian, rows.T @ residual / n_rows).T
    upper = np.linalg.cholesky(np.linalg.inv(hessian)).T
    rounded = np.empty_like(weight)
    for j, column in enumerate(order):
        rounded[:, column] = fmt[:, column].quantize(values[:, j])
        error = (values[:, j] - rounded[:, column]) / upper[j, j]
        values[:, j + 1 :] -= np.outer(error, upper[j, j + 1 :])
    return rounded, values[:, -1]
