"""`headway train …` and `headway data …`: what the offline package adds to the command line.

Heavy packages are imported when a command runs: `headway serve` starts without them, installed or not.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from scaler.commands import Exit, Usage

INSTALL = "the training packages are missing: pip install 'headway[training]'"

Data = Annotated[list[Path], typer.Option("--data", help="A file of recorded demand; several may be given.")]
Step = Annotated[str | None, typer.Option(help="Grid of the model, as 60s or 5m. Default: the step of most series.")]
Seed = Annotated[int, typer.Option(help="Equal seeds give equal models.")]
Threads = Annotated[int, typer.Option(min=1, help="Threads of a fit, and series fitted at a time.")]
Zone = Annotated[str, typer.Option(help="IANA zone of the recorded systems, for days and weeks.")]


def add_commands(app: typer.Typer) -> None:
    """Add all commands of this file to the application."""
    train = typer.Typer(no_args_is_help=True, help="Train models on recorded demand, and compare them.")
    train.command("run")(run)
    app.add_typer(train, name="train")


def run(
    recipe: Annotated[str, typer.Argument(help="Which model: see `headway train recipes`.")],
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder of the bundle; what is there is replaced at the end.")],
    step: Step = None,
    seed: Seed = 0,
    threads: Threads = 1,
    timezone: Zone = "UTC",
    windows: Annotated[int | None, typer.Option(min=10, help="Windows of each series to learn from.")] = None,
    name: Annotated[str, typer.Option(help="Name of the bundle. Default: the recipe.")] = "",
    licence: Annotated[str, typer.Option(help="Terms of the data, kept in the bundle.")] = "",
) -> None:
    """Train a model, judge it on the newest tenth of each series, and export it as a bundle."""
    with _offline():
        from training.recipes import RECIPES
        from training.run import Order
        from training.run import run as carry_out

        if recipe not in RECIPES:
            raise Usage(f"recipe {recipe!r}: must be one of {', '.join(RECIPES)}")
        order = Order(recipe, tuple(data), out, _seconds(step), seed, windows, threads, timezone, name, licence)
        with _progress() as told:
            outcome = carry_out(order, told)
        _print_outcome(order, outcome)


def _print_outcome(order: Any, outcome: Any) -> None:
    for refused in (*outcome.loaded.refused, *outcome.fold.left_out):
        typer.echo(f"left out: {refused}", err=True)
    table = outcome.comparison.summary
    for row in table.itertuples():
        typer.echo(
            f"{row.model:<16} peak loss {row.peak_loss:.4f} ({row.median_ratio:.2f} of the better naive)  "
            f"p90 coverage {row.peak_coverage:.3f}"
        )
    typer.echo(f"export agrees with the model to {outcome.parity.largest:.1e}")
    typer.echo(f"bundle {outcome.bundle.manifest.model} in {order.out}")


def _seconds(step: str | None) -> int | None:
    if step is None:
        return None
    import durationpy

    try:
        seconds = durationpy.from_str(step).total_seconds()
    except durationpy.DurationError as error:
        raise Usage(f"--step {step!r}: must be a duration such as 60s or 5m") from error
    if seconds < 1 or seconds != int(seconds):
        raise Usage(f"--step {step!r}: must be whole seconds, at least one")
    return int(seconds)


@contextmanager
def _progress() -> Iterator[Any]:
    """A bar on stderr that says what is being done; nothing where nobody looks."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        bar = shown.add_task("starting", total=1.0)
        yield lambda doing, share: shown.update(bar, description=doing, completed=share)


@contextmanager
def _offline() -> Iterator[None]:
    """Errors of the offline package as one line on stderr, with an exit status that means something."""
    try:
        from training.data.load import DataError
        from training.parity import ParityBroken
    except ImportError as error:
        raise Usage(f"{INSTALL} ({error})") from None
    try:
        yield
    except ImportError as error:
        raise Usage(f"{INSTALL} ({error})") from None
    except DataError as error:
        _fail(str(error), Exit.USAGE)
    except ParityBroken as error:
        _fail(str(error), Exit.FAULTS)
    except OSError as error:
        _fail(f"{error.filename or ''}: {error.strerror}", Exit.FAULTS)


def _fail(text: str, status: Exit) -> NoReturn:
    typer.echo(f"headway: {text}", err=True)
    raise typer.Exit(status)
