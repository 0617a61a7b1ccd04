"""What all commands of training share: flags for Prometheus, progress, notes, and errors with an exit status."""

import dataclasses
import functools
import inspect
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import typer

from scaler.commands import Exit, Usage

INSTALL = "the training packages are missing: pip install '.[training]' in a checkout of Headway"
REINSTALL = "pip install --force-reinstall '.[training]' in a checkout of Headway"
PACKAGES = (
    *("torch", "pandas", "pyarrow", "prophet", "xgboost", "onnx", "onnxscript", "sklearn", "scipy", "holidays"),
    *("statsforecast", "joblib", "optuna", "plotly", "jinja2"),
)
"""what the extra `training` installs, by the names it is imported under"""
INTERRUPTED = 130
"""exit status after Ctrl-C, as shells have it"""


def with_flags(flags: type) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator: the command's parameter `flags` becomes a command-line option for each field of a dataclass."""
    fields = dataclasses.fields(flags)
    options = [
        inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type)
        for field in fields
    ]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        def run(**values: Any) -> Any:
            return command(flags=flags(**{field.name: values.pop(field.name) for field in fields}), **values)

        functools.update_wrapper(run, command)
        own = [p for p in inspect.signature(command).parameters.values() if p.name != "flags"]
        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + options
        del run.__wrapped__  # type: ignore[attr-defined]  # inspect would look through to the command's own signature
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return run

    return decorate


def access_to(settings: Any, wanted: list[Any]) -> Any:
    """The credentials for the servers; exits where none of the servers can be reached."""
    from scaler.history.sources import access_of
    from training.data.pull_targets import unreachable

    access = access_of(settings)
    if error := unreachable(wanted, settings.prometheus, access):
        fail(error, Exit.UNREACHABLE)
    return access


def seconds_of(flag: str, text: str) -> int:
    """A duration such as 60s or 5m, in whole seconds. Raises Usage that names the flag."""
    import durationpy

    try:
        seconds = durationpy.from_str(text).total_seconds()
    except durationpy.DurationError as error:
        raise Usage(f"{flag} {text!r}: must be a duration such as 60s or 5m") from error
    if seconds < 1 or seconds != int(seconds):
        raise Usage(f"{flag} {text!r}: must be whole seconds and at least 1s")
    return int(seconds)


@contextmanager
def progress_bar() -> Iterator[tuple[Callable[[str, float], None], Callable[[str], None]]]:
    """(progress, print): a bar on stderr, in a log a line now and then, and a function that prints a line above it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from training.progress import in_lines

    console = Console(stderr=True, highlight=False)
    line = functools.partial(console.print, soft_wrap=True, markup=False)
    if not console.is_terminal:
        yield in_lines(line), line
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as shown:
        bar = shown.add_task("starting", total=1.0)
        # a bar that was full once stops its clock
        yield lambda doing, share: shown.update(bar, description=doing, completed=min(share, 0.999)), line


@contextmanager
def command_errors(after_interrupt: str = "") -> Iterator[None]:
    """Errors of training become one line on stderr and an exit status."""
    from scaler.errors import HeadwayError, SettingsError
    from training.errors import DataError, OrderRefused

    try:
        with _interrupted_by_sigterm():
            yield
    except KeyboardInterrupt:
        fail(f"interrupted; {after_interrupt}", INTERRUPTED)
    except ImportError as error:
        if text := _not_installed(error):
            raise Usage(text) from None
        raise
    except (DataError, OrderRefused) as error:
        fail(str(error), Exit.USAGE)
    except (SettingsError, Usage):
        raise
    except HeadwayError as error:
        fail(str(error), Exit.FAULTS)
    except OSError as error:
        words = error.strerror or f"a file or a connection failed ({type(error).__name__})"
        fail(f"{error.filename}: {words}" if error.filename else words, Exit.FAULTS)


def _not_installed(error: ImportError) -> str:
    """The error text for a missing or broken training package; empty for any other failed import."""
    name = (error.name or "").partition(".")[0]
    if name not in PACKAGES:
        return ""
    if isinstance(error, ModuleNotFoundError):
        return f"{INSTALL} (no module named {error.name})"
    return f"the training package {name} cannot be loaded: install it again with {REINSTALL}"


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """SIGTERM, as `timeout` and CI send it, ends a command like an interrupt: no file is left half-written."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def print_notes(notes: Iterable[str]) -> None:
    """What the user should know of a command that succeeded, a line each on stderr."""
    for note in notes:
        typer.echo(f"headway: {note}", err=True)


def fail(text: str, status: int) -> NoReturn:
    """Print the error on stderr, and exit."""
    typer.echo(f"headway: {text}", err=True)
    raise typer.Exit(status)
