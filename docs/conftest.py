"""Pages whose examples need what is installed in few places are skipped, and said to be, elsewhere."""

from importlib.util import find_spec

import pytest

NEEDS = {"mlflow.rst": "mlflow", "optuna.rst": "optuna"}


def pytest_runtest_setup(item):
    package = NEEDS.get(item.path.name)
    if package is not None and find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
