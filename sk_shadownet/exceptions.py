"""What can go wrong, as one tree of exceptions and one of warnings.

::

    ShadowNetError (Exception)
    ├── InvalidParameterError (also ValueError)     a constructor argument that cannot be
    ├── InvalidDataError (also ValueError)          rows, labels or weights that cannot be used
    ├── UnsupportedModuleError (also TypeError)     a PyTorch module that no shadow can be laid on
    ├── TrainingDivergedError (also RuntimeError)   the loss became NaN or infinite
    ├── ExportError (also RuntimeError)             hardware, or another format, could not be written
    │   └── UnsupportedLayerError (also TypeError)  a layer or pipeline step with no form there, or here
    ├── MissingToolError (also RuntimeError)        a program or an optional package is not installed
    └── DownloadError (also OSError)                a public data set cannot be fetched

    ShadowNetWarning (UserWarning)
    ├── TrainingInterruptedWarning                  Ctrl-C: the best network so far was kept
    ├── CalibrationWarning                          too few rows to know the ranges
    └── HardwareWarning                             the hardware will not do what the float network did
"""

from __future__ import annotations

__all__ = [
    "CalibrationWarning",
    "DownloadError",
    "ExportError",
    "HardwareWarning",
    "InvalidDataError",
    "InvalidParameterError",
    "MissingToolError",
    "ShadowNetError",
    "ShadowNetWarning",
    "TrainingDivergedError",
    "TrainingInterruptedWarning",
    "UnsupportedLayerError",
    "UnsupportedModuleError",
]


class ShadowNetError(Exception):
    """Base of every error this package raises on purpose."""


class InvalidParameterError(ShadowNetError, ValueError):
    """A parameter has a value outside its legal range."""


class InvalidDataError(ShadowNetError, ValueError):
    """Rows, labels or weights that no network can be trained or run on."""


class UnsupportedModuleError(ShadowNetError, TypeError):
    """A PyTorch module, or a layer of it, whose units cannot be told apart or removed."""


class TrainingDivergedError(ShadowNetError, RuntimeError):
    """The loss became NaN or infinite; the estimator was left unfitted."""


class ExportError(ShadowNetError, RuntimeError):
    """A hardware project could not be written, compiled or emulated, or a network not be converted."""


class UnsupportedLayerError(ExportError, TypeError):
    """A layer or a pipeline step has no exact form in what it is to be exported to or converted into."""


class MissingToolError(ShadowNetError, RuntimeError):
    """A program or optional package is missing; the message names the command that brings it."""


class DownloadError(ShadowNetError, OSError):
    """A public data set cannot be fetched: no internet, or not what was expected."""


class ShadowNetWarning(UserWarning):
    """Base of every warning this package raises on purpose."""


class TrainingInterruptedWarning(ShadowNetWarning):
    """Training was interrupted; the best network so far was kept."""


class CalibrationWarning(ShadowNetWarning):
    """The calibration rows are too few to know the range of every value."""


class HardwareWarning(ShadowNetWarning):
    """The hardware will differ from the float network in a way worth knowing."""
