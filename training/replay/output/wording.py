"""Shared by page, terminal and JSON: the recommended policy, its trigger to paste, the days to show, formatted numbers.

Axes: K ticks, D days, R runs of ticks.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scaler.discovery.annotated import FORECAST, KEY_OF
from scaler.plan.hpa import SYNC_SECONDS
from scaler.trigger import TRIGGER_KEYS, Mode, Trigger
from scaler.trigger.values import printable
from training.data.load import DAY_SECONDS, local_seconds
from training.replay.policies.registry import RIVALS
from training.replay.simulation.demand import Moments
from training.replay.simulation.loop import Run
from training.replay.simulation.scenario import Scenario, Span
from training.replay.verdict.candidates import HeadwayEntry, Ran, ReactiveEntry, kept_of
from training.replay.verdict.judge import DEFAULT, ORACLE, TODAY, TUNED, Judged, Verdict
from training.replay.verdict.score import NEGLIGIBLE, local_days

SCALER_ADDRESS = "dns:///headway.keda.svc.cluster.local:50051"
"""as in the examples"""
FLOOR = (
    "Today's trigger, where it is KEDA's own, may stay after it as a floor while Headway answers errors: the HPA "
    "follows the larger of both. The verdict is for this trigger alone; a floor with a lower threshold adds cost."
)
COMPLETE = 0.9
"""of the longest day: a day with less recorded time is shown only if no day has more"""
CLOSER_SECONDS = 5400.0
"""length of the detail view of a day"""
_DEFAULTS: Mapping[str, object] = {field.name: field.default for field in fields(Trigger)}
LEAST_SHOWN = 1e-6
"""a share of the demand that is still written as a number"""
WHERE_TO_PASTE = {
    False: "The trigger to paste below `triggers:` of the ScaledObject, with the indentation of the list",
    True: "What to set in the ScaledObject, which asks for a forecast by annotation",
}
"""by whether it has the annotation"""
_UNITS = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def recommended(judged: Judged) -> str:
    """Name of the recommended policy: the tuned one if the verdict names it, else the default."""
    return TUNED if judged.verdict is Verdict.WITH_SETTINGS else DEFAULT


def title(judged: Judged) -> str:
    """The displayed name of the series, without control characters."""
    return printable(judged.case.demand.series.name)


def reasons(judged: Judged) -> list[str]:
    """`why` as sentences."""
    return [f"{one[:1].upper()}{one[1:]}." for one in judged.why]


def settings_of(ran: Ran) -> str:
    """The settings of a policy, if it has any."""
    if isinstance(ran.entry, ReactiveEntry):
        return f"threshold {number(ran.entry.target)}"
    if isinstance(ran.entry, HeadwayEntry):
        trigger = ran.entry.trigger
        return (
            f"threshold {number(trigger.threshold)}, quantile {number(trigger.quantile)}, "
            f"lead time {duration(trigger.lead_time_seconds)}, {trigger.policy.value}"
        )
    return ""


def to_paste(judged: Judged) -> str:
    """What enables the recommendation: annotations for an object that has Headway's, else a trigger."""
    return annotations_yaml(judged) if judged.case.is_annotated else trigger_yaml(judged)


def annotations_yaml(judged: Judged) -> str:
    """The annotations of a ScaledObject; what its own `prometheus` trigger must have stands below them as comments."""
    metadata = trigger_metadata(judged)
    own = {FORECAST: "true"} | {name: metadata[key] for name, key in KEY_OF.items() if key in metadata}
    lines = [f"    {name}: {json.dumps(value)}" for name, value in own.items()]
    threshold = f'# in its prometheus trigger: threshold: "{metadata["threshold"]}"'
    return "\n".join(["metadata:", "  annotations:", *lines, threshold]) + "\n"


def trigger_yaml(judged: Judged) -> str:
    """The block to paste below `triggers:` of a ScaledObject; in shadow mode if the verdict is no."""
    # unprintable characters are escaped: YAML forbids most of them
    lines = [
        f"    {key}: {json.dumps(value, ensure_ascii=not value.isprintable())}".replace("\x7f", "\\u007f")
        for key, value in trigger_metadata(judged).items()
    ]
    return "\n".join(["- type: external", "  metadata:", *lines]) + "\n"


def trigger_metadata(judged: Judged) -> dict[str, str]:
    """The metadata for KEDA: strings, and only the keys that differ from the default.

    With `serverAddress` if the case has one.
    """
    trigger = judged.trigger
    if judged.verdict is Verdict.DO_NOT:
        trigger = replace(trigger, mode=Mode.SHADOW)
    values = {key.name: getattr(trigger, key.field) for key in TRIGGER_KEYS if _differs(trigger, key.field)}
    fields_of = {key.name: key.field for key in TRIGGER_KEYS}
    address = judged.case.scaler_address or SCALER_ADDRESS
    return {"scalerAddress": address, **{name: _written(fields_of[name], values[name]) for name in values}}


def _differs(trigger: Trigger, field: str) -> bool:
    value = getattr(trigger, field)
    return bool(value != _DEFAULTS[field] and value != "")


def _written(field: str, value: object) -> str:
    if isinstance(value, StrEnum | str):
        return str(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(f"{name}={one}" for name, one in value)
    assert isinstance(value, int | float)
    if field.endswith("_seconds"):
        return duration(value)
    return np.format_float_positional(kept_of(value), trim="-") if field == "threshold" else number(value)


def number(value: float) -> str:
    """Six digits, never with an exponent."""
    return np.format_float_positional(value, precision=6, fractional=False, trim="-")


def duration(seconds: float) -> str:
    """In the largest unit that divides it: 90s, 3m, 14d."""
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= size and seconds % size == 0), (1, "s"))
    return f"{number(seconds / size)}{unit}"


def letters() -> dict[str, str]:
    """Letters of the rivals in the plot: a, b, c, …"""
    return {name: chr(ord("a") + i) for i, name in enumerate(RIVALS)}


@dataclass(frozen=True, slots=True)
class Cell:
    """One formatted figure of one policy. best: no policy but the oracle is better."""

    text: str
    best: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One policy of the table."""

    name: str
    letter: str
    """letter of a rival in the plot"""
    settings: str
    picked: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """field: of Scores; the lowest value is the best."""

    head: str
    field: str
    written: Callable[[float], str]


def columns(judged: Judged) -> list[Column]:
    """Columns of the table of policies; the cost only if there is a price."""
    money = [Column("cost", "money", count)] if judged.case.price.per_replica_hour > 0 else []
    return [
        Column("replica-hours", "replica_hours", count),
        *money,
        Column("short min a week", "short_minutes_per_week", count),
        Column("unserved", "unserved_share", share),
        Column("lost", "lost_share", share),
        Column("delay p95", "delay_p95", seconds),
        Column("delay p99", "delay_p99", seconds),
        Column("scale events", "scale_events", count),
        Column("wrong size, of time", "wrong_size_share", "{:.0%}".format),
        Column("most pods", "largest", count),
    ]


def rows(judged: Judged) -> list[Row]:
    """All policies in the order in which they ran; the best values of each column are marked."""
    named, shown = letters(), columns(judged)
    others = [one.scores for name, one in judged.ran.items() if name != ORACLE]
    least = {column.field: min(getattr(scores, column.field) for scores in others) for column in shown}

    def cell(ran: Ran, column: Column) -> Cell:
        value = getattr(ran.scores, column.field)
        return Cell(column.written(value), ran.entry.name != ORACLE and value == least[column.field])

    return [
        Row(
            name=name,
            letter=named.get(name, ""),
            settings=settings_of(ran),
            picked=name == recommended(judged) and judged.verdict is not Verdict.DO_NOT,
            cells=tuple(cell(ran, column) for column in shown),
        )
        for name, ran in judged.ran.items()
    ]


@dataclass(frozen=True, slots=True)
class Day:
    """A judged day. kind: best, typical or worst. begin, end: its ticks. closer: those of the detail view."""

    kind: str
    index: int
    begin: int
    end: int
    closer: tuple[int, int]


def days(judged: Judged) -> tuple[Day, ...]:
    """The best, a typical and the worst day, by how much less the recommended trigger left unserved than today's.

    As shares of the day's demand; the typical day is the median. Two days have no typical one, a single day is the only
    one.
    """
    scenario = judged.scenario
    today, mine = (judged.ran[name] for name in (TODAY, recommended(judged)))
    day_K = local_days(scenario)
    shown_D = np.flatnonzero(judged_share(judged) >= COMPLETE)
    demand_D = np.maximum(today.scores.by_day.demand_D, 1e-300)
    gain_D = (today.scores.by_day.unserved_D - mine.scores.by_day.unserved_D) / demand_D
    order = shown_D[np.argsort(gain_D[shown_D], kind="stable")].tolist()
    if not order:
        return ()
    kinds = {"best": order[-1], "typical": order[(len(order) - 1) // 2], "worst": order[0]}
    if len(order) < 3:
        kinds = {"best": order[-1], "worst": order[0]} if len(order) == 2 else {"typical": order[0]}
    return tuple(_day(kind, index, day_K, scenario, (today.run, mine.run)) for kind, index in kinds.items())


def judged_share(judged: Judged) -> Moments:
    """The judged time of each day over that of the longest day: the first and the last may be short. [D]"""
    scenario = judged.scenario
    known_D = np.bincount(local_days(scenario), weights=~np.isnan(scenario.demand_K))
    return np.asarray(known_D / max(known_D.max(), 1e-9))


def _day(kind: str, index: int, day_K: NDArray[np.int64], scenario: Scenario, runs: tuple[Run, Run]) -> Day:
    begin, end = (int(k) for k in np.searchsorted(day_K, (index, index + 1)))
    unserved = np.maximum(*(run.unserved_K[begin:end] for run in runs))
    if not unserved.any():
        unserved = np.nan_to_num(scenario.demand_K[begin:end])
    length = min(int(CLOSER_SECONDS / SYNC_SECONDS), end - begin)
    within = np.convolve(unserved, np.ones(max(1, length // 3)), mode="same")
    first = min(max(begin + int(np.argmax(within)) - length // 2, begin), end - length)
    return Day(kind, index, begin, end, (first, first + length))


def date_of(scenario: Scenario, index: int) -> np.datetime64:
    """Date of a day of the span, in the series' time zone."""
    first = local_seconds(scenario.sync_K[:1], scenario.demand.series.timezone)[0] // DAY_SECONDS
    return np.datetime64(int(first) + index, "D")


def day_text(scenario: Scenario, index: int) -> str:
    """Tue 05 Sep 1995"""
    return f"{date_of(scenario, index).astype(object):%a %d %b %Y}"


def period(span: Span, timezone: str, by_clock: bool = False) -> str:
    """Begin and end, in the series' time zone."""
    begin, end = clock(span.begin, timezone), clock(span.end, timezone)
    if by_clock:
        return f"{begin:%a %d %b %Y %H:%M} to {end:%a %d %b %Y %H:%M}"
    return f"{begin:%d %b} to {end:%d %b %Y}, {span.days:.3g} days"


def stretch(judged: Judged, span: Span) -> str:
    """`period` of one half, with its recorded days."""
    text = period(span, judged.case.demand.series.timezone)
    missing = sum(max(0.0, min(span.end, gap.end) - max(span.begin, gap.begin)) for gap in judged.case.excluded)
    return f"{text}, {span.days - missing / DAY_SECONDS:.3g} of them on record" if missing else text


def clock(moment: float, timezone: str) -> pd.Timestamp:
    return pd.Timestamp(int(local_seconds(np.array([moment]), timezone)[0]), unit="s")


def short_K(scenario: Scenario, run: Run) -> NDArray[np.bool_]:
    """Where demand exceeds capacity, as the scores count it. [K]"""
    demand_K = np.nan_to_num(scenario.demand_K) * SYNC_SECONDS
    return np.asarray(run.unserved_K > NEGLIGIBLE * demand_K)


def runs_of(true_K: NDArray[np.bool_]) -> NDArray[np.int64]:
    """[begin, end) of each unbroken run. [R, 2]"""
    padded = np.concatenate([[False], true_K, [False]])
    return np.flatnonzero(padded[1:] != padded[:-1]).reshape(-1, 2)


def changes(values_K: Moments) -> NDArray[np.int64]:
    """Ticks at which a step line needs a point: where the value changes."""
    with np.errstate(invalid="ignore"):
        same_K = (values_K[1:] == values_K[:-1]) | (np.isnan(values_K[1:]) & np.isnan(values_K[:-1]))
    return np.flatnonzero(np.concatenate([[True], ~same_K]))


def share(value: float) -> str:
    """A small share of the demand: 1.3%, 0.042%, <0.0001%. Only nothing is 0%."""
    if math.isnan(value):
        return "–"
    if value <= 0:
        return "0%"
    if value < LEAST_SHOWN:
        return f"<{LEAST_SHOWN:.4%}"
    digits = max(0, min(4, 1 - math.floor(math.log10(value * 100))))
    return f"{value:.{digits}%}"


def count(value: float) -> str:
    """A formatted amount: 4,116, 70, 2.5."""
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 10 or value == round(value) else f"{value:.2g}"


def seconds(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.1f} s" if 0 < value < 100 else f"{value:.0f} s"


def change(now: float, before: float) -> str:
    """Change from `before` to `now`: −12%; a dash without a base. Only a value of 0 is −100%."""
    if math.isnan(now) or math.isnan(before) or (before <= 0 < now):
        return "–"
    ratio = max(now / before - 1, -0.999 if now > 0 else -1.0) if before > 0 else 0.0
    text = f"{ratio:+.1%}" if abs(ratio) < 0.0995 or -1.0 < ratio < -0.985 else f"{ratio:+.0%}"
    return "±0%" if text in ("+0.0%", "-0.0%") else text.replace("-", "−")
