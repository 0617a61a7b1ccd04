"""Telemetry in Prometheus's text form. Ten thousand triggers are 260,000 lines: written a few triggers at a time, so
that answers to KEDA never wait for a scrape, and figure by figure, so that a reader who is slow holds one piece of it
and not all.

Why not a collector of prometheus_client: it builds an object per line and cannot pause, and in a thread it would
hold the interpreter's lock against the event loop.
"""

import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias

from prometheus_client import generate_latest

from scaler.anomalies import Direction
from scaler.errors import HeadwayError
from scaler.plan import SHADOW, Reason, Rung
from scaler.plan.fallback import LOST_BY
from scaler.registry import Answer, Registration, Registry
from scaler.savings import Account, Sums
from scaler.scoring import BucketScores, Scores
from scaler.series import Forecast
from scaler.telemetry.figure import Figure
from scaler.telemetry.metrics import Telemetry
from scaler.telemetry.process_figures import TRIGGERS_BY_RUNG
from scaler.telemetry.trigger_figures import BY, FORECAST_LEVELS, TRIGGER_FIGURES
from scaler.trigger import Mode

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

TRIGGERS_AT_A_TIME = 200
"""of one figure, written before the event loop may answer KEDA: about half a millisecond's work, 20 kB"""

CALLED_SECONDS = 600.0
"""a trigger without a call for this long is kept, but not exported, unless it is listed: after an edit of a
ScaledObject, its old trigger must not count in `max(headway_planned_demand)` until `trigger-expiry`"""

NAMES = {figure.called: figure.name for figure in TRIGGER_FIGURES}

RUNG_NUMBER = {Rung.NOTHING: 0, Rung.OBSERVATION: 1, Rung.FORECAST: 2, Rung.BOTH: 3}

Turn: TypeAlias = Callable[[], Awaitable[None]]
"""waits until a piece of work may run"""


async def exposition(telemetry: Telemetry, registry: Registry, now: float, turn: Turn) -> AsyncIterator[bytes]:
    """Every figure of this process, then those of each watched trigger, as they are at `now`."""
    await turn()
    yield generate_latest(telemetry.registry)
    rungs: Counter[Rung] = Counter()
    for figure in TRIGGER_FIGURES:
        yield _head(figure).encode()
        after = ""
        while True:
            await turn()
            page = registry.page(TRIGGERS_AT_A_TIME, after)
            if not page:
                break
            after = page[-1].trigger.key
            wanted = [registration for registration in page if registration.is_wanted(now, CALLED_SECONDS)]
            yield "".join(line for one in wanted for line in _lines(figure.called, registry, one, now)).encode()
            if figure.called == "plan_rung":
                rungs.update(_rung(_answer(registry, one, now)) for one in wanted)
    counts = (f'{TRIGGERS_BY_RUNG.name}{{rung="{rung.value}"}} {rungs[rung]}\n' for rung in Rung)
    yield (_head(TRIGGERS_BY_RUNG) + "".join(counts)).encode()


def _answer(registry: Registry, registration: Registration, now: float) -> Answer | None:
    try:
        return registry.answer(registration, now)
    except HeadwayError:
        return None


def _rung(answer: Answer | None) -> Rung:
    return answer.plan.rung if answer is not None else Rung.NOTHING


def _lines(called: str, registry: Registry, registration: Registration, now: float) -> Iterator[str]:
    """The lines of one figure for one trigger: none where it has no value."""
    trigger = registration.trigger
    name = NAMES[called]
    labels = (
        f'{{namespace="{_escaped(trigger.namespace)}",name="{_escaped(trigger.name)}",trigger="{trigger.short_key}"'
    )
    if called == "trigger_info":
        yield f'{name}{labels},mode="{trigger.mode}",policy="{trigger.policy}"}} 1\n'
        return
    own = OF_REGISTRATION.get(called)
    if own is not None:
        yield f"{name}{labels}}} {own(registration)!r}\n"
        return
    of_scores = OF_SCORES.get(called)
    if of_scores is not None:
        scores = registration.scores()
        if scores is not None and (share := of_scores(scores)) is not None:
            yield f"{name}{labels}}} {share:.6g}\n"
        return
    if called == "forecast_uncertain":
        if (doubt := registration.doubt()) is not None:
            yield f"{name}{labels}}} {int(doubt.is_uncertain)}\n"
        return
    if called == "anomalies":
        if (seen := registration.anomalies()) is not None:
            for direction in Direction:
                yield f'{name}{labels},direction="{direction}"}} {getattr(seen, direction)}\n'
        return
    if called in OF_ACCOUNT:
        if registration.account is not None:
            yield from _of_account(called, registration.account, f"{name}{labels}")
        return
    answer = _answer(registry, registration, now)
    if called == "plan_rung":
        yield f"{name}{labels}}} {RUNG_NUMBER[_rung(answer)]}\n"
    elif answer is not None and called == "plan_part":
        yield from _of_rules(answer.plan.reasons, labels)
    elif answer is not None and called == "forecast_demand":
        if answer.outlook.forecast is not None:
            yield from _of_forecast(answer.outlook.forecast, labels, now + trigger.lead_time_seconds)
    elif answer is not None and (value := OF_ANSWER[called](answer, trigger.mode)) is not None:
        yield f"{name}{labels}}} {value!r}\n"


OF_REGISTRATION: Mapping[str, Callable[[Registration], float]] = {
    "threshold": lambda registration: registration.trigger.threshold,
    "metric_calls": lambda registration: registration.metric_calls,
    "promised_coverage": lambda registration: registration.trigger.quantile,
}


def _of_peak(read: Callable[[BucketScores], float | None]) -> Callable[[Scores], float | None]:
    """A figure of the scored peaks; None where none was scored."""

    def of(scores: Scores) -> float | None:
        peak = scores.of("peak")
        return None if peak is None else read(peak)

    return of


def _skill(peak: BucketScores) -> float | None:
    loss = peak.promised_over_persistence
    return None if loss is None else 1 - loss


def _error(scores: Scores) -> float | None:
    soon = scores.of("5 min")
    return None if soon is None else soon.mape


def _bias(scores: Scores) -> float | None:
    soon = scores.of("5 min")
    return soon.bias / soon.mae if soon is not None and soon.mae > 0 else None


def _seasonality(scores: Scores) -> float | None:
    """Both losses are known beside the forecast's: it falls out."""
    later = scores.of("60 min")
    if later is None or not later.over_persistence or not later.over_seasonal:
        return None
    return 1 - later.over_persistence / later.over_seasonal


OF_SCORES: Mapping[str, Callable[[Scores], float | None]] = {
    "peak_coverage": _of_peak(lambda peak: peak.held),
    "scored_peaks": _of_peak(lambda peak: peak.count),
    "forecast_skill": _of_peak(_skill),
    "forecast_error": _error,
    "forecast_bias": _bias,
    "seasonality": _seasonality,
}

OF_ANSWER: Mapping[str, Callable[[Answer, Mode], float | None]] = {
    "planned_demand": lambda answer, mode: None if mode is Mode.SHADOW else answer.plan.planned,
    "shadow_demand": lambda answer, mode: answer.plan.planned if mode is Mode.SHADOW else None,
    "observed_demand": lambda answer, _: answer.plan.observed,
    "needed_demand": lambda answer, _: answer.plan.need,
    "forecast_stepped_down": lambda answer, _: int(LOST_BY in answer.outlook.remembered),
    "plan_active": lambda answer, _: int(answer.plan.active),
    "observation_timestamp": lambda answer, _: answer.outlook.observation.at if answer.outlook.observation else None,
    "forecast_timestamp": lambda answer, _: answer.outlook.forecast.start if answer.outlook.forecast else None,
}
"""figures with one value per trigger"""


OF_ACCOUNT: Mapping[str, Callable[[Sums], Mapping[str, float]]] = {
    "replica_seconds": lambda sums: {side: getattr(sums, side).replica_seconds for side in BY},
    "short_seconds": lambda sums: {side: getattr(sums, side).short_seconds for side in BY},
    "unserved": lambda sums: {side: getattr(sums, side).unserved for side in BY},
    "counted_demand": lambda sums: {"": sums.demand},
}
"""figures of what the trigger was worth, by side; for both where there is no side"""


def _of_account(called: str, account: Account, head: str) -> Iterator[str]:
    for side, value in OF_ACCOUNT[called](account.total).items():
        by = f',by="{side}"' if side else ""
        yield f"{head}{by}}} {value:.12g}\n"


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
