"""The flags of `headway replay`, and the options that follow from them."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from scaler.commands import Usage
from scaler.trigger import DEMAND_LIMIT

HIGHEST_PRICE = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayFlags:
    """The flags as typed."""

    data: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Recorded demand, as headway data pull writes it.")
    ] = None
    series: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Which series of --data, or which ScaledObject; not needed if there is only one."
        ),
    ] = ""
    query: Annotated[str, typer.Option(metavar="PROMQL", help="Demand from Prometheus.")] = ""
    scaledobject: Annotated[
        Path | None,
        typer.Option(metavar="FILE.yaml", help="Take demand, threshold, replicas and behavior from this ScaledObject."),
    ] = None
    threshold: Annotated[
        float | None, typer.Option(help="Demand per replica that today's trigger aims at. Default: the ScaledObject's.")
    ] = None
    capacity: Annotated[float | None, typer.Option(help="Demand that one replica carries. Default: the threshold.")] = (
        None
    )
    days: Annotated[int, typer.Option(min=2, max=365, help="How many days at the end of the history are replayed.")] = (
        14
    )
    start_up: Annotated[
        str, typer.Option(help="How long pods take: 90s, lognormal:90s,0.4 or bimodal:40s,240s,0.2.")
    ] = "90s"
    least: Annotated[
        int | None, typer.Option("--min", min=0, help="Fewest replicas. Default: the ScaledObject's, else 1.")
    ] = None
    most: Annotated[
        int | None, typer.Option("--max", min=1, help="Most replicas. Default: the ScaledObject's, else no bound.")
    ] = None
    price: Annotated[float | None, typer.Option(help="Price of a replica for an hour, in any currency.")] = None
    replicas_per_node: Annotated[
        int, typer.Option(min=1, help="How many replicas share a node; nodes are paid as a whole.")
    ] = 1
    slo: Annotated[
        str,
        typer.Option(help="What must hold, as 'short minutes per week <= 5'. Default: best service at a limited cost."),
    ] = ""
    timezone: Annotated[
        str, typer.Option(help="IANA zone of the days and weeks. Default: the ScaledObject's, else UTC.")
    ] = ""
    bundle: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The bundle that forecasts. Default: the general bundle.")
    ] = None
    max_queue_wait: Annotated[str, typer.Option(help="How long demand waits for a replica before it goes away.")] = (
        "30s"
    )
    forecast_interval: Annotated[str, typer.Option(help="How often a forecast and a plan are made.")] = "15s"
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Equal seeds give equal results.")] = 0
    jobs: Annotated[int | None, typer.Option(min=1, help="Cores to use. Default: all.")] = None
    cache: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where forecasts are kept. Default: the user's cache folder.")
    ] = None
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Keep no forecasts.")] = False
    accept_as_demand: Annotated[
        bool, typer.Option("--accept-as-demand", help="Replay a query or values that do not look like demand.")
    ] = False
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Folder for report.html, with pictures.")] = None
    decisions: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Every decision of every policy; .csv.gz is compressed.")
    ] = None
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False


def options_of(flags: ReplayFlags) -> Any:
    """The checked `ReplayOptions`. Raises Usage that names the flag."""
    from training.replay.input.case import ReplayOptions

    return ReplayOptions(
        start_up=_start_up(flags.start_up),
        threshold=_positive("--threshold", flags.threshold),
        capacity=_positive("--capacity", flags.capacity),
        days=flags.days,
        least=flags.least,
        most=flags.most,
        price=_price(flags.price, flags.replicas_per_node),
        slo=_slo(flags.slo),
        max_queue_wait_seconds=_duration("--max-queue-wait", flags.max_queue_wait, 0, 3600, 0),
        forecast_interval_seconds=_duration("--forecast-interval", flags.forecast_interval, 15, 600, 15),
        timezone=_zone(flags.timezone),
        seed=flags.seed,
        jobs=flags.jobs or len(os.sched_getaffinity(0)),
        cache=_cache(flags.cache, flags.no_cache),
        accept_as_demand=flags.accept_as_demand,
    )


def _cache(folder: Path | None, off: bool) -> Path | None:
    """The folder for forecasts; None, with a note, if the default one cannot be written."""
    from training.files import why_not
    from training.replay.input.case import default_cache

    if folder and off:
        raise Usage("--cache and --no-cache contradict each other")
    if off:
        return None
    if folder:
        require_writable("--cache", folder / "forecasts.npz")
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
    if value is not None and not 0.001 <= value < DEMAND_LIMIT:
        raise Usage(f"{flag} {value:g}: must be at least 0.001 and below {DEMAND_LIMIT:g}")
    return value


def _price(value: float | None, per_node: int) -> Any:
    from training.replay.verdict.score import Price

    if value is not None and not 0 < value <= HIGHEST_PRICE:
        raise Usage(f"--price {value:g}: must be above 0" + (f" and at most {HIGHEST_PRICE:g}" if value > 0 else ""))
    if value is None and per_node > 1:
        raise Usage(f"--replicas-per-node {per_node}: needs --price")
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


def require_writable(flag: str, path: Path | None) -> None:
    """Raises Usage where no file can be written at the path."""
    from training.files import why_not

    if path and (why := why_not(path)):
        raise Usage(f"{flag}: {path} cannot be written: {why}")
