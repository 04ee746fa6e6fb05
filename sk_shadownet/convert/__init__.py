"""Trained networks of Keras, ONNX and scikit-learn as plain torch, and small networks back into these.

Weights are kept, and so are outputs, up to the rounding of float32. What comes in is an ``nn.Sequential`` of
fully connected layers, float32, on the CPU, in evaluation mode: call its ``train()`` before training it.
Keras and ONNX are optional: ``pip install "sk-shadownet[keras,onnx]"``.
"""

from sk_shadownet._saving.skops_files import register_with_skops
from sk_shadownet.convert._from_keras import from_keras
from sk_shadownet.convert._from_onnx import from_onnx
from sk_shadownet.convert._from_sklearn import from_sklearn
from sk_shadownet.convert._to_keras import to_keras
from sk_shadownet.convert._to_onnx import to_onnx
from sk_shadownet.convert._to_sklearn import to_sklearn

__all__ = [
    "from_keras",
    "from_onnx",
    "from_sklearn",
    "register_with_skops",
    "to_keras",
    "to_onnx",
    "to_sklearn",
]
