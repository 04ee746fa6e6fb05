"""What can go wrong, as one tree of exceptions and one of warnings.

::

    ShadowNetError (Exception)
    ├── InvalidParameterError (also ValueError)     a constructor argument that cannot be
    ├── InvalidDataError (also ValueError)          rows, labels or weights that cannot be used
    ├── UnsupportedModuleError (also TypeError)     a PyTorch module that no shadow can be laid on
    ├── TrainingDivergedError (also RuntimeError)   the loss became NaN or infinite
    ├── ModelFileError (also ValueError)            a model that cannot be saved, or a file that is none
    ├── CheckpointError (also RuntimeError)         a folder of checkpoints that is of another fit
    ├── ExportError (also RuntimeError)             hardware, or another format, could not be written
    │   └── UnsupportedLayerError (also TypeError)  a layer or pipeline step with no form there, or here
    ├── MissingToolError (also RuntimeError)        a program or an optional package is not installed
    ├── DistributedError (also RuntimeError)        a process that trains along was lost, or does something
    else └── DownloadError (also OSError)                a public data set cannot be fetched

    ShadowNetWarning (UserWarning)
    ├── TrainingInterruptedWarning                  Ctrl-C: the best network so far was kept
    ├── CheckpointWarning                           a checkpoint could not be written, or is damaged
    ├── CalibrationWarning                          too few rows to know the ranges
    ├── FewRowsWarning                              too few held-out rows of a class to choose sizes by
    ├── CoarseInputsWarning                         an input's codes hardly tell its values apart
    ├── HardwareWarning                             the hardware will not do what the float network did
    └── VersionMismatchWarning                      a pickle of another version of this package
"""

from __future__ import annotations

__all__ = [
    "CalibrationWarning",
    "CheckpointError",
    "CheckpointWarning",
    "CoarseInputsWarning",
    "DistributedError",
    "DownloadError",
    "ExportError",
    "FewRowsWarning",
    "HardwareWarning",
    "InvalidDataError",
    "InvalidParameterError",
    "MissingToolError",
    "ModelFileError",
    "ShadowNetError",
    "ShadowNetWarning",
    "TrainingDivergedError",
    "TrainingInterruptedWarning",
    "UnsupportedLayerError",
    "UnsupportedModuleError",
    "VersionMismatchWarning",
]


class ShadowNetError(Exception):
    """Base of every error this package raises on purpose.

    Examples
    --------
    One name for all of them; `ValueError` and the like, of which they are kinds too, do as well:

    >>> from sk_shadownet import ShadowMLPClassifier
    >>> try:
    ...     ShadowMLPClassifier(max_epochs=0).fit([[0.0], [1.0]], [0, 1])
    ... except ShadowNetError as error:
    ...     print(type(error).__name__, isinstance(error, ValueError))
    InvalidParameterError True
    """


class InvalidParameterError(ShadowNetError, ValueError):
    """A parameter has a value outside its legal range.

    Examples
    --------
    >>> from sk_shadownet import ShadowMLPClassifier
    >>> ShadowMLPClassifier((8,), target_hidden_layer_sizes=(9,)).fit([[0.0], [1.0]], [0, 1])
    Traceback (most recent call last):
      ...
    sk_shadownet.exceptions.InvalidParameterError: target_hidden_layer_sizes[0]=9 exceeds the 8 units of ...
    """


class InvalidDataError(ShadowNetError, ValueError):
    """Rows, labels or weights that no network can be trained or run on.

    Examples
    --------
    >>> from sk_shadownet import ShadowMLPClassifier
    >>> ShadowMLPClassifier().fit([[0.0], [1.0]], ["top", "top"])
    Traceback (most recent call last):
      ...
    sk_shadownet.exceptions.InvalidDataError: ShadowMLPClassifier needs at least two classes in y, ...
    """


class UnsupportedModuleError(ShadowNetError, TypeError):
    """A PyTorch module, or a layer of it, whose units cannot be told apart or removed.

    Examples
    --------
    >>> from torch import nn
    >>> from sk_shadownet import ShadowNetwork
    >>> attention = nn.Sequential(nn.Linear(4, 8), nn.Softmax(dim=1), nn.Linear(8, 2))
    >>> ShadowNetwork(attention, target_hidden_layer_sizes=4)
    Traceback (most recent call last):
      ...
    sk_shadownet.exceptions.UnsupportedModuleError: Hidden layer 0, '0', cannot be pruned: '1' (Softmax) ...
    """


class TrainingDivergedError(ShadowNetError, RuntimeError):
    """The loss became NaN or infinite; the estimator was left unfitted.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sk_shadownet import ShadowMLPClassifier
    >>> ShadowMLPClassifier(learning_rate_init=1e30, max_epochs=5).fit(*load_iris(return_X_y=True))
    Traceback (most recent call last):
      ...
    sk_shadownet.exceptions.TrainingDivergedError: ...
    """


class ModelFileError(ShadowNetError, ValueError):
    """A model that cannot be saved as it is, or a file that is no saved model, or is none any more.

    Examples
    --------
    A file without pickle holds no code; a network with other parameters is the same network:

    >>> from sk_shadownet import ShadowMLPClassifier, load
    >>> def depth(architecture):
    ...     return len(architecture.widths)
    >>> clf = ShadowMLPClassifier(budget={depth: 4})
    >>> try:
    ...     clf.save("tagger.shadow")
    ... except ModelFileError as error:
    ...     print(str(error).split(",")[0])
    a key of ShadowMLPClassifier.budget is ...depth

    >>> try:
    ...     load("nothing.shadow")
    ... except ModelFileError as error:
    ...     print(str(error).split(". ")[0])
    nothing.shadow cannot be read: No such file or directory
    """


class CheckpointError(ShadowNetError, RuntimeError):
    """A folder of checkpoints is used by another fit, or holds an unfinished fit that differs from this one.

    Examples
    --------
    A fit that is ended by hand leaves its checkpoints. It goes on with the same parameters, columns and rows:

    >>> import tempfile, warnings
    >>> from skorch.callbacks import Callback
    >>> from sklearn.datasets import load_iris
    >>> from sk_shadownet import ShadowMLPClassifier
    >>> class Impatient(Callback):
    ...     def on_batch_begin(self, net, **kwargs):
    ...         if len(net.history) > 2:
    ...             raise KeyboardInterrupt
    >>> folder = tempfile.TemporaryDirectory()
    >>> parameters = {"max_epochs": 4, "checkpoint": folder.name, "checkpoint_seconds": 0}
    >>> clf = ShadowMLPClassifier((4,), callbacks=[Impatient()], **parameters)
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", TrainingInterruptedWarning)
    ...     clf = clf.fit(*load_iris(return_X_y=True))
    >>> try:
    ...     clf.set_params(learning_rate_init=0.1).fit(*load_iris(return_X_y=True))
    ... except CheckpointError as error:
    ...     print(str(error).split("this one: ")[1].split(".  ")[0][:39])
    learning_rate_init was 0.02 and is 0.1.
    """


class ExportError(ShadowNetError, RuntimeError):
    """A hardware project could not be written, compiled or emulated, or a network not be converted.

    Examples
    --------
    A folder that `to_fpga` did not write is left alone:

    >>> import tempfile, torch
    >>> from pathlib import Path
    >>> from sk_shadownet.fpga import to_fpga
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "thesis.tex").write_text("years of work")
    ...     to_fpga(torch.nn.Linear(2, 2), folder)
    Traceback (most recent call last):
      ...
    sk_shadownet.exceptions.ExportError: ...
    """


class UnsupportedLayerError(ExportError, TypeError):
    """A layer or a pipeline step has no exact form in what it is to be exported to or converted into.

    Examples
    --------
    >>> import torch
    >>> from sk_shadownet.fpga import to_fpga
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.GELU(), torch.nn.Linear(4, 2))
    >>> to_fpga(net, "firmware", X_calibration=torch.randn(200, 2).numpy())
    Traceback (most recent call last):
      ...
    sk_shadownet.exceptions.UnsupportedLayerError: ...
    """


class MissingToolError(ShadowNetError, RuntimeError):
    """A program or optional package is missing; the message names the command that brings it.

    Examples
    --------
    Programs and optional packages are looked for where they are needed, so it can come at any such place:

    >>> import tempfile, torch
    >>> from sk_shadownet.convert import to_onnx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     try:
    ...         _ = to_onnx(torch.nn.Sequential(torch.nn.Linear(2, 2)), f"{folder}/small.onnx")
    ...     except MissingToolError as error:
    ...         message = str(error)  # names 'pip install "sk-shadownet[onnx]"'
    """


class DistributedError(ShadowNetError, RuntimeError):
    """A process that trains along was lost, or was given something else; the estimator is unfitted.

    Examples
    --------
    The message names the process:

    >>> from sk_shadownet.exceptions import DistributedError, ShadowNetError
    >>> issubclass(DistributedError, ShadowNetError)
    True
    """


class DownloadError(ShadowNetError, OSError):
    """A public data set cannot be fetched: no internet, or not what was expected.

    Examples
    --------
    The public jets where there is internet, else the simulated ones, which are another data set:

    >>> from sk_shadownet.datasets import fetch_lhc_jets, load_lhc_jets
    >>> def jets():
    ...     try:
    ...         return fetch_lhc_jets()
    ...     except DownloadError:
    ...         return load_lhc_jets()
    >>> issubclass(DownloadError, OSError)
    True
    """


class ShadowNetWarning(UserWarning):
    """Base of every warning this package raises on purpose.

    Examples
    --------
    To make every warning of the package an error, as in a nightly job:

    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", ShadowNetWarning)
    ...     warnings.warn("ranges are guesses", CalibrationWarning)
    Traceback (most recent call last):
      ...
    sk_shadownet.exceptions.CalibrationWarning: ranges are guesses
    """


class TrainingInterruptedWarning(ShadowNetWarning):
    """Training was interrupted; the best network so far was kept.

    Examples
    --------
    Ctrl-C, here pressed by a callback after the fifth epoch:

    >>> import warnings
    >>> from skorch.callbacks import Callback
    >>> from sklearn.datasets import load_iris
    >>> from sk_shadownet import ShadowMLPClassifier
    >>> class Impatient(Callback):
    ...     def on_epoch_begin(self, net, **kwargs):
    ...         if len(net.history) > 5:
    ...             raise KeyboardInterrupt
    >>> X, y = load_iris(return_X_y=True)
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always", TrainingInterruptedWarning)
    ...     clf = ShadowMLPClassifier((8,), n_features_to_select=2, callbacks=[Impatient()]).fit(X, y)
    >>> clf.n_iter_, [warning.category.__name__ for warning in caught]
    (5, ['TrainingInterruptedWarning'])
    """


class CheckpointWarning(ShadowNetWarning):
    """A checkpoint could not be written, and the training goes on; or one is damaged, and left out.

    Examples
    --------
    A callback of skorch's records what no file without pickle can hold:

    >>> import tempfile, warnings
    >>> from skorch.callbacks import Callback
    >>> from sklearn.datasets import load_iris
    >>> from sk_shadownet import ShadowMLPClassifier
    >>> class Recorder(Callback):
    ...     def on_epoch_end(self, net, **kwargs):
    ...         net.history.record("recorder", self)
    >>> with warnings.catch_warnings(record=True) as caught, tempfile.TemporaryDirectory() as folder:
    ...     warnings.simplefilter("always", CheckpointWarning)
    ...     clf = ShadowMLPClassifier(
    ...         (4,), max_epochs=2, callbacks=[Recorder()], checkpoint=folder, checkpoint_seconds=0
    ...     ).fit(*load_iris(return_X_y=True))
    >>> [warning.category.__name__ for warning in caught]
    ['CheckpointWarning']
    """


class CalibrationWarning(ShadowNetWarning):
    """The calibration rows are too few to know the range of every value.

    Examples
    --------
    >>> import tempfile, torch, warnings
    >>> from sk_shadownet.fpga import to_fpga
    >>> rows = torch.randn(20, 2, generator=torch.Generator().manual_seed(0)).numpy()
    >>> with warnings.catch_warnings(record=True) as caught, tempfile.TemporaryDirectory() as folder:
    ...     warnings.simplefilter("always", CalibrationWarning)
    ...     _ = to_fpga(torch.nn.Linear(2, 2), f"{folder}/firmware", precision=6, X_calibration=rows)
    >>> [warning.category.__name__ for warning in caught]
    ['CalibrationWarning']
    """


class FewRowsWarning(ShadowNetWarning):
    """Sizes were chosen although few of the held-out rows are of a rare class.

    Examples
    --------
    A size is left to the data, and the tenth of the rows that is held out has five of the class "signal":

    >>> import numpy as np, warnings
    >>> from sk_shadownet import ShadowMLPClassifier
    >>> X = np.random.default_rng(0).normal(size=(1000, 3))
    >>> y = np.where(X[:, 0] > np.sort(X[:, 0])[-50], "signal", "background")
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always", FewRowsWarning)
    ...     clf = ShadowMLPClassifier((4,), target_hidden_layer_sizes="auto", max_epochs=2).fit(X, y)
    >>> [warning.category.__name__ for warning in caught]
    ['FewRowsWarning']
    """


class CoarseInputsWarning(ShadowNetWarning):
    """Nearly all rows of a column of floats have one code, so that a table network learns little from it.

    Examples
    --------
    A few of a column's values are far from all others, which four bits cannot tell apart then:

    >>> import numpy as np, warnings
    >>> from sk_shadownet import ShadowTableClassifier
    >>> X = np.random.default_rng(0).normal(size=(4000, 2))
    >>> y = X[:, 0] > 0
    >>> X[:, 1] = 0.0
    >>> X[:3, 1] = 0.1, 0.2, 1e6
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always", CoarseInputsWarning)
    ...     clf = ShadowTableClassifier((2,), input_bits=4, max_epochs=1).fit(X, y)
    >>> "1 columns: 1." in str(caught[0].message)
    True
    """


class HardwareWarning(ShadowNetWarning):
    """The hardware will differ from the float network in a way worth knowing.

    Examples
    --------
    Rows that are nothing like those that the ranges were planned for:

    >>> import tempfile, torch, warnings
    >>> from sk_shadownet.fpga import to_fpga
    >>> rows = torch.randn(200, 2, generator=torch.Generator().manual_seed(0)).numpy()
    >>> with warnings.catch_warnings(record=True) as caught, tempfile.TemporaryDirectory() as folder:
    ...     warnings.simplefilter("always", HardwareWarning)
    ...     net = torch.nn.Linear(2, 2)
    ...     fpga = to_fpga(net, f"{folder}/fw", backend="verilog", precision=6, X_calibration=rows)
    ...     _ = fpga.predict(1000 * rows)
    >>> [warning.category.__name__ for warning in caught]
    ['HardwareWarning']
    """


class VersionMismatchWarning(ShadowNetWarning):
    """A pickle was stored by another version of this package than the one that loads it.

    Examples
    --------
    Pickles are for the version that stored them. A network that is to last goes into ONNX, or becomes one
    of Keras or scikit-learn, with `sk_shadownet.convert`. A service that refuses what it may not understand:

    >>> import pickle, warnings
    >>> from sk_shadownet import ShadowMLPClassifier
    >>> stored = pickle.dumps(ShadowMLPClassifier())
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", VersionMismatchWarning)
    ...     clf = pickle.loads(stored)
    """
