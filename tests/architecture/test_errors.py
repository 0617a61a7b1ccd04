"""All errors of the project form one tree, which scaler/errors.py shows."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest

import scaler
import scaler.errors
import training
import training.errors
from scaler.errors import HeadwayError

INTERNAL = {
    "scaler.status.tried.TooLarge": "becomes the status 413",
    "scaler.status.tried.NotNow": "becomes the status 429 or 503",
    "scaler.status.inspecting.CannotInspect": "becomes the status 503",
    "scaler.store.watched_rows.Unusable": "becomes the reason of a quarantined row",
    "scaler.page.asking.Moved": "becomes a redirect",
    "scaler.page.asking.Refused": "becomes a page that says what is wrong",
    "scaler.status.model_changes.ChangeFaulty": "becomes an answer that says what is wrong",
    "scaler.status.models.NoSuchModel": "becomes a 404",
    "scaler.status.requests.RequestRefused": "becomes an answer that says what is wrong",
    "scaler.trigger.values.Refused": "becomes a Fault",
    "training.replay.input.scaled_object._Wrong": "becomes a Usage",
    "training.data.pull._NothingToWrite": "never leaves its file",
}
"""exceptions that no caller outside of their package sees"""

NEEDS_TRAINING = {"torch", "pandas", "xgboost", "prophet", "onnx", "onnxscript"}


def modules() -> Iterator[str]:
    for package in (scaler, training):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if "migrations" not in found.name:
                yield found.name


def exceptions(module: str) -> Iterator[type[Exception]]:
    try:
        imported = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in NEEDS_TRAINING:
            raise
        return
    for _, found in inspect.getmembers(imported, inspect.isclass):
        if issubclass(found, Exception) and found.__module__ == module:
            yield found


@pytest.mark.parametrize("module", list(modules()))
def test_every_exception_belongs_to_the_tree(module: str) -> None:
    """So one `except HeadwayError` catches whatever we say in our own words. The scaler's are named in the tree."""
    for found in exceptions(module):
        if f"{module}.{found.__qualname__}" in INTERNAL:
            continue
        assert issubclass(found, HeadwayError)
        if module.startswith("scaler."):
            assert found.__name__.startswith("_") or found.__name__ in (scaler.errors.__doc__ or "")
        else:
            assert found.__doc__
