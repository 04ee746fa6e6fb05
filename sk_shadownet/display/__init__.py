"""Pictures of what was learnt, in scikit-learn's convention.

``XDisplay.from_estimator(...)`` draws and returns a display, which holds the data it drew and, as ``ax_`` and
``figure_``, where. ``plot(ax=...)`` draws the data again, anywhere. Colours and fonts are those of your own
``matplotlib.rcParams``; no style is changed and no window is opened. Needs matplotlib:
``pip install "sk-shadownet[plot]"``.
"""

from sk_shadownet.display._architecture_display import ArchitectureDisplay
from sk_shadownet.display._frontier_display import FrontierDisplay
from sk_shadownet.display._precision_display import PrecisionDisplay
from sk_shadownet.display._resource_display import ResourceDisplay
from sk_shadownet.display._roc_curve import RocCurve
from sk_shadownet.display._roc_display import RocDisplay
from sk_shadownet.display._selection_display import SelectionDisplay
from sk_shadownet.display._shrinkage_display import ShrinkageDisplay
from sk_shadownet.display._table_display import TableDisplay

__all__ = [
    "ArchitectureDisplay",
    "FrontierDisplay",
    "PrecisionDisplay",
    "ResourceDisplay",
    "RocCurve",
    "RocDisplay",
    "SelectionDisplay",
    "ShrinkageDisplay",
    "TableDisplay",
]
