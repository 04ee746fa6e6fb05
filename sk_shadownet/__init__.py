"""Neural networks that train themselves down to the size an FPGA can hold."""

from sk_shadownet.architecture import Architecture
from sk_shadownet.classifier import ShadowMLPClassifier
from sk_shadownet.regressor import ShadowMLPRegressor

__all__ = ["Architecture", "ShadowMLPClassifier", "ShadowMLPRegressor", "__version__"]

__version__ = "0.1.0"
