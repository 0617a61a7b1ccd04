"""How commands reach Prometheus, or the index of models: by the settings of `headway serve` that name them."""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import typer

from scaler.settings import load_settings
from scaler.settings.options import settings_options

SERVER_FLAGS = (
    "config",
    "prometheus",
    "prometheus_username",
    "prometheus_password_file",
    "prometheus_bearer_token_file",
    "prometheus_certificate_file",
    "prometheus_key_file",
    "prometheus_ca_file",
    "prometheus_tenant",
    "prometheus_tenant_header",
    "prometheus_method",
)


INDEX_FLAGS = ("config", "database", "data_dir", "installation", "bundle")
"""where the index of models and the bundles are"""


def with_server_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """`command` with its parameter `settings` made from these flags, their environment variables and the file."""
    return _with_flags(command, SERVER_FLAGS)


def with_all_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """The same with both."""
    return _with_flags(command, tuple(dict.fromkeys((*SERVER_FLAGS, *INDEX_FLAGS))))


def with_index_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """The same with the flags that say where the index of models is."""
    return _with_flags(command, INDEX_FLAGS)


def _with_flags(command: Callable[..., Any], names: Sequence[str]) -> Callable[..., Any]:
    @functools.wraps(command)
    def run(**given: Any) -> Any:
        flags = {name: given.pop(name) for name in names}
        return command(settings=load_settings(flags), **given)

    own = [p for p in inspect.signature(command).parameters.values() if p.name != "settings"]
    options = [option for option in settings_options() if option.name in names]
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + options
    del run.__wrapped__  # inspect would look through to the command's own signature
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run


def on_command_line(context: typer.Context, parameter: str) -> bool:
    """Whether the flag was given, and does not stand in the environment or the settings file alone."""
    source = context.get_parameter_source(parameter)
    return source is not None and source.name == "COMMANDLINE"
