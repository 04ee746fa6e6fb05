"""Running a plain network over many rows, block by block."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from sk_shadownet._system.threads import thread_limit
from sk_shadownet._training.dataset import as_tensor
from sk_shadownet._typing import Float32Array, FloatArray, IndexArray

# Rows of one block: inputs and activations stay within a core's cache.
BLOCK_ROWS = 2048


def predict_in_blocks(
    module: nn.Sequential,
    X: Float32Array,
    columns: IndexArray,
    link: Callable[[Tensor], Tensor] | None = None,
) -> FloatArray:
    """Outputs of `module`, or `link` of them.

    All blocks have the same shape, the last one being filled up: a product of matrices rounds a row
    differently in blocks of different shapes, and so a row's outputs would depend on its company.

    `module` has linear layers, and activations that work element by element; `columns` are the features that
    it reads. `link` takes outputs of shape (n_outputs, n_rows) and gives float64 of that shape.
    """
    wanted = torch.from_numpy(columns)
    linear = [layer for layer in module if isinstance(layer, nn.Linear)]
    outputs = np.empty((len(X), linear[-1].out_features))
    widest = max(layer.weight.numel() for layer in linear)
    # Within the caller's autocast the answers would be of half the digits.
    with torch.no_grad(), torch.autocast("cpu", enabled=False), thread_limit(widest * BLOCK_ROWS):
        for start in range(0, len(X), BLOCK_ROWS):
            rows = as_tensor(X[start : start + BLOCK_ROWS]).index_select(1, wanted)
            block = nn.functional.pad(rows, (0, 0, 0, BLOCK_ROWS - len(rows)))
            result = _propagate(module, block.T.contiguous())
            result = result.double() if link is None else link(result)
            outputs[start : start + BLOCK_ROWS] = result.T[: len(rows)].numpy()
    return outputs


def _propagate(module: nn.Sequential, x: Tensor) -> Tensor:
    """What `module` computes, with rows as columns: narrow layers multiply several times faster that way."""
    for layer in module:
        x = torch.addmm(layer.bias[:, None], layer.weight, x) if isinstance(layer, nn.Linear) else layer(x)
    return x


def probabilities(logits: Tensor) -> Tensor:
    """Softmax over the first axis; sums are 1 in double precision."""
    shares = (logits - logits.amax(dim=0)).exp_().double()
    return shares.div_(shares.sum(dim=0))
