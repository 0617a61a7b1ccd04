"""What Headway exports about each trigger."""

from scaler.telemetry.figure import Figure, Kind, Unit
from scaler.telemetry.names import PLANNED_DEMAND

TRIGGER_LABELS = ("namespace", "name", "trigger")
"""`trigger` is the hash of the relevant metadata: it distinguishes two triggers of one ScaledObject"""

FORECAST_LEVELS = (0.1, 0.5, 0.9)
"""levels exported of each forecast: sufficient for a chart; all levels would double the size of a scrape"""

BY = ("plan", "reactive")
"""what followed from the plan (in shadow mode: would have), and from the observation alone"""


def _of_both(called: str, name: str, unit: Unit, meaning: str) -> Figure:
    """A sum for the plan and one for the counterfactual."""
    return Figure(called, f"headway_{name}_total", Kind.COUNTER, (*TRIGGER_LABELS, "by"), unit, meaning)


def _of_triggers(called: str, unit: Unit, meaning: str, more: tuple[str, ...] = (), suffix: str = "") -> Figure:
    return Figure(called, f"headway_{called}{suffix}", Kind.GAUGE, (*TRIGGER_LABELS, *more), unit, meaning)


TRIGGER_FIGURES: tuple[Figure, ...] = (
    Figure(
        "planned_demand",
        PLANNED_DEMAND,
        Kind.GAUGE,
        TRIGGER_LABELS,
        Unit.DEMAND,
        "The answer of predictive mode: the demand expected by the time a replica ordered now is ready. KEDA's own "
        "prometheus trigger can read it. Absent with neither forecast nor observation, and in shadow mode",
    ),
    _of_triggers(
        "shadow_demand",
        Unit.DEMAND,
        f"The plan of a trigger in shadow mode, for comparison: KEDA may read {PLANNED_DEMAND}, and would act on it",
    ),
    Figure(
        "trigger_info",
        "headway_trigger_info",
        Kind.GAUGE,
        (*TRIGGER_LABELS, "mode", "policy"),
        Unit.YES,
        "Always 1; the trigger's mode and policy. A trigger in mode reactive has no forecast and needs none",
    ),
    _of_triggers("threshold", Unit.DEMAND, "The demand that one replica carries: the trigger's threshold"),
    _of_triggers("observed_demand", Unit.DEMAND, "The newest observation that is not too old. Absent without one"),
    _of_triggers(
        "needed_demand",
        Unit.DEMAND,
        "The trigger's quantile of the peak over the lead window, before floor, hold and limits. "
        "Absent without forecast",
    ),
    _of_triggers(
        "forecast_demand",
        Unit.DEMAND,
        "Quantile `level` of demand at the end of the lead time. Absent without forecast",
        more=("level",),
    ),
    _of_triggers(
        "plan_part",
        Unit.DEMAND,
        "Why the plan is what it is: what each rule that acted adds to it or takes away. The parts of a trigger add up "
        "to `headway_planned_demand`; `headway why` has the sentences, docs/policies.md the rules",
        more=("rule",),
    ),
    _of_triggers(
        "promised_coverage",
        Unit.SHARE,
        "The trigger's quantile: the share of peaks that are to be within it",
        suffix="_ratio",
    ),
    _of_triggers(
        "peak_coverage",
        Unit.SHARE,
        "The share of peaks, over the time that plans look ahead, that were within the trigger's quantile, over about "
        "a week. Absent until a peak was scored, and where another replica of Headway refreshes the trigger",
        suffix="_ratio",
    ),
    _of_triggers("scored_peaks", Unit.NUMBER, "The peaks that `headway_peak_coverage_ratio` is of"),
    _of_triggers(
        "forecast_skill",
        Unit.SHARE,
        "1 minus the loss of the peak at the trigger's quantile over that of the newest observation, over about a "
        "week: above 0 the forecast is of more use than a reactive trigger's number",
        suffix="_ratio",
    ),
    _of_triggers(
        "forecast_error",
        Unit.SHARE,
        "Mean absolute error of the median, over demand, five minutes ahead, over about a week (MAPE)",
        suffix="_ratio",
    ),
    _of_triggers(
        "forecast_bias",
        Unit.SHARE,
        "Mean error of the median over its mean absolute error, five minutes ahead, over about a week: 1 where it was "
        "too high every time, -1 where it was too low every time",
        suffix="_ratio",
    ),
    _of_triggers(
        "seasonality",
        Unit.SHARE,
        "1 minus the loss of the demand of the same minute a day before over that of the newest observation, an hour "
        "ahead, over about a week: above 0.5 demand is strongly seasonal",
        suffix="_ratio",
    ),
    _of_triggers(
        "forecast_stepped_down",
        Unit.YES,
        "1 while the plan is reactive because the newest observation was the better forecast, over about two days",
    ),
    _of_triggers(
        "forecast_uncertain",
        Unit.YES,
        "1 while the forecast is wide against its own past, or past days and the bundle disagree. It changes no "
        "answer. Absent without a forecast, and where another replica of Headway refreshes the trigger",
    ),
    Figure(
        "anomalies",
        "headway_anomalies_total",
        Kind.COUNTER,
        (*TRIGGER_LABELS, "direction"),
        Unit.NUMBER,
        "How often demand was `above` or `below` the band of its forecast for minutes, level shifts included. Counted "
        "by the replica of Headway that refreshes the trigger; `headway anomalies` lists them",
    ),
    _of_triggers("plan_active", Unit.YES, "1 if IsActive answers true"),
    _of_triggers(
        "plan_rung",
        Unit.NUMBER,
        "Rung of the fallback ladder on which the answer is made: 3 forecast and observation, 2 forecast alone, 1 "
        "observation alone, 0 nothing (KEDA gets an error, and its own fallback acts)",
    ),
    Figure(
        "metric_calls",
        "headway_metric_calls_total",
        Kind.COUNTER,
        TRIGGER_LABELS,
        Unit.NUMBER,
        "GetMetrics calls for the trigger: two a minute from KEDA's polls by default, and four a minute from the HPA. "
        "Sum it over the replicas of Headway",
    ),
    _of_triggers(
        "observation_timestamp",
        Unit.EPOCH,
        "Time of the newest observation; its age is `time()` minus this",
        suffix="_seconds",
    ),
    _of_triggers(
        "forecast_timestamp",
        Unit.EPOCH,
        "Time at which the forecast in use was issued; its age is `time()` minus this",
        suffix="_seconds",
    ),
    _of_both(
        "replica_seconds",
        "replica_seconds",
        Unit.SECONDS,
        "Replicas times seconds that follow by the HPA's arithmetic from the plan (`by` is `plan`; in shadow mode they "
        "would have followed) and from the observation alone with the same threshold (`reactive`). Counted by the "
        "replica of Headway that refreshes the trigger; docs/trust.md says how",
    ),
    _of_both(
        "short_seconds",
        "short_seconds",
        Unit.SECONDS,
        "Time in which demand exceeded what the ready of these replicas carry",
    ),
    _of_both(
        "unserved",
        "unserved_demand_seconds",
        Unit.DEMAND_SECONDS,
        "Demand beyond what the ready of these replicas carry, times seconds",
    ),
    Figure(
        "counted_demand",
        "headway_counted_demand_seconds_total",
        Kind.COUNTER,
        TRIGGER_LABELS,
        Unit.DEMAND_SECONDS,
        "All demand, times seconds, in the time for which these sums are known",
    ),
)
"""written by status/exposition.py from the answers that count at the time of the scrape"""
