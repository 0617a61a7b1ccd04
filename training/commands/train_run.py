"""`headway train run`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from training.commands.shared import command_errors, print_notes, progress_bar
from training.commands.training_options import (
    Country,
    Data,
    Seed,
    Step,
    Threads,
    TrainingWindows,
    Zone,
    count_unjudged,
    print_findings,
    require_recipes,
    step_of,
)

MOST_SUBJECTS = 3
"""subjects of features that are printed; the record of the run has all"""
EXIT_TEXT = (
    "Exit status: 0 fine, also where Ctrl-C ended the fit and its best was exported · 1 no model came of it, or no "
    "place for the bundle · 2 wrong flags, or data that cannot be used · 130 interrupted, nothing written."
)


def run(
    recipe: Annotated[str, typer.Argument(help="Which model: see `headway train recipes`.")],
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder of the bundle; an existing bundle is replaced at the end.")],
    step: Step = None,
    seed: Seed = 0,
    threads: Threads = 1,
    timezone: Zone = "UTC",
    windows: TrainingWindows = None,
    country: Country = "",
    search: Annotated[
        float | None,
        typer.Option(
            min=0.01, metavar="MINUTES", help="Search this long for better hyperparameters than the recipe's."
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the bundle. Default: the recipe.")] = "",
    licence: Annotated[str, typer.Option(help="Terms of the data, kept in the bundle.")] = "",
    without: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="CSV of `headway anomalies --csv`: do not learn from the stretches that it lists."
        ),
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Keep learned weights as int8, and print what that costs.")
    ] = False,
) -> None:
    """Train a model, evaluate it on the newest tenth of the record, and export it as a bundle.

    Ctrl-C during the fit ends the fit; the best model so far is evaluated and exported. A second Ctrl-C, or one at any
    other time, ends the run and leaves the folder unchanged.
    """
    with command_errors("nothing was written"):
        from training.data.without import read_intervals
        from training.experiment.train import Order
        from training.experiment.train import run as carry_out

        require_recipes([recipe])
        order = Order(
            recipe,
            tuple(data),
            out,
            step_of(step),
            seed,
            windows,
            threads,
            timezone,
            name,
            licence,
            search,
            int8,
            country,
            without=read_intervals(without) if without else (),
        )
        with progress_bar() as (progress, print_line):
            outcome = carry_out(
                order,
                progress,
                lambda: print_line("the fit ends with its best so far; Ctrl-C again ends the command at once"),
            )
        print_notes(outcome.notes)
        _print_outcome(order, outcome)


def _print_outcome(order: Any, outcome: Any) -> None:
    from training.experiment.train import RECORD

    for refused in outcome.loaded.refused:
        typer.echo(f"left out: {refused}", err=True)
    for unjudged in outcome.fold.left_out:
        typer.echo(f"not judged: {unjudged}", err=True)
    print_findings(outcome.cleaned, f"all are in {order.out / RECORD}")
    if outcome.found:
        found = outcome.found
        chosen = ", ".join(f"{name} {_brief(value)}" for name, value in found.choices.items())
        typer.echo(
            f"search: {found.trials} trials, held-out loss {found.loss:.4f} (the recipe's {found.default_loss:.4f}): "
            f"{chosen}"
        )
    if outcome.interrupted:
        typer.echo("the fit was ended early: this is the best until then")
    for row in outcome.comparison.summary.itertuples():
        typer.echo(
            f"{row.model:<16} peak loss {row.peak_loss:.4f} ({row.median_ratio:.2f} of the better naive)  "
            f"p90 coverage {row.peak_coverage:.3f}"
        )
    if outcome.importance:
        first = list(outcome.importance.items())[:MOST_SUBJECTS]
        typer.echo(f"loss without: {', '.join(f'{subject} {share:+.0%}' for subject, share in first)}")
    for reason in outcome.comparison.left_out:
        typer.echo(f"not judged: {reason}", err=True)
    for name, reason in outcome.failed.items():
        typer.echo(f"not served: {name}: {reason}", err=True)
    for warning in _warnings(outcome.comparison.summary, outcome.model):
        typer.echo(warning, err=True)
    others = count_unjudged(outcome.comparison, (*outcome.loaded.refused, *outcome.fold.left_out))
    typer.echo(f"judged on {outcome.comparison.series} series" + (f", not on {others} others" if others else ""))
    typer.echo(f"export agrees with the model to {outcome.parity.largest:.1e}")
    for form in outcome.forms:
        typer.echo(
            f"{form.name:<8} {form.size_bytes / 1e6:6.2f} MB  {form.seconds:6.2f} s for 10,000 windows  "
            f"peak loss {form.peak_loss:.4f}  p90 coverage {form.peak_coverage:.3f}"
        )
    typer.echo(f"bundle {outcome.bundle.manifest.model} in {order.out}")


def _warnings(summary: Any, model: str) -> Iterator[str]:
    """Reasons not to serve the model: others have a smaller loss."""
    from training.experiment.publish import losses_of

    for reason in losses_of(summary.set_index("model")["median_ratio"].to_dict(), model):
        yield f"warning: {reason}"


def _brief(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value) or "none"
