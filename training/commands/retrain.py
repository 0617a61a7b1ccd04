"""`headway retrain`."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from scaler.commands import Exit, Usage
from scaler.commands.http_access import read_access
from training.commands.shared import access_to, command_errors, fail, progress_bar, seconds_of, with_flags
from training.commands.training_options import require_recipes

BUSY = 4
"""exit status where another process retrains"""
MOST_ANOMALIES = 100_000
"""that are read, the newest"""
CALLED_SECONDS = 2 * 86_400.0
"""a trigger for which nobody called longer is not learned from"""
DASK = "pip install 'headway[training]' distributed"
EXIT_TEXT = (
    "Exit status: 0 published, refused by the gate, or nothing was due · 1 it failed, and the log of decisions says "
    "so · 2 wrong flags or settings, or no trigger that can be learned from · 3 Prometheus or the database could not "
    "be reached · 4 another retraining is under way · 130 interrupted: the same command goes on where it stopped."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainFlags:
    """The flags as typed."""

    work: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where it works; the same folder goes on after a crash.")
    ] = Path("retrain")
    recipe: Annotated[
        list[str], typer.Option(help="What to train: see `headway train recipes`. Repeatable: the best is judged.")
    ] = ("blend",)  # type: ignore[assignment]
    scope: Annotated[
        str, typer.Option(metavar="SCOPE", help="Whose champion: NAMESPACE or NAMESPACE/NAME. Default: all.")
    ] = ""
    name: Annotated[str, typer.Option(help="Name of the model. Default: its recipe.")] = ""
    since: Annotated[str, typer.Option(metavar="DURATION", help="How far back history is read.")] = "28d"
    step: Annotated[str, typer.Option(metavar="DURATION", help="Step between the values.")] = "60s"
    timezone: Annotated[str, typer.Option(help="IANA zone of the days and weeks.")] = "UTC"
    windows: Annotated[int | None, typer.Option(min=10, help="Training windows of each series.")] = None
    scaler: Annotated[
        str,
        typer.Option(
            metavar="URL", help="HTTP address of a running scaler: its triggers as well, discovered ones too."
        ),
    ] = ""
    scaler_token_file: Annotated[
        Path | None, typer.Option(envvar="HEADWAY_TOKEN_FILE", metavar="FILE", help="Its read token, if it has one.")
    ] = None
    scaler_ca_cert: Annotated[Path | None, typer.Option(metavar="FILE", help="PEM of the CA to trust there.")] = None
    max_age: Annotated[str, typer.Option(metavar="DURATION", help="A champion of this age is due for a successor.")] = (
        "6d"
    )
    force: Annotated[bool, typer.Option("--force", help="Train without any other reason. The gate stays.")] = False
    no_promote: Annotated[
        bool, typer.Option("--no-promote", help="Publish only; `headway models promote` makes it the champion.")
    ] = False
    probation: Annotated[
        str, typer.Option(metavar="DURATION", help="How long the new champion may be rolled back by its live scores.")
    ] = "1d"
    replay_days: Annotated[float, typer.Option(min=0.25, help="Newest days that are replayed, at most.")] = 2.0
    replay_series: Annotated[int, typer.Option(min=1, help="Series that are replayed, at most.")] = 20
    jobs: Annotated[int, typer.Option(min=1, help="Processes side by side, and threads of a fit.")] = 1
    backend: Annotated[str, typer.Option(help="What joblib runs on: loky (this machine) or dask.")] = "loky"
    scheduler: Annotated[str, typer.Option(metavar="tcp://HOST:PORT", help="Of Dask.")] = ""
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False


@with_flags(RetrainFlags)
def retrain(
    settings: Any,
    flags: RetrainFlags,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAMESPACE[/NAME]]...", help="Triggers to learn from. Default: all that are watched."),
    ] = None,
) -> None:
    """Train a model on the newest history of all watched triggers, and make it the champion if it is better.

    It looks first whether there is a reason to: the champion is old, its live scores got worse, many triggers are new
    to it, or --force. Then it pulls the history from Prometheus, trains, lets the gate compare the new model with the
    champion, publishes it, and promotes it on probation. Whatever comes of it is in `headway models log`.

    It needs the scaler's `database` (or `data-dir`), `bundle` and access to Prometheus, from flags, environment or
    --config, as headway serve has them. Two never run at once. More in docs/models.md.
    """
    with command_errors("the same command goes on where it stopped"):
        from scaler.errors import StoreUnavailable
        from scaler.telemetry.logs import configure_logs
        from training.lifecycle.lease import LeaseTaken
        from training.lifecycle.work import FolderTaken

        configure_logs("console", "error")
        _require(settings, flags)
        try:
            outcome = _carried_out(settings, flags, names or [])
        except (LeaseTaken, FolderTaken) as busy:
            fail(str(busy), BUSY)
        except StoreUnavailable as error:
            fail(str(error), Exit.UNREACHABLE)
        _print(outcome, flags.as_json)


def _require(settings: Any, flags: RetrainFlags) -> None:
    """Raises Usage for what is known to be wrong before any work."""
    from scaler.models import is_scope

    require_recipes(flags.recipe)
    if not settings.bundle:
        raise Usage("bundle: must be set: the folder or URL that the scaler reads, where versions are put")
    if not is_scope(flags.scope):
        raise Usage(f"--scope {flags.scope!r}: must be NAMESPACE or NAMESPACE/NAME")
    if flags.backend not in ("loky", "dask"):
        raise Usage(f"--backend {flags.backend!r}: must be loky or dask")
    if bool(flags.scheduler) != (flags.backend == "dask"):
        raise Usage("--scheduler: belongs to --backend dask, which needs it")


def _carried_out(settings: Any, flags: RetrainFlags, names: list[str]) -> Any:
    from training.lifecycle.retraining import Around
    from training.lifecycle.retraining import retrain as carry_out
    from training.lifecycle.watching import chosen, unknown

    triggers, refused = _watched(settings)
    if flags.scaler:
        with _recorded(settings, flags, "the scaler"):
            triggers, refused = _with_scaler(settings, flags, triggers, refused)
    for name, why in refused.items():
        typer.echo(f"left out: {name}: {why}", err=True)
    if missing := unknown(triggers, names):
        raise Usage(f"{missing[0]!r}: no watched trigger has this namespace or name")
    triggers = chosen(triggers, names)
    with _recorded(settings, flags, "a metric server"):
        access = access_to(settings, [one.wanted for one in triggers]) if triggers else ()
    with _backend(flags), progress_bar() as (progress, say):
        around = Around(
            open_index=_opening(settings),
            folder=flags.work,
            server=settings.prometheus,
            access=access,
            jobs=flags.jobs,
            progress=progress,
            said=say,
            live_skill=partial(_live_skill, settings, triggers),
            without=partial(_anomalies, settings, float(seconds_of("--since", flags.since))),
        )
        return carry_out(_asked(settings, flags), triggers, around)


def _asked(settings: Any, flags: RetrainFlags) -> Any:
    from training.lifecycle.reasons import Rules
    from training.lifecycle.retraining import Asked

    return Asked(
        destination=settings.bundle,
        recipes=tuple(flags.recipe),
        scope=flags.scope,
        since_seconds=float(seconds_of("--since", flags.since)),
        step_seconds=seconds_of("--step", flags.step),
        timezone=flags.timezone,
        name=flags.name,
        windows=flags.windows,
        force=flags.force,
        promotes=not flags.no_promote,
        probation_seconds=float(seconds_of("--probation", flags.probation)),
        replay_days=flags.replay_days,
        most_replayed=flags.replay_series,
        rules=Rules(oldest_seconds=float(seconds_of("--max-age", flags.max_age))),
    )


def _opening(settings: Any) -> Any:
    """What opens the index."""
    from scaler.store.model_index import open_model_index

    url = settings.database.get_secret_value() if settings.database else None
    return partial(open_model_index, url, settings.data_dir, settings.installation)


def _watched(settings: Any) -> tuple[list[Any], dict[str, str]]:
    """(triggers of the store, those that cannot be used). Raises StoreUnavailable."""
    import asyncio

    from scaler.settings.rules import trigger_rules
    from scaler.store.sql_store import open_store
    from training.lifecycle.watching import of_records

    async def read() -> Any:
        url = settings.database.get_secret_value() if settings.database else None
        store = open_store(url, settings.data_dir, settings.installation)
        try:
            return await store.watched(time.time() - CALLED_SECONDS)
        finally:
            await store.close()

    return of_records(asyncio.run(read()), trigger_rules(settings))


def _live_skill(settings: Any, triggers: list[Any]) -> dict[str, float]:
    """See `training.lifecycle.watching.live_skill`."""
    import asyncio

    from scaler.store.sql_scores import scores_beside
    from scaler.store.sql_store import open_store
    from training.lifecycle.watching import live_skill

    async def read() -> dict[str, float]:
        url = settings.database.get_secret_value() if settings.database else None
        store = open_store(url, settings.data_dir, settings.installation)
        try:
            return await live_skill(scores_beside(store, settings.installation), triggers, time.time())
        finally:
            await store.close()

    return asyncio.run(read())


def _anomalies(settings: Any, since_seconds: float) -> tuple[Any, ...]:
    """The stretches that scalers have listed as anomalies. Raises StoreUnavailable."""
    import asyncio

    from scaler.anomalies import AnomaliesAsked
    from scaler.store.sql_store import SqlStore, open_store
    from scaler.store.stored_anomalies import SqlAnomalies
    from training.data.without import intervals_of

    async def read() -> Any:
        url = settings.database.get_secret_value() if settings.database else None
        store, now = open_store(url, settings.data_dir, settings.installation), time.time()
        try:
            if not isinstance(store, SqlStore):
                return []
            listed = SqlAnomalies(store.database, settings.installation)
            return await listed.load(AnomaliesAsked(now - since_seconds, MOST_ANOMALIES), now)
        finally:
            await store.close()

    return intervals_of(asyncio.run(read()))


@contextmanager
def _recorded(settings: Any, flags: RetrainFlags, server: str) -> Iterator[None]:
    """Where the command exits because this server does not answer, the log of decisions has it."""
    try:
        yield
    except typer.Exit:
        from training.lifecycle.retraining import record_failure

        record_failure(_opening(settings), _asked(settings, flags), f"{server} could not be read; see the Job's log")
        raise


def _with_scaler(
    settings: Any, flags: RetrainFlags, triggers: list[Any], refused: dict[str, str]
) -> tuple[list[Any], dict[str, str]]:
    """With what a running scaler watches besides. Exits where it cannot be reached."""
    from training.errors import DataError
    from training.lifecycle.watching import of_scaler

    access = read_access(flags.scaler_token_file, flags.scaler_ca_cert, None, None, prefix="--scaler-")
    address = flags.scaler if "://" in flags.scaler else f"http://{flags.scaler}"
    try:
        found, hidden = of_scaler(address, settings.prometheus, access.headers, access.trust)
    except DataError as error:
        fail(str(error), Exit.UNREACHABLE)
    known = {one.wanted.name for one in triggers}
    return [*triggers, *(one for one in found if one.wanted.name not in known)], {**hidden, **refused}


def _backend(flags: RetrainFlags) -> Any:
    """Where joblib's work runs meanwhile. Raises Usage where Dask is not installed, or its scheduler not there."""
    from contextlib import nullcontext

    if flags.backend != "dask":
        return nullcontext()
    try:
        from dask.distributed import Client
    except ImportError as error:
        is_dask = error.name in (None, "dask", "dask.distributed", "distributed")
        missing = "Dask is not installed" if is_dask else f"Dask needs {error.name}, which is not installed"
        raise Usage(f"--backend dask: {missing}: {DASK}") from None
    import joblib

    try:
        Client(flags.scheduler, timeout=10)
    except (OSError, ValueError) as error:
        raise Usage(f"--scheduler {flags.scheduler!r}: cannot be reached: {error}") from None
    return joblib.parallel_config(backend="dask")


def _print(outcome: Any, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_as_json(outcome), indent=2, allow_nan=False))
        return
    for name in outcome.triggers:
        typer.echo(f"{name:<40} learned from")
    for name, why in outcome.left_out.items():
        typer.echo(f"{name:<40} left out: {why}")
    for reason in outcome.why:
        typer.echo(f"because: {reason}")
    if outcome.verdict:
        for line in outcome.verdict.lines:
            typer.echo(line)
    typer.echo({"nothing": "nothing was due", "refused": f"refused: {outcome.model}"}.get(outcome.done, _done(outcome)))


def _done(outcome: Any) -> str:
    return f"published: {outcome.model}" + (", champion on probation" if outcome.champion else "")


def _as_json(outcome: Any) -> dict[str, Any]:
    return {
        "outcome": outcome.done,
        "model": outcome.model or None,
        "reasons": list(outcome.why),
        "triggers": list(outcome.triggers),
        "left_out": dict(outcome.left_out),
        "promoted": outcome.champion is not None,
        "verdict": outcome.verdict.figures if outcome.verdict else None,
    }
