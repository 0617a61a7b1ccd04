"""`headway replay`: from flags to a verdict. Flags are in replay_flags.py, checks of the input in replay/input/."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typer

from scaler.commands import Exit, Usage
from scaler.commands.server_flags import on_command_line
from training.commands.replay_flags import ReplayFlags, options_of, require_writable
from training.commands.shared import access_to, command_errors, fail, print_notes, progress_bar, with_flags

EXIT_TEXT = (
    "Exit status: 0 fine, whatever the verdict · 1 no place for what was to be written · 2 wrong flags or settings, or "
    "demand that cannot be replayed · 3 Prometheus could not be reached, or refused · 130 interrupted, nothing is left "
    "half-written."
)
REPORT = "report.html"
SOURCES = "--data FILE, --query PROMQL (with --prometheus URL) or --scaledobject FILE.yaml"


@with_flags(ReplayFlags)
def replay(settings: Any, context: typer.Context, flags: ReplayFlags) -> None:
    """Replay past demand: what forecasting would have done to service and cost, before you enable it.

    The demand of past days runs against a simulated HPA and cluster: under today's trigger, under Headway, and under
    other ways to scale. Settings are searched on the first half of the days and judged on the second. The verdict is
    enable, enable with these settings, or do not enable, with the reasons.

    Demand comes from exactly one source: --data, --query or --scaledobject. A file has the columns series, timestamp,
    value, as headway data pull writes it. A ScaledObject provides query and threshold by its prometheus or external
    trigger; flags override them.

    Access to Prometheus is configured as for headway serve: by these flags, their environment variables, or --config.
    --prometheus overrides the serverAddress of a ScaledObject. More in docs/replay.md.
    """
    with command_errors("nothing is left half-written"):
        from scaler.telemetry.logs import configure_logs

        configure_logs("console", "error")
        prometheus_typed = on_command_line(context, "prometheus")
        _require_one_source(flags, prometheus_typed)
        _require_places(flags, context.params)
        options = options_of(flags)
        with progress_bar() as (progress, _):
            judged = _judged(settings, flags, options, prometheus_typed, progress)
        print_notes(judged.notes)
        _print(judged, flags)


def _judged(
    settings: Any, flags: ReplayFlags, options: Any, prometheus_typed: bool, progress: Callable[[str, float], None]
) -> Any:
    """The verdict; report and decisions are written."""
    from training.replay.input.case import case_of, default_cache, open_forecaster, require_served
    from training.replay.simulation.forecasts import forget_oldest
    from training.replay.verdict.judge import judge

    forecaster = open_forecaster(flags.bundle)
    progress("reading the demand", 0.0)
    source = _source(settings, flags, options, prometheus_typed, forecaster, progress)
    require_served(forecaster, source.series)
    case = case_of(source, options, forecaster)
    with _cached_until_written(case, flags.decisions) as case:
        judged = judge(case, forecaster, progress)
        _write(judged, forecaster, flags, progress)
    if case.cache == default_cache():
        forget_oldest(case.cache)
    return judged


def _require_one_source(flags: ReplayFlags, prometheus_typed: bool) -> None:
    sources = {"--data": flags.data, "--query": flags.query, "--scaledobject": flags.scaledobject}
    given = [flag for flag, value in sources.items() if value]
    if len(given) != 1:
        raise Usage(f"nothing to replay: give {SOURCES}" + (f", not {' and '.join(given)}" if given else ""))
    if flags.data and prometheus_typed:
        raise Usage(f"--data and --prometheus: use one of them: {SOURCES}")


def _require_places(flags: ReplayFlags, parameters: Mapping[str, Any]) -> None:
    """The files to write can be written, and none of them is one that is read."""
    written = {"--out": flags.out and flags.out / REPORT, "--decisions": flags.decisions}
    for flag, path in written.items():
        require_writable(flag, path)
    _require_apart(_files_read(parameters), written)


def _source(
    settings: Any, flags: ReplayFlags, options: Any, prometheus_typed: bool, forecaster: Any, progress: Any
) -> Any:
    """The demand. Exits where its server cannot be reached or refuses."""
    from training.data.pull import Wanted
    from training.replay.input import recorded
    from training.replay.input.case import require_replayable
    from training.replay.input.scaled_object import read_scaling

    timezone = options.timezone
    if flags.data:
        return recorded.of_file(flags.data, flags.series, timezone or "UTC")
    scaling, server = None, settings.prometheus
    wanted = Wanted(flags.series or "demand", flags.query, server)
    if flags.scaledobject:
        scaling = read_scaling(flags.scaledobject, flags.series, options.threshold)
        trigger = scaling.trigger
        address = server if prometheus_typed else trigger.server_address or server
        wanted = Wanted(scaling.name, trigger.query, address, False, trigger.tenant, trigger.query_parameters)
        timezone = timezone or trigger.timezone
    if not wanted.server:
        raise Usage(f"{'the trigger names no serverAddress' if scaling else '--query'}: give --prometheus URL")
    require_replayable(wanted.query, scaling, options, forecaster)
    access = access_to(settings, [wanted])
    try:
        return recorded.of_server(wanted, options.days, timezone or "UTC", access, scaling, progress)
    except recorded.ServerRefused as refused:
        fail(str(refused), Exit.UNREACHABLE)


@contextmanager
def _cached_until_written(case: Any, decisions: Path | None) -> Iterator[Any]:
    """The case, with a cache for its forecasts where they are needed a second time."""
    if case.cache or not decisions:
        yield case
        return
    with TemporaryDirectory(prefix="headway-replay-") as folder:
        yield replace(case, cache=Path(folder))


def _write(judged: Any, forecaster: Any, flags: ReplayFlags, progress: Any) -> None:
    if flags.decisions:
        from training.replay.output.decisions import write_decisions
        from training.replay.verdict.judge import forecasts_for

        entries = [one.entry for one in (*judged.ran.values(), *judged.reactive_front, *judged.headway_front)]
        forecasts = forecasts_for(judged.case, forecaster, progress)
        write_decisions(judged.scenario, entries, forecasts, flags.decisions, progress)
    if flags.out:
        from training.replay.output.report import write_report

        progress("drawing the report", 0.0)
        write_report(judged, flags.out / REPORT)


def _print(judged: Any, flags: ReplayFlags) -> None:
    if flags.as_json:
        from training.replay.output.report import summary

        typer.echo(json.dumps(summary(judged), indent=2, allow_nan=False))
        return
    from rich.console import Console

    from training.replay.output.table import print_judged

    print_judged(judged, Console(highlight=False), flags.out / REPORT if flags.out else None)


def _files_read(parameters: Mapping[str, Any]) -> dict[str, Path]:
    """Every existing file that a flag names, and the files of a bundle."""
    found = {
        f"--{name.replace('_', '-')}": Path(one) for name, one in parameters.items() if isinstance(one, str | Path)
    }
    bundle = found.get("--bundle")
    inside = {f"--bundle ({one.name})": one for one in (bundle.iterdir() if bundle and bundle.is_dir() else ())}
    written = ("--out", "--decisions")
    return {flag: path for flag, path in (found | inside).items() if flag not in written and _is_file(path)}


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # the text is no path
        return False


def _require_apart(read: dict[str, Path], written: dict[str, Path | None]) -> None:
    """Nothing is written over what is read, or twice, or where another file needs a folder."""
    seen = {os.path.realpath(path): flag for flag, path in read.items()}
    for flag, path in written.items():
        other = seen.setdefault(os.path.realpath(path), flag) if path else flag
        if other != flag:
            raise Usage(f"{flag}: {path} is also the file of {other}")
    for flag, path in written.items():
        above = {os.path.realpath(one): name for name, path in written.items() if path for one in path.parents}
        if path and (other := above.get(os.path.realpath(path), flag)) != flag:
            raise Usage(f"{flag}: {path} is the folder of {other}")
