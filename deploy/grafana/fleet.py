"""All workloads: their rungs, the largest plans, and what fails."""

from grafana_foundation_sdk.builders.dashboard import Dashboard as Builder
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.panels import (
    FULL,
    HALF,
    ORANGE,
    RED,
    Query,
    bars,
    dashboard,
    finished,
    lines,
    number,
    ranking,
    row,
    rows,
)

UID = "headway-fleet"
BY = "by (namespace, name, trigger)"
WORKLOAD = (
    "/d/headway-workload/headway-workload?var-datasource=${datasource}&var-namespace=${__data.fields.namespace}"
    "&var-name=${__data.fields.name}&var-trigger=${__data.fields.trigger}"
)
LINK = ("name", "Show this workload", WORKLOAD)
NAMED = "{{namespace}}/{{name}}"

RUNG, PLANNED, OBSERVED, THRESHOLD = (
    f"max {BY} (headway_{figure})" for figure in ("plan_rung", "planned_demand", "observed_demand", "threshold")
)
FORECAST_WANTED = f'max {BY} (headway_trigger_info{{mode!="reactive"}})'
LARGEST = f"topk(200, {PLANNED} / {THRESHOLD})"


def build() -> Dashboard:
    """The dashboard: totals, workloads, sources and history."""
    empty = dashboard(UID, "Headway / Fleet", "All workloads that Headway forecasts.")
    return finished(_sources_and_history(_outliers(_workloads(_totals(empty)))))


def _totals(built: Builder) -> Builder:
    return (
        built.with_panel(number("Triggers", "Watched triggers.", Query(f"count({RUNG})", "triggers")))
        .with_panel(
            number(
                "Without an answer",
                "KEDA gets an error for them. They keep their replicas.",
                Query(f"count({RUNG} == 0) or vector(0)", "triggers"),
                steps=((1, RED),),
            )
        )
        .with_panel(
            number(
                "Reactive only",
                "Answered with the observation, although they want a forecast. New workloads are, for an hour.",
                Query(f"count(({RUNG} == 1) and {FORECAST_WANTED}) or vector(0)", "triggers"),
                steps=((1, ORANGE),),
            )
        )
        .with_panel(
            number(
                "Deferred forecasts",
                "Forecasts that had no time in the last refresh. Their triggers use the previous one.",
                Query("sum(headway_deferred_forecasts)", "forecasts"),
                steps=((1, ORANGE),),
            )
        )
        .with_panel(
            bars(
                "Triggers by rung",
                "3 forecast and observation, 2 forecast alone, 1 observation alone, 0 no answer.",
                [Query(f'count_values("rung", {RUNG})', "rung {{rung}}")],
            )
        )
        .with_panel(
            lines(
                "Replicas wanted",
                "Sum of the replicas wanted by the plans, and by the demand alone.",
                [
                    Query(f"sum(ceil({PLANNED} / {THRESHOLD}))", "wanted by the plans", RED),
                    Query(f"sum(ceil({OBSERVED} / {THRESHOLD}))", "wanted by the demand"),
                ],
            )
        )
    )


def _workloads(built: Builder) -> Builder:
    return built.with_row(row("Workloads")).with_panel(
        rows(
            "Workloads",
            "The 200 that want the most replicas. A click on a name opens the workload.",
            [
                ("replicas wanted", Query(f"ceil({LARGEST})", "")),
                ("demand", Query(_of_largest(OBSERVED), "")),
                ("planned demand", Query(_of_largest(PLANNED), "")),
                ("rung", Query(_of_largest(RUNG), "")),
                (
                    "forecast age",
                    Query(_of_largest(f"(time() - max {BY} (headway_forecast_timestamp_seconds))"), ""),
                ),
            ],
            units={"forecast age": "s"},
            link=LINK,
        )
    )


def _outliers(built: Builder) -> Builder:
    return (
        built.with_panel(
            ranking(
                "Plans furthest above the demand",
                "Replicas that a plan wants beyond those of the demand alone.",
                Query(f"topk(10, ceil({PLANNED} / {THRESHOLD}) - ceil({OBSERVED} / {THRESHOLD}))", NAMED),
            )
        )
        .with_panel(
            ranking(
                "Largest growth expected",
                "Planned over observed demand.",
                Query(f"topk(10, {PLANNED} / ({OBSERVED} > 0))", NAMED),
            )
        )
        .with_panel(
            rows(
                "Workloads without an answer",
                "`headway why NAMESPACE NAME` shows the error that KEDA gets.",
                [("rung", Query(f"{RUNG} == 0", ""))],
                width=HALF,
                link=LINK,
            )
        )
        .with_panel(
            rows(
                "Reactive only for two hours",
                "They want a forecast and have had none for two hours, or since they are watched.",
                [
                    (
                        "best rung",
                        Query(f"(max {BY} (max_over_time(headway_plan_rung[2h])) <= 1) and {FORECAST_WANTED}", ""),
                    )
                ],
                width=HALF,
                link=LINK,
            )
        )
    )


def _sources_and_history(built: Builder) -> Builder:
    return (
        built.with_row(row("Sources and history"))
        .with_panel(
            bars(
                "Failed observations",
                "By server and kind. SourceUnavailable: no answer. SourceRefused: bad query or no access. NoDemand: an "
                "empty result. AmbiguousDemand: several series.",
                [Query("sum by (server, kind) (rate(headway_source_errors_total[5m]))", "{{server}} {{kind}}")],
                unit="reqps",
            )
        )
        .with_panel(
            lines(
                "Open circuits",
                "1 while no requests are sent to a server, because several in a row failed.",
                [Query("max by (server) (headway_source_circuit_open)", "{{server}}")],
            )
        )
        .with_panel(
            bars(
                "State of the history",
                "done, waiting (not complete yet), failing (the last attempt failed and is repeated).",
                [Query("sum by (state) (headway_backfill_triggers)", "{{state}}")],
            )
        )
        .with_panel(
            lines(
                "Discovered ScaledObjects",
                "Annotated objects that are watched, and those that are refused. Empty without discovery.",
                [
                    Query("max(headway_discovered_objects)", "watched"),
                    Query("max(headway_discovery_refused_objects)", "refused", RED),
                ],
            )
        )
        .with_panel(
            lines(
                "Deferred forecasts per second",
                "More than 0 for long: the replicas have too little CPU for their triggers.",
                [Query("sum by (instance) (rate(headway_forecast_deferrals_total[5m]))", "{{instance}}")],
                width=FULL,
                height=6,
            )
        )
    )


def _of_largest(expression: str) -> str:
    return f"{expression} and {LARGEST}"
