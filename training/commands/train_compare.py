"""`headway train compare`."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from scaler.commands import Exit
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

EXIT_TEXT = (
    "Exit status: 0 fine · 1 a recipe failed (the report has the others), or no place for the report · 2 wrong "
    "flags, or data that cannot be used · 130 interrupted, nothing written."
)


class By(StrEnum):
    """How the judged windows differ from those learned from."""

    TIME = "time"
    SYSTEM = "system"


def compare(
    data: Data,
    recipes: Annotated[str, typer.Option(help="Which models, as naive,xgboost,mlp: see `headway train recipes`.")],
    out: Annotated[Path, typer.Option(help="Folder for report.html, scores.csv and compare.json.")],
    step: Step = None,
    folds: Annotated[
        int | None,
        typer.Option(min=1, help="Number of folds. Default: one by time; by system, as many as there are systems."),
    ] = None,
    by: Annotated[
        By, typer.Option(help="Judge on later windows, or on systems (files) that were not learned from.")
    ] = By.TIME,
    windows: TrainingWindows = None,
    seed: Seed = 0,
    threads: Threads = 1,
    timezone: Zone = "UTC",
    country: Country = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Fit several recipes and compare them with both naive models on the same windows.

    By time, each fold judges a tenth of the record that follows the training data. Models fitted to single series
    (prophet, hybrid, hybrid-lstm) can only be judged by time.

    --json keys: judged_windows, series, not_judged, systems, models[model, verdict, peak_loss, median_ratio, low, high,
    p, better, …, fit_seconds, inference_seconds (for 10,000 windows), size_bytes], failed, left_out, report.
    """
    with command_errors("nothing was written"):
        from training.experiment.compare import ComparisonRequest, compare_recipes

        names = tuple(dict.fromkeys(name.strip() for name in recipes.split(",") if name.strip()))
        require_recipes(names)
        request = ComparisonRequest(
            names, tuple(data), out, step_of(step), folds, by.value, windows, seed, threads, timezone, country
        )
        with progress_bar() as (progress, _):
            compared = compare_recipes(request, progress)
        print_notes(compared.notes)
        _print_compared(out, compared, as_json)
    if compared.failed:
        raise typer.Exit(Exit.FAULTS)


def _print_compared(out: Path, compared: Any, as_json: bool) -> None:
    from training.evaluate.report import verdict
    from training.experiment.compare import RECORD, REPORT
    from training.experiment.record import findings_of

    comparison = compared.comparison
    verdicts = {pair.model: verdict(pair) for pair in comparison.against_naive}
    left_out = [*map(str, compared.refused), *comparison.left_out]
    if as_json:
        models = json.loads(comparison.summary.to_json(orient="records"))
        summary = {
            "judged_windows": comparison.judged,
            "series": comparison.series,
            "not_judged": count_unjudged(comparison, compared.refused),
            "systems": comparison.systems,
            "models": [{**model, "verdict": verdicts[model["model"]]} for model in models],
            "failed": compared.failed,
            "left_out": left_out,
            "findings": findings_of(compared.cleaned),
            "report": str(out / REPORT),
        }
        typer.echo(json.dumps(summary, indent=2))
        return
    for reason in left_out:
        typer.echo(f"not judged: {reason}", err=True)
    print_findings(compared.cleaned, f"all are in {out / RECORD}")
    _print_ranking(comparison)
    if others := count_unjudged(comparison, compared.refused):
        typer.echo(f"series not judged: {others}")
    for model in comparison.summary["model"]:
        typer.echo(f"{model}: {verdicts[model]}")
    for name, reason in compared.failed.items():
        typer.echo(f"{name}: not compared: {reason}", err=True)
    typer.echo(f"report in {out / REPORT}")


def _print_ranking(comparison: Any) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    title = f"{comparison.judged} windows of {comparison.series} series in {comparison.systems} systems"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("model", no_wrap=True)
    for head in ("peak loss", "to naive", "better", "p90 held", "fit s", "10,000 s", "kB"):
        table.add_column(head, justify="right")
    for row in comparison.summary.itertuples():
        table.add_row(
            row.model,
            f"{row.peak_loss:.4f}",
            f"{row.median_ratio:.3f}",
            f"{row.better}/{row.series}",
            f"{row.peak_coverage:.1%}",
            f"{row.fit_seconds:.1f}",
            f"{row.inference_seconds:.3g}",
            f"{row.size_bytes / 1e3:.0f}",
        )
    Console(highlight=False).print(table)
