"""A replay as one page that needs no network, and as JSON.

The page: the verdict first, then what it would have changed, real days, cost and service of every policy, and the
trigger to paste.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from scaler.files import appearing
from scaler.plan.hpa import DEFAULT_DOWN, DEFAULT_UP, Direction
from training.replay.input.case import UNBOUNDED
from training.replay.output import wording
from training.replay.output.figures import figures
from training.replay.output.figures.pareto import gap
from training.replay.simulation.scenario import Setting, Span
from training.replay.verdict.candidates import Ran
from training.replay.verdict.judge import ORACLE, TODAY, Judged, ReplayCase, Verdict, is_known, saved_text, signed_up
from training.replay.verdict.pareto import Interval

TEMPLATE = "report.html"
OUTCOMES: Mapping[Verdict, str] = {Verdict.ENABLE: "yes", Verdict.WITH_SETTINGS: "settings", Verdict.DO_NOT: "no"}
FIELDS = (
    "replica_hours", "money", "short_minutes_per_week", "unserved_share", "lost_share", "delay_p95", "delay_p99",
    "scale_events", "wrong_size_share", "largest",
)  # fmt: skip
"""of scores, in JSON"""
SAME = 0.02
"""a smaller change is neither better nor worse"""


def write_report(judged: Judged, path: Path) -> None:
    """Write the page, in whole or not at all. The same replay gives the same bytes."""
    with appearing(path) as draft:
        draft.write_text(page(judged), encoding="utf-8")


def page(judged: Judged) -> str:
    """The page as HTML, scripts and pictures included."""
    here = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=here, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    drawn = {name: json.loads(figure.to_json()) for name, figure in figures(judged).items()}
    series = judged.case.demand.series
    return environment.get_template(TEMPLATE).render(
        series=f"{series.system}: {wording.title(judged)}" if series.system else wording.title(judged),
        query=judged.case.query,
        verdict=f"{judged.verdict[:1].upper()}{judged.verdict[1:]}",
        outcome=OUTCOMES[judged.verdict],
        reasons=wording.reasons(judged),
        model=judged.model,
        judged_days=wording.stretch(judged, judged.scenario.span),
        searched_days=wording.stretch(judged, judged.searched),
        timezone=series.timezone,
        cards=list(_cards(judged)),
        days=[_shown(judged, day) for day in wording.days(judged)],
        picked=wording.recommended(judged),
        gap=gap(judged),
        equal=equal(judged),
        closed=judged.gap_closed if math.isfinite(judged.gap_closed) else None,
        unserved=[
            wording.share(one)
            for one in (
                gap(judged).front_unserved,
                *(judged.ran[name].scores.unserved_share for name in (wording.recommended(judged), ORACLE)),
            )
        ],
        heads=[column.head for column in wording.columns(judged)],
        rows=wording.rows(judged),
        rivals=wording.letters(),
        yaml=wording.to_paste(judged),
        where=wording.WHERE_TO_PASTE[judged.case.is_annotated],
        floor="" if judged.case.is_annotated else wording.FLOOR,
        assumed=assumed(judged),
        excluded=[wording.period(span, series.timezone, by_clock=True) for span in judged.case.excluded],
        notes=judged.case.notes,
        figures_json=json.dumps(drawn, sort_keys=True).replace("<", "\\u003c"),
        plotly=get_plotlyjs().replace("</script", "<\\/script"),
    )


@dataclass(frozen=True, slots=True)
class Card:
    """A figure of the recommended trigger next to today's. bars: both, in percent of the larger."""

    name: str
    value: str
    today: str
    change: str
    outcome: str
    """better, worse or same"""
    bars: tuple[float, float]


def _cards(judged: Judged) -> Iterator[Card]:
    today, mine = (judged.ran[name].scores for name in (TODAY, wording.recommended(judged)))
    if judged.case.price.per_replica_hour > 0:
        yield _card("cost", mine.money, today.money, wording.count)
    else:
        yield _card("replica-hours", mine.replica_hours, today.replica_hours, wording.count)
    yield _card("short minutes a week", mine.short_minutes_per_week, today.short_minutes_per_week, wording.count)
    yield _card("unserved demand", mine.unserved_share, today.unserved_share, wording.share)
    yield _card("delay, 99th percentile", mine.delay_p99, today.delay_p99, wording.seconds)
    yield _card("scale events", mine.scale_events, today.scale_events, wording.count)


def _card(name: str, mine: float, today: float, written: Any) -> Card:
    most = max(mine, today)
    bars = tuple(round(100 * one / most, 1) if most > 0 else 0.0 for one in (mine, today))
    near = math.isnan(mine) or math.isnan(today) or abs(mine - today) <= SAME * today
    outcome = "same" if near else "better" if mine < today else "worse"
    return Card(name, written(mine), written(today), wording.change(mine, today), outcome, (bars[0], bars[1]))


def _shown(judged: Judged, day: wording.Day) -> dict[str, Any]:
    result = {"kind": day.kind, "date": wording.day_text(judged.scenario, day.index)}
    zone = judged.scenario.demand.series.timezone
    begin, end = (float(judged.scenario.sync_K[k]) for k in (day.closer[0], day.closer[1] - 1))
    clocks = [f"{wording.clock(moment, zone):%H:%M}" for moment in (begin, end)]
    for role, name in (("today", TODAY), ("headway", wording.recommended(judged))):
        by_day = judged.ran[name].scores.by_day
        share = by_day.unserved_D[day.index] / max(by_day.demand_D[day.index], 1e-300)
        result[role] = f"{wording.share(float(share))} unserved, {by_day.short_minutes_D[day.index]:.0f} min short"
    return {**result, "closer": f"{clocks[0]} to {clocks[1]}"}


def equal(judged: Judged) -> list[tuple[str, list[str]]]:
    """The comparisons at equal service and at equal cost, as sentences, for each candidate."""
    found = []
    for name, held in judged.against.items():
        found.append((name, [_saved(held.saved), _unserved(held.unserved)]))
    return found


def _saved(interval: Interval) -> str:
    if not is_known(interval):
        return "At equal service: unknown, as none of the reactive triggers tried serves equally well."
    return f"At equal service: {saved_text(interval)} than a reactive trigger{_interval(signed_up(interval))}."


def _unserved(interval: Interval) -> str:
    if not is_known(interval):
        return "At equal cost: unknown, as no reactive trigger costs as much, or a cheaper one leaves nothing unserved."
    return f"At equal cost: {interval.value:.0%} of what a reactive trigger leaves unserved{_interval(interval)}."


def _interval(interval: Interval) -> str:
    if not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return ""
    return f" (90% interval {_signed(interval.low)} to {_signed(interval.high)})"


def _signed(value: float) -> str:
    return f"{value:z.1%}".replace("-", "−")


def assumed(judged: Judged) -> list[tuple[str, str]]:
    """The assumptions of the replay, as pairs of name and value."""
    case, setting = judged.case, judged.case.setting
    unit = f" {case.demand.series.unit}" if case.demand.series.unit else ""
    hpa, keda, price, observing = setting.hpa, setting.keda, case.price, setting.observing
    behavior = hpa.behavior
    down = behavior.down if behavior else DEFAULT_DOWN
    wait = down.stabilization_seconds if behavior else hpa.downscale_stabilization_seconds
    rows = [
        ("threshold today", f"{wording.number(setting.threshold)}{unit} per pod"),
        ("capacity of a pod", f"{wording.number(setting.capacity)}{unit}"),
        ("start-up of a pod", str(setting.start_up)),
        ("maximum wait", f"demand waits {setting.max_queue_wait_seconds:g} s at most, then it goes away"),
        ("metric", f"scraped every {observing.scrape_seconds:g} s, rate over {observing.window_seconds:g} s"),
        ("replicas", _replicas(setting)),
        ("HPA", f"every 15 s, tolerance {hpa.tolerance_up:.0%} up and {hpa.tolerance_down:.0%} down"),
        ("scaling up", _direction(behavior.up if behavior else DEFAULT_UP)),
        ("scaling down", f"{_direction(down)}; the largest of the last {wait:g} s counts"),
    ]
    if setting.scales_to_zero:
        rows.append(("KEDA", f"polls every {keda.polling_seconds:g} s, cools down for {keda.cooldown_seconds:g} s"))
    if price.per_replica_hour > 0:
        nodes = f", paid in nodes of {price.per_node}" if price.per_node > 1 else ""
        rows.append(("price", f"{price.per_replica_hour:g} per replica-hour{nodes}"))
    if case.slo is not None:
        rows.append(("SLO", str(case.slo)))
    rows.append(("forecasts", f"one every {case.forecast_interval_seconds:g} s, from what was known then"))
    return [*rows, ("seed", str(setting.seed))]


def _replicas(setting: Setting) -> str:
    hpa = setting.hpa
    most = f"to {hpa.max_replicas:,}" if hpa.max_replicas < UNBOUNDED else "without an upper bound"
    return f"{'0, or ' if setting.scales_to_zero else ''}{hpa.min_replicas:,} {most}"


def _direction(direction: Direction) -> str:
    if not direction.policies or direction.select.value == "Disabled":
        return "never"
    limits = [
        f"{one.value}{'%' if one.type.value == 'Percent' else ' pods'} in {one.period_seconds:g} s"
        for one in direction.policies
    ]
    return f"at most {' or '.join(limits)}" + (f" ({direction.select.value.lower()})" if len(limits) > 1 else "")


def summary(judged: Judged) -> dict[str, Any]:
    """Every figure of the page, for JSON; see docs/replay.md. Names are stable, NaN is None."""
    case, series = judged.case, judged.case.demand.series
    picked = wording.recommended(judged)
    today, mine = (judged.ran[name].scores for name in (TODAY, picked))
    found = gap(judged)
    result: dict[str, Any] = {
        "verdict": judged.verdict.value,
        "why": judged.why,
        "model": judged.model,
        "system": series.system,
        "series": series.name,
        "unit": series.unit,
        "timezone": series.timezone,
        "query": case.query,
        "judged": _span(judged.scenario.span),
        "searched": _span(judged.searched),
        "excluded": [_span(span) for span in case.excluded],
        "notes": case.notes,
        "recommended": None if judged.verdict is Verdict.DO_NOT else _slug(picked),
        "compared": _slug(picked),
        "trigger": wording.trigger_metadata(judged),
        "trigger_yaml": wording.trigger_yaml(judged),
        "annotations_yaml": wording.annotations_yaml(judged) if judged.case.is_annotated else None,
        "change_from_today": {field: _ratio(getattr(mine, field), getattr(today, field)) - 1 for field in FIELDS},
        "gap_closed": judged.gap_closed,
        "reactive_unserved_share_at_equal_cost": found.front_unserved,
        "reactive_replica_hours_at_equal_service": found.front_cost,
        "against_reactive": {
            _slug(name): {"saved": asdict(held.saved), "unserved_ratio": asdict(held.unserved)}
            for name, held in judged.against.items()
        },
        "policies": {_slug(name): _ran(one) for name, one in judged.ran.items()},
        "reactive_front": [_ran(one) for one in judged.reactive_front],
        "headway_front": [_ran(one) for one in judged.headway_front],
        "days": {day.kind: _day(judged, day.index) for day in wording.days(judged)},
        "by_day": [_day(judged, index) for index in range(len(mine.by_day.demand_D))],
        "assumed": _assumed(case),
    }
    if case.price.per_replica_hour <= 0:
        for one in (*result["policies"].values(), *result["reactive_front"], *result["headway_front"]):
            one["money"] = None
    return {name: _plain(one) for name, one in result.items()}


def _ran(ran: Ran) -> dict[str, Any]:
    result = {field: getattr(ran.scores, field) for field in ("days", "short_minutes", *FIELDS)}
    return {"name": ran.entry.name, "settings": wording.settings_of(ran), **result}


def _assumed(case: ReplayCase) -> dict[str, Any]:
    setting, hpa = case.setting, case.setting.hpa
    return {
        "threshold": setting.threshold,
        "capacity": setting.capacity,
        "start_up": str(setting.start_up),
        "max_queue_wait_seconds": setting.max_queue_wait_seconds,
        "scrape_seconds": setting.observing.scrape_seconds,
        "window_seconds": setting.observing.window_seconds,
        "min_replicas": hpa.min_replicas,
        "max_replicas": hpa.max_replicas,
        "tolerance_up": hpa.tolerance_up,
        "tolerance_down": hpa.tolerance_down,
        "scales_to_zero": setting.scales_to_zero,
        "price_per_replica_hour": case.price.per_replica_hour,
        "replicas_per_node": case.price.per_node,
        "slo": None if case.slo is None else str(case.slo),
        "forecast_interval_seconds": case.forecast_interval_seconds,
        "seed": setting.seed,
    }


def _day(judged: Judged, index: int) -> dict[str, Any]:
    result: dict[str, Any] = {"date": str(wording.date_of(judged.scenario, index))}
    for role, name in (("today", TODAY), ("headway", wording.recommended(judged))):
        by_day = judged.ran[name].scores.by_day
        result[f"{role}_unserved_share"] = _ratio(by_day.unserved_D[index], by_day.demand_D[index])
        result[f"{role}_short_minutes"] = by_day.short_minutes_D[index]
        result[f"{role}_replica_hours"] = by_day.replica_hours_D[index]
    return result


def _span(span: Span) -> dict[str, float]:
    return {"begin": span.begin, "end": span.end, "days": span.days}


def _ratio(one: float, other: float) -> float:
    return one / other if other > 0 else math.nan


def _slug(name: str) -> str:
    """same_time_last_week"""
    return re.sub(r"\W+", "_", name.lower()).strip("_")


def _plain(value: Any) -> Any:
    """For JSON: numpy's numbers as Python's, non-finite values as None."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
