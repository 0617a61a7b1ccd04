"""`plan()`: the rules in the order in which they apply. Reading the list is reading the policy."""

from scaler.plan import SHADOW, Plan, Reason, Rung
from scaler.plan.calibration import CALIBRATION, calibration
from scaler.plan.coverage import COVERAGE, COVERAGE_RULE, coverage
from scaler.plan.fallback import Situation, situation_of
from scaler.plan.hold import hold
from scaler.plan.hpa_estimate import HPA_ESTIMATES
from scaler.plan.limits import absurd, dead_band, step
from scaler.plan.order import ANSWERED, order
from scaler.plan.returning import RETURNING, returning
from scaler.plan.rule import Rule
from scaler.plan.skill import SKILL
from scaler.plan.surge import GROWTH, surge
from scaler.series import Forecast, Outlook
from scaler.trigger import Mode, Trigger
from scaler.words.wording import span

NEGLIGIBLE = 0.01
"""share of the threshold below which a forecast alone does not wake a workload: quantiles of nothing are never quite 0.

    | threshold 100/s, activationThreshold 0, nothing observed | forecast 0.9/s | forecast 1.1/s |
    | active                                                   | no             | yes            |
"""


def need(situation: Situation, value: float) -> tuple[float, str] | None:
    """What replicas must serve by the time one ordered now is ready."""
    forecast = situation.forecast
    if situation.need is None or forecast is None:
        return None
    seconds, age = situation.window_end - situation.now, situation.now - forecast.start
    level = 100 * min(situation.trigger.quantile, forecast.levels[-1])
    window = f"the peak over the next {span(seconds)}{_step(situation.trigger, forecast)}"
    return situation.need, f"{window}, p{level:g} by {forecast.basis}; forecast {span(max(age, 0))} old"


def _step(trigger: Trigger, forecast: Forecast) -> str:
    """Why a plan looks further than it would by its trigger."""
    step = forecast.data_step_seconds
    if not step or trigger.query_step_seconds is not None:
        return ""
    return f" (demand has a new number only every {step / 60:.0f} min)"


def floor(situation: Situation, value: float) -> tuple[float, str] | None:
    """Never below the newest observation: a forecast adds or holds capacity, it never takes the service below that."""
    if situation.observed is None or (situation.forecast is not None and not situation.observed > value):
        return None
    return situation.observed, "the newest observation"


EXPECT = (
    Rule("need", need, remembers=(SKILL,)),
    Rule(COVERAGE_RULE, coverage, remembers=(COVERAGE,)),
    Rule("calibration", calibration, remembers=(CALIBRATION,)),
    Rule("order", order, remembers=(ANSWERED,)),
    Rule("surge", surge, remembers=(GROWTH,)),
    Rule("floor", floor),
    Rule("returning", returning, remembers=(RETURNING,)),
    Rule("hold", hold),
)
"""what demand to have replicas for"""

ANSWER = (
    Rule("dead_band", dead_band, remembers=HPA_ESTIMATES),
    Rule("step_limit", step),
    Rule("absurd", absurd),
)
"""what to answer so that the HPA acts on it, and not too much; the limits come last, so that they are limits"""

RULES = EXPECT + ANSWER


def plan(trigger: Trigger, outlook: Outlook, now: float, refresh_seconds: float) -> Plan:
    """The answer for `trigger` at `now`, with its reasons. Pure: the same arguments give the same plan everywhere."""
    situation = situation_of(trigger, outlook, now, refresh_seconds)
    reasons = [Reason("fallback", sentence) for sentence in situation.problems]
    if situation.rung is Rung.NOTHING:
        return _plan(situation, Rung.NOTHING, None, None, False, reasons)
    expected = _fold(EXPECT, situation, 0.0, reasons)
    planned = _fold(ANSWER, situation, expected, reasons)
    active = _is_active(situation, min(expected, planned))  # a lift over the dead band is no demand
    if not active and not _may_sleep(situation, planned):
        reasons.append(
            Reason("fallback", "a forecast alone puts no workload to sleep that was not seen without demand")
        )
        return _plan(situation, Rung.NOTHING, None, None, False, reasons)
    if trigger.mode is Mode.SHADOW:
        return _shadow(situation, planned, reasons)
    return _plan(situation, situation.rung, planned, planned, active, reasons)


def _fold(rules: tuple[Rule, ...], situation: Situation, value: float, reasons: list[Reason]) -> float:
    for rule in rules:
        change = rule.apply(situation, value)
        if change is not None:
            after, text = change
            is_first = all(reason.after is None for reason in reasons)
            reasons.append(Reason(rule.name, text, None if is_first else value, after))
            value = after
    return value


def _is_active(situation: Situation, expected: float) -> bool:
    """Whether the observation, or what is expected in the lead window, lies above the activation threshold."""
    trigger = situation.trigger
    if situation.observed is None:  # asleep on a forecast alone: not for the sake of a negligible demand
        return expected > trigger.activation_threshold
    return situation.observed > trigger.activation_threshold or expected > max(
        trigger.activation_threshold, NEGLIGIBLE * trigger.threshold
    )


def _may_sleep(situation: Situation, planned: float) -> bool:
    """Whether the newest observation, however old, lets a workload be inactive; an answer of 0 needs an observed 0."""
    last = situation.last
    if situation.observed is not None:
        return True
    return last is not None and last.value <= (situation.trigger.activation_threshold if planned > 0 else 0.0)


def _shadow(situation: Situation, planned: float, reasons: list[Reason]) -> Plan:
    """The answer of a reactive trigger, with the plan next to it. The rung is that of the answer."""
    observed = situation.observed
    rung = Rung.NOTHING if observed is None else Rung.OBSERVATION
    active = observed is not None and observed > situation.trigger.activation_threshold
    reasons.append(Reason(SHADOW, "the plan is kept for comparison, the observation is answered", planned, observed))
    return _plan(situation, rung, observed, planned, active, reasons)


def _plan(
    situation: Situation,
    rung: Rung,
    metric: float | None,
    planned: float | None,
    active: bool,
    reasons: list[Reason],
) -> Plan:
    return Plan(
        at=situation.now,
        rung=rung,
        metric=metric,
        planned=planned,
        active=active,
        need=situation.need,
        observed=situation.observed,
        model=situation.forecast.model if situation.forecast is not None else "",
        reasons=tuple(reasons),
    )
