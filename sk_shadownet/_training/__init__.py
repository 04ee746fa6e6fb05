"""Training: the only room that knows skorch."""

from sk_shadownet._training._finishing import finish
from sk_shadownet._training._loss import LOSSES, CrossEntropy, Loss, PointLoss
from sk_shadownet._training._points import Comparison, Point, Trained, compare
from sk_shadownet._training._rows import Rows, as_tensor
from sk_shadownet._training._run import Run, train
from sk_shadownet._training._thinning import thin

__all__ = [
    "LOSSES",
    "Comparison",
    "CrossEntropy",
    "Loss",
    "Point",
    "PointLoss",
    "Rows",
    "Run",
    "Trained",
    "as_tensor",
    "compare",
    "finish",
    "thin",
    "train",
]
