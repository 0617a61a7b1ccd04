"""Telemetry in Prometheus's text form. Ten thousand triggers are 140,000 lines: written a few triggers at a time,
so that answers to KEDA never wait for a scrape.

Why not a collector of prometheus_client: it builds an object per line and cannot pause, and in a thread it would
hold the interpreter's lock against the event loop.
"""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import lru_cache

from prometheus_client import generate_latest

from scaler.errors import HeadwayError
from scaler.plan import SHADOW, Reason, Rung
from scaler.registry import Answer, Registration, Registry
from scaler.series import Forecast
from scaler.telemetry.figures import FORECAST_LEVELS, TRIGGER_FIGURES, TRIGGERS_BY_RUNG, Figure
from scaler.telemetry.metrics import Telemetry
from scaler.trigger import Mode

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

TRIGGERS_AT_A_TIME = 32
"""written before the event loop may answer KEDA: about half a millisecond's work"""

CALLED_SECONDS = 600.0
"""a trigger without a call for this long is kept, but not exported, unless it is listed: after an edit of a
ScaledObject, its old trigger must not count in `max(headway_planned_demand)` until `trigger-expiry`"""

LINES_AT_A_TIME = 500
"""sent in one piece: about 50 kB"""

NAMES = {figure.called: figure.name for figure in TRIGGER_FIGURES}

RUNG_NUMBER = {Rung.NOTHING: 0, Rung.OBSERVATION: 1, Rung.FORECAST: 2, Rung.BOTH: 3}


async def exposition(telemetry: Telemetry, registry: Registry, now: float) -> AsyncIterator[bytes]:
    """Every figure of this process, then those of each watched trigger, as they are at `now`."""
    yield generate_latest(telemetry.registry)
    lines: dict[str, list[str]] = {figure.called: [] for figure in TRIGGER_FIGURES}
    rungs: Counter[Rung] = Counter()
    wanted = (registration for registration in registry if registration.is_wanted(now, CALLED_SECONDS))
    for position, registration in enumerate(wanted):
        rungs[_write(lines, registry, registration, now)] += 1
        if position % TRIGGERS_AT_A_TIME == 0:
            await asyncio.sleep(0)
    for figure in TRIGGER_FIGURES:
        yield _head(figure).encode()
        written = lines.pop(figure.called)
        for start in range(0, len(written), LINES_AT_A_TIME):
            yield "".join(written[start : start + LINES_AT_A_TIME]).encode()
            await asyncio.sleep(0)
    counts = (f'{TRIGGERS_BY_RUNG.name}{{rung="{rung.value}"}} {rungs[rung]}\n' for rung in Rung)
    yield (_head(TRIGGERS_BY_RUNG) + "".join(counts)).encode()


def _write(lines: dict[str, list[str]], registry: Registry, registration: Registration, now: float) -> Rung:
    """Add one line per figure of the trigger; returns the rung of its answer."""
    trigger = registration.trigger
    labels = (
        f'{{namespace="{_escaped(trigger.namespace)}",name="{_escaped(trigger.name)}",trigger="{trigger.short_key}"'
    )
    try:
        answer: Answer | None = registry.answer(registration, now)
    except HeadwayError:
        answer = None
    rung = answer.plan.rung if answer is not None else Rung.NOTHING
    lines["trigger_info"].append(
        f'{NAMES["trigger_info"]}{labels},mode="{trigger.mode}",policy="{trigger.policy}"}} 1\n'
    )
    lines["threshold"].append(f"{NAMES['threshold']}{labels}}} {trigger.threshold!r}\n")
    lines["plan_rung"].append(f"{NAMES['plan_rung']}{labels}}} {RUNG_NUMBER[rung]}\n")
    lines["metric_calls"].append(f"{NAMES['metric_calls']}{labels}}} {registration.metric_calls}\n")
    if answer is not None:
        for called, value in _of_plan(answer, trigger.mode):
            lines[called].append(f"{NAMES[called]}{labels}}} {value!r}\n")
        lines["plan_part"] += _of_rules(answer.plan.reasons, labels)
        if answer.outlook.forecast is not None:
            lines["forecast_demand"] += _of_forecast(answer.outlook.forecast, labels, now + trigger.lead_time_seconds)
    return rung


def _of_plan(answer: Answer, mode: Mode) -> Iterator[tuple[str, float]]:
    plan, outlook = answer.plan, answer.outlook
    if plan.planned is not None:
        yield "shadow_demand" if mode is Mode.SHADOW else "planned_demand", plan.planned
    if plan.observed is not None:
        yield "observed_demand", plan.observed
    if plan.need is not None:
        yield "needed_demand", plan.need
    yield "plan_active", int(plan.active)
    if outlook.observation is not None:
        yield "observation_timestamp", outlook.observation.at
    if outlook.forecast is not None:
        yield "forecast_timestamp", outlook.forecast.start


def _of_rules(reasons: Sequence[Reason], labels: str) -> list[str]:
    """The part of each rule that acted. In shadow mode the last reason is about the answer, not about the plan."""
    parts: dict[str, float] = {}
    for reason in reasons:
        if reason.after is not None and reason.rule != SHADOW:
            parts[reason.rule] = parts.get(reason.rule, 0.0) + reason.after - (reason.before or 0.0)
    return [f'{NAMES["plan_part"]}{labels},rule="{rule}"}} {part:.7g}\n' for rule, part in parts.items()]


def _of_forecast(forecast: Forecast, labels: str, moment: float) -> list[str]:
    """The exported levels for the step that covers `moment`; nothing when the forecast does not reach it."""
    step = max(0, math.ceil((moment - forecast.start) / forecast.step_seconds) - 1)
    if step >= len(forecast.quantiles_HQ):
        return []
    quantiles = forecast.quantiles_HQ[step].tolist()
    return [
        f'{NAMES["forecast_demand"]}{labels},level="{level:g}"}} {quantiles[index]:.7g}\n'
        for level, index in _exported(forecast.levels)
    ]


@lru_cache(maxsize=64)
def _exported(levels: tuple[float, ...]) -> tuple[tuple[float, int], ...]:
    """Each exported level that the forecast has, with its index."""
    places = {f"{level:.4g}": index for index, level in enumerate(levels)}
    return tuple((level, places[f"{level:.4g}"]) for level in FORECAST_LEVELS if f"{level:.4g}" in places)


def _head(figure: Figure) -> str:
    return f"# HELP {figure.name} {figure.meaning}\n# TYPE {figure.name} {figure.kind}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
