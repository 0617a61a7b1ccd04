"""`headway train …` and `headway data …`: what the offline package adds to the command line.

Heavy packages are imported when a command runs: `headway serve` starts without them, installed or not.
"""

import inspect
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from scaler.commands import Exit, Usage
from scaler.commands.server_flags import with_server_flags
from training.commands.shared import PlainHelp, fail, offline, progress_bar, reached, seconds_of

MOST_FINDINGS = 10
"""series of which a run tells what cleaning found in them; its record has all"""
RUN_EXIT_TEXT = (
    "Exit status: 0 fine, also where Ctrl-C ended the fit and its best was exported · 1 no model came of it, or no "
    "place for the bundle · 2 wrong flags, or data that cannot be used · 130 interrupted, nothing written."
)
COMPARE_EXIT_TEXT = (
    "Exit status: 0 fine · 1 a recipe failed (the report tells of the others), or no place for the report · 2 wrong "
    "flags, or data that cannot be used · 130 interrupted, nothing written."
)
RECIPES_EXIT_TEXT = "Exit status: 0 fine."
PULL_EXIT_TEXT = (
    "Exit status: 0 fine · 1 some series are not in the file, or no place for it · 2 wrong flags or settings · 3 the "
    "scaler or Prometheus could not be reached · 130 interrupted, what arrived is kept."
)


class By(StrEnum):
    """What the judged windows are new in."""

    TIME = "time"
    SYSTEM = "system"


Data = Annotated[list[Path], typer.Option("--data", help="A file of recorded demand; several may be given.")]
Step = Annotated[str | None, typer.Option(help="Grid of the model, as 60s or 5m. Default: the step of most series.")]
Seed = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Equal seeds give equal models.")]
Threads = Annotated[int, typer.Option(min=1, help="Threads of a fit, and series fitted at a time.")]
Zone = Annotated[str, typer.Option(help="IANA zone of the recorded systems, for days and weeks.")]
LearnedFrom = Annotated[
    int | None, typer.Option(min=10, help="Windows of each series to learn from; at most 60,000 in all.")
]


def add_commands(app: typer.Typer) -> None:
    """Add all commands of this file to the application."""
    train = typer.Typer(no_args_is_help=True, help="Train models on recorded demand, and compare them.")
    train.command("run", epilog=RUN_EXIT_TEXT)(run)
    train.command("compare", epilog=COMPARE_EXIT_TEXT)(compare)
    train.command("recipes", epilog=RECIPES_EXIT_TEXT)(recipes)
    app.add_typer(train, name="train")
    data = typer.Typer(no_args_is_help=True, help="Get recorded demand.")
    data.command("pull", cls=PlainHelp, epilog=PULL_EXIT_TEXT)(with_server_flags(pull))
    app.add_typer(data, name="data")
    from training.commands.replay import EXIT_TEXT, replay

    app.command("replay", cls=PlainHelp, epilog=EXIT_TEXT)(with_server_flags(replay))


def run(
    recipe: Annotated[str, typer.Argument(help="Which model: see `headway train recipes`.")],
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder of the bundle; a bundle that is there is replaced at the end.")],
    step: Step = None,
    seed: Seed = 0,
    threads: Threads = 1,
    timezone: Zone = "UTC",
    windows: LearnedFrom = None,
    search: Annotated[
        float | None,
        typer.Option(min=0.01, metavar="MINUTES", help="Look so long for better choices than the recipe's."),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the bundle. Default: the recipe.")] = "",
    licence: Annotated[str, typer.Option(help="Terms of the data, kept in the bundle.")] = "",
    int8: Annotated[
        bool, typer.Option("--int8", help="Keep learned weights as int8, and tell what that costs.")
    ] = False,
) -> None:
    """Train a model, judge it on the newest tenth of the record, and export it as a bundle.

    Ctrl-C during the fit ends the fit: the best so far is judged and exported. Again, or at any other time, it ends the
    run, and what was in the folder is still there.
    """
    with offline("nothing was written"):
        from training.experiment.train import Order
        from training.experiment.train import run as carry_out

        _known([recipe])
        order = Order(
            recipe, tuple(data), out, _step(step), seed, windows, threads, timezone, name, licence, search, int8
        )
        with progress_bar() as (told, say):
            outcome = carry_out(order, told, lambda: say("the best so far is kept; Ctrl-C again ends at once"))
        _print_outcome(order, outcome)


def compare(
    data: Data,
    recipes: Annotated[str, typer.Option(help="Which models, as naive,xgboost,mlp: see `headway train recipes`.")],
    out: Annotated[Path, typer.Option(help="Folder for report.html, scores.csv and compare.json.")],
    step: Step = None,
    folds: Annotated[
        int | None,
        typer.Option(min=1, help="How often to fit and judge. Default: once by time, else each system once."),
    ] = None,
    by: Annotated[By, typer.Option(help="Judge on later windows, or on systems (files) never seen.")] = By.TIME,
    windows: LearnedFrom = None,
    seed: Seed = 0,
    threads: Threads = 1,
    timezone: Zone = "UTC",
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Fit several recipes and judge them, and both naive models, on the same windows.

    By time each fold judges a tenth of the record, after all that was learned from. Models fitted to each series by
    itself (prophet, hybrid) can be judged by time alone.

    --json keys: judged_windows, series, not_judged, systems, models[model, verdict, peak_loss, median_ratio, low, high,
    p, better, …, fit_seconds, inference_seconds (for 10,000 windows), size_bytes], failed, left_out, report.
    """
    with offline("nothing was written"):
        from training.experiment.compare import Asked, compare_recipes

        names = tuple(dict.fromkeys(name.strip() for name in recipes.split(",") if name.strip()))
        _known(names)
        asked = Asked(names, tuple(data), out, _step(step), folds, by.value, windows, seed, threads, timezone)
        with progress_bar() as (told, _):
            compared = compare_recipes(asked, told)
        _print_compared(asked, compared, as_json)
    if compared.failed:
        raise typer.Exit(Exit.FAULTS)


def recipes() -> None:
    """List what can be trained."""
    with offline():
        from training.recipes import RECIPES

        width = max(map(len, RECIPES))
        for name, recipe in RECIPES.items():
            typer.echo(f"{name:<{width}}  {inspect.getdoc(recipe) or ''}".partition("\n")[0])


def pull(
    settings: Any,
    out: Annotated[Path, typer.Option(metavar="FILE.parquet", help="Where the demand goes.")],
    query: Annotated[
        list[str] | None, typer.Option(metavar="NAME=PROMQL", help="A series and its query; repeatable.")
    ] = None,
    triggers: Annotated[
        Path | None, typer.Option(metavar="FILE.yaml", help="ScaledObjects whose triggers are pulled.")
    ] = None,
    scaler: Annotated[
        str, typer.Option(metavar="URL", help="HTTP address of a running scaler: all that it watches is pulled.")
    ] = "",
    since: Annotated[str, typer.Option(metavar="DURATION", help="How far back, as 14d or 36h.")] = "14d",
    step: Annotated[str, typer.Option(metavar="DURATION", help="Distance of the values.")] = "60s",
    unit: Annotated[str, typer.Option(help="Unit of the values, kept in the file.")] = "",
) -> None:
    """Pull recorded demand from Prometheus into a file to train on.

    At least one of --query, --triggers and --scaler says what. A series is named namespace/name, as its trigger is,
    so that a model fitted to it serves that trigger; name those of --query alike. A pull that was interrupted goes on
    where it was when it is asked for again.

    How to get into Prometheus is said as for headway serve: by these flags, their environment variables, or --config.
    """
    with offline("what arrived is kept: the same command goes on from there"):
        from scaler.telemetry.logs import configure_logs
        from training.data.pull import pull as fetch

        configure_logs("console", "error")
        step_seconds, seconds = seconds_of("--step", step), seconds_of("--since", since)
        if out.suffix != ".parquet":
            raise Usage(f"--out {str(out)!r}: must end in .parquet")
        wanted, faulty = _wanted(settings, query or [], triggers, scaler)
        access = reached(settings, wanted)
        until = time.time() // step_seconds * step_seconds
        with progress_bar() as (told, _):
            pulled = fetch(
                triggers=wanted,
                since=until - seconds,
                until=until,
                target=out,
                step_seconds=step_seconds,
                server=settings.prometheus,
                unit=unit,
                access=access,
                progress=told,
            )
    for refused in (*faulty, *pulled.refused):
        typer.echo(f"left out: {refused}", err=True)
    if pulled.series:
        typer.echo(f"{len(pulled.series)} series in {out}")
    else:
        typer.echo(f"headway: no series arrived; {out} was not written", err=True)
    if faulty or pulled.refused:
        raise typer.Exit(Exit.FAULTS)


def _wanted(settings: Any, queries: list[str], triggers: Path | None, scaler: str) -> tuple[list[Any], list[Any]]:
    """(what to pull, what cannot be pulled). Raises Usage, or exits where the scaler cannot be reached."""
    from training.data.pull import watched
    from training.data.pull_targets import of_manifest, of_queries
    from training.errors import DataError

    if not (queries or triggers or scaler):
        raise Usage("what is to be pulled? give --query NAME=PROMQL, --triggers FILE.yaml or --scaler URL")
    wanted = of_queries(queries)
    faulty: list[Any] = []
    if triggers:
        found, faulty = of_manifest(triggers, settings.prometheus)
        wanted += found
    if scaler:
        try:
            found, hidden = watched(scaler if "://" in scaler else f"http://{scaler}", settings.prometheus)
            wanted, faulty = [*wanted, *found], [*faulty, *hidden]
        except DataError as error:
            fail(str(error), Exit.UNREACHABLE)
    if not wanted:
        for refused in faulty:
            typer.echo(f"left out: {refused}", err=True)
        fail("nothing is left to pull" if faulty else "the scaler watches nothing yet", Exit.FAULTS)
    if not settings.prometheus and (without := [one.name for one in wanted if not one.server]):
        raise Usage(f"{without[0]}: from which server? give --prometheus URL")
    return wanted, faulty


def _print_outcome(order: Any, outcome: Any) -> None:
    from training.experiment.train import RECORD

    for refused in outcome.loaded.refused:
        typer.echo(f"left out: {refused}", err=True)
    for unjudged in outcome.fold.left_out:
        typer.echo(f"not judged: {unjudged}", err=True)
    _print_findings(outcome.cleaned, f"all are in {order.out / RECORD}")
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
    for told in outcome.comparison.left_out:
        typer.echo(f"not judged: {told}", err=True)
    for name, reason in outcome.failed.items():
        typer.echo(f"not served: {name}: {reason}", err=True)
    for told in _losing(outcome.comparison.summary, outcome.model):
        typer.echo(told, err=True)
    others = _not_judged(outcome.comparison, (*outcome.loaded.refused, *outcome.fold.left_out))
    typer.echo(f"judged on {outcome.comparison.series} series, not on {others} others")
    typer.echo(f"export agrees with the model to {outcome.parity.largest:.1e}")
    for form in outcome.forms:
        typer.echo(
            f"{form.name:<8} {form.size_bytes / 1e6:6.2f} MB  {form.seconds:6.2f} s for 10,000 windows  "
            f"peak loss {form.peak_loss:.4f}  p90 coverage {form.peak_coverage:.3f}"
        )
    typer.echo(f"bundle {outcome.bundle.manifest.model} in {order.out}")


def _print_compared(asked: Any, compared: Any, as_json: bool) -> None:
    from training.evaluate.report import verdict
    from training.experiment.compare import RECORD, REPORT
    from training.experiment.train import findings_of

    comparison = compared.comparison
    verdicts = {pair.model: verdict(pair) for pair in comparison.against_naive}
    left_out = [*map(str, compared.refused), *comparison.left_out]
    if as_json:
        models = json.loads(comparison.summary.to_json(orient="records"))
        summary = {
            "judged_windows": comparison.judged,
            "series": comparison.series,
            "not_judged": _not_judged(comparison, compared.refused),
            "systems": comparison.systems,
            "models": [{**model, "verdict": verdicts[model["model"]]} for model in models],
            "failed": compared.failed,
            "left_out": left_out,
            "findings": findings_of(compared.cleaned),
            "report": str(asked.out / REPORT),
        }
        typer.echo(json.dumps(summary, indent=2))
        return
    for told in left_out:
        typer.echo(f"not judged: {told}", err=True)
    _print_findings(compared.cleaned, f"all are in {asked.out / RECORD}")
    _print_ranking(comparison)
    if others := _not_judged(comparison, compared.refused):
        typer.echo(f"series that are not judged: {others}")
    for model in comparison.summary["model"]:
        typer.echo(f"{model}: {verdicts[model]}")
    for name, reason in compared.failed.items():
        typer.echo(f"{name}: not compared: {reason}", err=True)
    typer.echo(f"report in {asked.out / REPORT}")


def _print_findings(cleaned: Iterable[Any], where: str) -> None:
    """A line for each series in which cleaning found something: how often what, and the first; a count at the end."""
    found = [one for one in cleaned if one.report]
    for one in found[:MOST_FINDINGS]:
        kinds = Counter(finding.kind for finding in one.report)
        counts = ", ".join(f"{kind} {count} times" if count > 1 else kind for kind, count in kinds.items())
        first = f"{counts}; the first: " if len(one.report) > 1 else ""
        typer.echo(f"found: {one.series.system}: series {one.series.name!r}: {first}{one.report[0]}", err=True)
    if len(found) > MOST_FINDINGS:
        typer.echo(f"found: something in {len(found) - MOST_FINDINGS} more series; {where}", err=True)


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


def _losing(summary: Any, model: str) -> Iterator[str]:
    """What speaks against serving the model: who loses less."""
    loss = summary.set_index("model")["median_ratio"]
    if loss[model] > 1:
        yield f"warning: {model} loses {loss[model]:.2f} times what the better naive model loses: do not serve it"
    elif "general" in loss.index and loss[model] > loss["general"]:
        yield f"warning: the general bundle, which ships, loses less than {model}; train on more, or serve that"


def _not_judged(comparison: Any, refused: Iterable[Any]) -> int:
    """How many series of the data have no score."""
    others = {f"{one.system}/{one.name}" for one in refused} - set(comparison.scores["series"])
    return len(others) + len(comparison.left_out)


def _brief(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _known(recipes: Any) -> None:
    from training.recipes import RECIPES

    if not recipes:
        raise Usage("--recipes: must name one at least")
    for recipe in recipes:
        if recipe not in RECIPES:
            raise Usage(f"recipe {recipe!r}: must be one of {', '.join(RECIPES)}")


def _step(text: str | None) -> int | None:
    return None if text is None else seconds_of("--step", text)
