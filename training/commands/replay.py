"""`headway replay`: the flags, and what comes out. Everything about the input is in recorded.py and intake.py."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from scaler.commands import Exit, Usage
from scaler.commands.server_flags import on_command_line
from training.commands.shared import fail, offline, progress_bar, reached

EXIT_TEXT = (
    "Exit status: 0 fine, whatever the verdict · 1 no place for what was to be written · 2 wrong flags or settings, or "
    "demand that cannot be replayed · 3 Prometheus could not be reached, or refused · 130 interrupted, nothing is left "
    "half-written."
)
REPORT = "report.html"
HIGHEST_PRICE = 1e9
SOURCES = "--data FILE, --query PROMQL (with --prometheus URL) or --scaledobject FILE.yaml"


def replay(
    settings: Any,
    context: typer.Context,
    data: Annotated[Path | None, typer.Option(metavar="FILE", help="Recorded demand, as of headway data pull.")] = None,
    series: Annotated[
        str, typer.Option(metavar="NAME", help="Which series of --data, or which ScaledObject; where there is one: it.")
    ] = "",
    query: Annotated[str, typer.Option(metavar="PROMQL", help="Demand from Prometheus.")] = "",
    scaledobject: Annotated[
        Path | None,
        typer.Option(metavar="FILE.yaml", help="Demand, threshold, replicas and behavior as this ScaledObject says."),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Demand per replica that today's trigger aims at. Default: the ScaledObject's.")
    ] = None,
    capacity: Annotated[
        float | None, typer.Option(help="Demand that one replica carries. Default: the threshold.")
    ] = None,
    days: Annotated[int, typer.Option(min=2, max=365, help="How many at the end of the history are replayed.")] = 14,
    start_up: Annotated[
        str, typer.Option(help="How long pods take: 90s, lognormal:90s,0.4 or bimodal:40s,240s,0.2.")
    ] = "90s",
    least: Annotated[
        int | None, typer.Option("--min", min=0, help="Fewest replicas. Default: the ScaledObject's, else 1.")
    ] = None,
    most: Annotated[
        int | None, typer.Option("--max", min=1, help="Most replicas. Default: the ScaledObject's, else no bound.")
    ] = None,
    price: Annotated[float | None, typer.Option(help="Of a replica for an hour, in any currency.")] = None,
    replicas_per_node: Annotated[int, typer.Option(min=1, help="So many are paid for together.")] = 1,
    slo: Annotated[
        str,
        typer.Option(help="What must hold, as 'short minutes per week <= 5'. Default: best service for today's cost."),
    ] = "",
    timezone: Annotated[
        str, typer.Option(help="IANA zone of the days and weeks. Default: the ScaledObject's, else UTC.")
    ] = "",
    bundle: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Who forecasts. Default: the general bundle.")
    ] = None,
    patience: Annotated[str, typer.Option(help="How long demand waits for a replica before it goes away.")] = "30s",
    every: Annotated[str, typer.Option(help="How often a forecast is made, as 60s or 15s.")] = "60s",
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Equal seeds give equal results.")] = 0,
    jobs: Annotated[int | None, typer.Option(min=1, help="Cores to use. Default: all.")] = None,
    cache: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where forecasts are kept. Default: the user's cache folder.")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Keep no forecasts.")] = False,
    demand_is_right: Annotated[
        bool, typer.Option("--demand-is-right", help="Replay what does not look like demand.")
    ] = False,
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Folder for report.html, with pictures.")] = None,
    decisions: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Every decision of every policy; .csv.gz is packed.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Prove it on your own history: what forecasting would have done to service and cost, before it is switched on.

    The demand of past days is run against a simulated HPA and cluster: under today's trigger, under Headway, and under
    what else one might pick. Settings are searched on the first half of the days and judged on the second. The verdict
    is enable, enable with these settings, or do not enable, and why.

    Demand comes from exactly one source: --data, --query or --scaledobject. A file has the columns series, timestamp,
    value, as headway data pull writes it. A ScaledObject's own prometheus or external trigger tells query and
    threshold; flags win over what it says.

    How to get into Prometheus is said as for headway serve: by these flags, their environment variables, or --config;
    --prometheus wins over the serverAddress of a ScaledObject. All else is in docs/replay.md.
    """
    with offline("nothing is left half-written"):
        from scaler.telemetry.logs import configure_logs
        from training.replay.input import case as intake
        from training.replay.simulation.forecasts import forget_oldest
        from training.replay.verdict.judge import judge

        configure_logs("console", "error")
        told_where = on_command_line(context, "prometheus")
        _one_source(data, query, scaledobject, told_where)
        _writable("--out", out and out / REPORT)
        _writable("--decisions", decisions)
        _apart(_read(context.params), {"--out": out and out / REPORT, "--decisions": decisions})
        wishes = intake.Wishes(
            start_up=_start_up(start_up),
            threshold=_positive("--threshold", threshold),
            capacity=_positive("--capacity", capacity),
            days=days,
            least=least,
            most=most,
            price=_price(price, replicas_per_node),
            slo=_slo(slo),
            patience_seconds=_duration("--patience", patience, 0, 3600, 0),
            every_seconds=_duration("--every", every, 15, 600, 15),
            seed=seed,
            jobs=jobs or len(os.sched_getaffinity(0)),
            cache=_cache(cache, no_cache),
            demand_is_right=demand_is_right,
        )
        timezone = _zone(timezone)
        with progress_bar() as (told, _):
            forecaster = intake.opened(bundle)
            told("reading the demand", 0.0)
            source = _source(
                settings, told_where, data, series, query, scaledobject, wishes, timezone, forecaster, told
            )
            intake.serves(forecaster, source.series)
            case = intake.case_of(source, wishes, forecaster)
            with _kept_between(case, decisions) as case:
                judged = judge(case, forecaster, told)
                _write(judged, forecaster, out, decisions, told)
            if case.cache == intake.default_cache():
                forget_oldest(case.cache)
        _show(judged, out, as_json)


def _one_source(data: Path | None, query: str, scaledobject: Path | None, server: bool) -> None:
    given = [flag for flag, value in (("--data", data), ("--query", query), ("--scaledobject", scaledobject)) if value]
    if len(given) != 1:
        raise Usage(f"what is to be replayed? give {SOURCES}" + (f", not {' and '.join(given)}" if given else ""))
    if data and server:
        raise Usage(f"--data and --prometheus: demand comes from one of them; give {SOURCES}")


def _source(
    settings: Any,
    told_where: bool,
    data: Path | None,
    name: str,
    query: str,
    scaledobject: Path | None,
    wishes: Any,
    timezone: str,
    forecaster: Any,
    told: Any,
) -> Any:
    """The demand. Exits where its server cannot be reached or refuses."""
    from training.data.pull import Wanted
    from training.replay.input import case as intake
    from training.replay.input import recorded
    from training.replay.input.scaled_object import read_scaling

    if data:
        return recorded.of_file(data, name, timezone or "UTC")
    scaling, server = None, settings.prometheus
    wanted = Wanted(name or "demand", query, server)
    if scaledobject:
        scaling = read_scaling(scaledobject, name, wishes.threshold)
        trigger = scaling.trigger
        address = server if told_where else trigger.server_address or server
        wanted = Wanted(scaling.name, trigger.query, address, False, trigger.tenant, trigger.query_parameters)
        timezone = timezone or trigger.timezone
    if not wanted.server:
        raise Usage(f"{'the trigger names no serverAddress' if scaling else '--query'}: give --prometheus URL")
    intake.asked(wanted.query, scaling, wishes, forecaster)
    access = reached(settings, [wanted])
    try:
        return recorded.of_server(wanted, wishes.days, timezone or "UTC", access, scaling, told)
    except recorded.ServerRefused as refused:
        fail(str(refused), Exit.UNREACHABLE)


@contextmanager
def _kept_between(case: Any, decisions: Path | None) -> Iterator[Any]:
    """The case, with a cache for its forecasts where they are wanted a second time."""
    if case.cache or not decisions:
        yield case
        return
    with TemporaryDirectory(prefix="headway-replay-") as folder:
        yield replace(case, cache=Path(folder))


def _write(judged: Any, forecaster: Any, out: Path | None, decisions: Path | None, told: Any) -> None:
    if decisions:
        from training.replay.output.decisions import write_decisions
        from training.replay.verdict.judge import forecasts_for

        entries = [one.entry for one in (*judged.ran.values(), *judged.reactive_front, *judged.headway_front)]
        write_decisions(judged.world, entries, forecasts_for(judged.case, forecaster, told), decisions, told)
    if out:
        from training.replay.output.report import write_report

        told("drawing the report", 0.0)
        write_report(judged, out / REPORT)


def _show(judged: Any, out: Path | None, as_json: bool) -> None:
    if as_json:
        from training.replay.output.report import summary

        typer.echo(json.dumps(summary(judged), indent=2, allow_nan=False))
        return
    from rich.console import Console

    from training.replay.output.table import print_judged

    print_judged(judged, Console(highlight=False), out / REPORT if out else None)


def _read(given: Mapping[str, Any]) -> dict[str, Path]:
    """Every file that a flag names and that is there; of a bundle all that it holds."""
    found = {f"--{name.replace('_', '-')}": Path(one) for name, one in given.items() if isinstance(one, str | Path)}
    bundle = found.get("--bundle")
    inside = {f"--bundle ({one.name})": one for one in (bundle.iterdir() if bundle and bundle.is_dir() else ())}
    written = ("--out", "--decisions")
    return {flag: path for flag, path in (found | inside).items() if flag not in written and _is_file(path)}


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a text that is no path
        return False


def _apart(read: dict[str, Path], written: dict[str, Path | None]) -> None:
    """Nothing is written over what is read, or twice, or where another file must have its folder."""
    seen = {os.path.realpath(path): flag for flag, path in read.items()}
    for flag, path in written.items():
        other = seen.setdefault(os.path.realpath(path), flag) if path else flag
        if other != flag:
            raise Usage(f"{flag}: {path} is the file of {other}, too")
    for flag, path in written.items():
        above = {os.path.realpath(one): name for name, path in written.items() if path for one in path.parents}
        if path and (other := above.get(os.path.realpath(path), flag)) != flag:
            raise Usage(f"{flag}: {path} is the folder of {other}")


def _writable(flag: str, path: Path | None) -> None:
    from training.files import why_not

    if path and (why := why_not(path)):
        raise Usage(f"{flag}: {path} cannot be written: {why}")


def _cache(folder: Path | None, off: bool) -> Path | None:
    """The folder for forecasts; none, and told, where there is none to write to and nobody asked for it."""
    from training.files import why_not
    from training.replay.input.case import default_cache

    if folder and off:
        raise Usage("--cache and --no-cache contradict each other")
    if off:
        return None
    if folder:
        _writable("--cache", folder / "forecasts.npz")
        return folder
    usual = default_cache()
    if why := why_not(usual / "forecasts.npz"):
        typer.echo(f"note: forecasts are not kept in {usual}: {why}", err=True)
        return None
    return usual


def _start_up(text: str) -> Any:
    from training.replay.simulation.start_up import start_up

    try:
        return start_up(text)
    except ValueError as error:
        raise Usage(f"--start-up {error}") from None


def _slo(text: str) -> Any:
    from training.replay.verdict.slo import slo

    try:
        return slo(text) if text else None
    except ValueError as error:
        raise Usage(f"--slo {error}") from None


def _zone(name: str) -> str:
    from training.data.load import ZONE_RULE, is_zone

    if name and not is_zone(name):
        raise Usage(f"--timezone {name!r}: {ZONE_RULE}")
    return name


def _positive(flag: str, value: float | None) -> float | None:
    if value is not None and not 0.001 <= value < 9.2e15:
        raise Usage(f"{flag} {value:g}: must be at least 0.001 and below 9.2e15")
    return value


def _price(value: float | None, per_node: int) -> Any:
    from training.replay.verdict.score import Price

    if value is not None and not 0 < value <= HIGHEST_PRICE:
        raise Usage(f"--price {value:g}: must be above 0" + (f" and at most {HIGHEST_PRICE:g}" if value > 0 else ""))
    if value is None and per_node > 1:
        raise Usage(f"--replicas-per-node {per_node}: says how --price is paid, which is not given")
    return replace(Price(per_node=per_node), per_replica_hour=value or 0.0)


def _duration(flag: str, text: str, least: float, most: float, multiple: float) -> float:
    """Seconds."""
    import durationpy

    rule = f"must be a duration from {least:g}s to {most:g}s" + (f", a multiple of {multiple:g}s" if multiple else "")
    try:
        seconds = float(durationpy.from_str(text).total_seconds())
    except durationpy.DurationError:
        raise Usage(f"{flag} {text!r}: {rule}") from None
    if not least <= seconds <= most or (multiple and seconds % multiple):
        raise Usage(f"{flag} {text!r}: {rule}")
    return seconds
