"""From recorded demand and options to a `ReplayCase`: the span to replay, the workload's setting, and notes.

Stretches without a record are excluded and listed. Input that cannot be replayed raises `DataError` or `Usage` with
field, value and rule.
"""

import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import durationpy
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scaler.bundle import read_bundle
from scaler.commands import Usage
from scaler.errors import BundleInvalid
from scaler.forecast.catalog import GENERAL, SEASONAL
from scaler.forecast.onnx_forecaster import OnnxForecaster, load_forecaster, open_later
from scaler.plan.hpa import SYNC_SECONDS, Hpa
from scaler.trigger import Trigger
from training.data.clean import clean
from training.data.load import DAY_SECONDS, Series, local_seconds, moment_text
from training.errors import DataError
from training.replay.input.demand_checks import Concern, bare, of_names, of_query, of_values
from training.replay.input.recorded import MOST_TOLD, Source, hours, known_end, some
from training.replay.input.scaled_object import Scaling
from training.replay.policies.headway import LONGEST_LEAD_SECONDS
from training.replay.simulation.demand import Demand, Moments, Observing
from training.replay.simulation.forecasts import trigger_key
from training.replay.simulation.scenario import Keda, Setting, Span
from training.replay.simulation.start_up import StartUp
from training.replay.verdict.judge import ReplayCase, parts
from training.replay.verdict.score import Price
from training.replay.verdict.slo import Slo

LEAST_DAYS = 2.0
"""of recorded demand: one to search on, one to judge on"""
ENOUGH_BEFORE_DAYS = 7
"""of history before the replayed days: with a week, forecasts know the weekly season from the start"""
COARSEST_SECONDS = 900
"""a replay judges what happens within minutes"""
MOST_REPLICAS = 1000
"""that a threshold may lead to without --max"""
UNBOUNDED = 100_000
COARSE = 0.1
"""KEDA and the HPA round targets to thousandths: below this, targets differ coarsely"""
CAPPED_SHARE = 0.01
"""of the time, at most, may demand need more replicas than allowed"""
DEMAND_RULE = (
    "demand must not depend on the number of replicas (total requests, messages, busy cores); a metric per replica "
    "falls when replicas are added. If it is demand, give --accept-as-demand"
)


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What the user sets, each value checked by itself; None: as the ScaledObject says, else the default."""

    start_up: StartUp
    threshold: float | None = None
    capacity: float | None = None
    days: int = 14
    least: int | None = None
    most: int | None = None
    price: Price = field(default_factory=Price)
    slo: Slo | None = None
    max_queue_wait_seconds: float = 30.0
    forecast_interval_seconds: float = float(SYNC_SECONDS)
    seed: int = 0
    jobs: int = 1
    cache: Path | None = None
    timezone: str = ""
    accept_as_demand: bool = False


def open_forecaster(folder: Path | None) -> OnnxForecaster:
    """The bundle in `folder`, or the general one. Raises Usage if the folder is not a bundle."""
    otherwise = open_later(read_bundle(SEASONAL), str(SEASONAL))
    if folder is None:
        return load_forecaster(GENERAL, fallback=otherwise)
    try:
        return load_forecaster(folder, fallback=otherwise)
    except BundleInvalid as refusal:
        raise Usage(f"--bundle {str(folder)!r}: {refusal}") from None


def require_served(forecaster: OnnxForecaster, series: Series) -> None:
    """Raises Usage if the bundle was fitted to other series."""
    if not forecaster.serves(trigger_key(series)):
        raise Usage(
            f"--bundle: {forecaster.model} was fitted to {some(forecaster.manifest.series)}, "
            f"not to {trigger_key(series).removesuffix('/replay')!r}"
        )


def case_of(source: Source, options: ReplayOptions, forecaster: OnnxForecaster) -> ReplayCase:
    """The case to judge. Raises DataError or Usage if it cannot be replayed."""
    series, demand = source.series, Demand(source.series)
    if series.step_seconds > COARSEST_SECONDS:
        rule = f"its step of {series.step_seconds} s is coarser than {COARSEST_SECONDS} s"
        raise _faulty(series, f"{rule}: a replay judges what happens within minutes")
    setting = setting_of(source.scaling, source.query, options)
    _reaches(options.start_up, forecaster)
    span = span_of(series, options.days, forecaster.needed_seconds)
    minute_M, known_M = _minutes(demand, span)
    excluded = gaps(span, known_M)
    _require_days(series, span, known_M)
    _require_variation(series, span, minute_M, excluded)
    came = minute_M[known_M].astype(np.float32)
    notes = (
        *source.notes,
        *_about_model(series, forecaster),
        *_about_capacity(setting, options),
        *(source.scaling.notes if source.scaling else ()),
        *_about_demand(source, came, setting.threshold, options.accept_as_demand),
        *_about_size(came, setting, bounded=options.most is not None or source.scaling is not None),
        *_about_span(series, span, options.days),
        *_about_gaps(series, span, known_M, excluded),
        *_about_findings(series, span),
    )
    return ReplayCase(
        demand=demand,
        setting=setting,
        span=span,
        query=source.query or f"<fill in: the query that returns {series.name}, in the unit of threshold>",
        slo=options.slo,
        price=options.price,
        forecast_interval_seconds=options.forecast_interval_seconds,
        jobs=options.jobs,
        cache=options.cache,
        excluded=excluded,
        scaler_address=source.scaling.scaler_address if source.scaling else "",
        is_annotated=source.scaling is not None and source.scaling.is_annotated,
        today=_today(source, setting.threshold),
        notes=notes,
    )


def _about_model(series: Series, forecaster: OnnxForecaster) -> Iterator[str]:
    if series.system in re.split(r"[,;] ?", str(forecaster.manifest.trained.get("data", ""))):
        yield f"{forecaster.model} was trained on {series.system}: its results on this record are optimistic"


def _today(source: Source, threshold: float) -> Trigger | None:
    """Today's trigger, if known."""
    if source.scaling:
        return source.scaling.trigger
    if source.query:
        return Trigger("replay", source.series.name, source.query, threshold, source.server, key="replay/replay/0")
    return None


def require_replayable(query: str, scaling: Scaling | None, options: ReplayOptions, forecaster: OnnxForecaster) -> None:
    """Raises Usage or DataError for errors that are known before demand is fetched."""
    setting_of(scaling, query, options)
    _reaches(options.start_up, forecaster)
    for concern in _concerns(query, scaling):
        if concern.sure and not options.accept_as_demand:
            raise DataError(f"the query {_not_demand(concern)}")


def setting_of(scaling: Scaling | None, query: str, options: ReplayOptions) -> Setting:
    """The workload: the options, else the ScaledObject, else KEDA's defaults. Raises Usage."""
    threshold = options.threshold or (scaling.trigger.threshold if scaling else None)
    if threshold is None:
        raise Usage("--threshold: is required, the demand per replica that today's trigger aims at")
    hpa = scaling.hpa if scaling else Hpa(max_replicas=UNBOUNDED)
    least = options.least if options.least is not None else hpa.min_replicas
    most = options.most if options.most is not None else hpa.max_replicas
    if most < max(1, least) and options.most is None:
        raise Usage(f"--min {least}: must not be above the maximum number of replicas, {most}")
    if most < max(1, least):
        raise Usage(f"--max {most}: must not be below --min {least}, and not below 1")
    if most == least:
        raise Usage(f"--max {most}: with --min {least} there is nothing to scale")
    asleep = scaling.scales_to_zero if scaling else False
    return Setting(
        threshold=threshold,
        capacity=options.capacity or threshold,
        start_up=options.start_up,
        hpa=replace(hpa, min_replicas=max(1, least), max_replicas=most),
        scales_to_zero=asleep if options.least is None else options.least == 0,
        keda=scaling.keda if scaling else Keda(),
        observing=Observing(window_seconds=window_seconds(query)),
        max_queue_wait_seconds=options.max_queue_wait_seconds,
        seed=options.seed,
    )


def window_seconds(query: str) -> float:
    """The longest range selector of the query, such as the `[2m]` of a rate(); one minute without any."""
    found = re.findall(r"\[\s*((?:[0-9]+(?:ms|[smhdwy]))+|[0-9.]+)\s*(?::[^\]]*)?\]", bare(query))
    return max(map(_window, found), default=Observing().window_seconds)


def _window(text: str) -> float:
    """Seconds of 2m or 1h30m; plain numbers are seconds."""
    try:
        return float(durationpy.from_str(text if text[-1].isalpha() else f"{text}s").total_seconds())
    except (ValueError, OverflowError):
        raise Usage(f"--query: [{text}] is not a duration") from None


def _reaches(start_up: StartUp, forecaster: OnnxForecaster) -> None:
    horizon = min(forecaster.manifest.horizon_steps * forecaster.manifest.step_seconds, LONGEST_LEAD_SECONDS)
    lead = math.ceil(start_up.usual + 2 * SYNC_SECONDS)
    if lead > horizon:
        raise Usage(
            f"--start-up {start_up}: with two syncs of the HPA this is a lead time of {lead} s; the forecasts of "
            f"{forecaster.model} reach {horizon:g} s"
        )


def span_of(series: Series, days: int, needed_seconds: float) -> Span:
    """The newest `days` of the record in whole minutes, less the history that forecasts need. Raises DataError."""
    known = np.flatnonzero(~np.isnan(series.values))
    first = series.start + series.step_seconds * float(known[0])
    end = known_end(series) // 60 * 60
    begin = max(end - days * DAY_SECONDS, math.ceil((first + needed_seconds) / 60) * 60)
    if end - begin < LEAST_DAYS * DAY_SECONDS:
        raise _faulty(
            series,
            f"has {_down((end - first) / DAY_SECONDS)} days of history; 2 days to search and judge on are "
            f"needed, and {hours(needed_seconds)} before them to forecast from",
        )
    return Span(begin, end)


def _minutes(demand: Demand, span: Span) -> tuple[Moments, NDArray[np.bool_]]:
    """Mean demand of each minute, and whether it is on record. [M] each"""
    begin_M = np.arange(span.begin, span.end, 60.0)
    mean_M = demand.mean(begin_M, begin_M + 60)
    return mean_M, ~np.isnan(mean_M)


def gaps(span: Span, known_M: NDArray[np.bool_]) -> tuple[Span, ...]:
    """Stretches of minutes without a record, in order."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], known_M, [True]]).astype(np.int8)))
    return tuple(Span(span.begin + 60.0 * first, span.begin + 60.0 * end) for first, end in edges.reshape(-1, 2))


def _require_days(series: Series, span: Span, known_M: NDArray[np.bool_]) -> None:
    days = float(known_M.sum()) * 60 / DAY_SECONDS
    if days < LEAST_DAYS:
        raise _faulty(
            series,
            f"of the days to replay, {_from_to(span)}, {_down(days)} are on record; one to search and one to judge on "
            "are needed",
        )


def _require_variation(series: Series, span: Span, minute_M: Moments, excluded: Sequence[Span]) -> None:
    if np.nanmin(minute_M) == np.nanmax(minute_M):
        raise _faulty(series, f"is constant at {np.nanmax(minute_M):g} in the replayed days: there is nothing to scale")
    for part, use in zip(parts(span, excluded), ("search", "judge"), strict=True):
        first, end = (round((moment - span.begin) / 60) for moment in (part.begin, part.end))
        if not np.nanmax(minute_M[first:end]) > 0:
            raise _faulty(series, f"is 0 throughout the part to {use} on, {_from_to(part)}: there is nothing to scale")


def _about_demand(source: Source, came: NDArray[np.float32], threshold: float, right: bool) -> Iterator[str]:
    """Notes on why this may not be demand. Raises DataError for a certain concern, unless it is accepted as demand."""
    concerns = (
        *of_names(source.series.name if not source.query else "", source.series.unit),
        *_concerns(source.query, source.scaling),
        *of_values(came, threshold),
    )
    for concern in concerns:
        if concern.sure and not right:
            raise _faulty(source.series, _not_demand(concern))
        yield f"this may not be demand, which must not depend on the number of replicas: {concern.words}"


def _concerns(query: str, scaling: Scaling | None) -> Iterator[Concern]:
    yield from of_query(query)
    if scaling and scaling.by_value:
        yield Concern(
            "metricType=Value: the HPA takes the metric as a value per replica; it is replayed as AverageValue",
            sure=True,
        )


def _not_demand(concern: Concern) -> str:
    return f"does not look like demand: {concern.words}: {DEMAND_RULE}"


def _about_size(came: NDArray[np.float32], setting: Setting, bounded: bool) -> Iterator[str]:
    """Notes on the number of replicas that the threshold leads to. Raises DataError if there is nothing to scale."""
    threshold, peak, most = setting.threshold, float(came.max()), setting.hpa.max_replicas
    wanted = math.ceil(peak / threshold - 1e-9)
    named = f"threshold={threshold:g}"
    needs = f"the largest demand of the replayed days, {peak:.4g}, needs {wanted} replicas"
    if wanted <= 1:
        raise DataError(
            f"{named}: is not below the largest demand of the replayed days, {peak:.4g}: one replica would always "
            "be enough, there is nothing to scale"
        )
    if not bounded and wanted > MOST_REPLICAS:
        raise DataError(f"{named}: {needs}; more than {MOST_REPLICAS} need --max")
    beyond = float((came > threshold * most).mean())
    if beyond > CAPPED_SHARE:
        raise DataError(
            f"{named}: {needs}, and for {beyond:.1%} of the time demand needs more than the {most} allowed: "
            "no trigger can serve that; raise --max"
        )
    carried = math.ceil(peak / setting.capacity - 1e-9)
    if carried <= 1:
        raise DataError(
            f"capacity={setting.capacity:g}: is not below the largest demand of the replayed days, {peak:.4g}: one "
            "replica would always serve it, there is nothing to judge"
        )
    if not bounded and carried > MOST_REPLICAS:
        raise DataError(
            f"capacity={setting.capacity:g}: the largest demand of the replayed days, {peak:.4g}, needs {carried} "
            f"replicas to be served; more than {MOST_REPLICAS} need --max"
        )
    if min(threshold, setting.capacity) < COARSE:
        yield (
            f"KEDA rounds targets to thousandths: below {COARSE:g} few are distinct; let the query count in "
            "smaller units"
        )
    if beyond:
        yield f"{needs}, more than the {most} allowed"
    if wanted <= setting.hpa.min_replicas and not setting.scales_to_zero:
        yield f"the largest demand needs {wanted} replicas, and {setting.hpa.min_replicas} always run"
    if threshold > setting.capacity:
        yield f"today's threshold, {threshold:g}, is above what a replica carries, {setting.capacity:g}"


def _about_capacity(setting: Setting, options: ReplayOptions) -> Iterator[str]:
    if options.capacity is None:
        yield (
            f"one replica is assumed to carry no more than the threshold, {setting.threshold:g}, so headroom below the "
            "real capacity counts as shortage: give --capacity if a replica carries more"
        )


def _about_span(series: Series, span: Span, days: int) -> Iterator[str]:
    if series.step_seconds > 60:
        yield f"the record has a step of {series.step_seconds} s: what happens within it is not replayed"
    if span.days < days - 0.05:
        yield f"{span.days:.1f} days are replayed: the record has no more of the {days} requested"
    before = span.begin - series.start
    if before < ENOUGH_BEFORE_DAYS * DAY_SECONDS:
        length = hours(before) if before < DAY_SECONDS else f"{_down(before / DAY_SECONDS):.1f} days"
        yield (
            f"{length} of history precede the replayed days; with {ENOUGH_BEFORE_DAYS} days or more, forecasts "
            "know the week from the start"
        )


def _about_gaps(series: Series, span: Span, known_M: NDArray[np.bool_], excluded: Sequence[Span]) -> Iterator[str]:
    if not excluded:
        return
    noun = "stretch" if len(excluded) == 1 else "stretches"
    total = hours(sum(one.end - one.begin for one in excluded))
    yield f"{total} of the replayed days are not on record and do not count, in {len(excluded)} {noun}"
    day_M = local_seconds(np.arange(span.begin, span.end, 60.0), series.timezone) // DAY_SECONDS
    missing = [day for day in np.unique(day_M) if not known_M[day_M == day].any()]
    if missing:
        dates = [f"{pd.Timestamp(int(day) * DAY_SECONDS, unit='s'):%Y-%m-%d}" for day in missing[:MOST_TOLD]]
        more = f" and {len(missing) - MOST_TOLD} more" if len(missing) > MOST_TOLD else ""
        yield f"whole days without a record: {', '.join(dates)}{more}"


def _about_findings(series: Series, span: Span) -> Iterator[str]:
    """Unusual demand in the replayed days; it is replayed as recorded."""
    found = [
        one
        for one in clean(series).report
        if one.kind in ("outage", "anomaly") and one.since < span.end and one.until > span.begin
    ]
    if found:
        counts = ", ".join(f"{count} × {kind}" for kind, count in Counter(one.kind for one in found).items())
        yield f"the replayed days have unusual demand ({counts}; the first: {found[0]}); it counts like any other"


def default_cache() -> Path:
    """Where forecasts are kept between replays: the user's cache folder (XDG Base Directory Specification)."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".cache") / "headway" / "replay"


def _faulty(series: Series, rule: str) -> DataError:
    return DataError(f"series {series.name!r}: {rule}")


def _from_to(span: Span) -> str:
    return f"{moment_text(span.begin)} to {moment_text(span.end)}"


def _down(days: float) -> float:
    """Rounded down to tenths: slightly too little must not read as sufficient."""
    return math.floor(days * 10 + 1e-6) / 10
