"""Command line options made from the fields of Settings, so that nothing is declared twice."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

from pydantic.fields import FieldInfo

from scaler.settings.fields import ENVIRONMENT_PREFIX, IN_FILE_ONLY, Settings, load_settings
from scaler.settings.rules import written
from scaler.settings.values import duration_text


def with_settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`command` with its parameter `settings` replaced by one command line option per field of Settings.

        @app.command()
        @with_settings_options
        def serve(settings: Settings) -> None: ...

    Its other parameters stay as they are. SettingsError (every fault in its text) is raised before the command runs.
    """

    @functools.wraps(command)
    def run(**values: Any) -> Any:
        flags = {name: values.pop(name) for name in flag_fields()}
        return command(settings=load_settings(flags), **values)

    own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "settings"]
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + settings_options()
    del run.__wrapped__  # inspect would look through to the command's own signature
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run


def settings_options() -> list[inspect.Parameter]:
    """One typer option per field, each as text: the fields parse, so every source has the same rules and messages."""
    import typer  # the command line alone needs it

    options = []
    for name, field in flag_fields().items():
        option = typer.Option(flag(name), help=help_text(field), metavar=placeholder(field), show_default=False)
        kind: Any = list[str] | None if is_repeatable(field) else str | None
        annotation = Annotated[kind, option]
        options.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation))
    return options


def flag_fields() -> dict[str, FieldInfo]:
    """The fields that have a flag and an environment variable, in their order."""
    return {name: field for name, field in Settings.model_fields.items() if name not in IN_FILE_ONLY}


def flag(name: str) -> str:
    """The field's command line flag, as `--refresh-interval`."""
    return "--" + written(name)


def environment_variable(name: str) -> str:
    """The field's environment variable, as `HEADWAY_REFRESH_INTERVAL`."""
    return ENVIRONMENT_PREFIX + name.upper()


def help_text(field: FieldInfo) -> str:
    """The meaning of the field, and its default if it has one."""
    default = default_text(field)
    return f"{field.description} Default: {default}." if default else str(field.description)


def default_text(field: FieldInfo) -> str:
    """The default as text; empty if there is none."""
    if isinstance(field.default, float):
        return duration_text(field.default)
    if isinstance(field.default, bool):
        return str(field.default).lower()
    if isinstance(field.default, tuple):
        return ", ".join(map(str, field.default))
    return "" if field.default in (None, "") else str(field.default)


def is_repeatable(field: FieldInfo) -> bool:
    """Whether the flag can be repeated."""
    return isinstance(field.default, tuple)


def placeholder(field: FieldInfo) -> str:
    """The placeholder of the value in a usage text, as `DURATION`."""
    extra = field.json_schema_extra
    return str(extra["placeholder"]) if isinstance(extra, dict) else ""
