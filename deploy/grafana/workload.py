"""One workload: demand, forecast, plan, replicas, and why."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.panels import (
    BLUE,
    FULL,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    Query,
    bars,
    dashboard,
    finished,
    lines,
    note,
    number,
    row,
    states,
    variable,
)

UID = "headway-workload"
LABELS = 'namespace="$namespace", name="$name", trigger="$trigger"'
HPA = 'namespace="$namespace", horizontalpodautoscaler="keda-hpa-$name"'

VARIABLES = (
    variable("namespace", "Namespace", "label_values(headway_plan_rung, namespace)"),
    variable("name", "ScaledObject", 'label_values(headway_plan_rung{namespace="$namespace"}, name)'),
    variable("trigger", "Trigger", 'label_values(headway_plan_rung{namespace="$namespace", name="$name"}, trigger)'),
)


def newest(figure: str, more: str = "") -> str:
    """The figure of the trigger. Every replica of Headway exports the same value, so any of them is right."""
    return f"max(headway_{figure}{{{LABELS}{more}}})"


OBSERVED, THRESHOLD = newest("observed_demand"), newest("threshold")
PLANNED = f"({newest('planned_demand')} or {newest('shadow_demand')})"
"""in shadow mode, the plan that KEDA does not read"""
WANTED = f"ceil({PLANNED} / {THRESHOLD})"
WANTED_5M = f"ceil(max(max_over_time(headway_planned_demand{{{LABELS}}}[5m])) / {THRESHOLD})"

NOTE = (
    "The sentences behind the plan: `kubectl --namespace keda exec deployment/headway -- headway why $namespace "
    "$name`. Two triggers of one ScaledObject differ in the variable *Trigger*, a hash of their settings."
)


def build() -> Dashboard:
    return finished(
        dashboard(
            UID, "Headway / Workload", "What Headway sees of one ScaledObject, plans for it, and why.", *VARIABLES
        )
        .with_panel(number("Demand", "The newest observation.", Query(OBSERVED, "demand")))
        .with_panel(number("Planned demand", "What KEDA reads in predictive mode.", Query(PLANNED, "planned")))
        .with_panel(number("Replicas wanted", "Planned demand over threshold, rounded up.", Query(WANTED, "replicas")))
        .with_panel(
            number(
                "Forecast age",
                "Time since the forecast in use was made. Normally below two refresh intervals.",
                Query(f"time() - {newest('forecast_timestamp_seconds')}", "age"),
                unit="s",
                steps=((60, ORANGE), (300, RED)),
            )
        )
        .with_row(row("Demand and plan"))
        .with_panel(lines("Demand, forecast, plan", DEMAND, _demand(), width=FULL, height=10))
        .with_panel(bars("Why: the parts of the plan", PARTS, [Query(_parts(), "{{rule}}")], minimum=None))
        .with_panel(lines("Replicas", REPLICAS, _replicas()))
        .with_row(row("State"))
        .with_panel(
            states(
                "Rung of the fallback ladder",
                "What the answer is made of. Below the top rung, Headway still answers; without an answer, KEDA gets "
                "an error and scales nothing down.",
                Query(newest("plan_rung"), "rung"),
            )
        )
        .with_panel(lines("Age of observation and forecast", "Time since each was made.", _ages(), unit="s"))
        .with_panel(
            lines(
                "Calls of KEDA per minute",
                "GetMetrics: two a minute from KEDA's polls by default, and four from the HPA. None for a workload "
                "that reads the plan from Prometheus.",
                [Query(f"60 * sum(rate(headway_metric_calls_total{{{LABELS}}}[5m]))", "calls")],
            )
        )
        .with_panel(note(NOTE))
    )


DEMAND = (
    "The forecast is that for the end of the lead time, drawn when it was made: it should run ahead of demand. Need is "
    "the trigger's quantile of the peak over the lead window; the plan is need after floor, hold and limits."
)
PARTS = "What each rule adds to the plan, or takes away. The parts add up to the planned demand."
REPLICAS = (
    "Wanted: by the HPA's arithmetic, without its tolerance and limits; held: with its five minutes of stabilization; "
    "reactive: what the demand alone would want. Actual needs kube-state-metrics."
)


def _demand() -> list[Query]:
    return [
        Query(OBSERVED, "demand", BLUE),
        Query(PLANNED, "plan", RED),
        Query(newest("needed_demand"), "need", ORANGE, is_dashed=True),
        Query(newest("forecast_demand", ', level="0.9"'), "forecast p90", GREEN, is_dashed=True),
        Query(newest("forecast_demand", ', level="0.5"'), "forecast p50", GREY, is_dashed=True),
        Query(newest("forecast_demand", ', level="0.1"'), "forecast p10", PURPLE, is_dashed=True),
    ]


def _parts() -> str:
    return f"max by (rule) (headway_plan_part{{{LABELS}}})"


def _replicas() -> list[Query]:
    return [
        Query(WANTED, "wanted", RED),
        Query(WANTED_5M, "wanted, held", ORANGE, is_dashed=True),
        Query(f"ceil({OBSERVED} / {THRESHOLD})", "reactive", BLUE, is_dashed=True),
        Query(f"max(kube_horizontalpodautoscaler_status_current_replicas{{{HPA}}})", "actual", GREEN),
    ]


def _ages() -> list[Query]:
    return [
        Query(f"time() - {newest('observation_timestamp_seconds')}", "observation", BLUE),
        Query(f"time() - {newest('forecast_timestamp_seconds')}", "forecast", GREEN),
    ]
