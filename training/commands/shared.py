"""What all offline commands share: the way into Prometheus, progress, and errors with a telling exit status."""

import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import typer
from typer.core import TyperCommand

from scaler.commands import Exit, Usage

INSTALL = "the training packages are missing: pip install 'headway[training]'"
REINSTALL = "pip install --force-reinstall 'headway[training]'"
PACKAGES = (
    *("torch", "pandas", "pyarrow", "prophet", "xgboost", "onnx", "onnxscript", "sklearn", "scipy", "holidays"),
    *("statsforecast", "joblib", "optuna", "plotly", "jinja2"),
)
"""what the extra `training` installs, by the names it is imported under"""
INTERRUPTED = 130
"""exit status after Ctrl-C, as shells have it"""


class PlainHelp(TyperCommand):
    """Help without a table, which would cut long flags off."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self.rich_markup_mode = None
        super().format_help(ctx, formatter)


def reached(settings: Any, wanted: list[Any]) -> Any:
    """What opens the servers; exits where none of them can be reached."""
    from scaler.commands.server_flags import access_of
    from training.data.pull_targets import unreachable

    access = access_of(settings)
    if trouble := unreachable(wanted, settings.prometheus, access):
        fail(trouble, Exit.UNREACHABLE)
    return access


def seconds_of(flag: str, text: str) -> int:
    """A duration such as 60s or 5m, in whole seconds. Raises Usage that names the flag."""
    import durationpy

    try:
        seconds = durationpy.from_str(text).total_seconds()
    except durationpy.DurationError as error:
        raise Usage(f"{flag} {text!r}: must be a duration such as 60s or 5m") from error
    if seconds < 1 or seconds != int(seconds):
        raise Usage(f"{flag} {text!r}: must be whole seconds, at least one")
    return int(seconds)


@contextmanager
def progress_bar() -> Iterator[tuple[Callable[[str, float], None], Callable[[str], None]]]:
    """(progress, say): a bar on stderr that says what is being done, and a line above it; no bar where nobody looks."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        bar = shown.add_task("starting", total=1.0)
        # a bar that was full once stops its clock
        yield lambda doing, share: shown.update(bar, description=doing, completed=min(share, 0.999)), console.print


@contextmanager
def offline(after_interrupt: str = "") -> Iterator[None]:
    """Errors of the offline package as one line on stderr, with an exit status that means something."""
    from scaler.errors import HeadwayError, SettingsError
    from training.errors import DataError, OrderRefused

    try:
        with _told(), _ended_in_order():
            yield
    except KeyboardInterrupt:
        fail(f"interrupted; {after_interrupt}", INTERRUPTED)
    except ImportError as error:
        if text := _not_installed(error):
            raise Usage(text) from None
        raise
    except (DataError, OrderRefused) as error:
        fail(str(error), Exit.USAGE)
    except SettingsError:
        raise
    except HeadwayError as error:
        fail(str(error), Exit.FAULTS)
    except OSError as error:
        words = error.strerror or f"a file or a connection failed ({type(error).__name__})"
        fail(f"{error.filename}: {words}" if error.filename else words, Exit.FAULTS)


def _not_installed(error: ImportError) -> str:
    """What to say of a training package that is missing or broken; empty for any other failed import."""
    name = (error.name or "").partition(".")[0]
    if name not in PACKAGES:
        return ""
    if isinstance(error, ModuleNotFoundError):
        return f"{INSTALL} (no module named {error.name})"
    return f"the training package {name} cannot be loaded: install it again with {REINSTALL}"


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """SIGTERM, as `timeout` and CI send it, ends a command as an interrupt does: with nothing left half-written."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _told() -> Iterator[None]:
    """A line on stderr for each thing of which the user should know."""
    from training.models import Told

    show = warnings.showwarning

    def told(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, Told):
            typer.echo(f"headway: {message}", err=True)
        else:
            show(message, category, *where, **more)

    with warnings.catch_warnings():
        warnings.simplefilter("always", Told)
        warnings.showwarning = told
        yield


def fail(text: str, status: int) -> NoReturn:
    """Say so on stderr, and exit."""
    typer.echo(f"headway: {text}", err=True)
    raise typer.Exit(status)
