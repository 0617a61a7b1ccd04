"""Headway itself: calls, refreshes, resources, backends."""

from grafana_foundation_sdk.builders.dashboard import Dashboard as Builder
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.panels import (
    FULL,
    HALF,
    ORANGE,
    QUARTER,
    RED,
    Query,
    bars,
    dashboard,
    finished,
    lines,
    number,
    row,
    rows,
)

UID = "headway-system"
INSTANCE = "{{instance}}"


FAILED_CALLS = (
    '1 - (sum(rate(headway_rpc_calls_total{code="OK"}[5m])) or vector(0)) / sum(rate(headway_rpc_calls_total[5m]))'
)
"""0 while none fails: a series appears with its first call"""


def of_headway(expression: str) -> str:
    """A figure that every process exports, for Headway's processes only."""
    return f"{expression} and on (job, instance) headway_build_info"


def build() -> Dashboard:
    built = (
        dashboard(UID, "Headway / System", "The replicas of Headway, and what they depend on.")
        .with_panel(number("Replicas", "Replicas that are scraped.", Query("count(headway_build_info)", "replicas")))
        .with_panel(
            number(
                "Failed calls",
                "Share of KEDA's calls that end with an error, those with a fault in the trigger included.",
                Query(FAILED_CALLS, "share"),
                unit="percentunit",
                steps=((0.01, ORANGE), (0.1, RED)),
            )
        )
        .with_panel(
            number(
                "Oldest refresh",
                "Time since the last refresh without a failure, of the replica that is furthest behind.",
                Query("max(time() - headway_last_refresh_timestamp_seconds)", "age"),
                unit="s",
                steps=((45, ORANGE), (120, RED)),
            )
        )
        .with_panel(
            number(
                "First certificate to expire",
                "Time left. Empty without certificates in the settings.",
                Query("min(headway_certificate_expiry_timestamp_seconds) - time()", "left"),
                unit="s",
            )
        )
    )
    return finished(_backends(_resources(_quotas(_background(_refreshes(_calls(built)))))))


def _calls(built: Builder) -> Builder:
    p99 = "histogram_quantile(0.99, sum by (le, method) (rate(headway_rpc_duration_seconds_bucket[5m])))"
    p50 = "histogram_quantile(0.5, sum by (le, method) (rate(headway_rpc_duration_seconds_bucket[5m])))"
    delay = "histogram_quantile(0.99, sum by (le, instance) (rate(headway_event_loop_delay_seconds_bucket[5m])))"
    by_code = "sum by (method, code) (rate(headway_rpc_calls_total[5m]))"
    return (
        built.with_row(row("Calls of KEDA"))
        .with_panel(
            bars("Calls", "By method and gRPC status.", [Query(by_code, "{{method}} {{code}}")], unit="reqps", width=8)
        )
        .with_panel(
            lines(
                "Duration",
                "From the moment at which the process takes a call up. A first call may wait for its answer.",
                [Query(p99, "{{method}} p99"), Query(p50, "{{method}} p50")],
                unit="s",
                width=8,
            )
        )
        .with_panel(
            lines(
                "Wait for the event loop, p99",
                "How long calls wait before they are taken up. Above half a second: too little CPU.",
                [Query(delay, INSTANCE)],
                unit="s",
                width=8,
            )
        )
    )


def _refreshes(built: Builder) -> Builder:
    mean = (
        "sum by (step) (rate(headway_refresh_step_duration_seconds_sum[5m])) "
        "/ (sum by (step) (rate(headway_refresh_step_duration_seconds_count[5m])) > 0)"
    )
    return (
        built.with_row(row("Refreshes"))
        .with_panel(
            lines(
                "Time of a refresh, by step",
                "Means over all replicas. `refresh` is the whole; steps of several servers overlap.",
                [Query(mean, "{{step}}")],
                unit="s",
            )
        )
        .with_panel(
            lines(
                "Age of the last refresh",
                "A saw-tooth below the refresh interval is normal.",
                [Query("time() - headway_last_refresh_timestamp_seconds", INSTANCE)],
                unit="s",
            )
        )
    )


def _background(built: Builder) -> Builder:
    return (
        built.with_panel(
            lines(
                "Queues",
                "Triggers that wait for a background task. They are long for minutes after a start.",
                [Query("sum by (queue) (headway_queue_length)", "{{queue}}")],
                width=8,
            )
        )
        .with_panel(
            lines(
                "Leases",
                "Triggers that each replica refreshes: about equal shares. Without a shared cache, all of them.",
                [Query("headway_leases", INSTANCE)],
                width=8,
            )
        )
        .with_panel(
            lines(
                "Failures",
                "Refreshes, background tasks, runs of bundles and fetches of history that failed. All are repeated.",
                [
                    Query("sum(increase(headway_refresh_failures_total[5m]))", "refreshes"),
                    Query("sum(increase(headway_task_failures_total[5m])) or vector(0)", "tasks"),
                    Query("sum(increase(headway_forecast_failures_total[5m])) or vector(0)", "forecasts"),
                    Query("sum(increase(headway_backfill_failures_total[5m])) or vector(0)", "history"),
                ],
                width=8,
            )
        )
    )


def _quotas(built: Builder) -> Builder:
    used = "max by (quota) (headway_quota_used / headway_quota_limit)"
    return (
        built.with_row(row("Shares of one tenant"))
        .with_panel(
            lines(
                "Quotas in use",
                "Of the replica that uses most; per namespace: by the namespace that uses most. From 90 % on, large "
                "namespaces are refused.",
                [Query(used, "{{quota}}")],
                unit="percentunit",
                width=QUARTER,
            )
        )
        .with_panel(
            lines(
                "Refused by quotas",
                "Calls and streams that KEDA gets RESOURCE_EXHAUSTED for.",
                [Query("sum by (quota) (rate(headway_quota_refused_total[5m]))", "{{quota}}")],
                unit="reqps",
                width=QUARTER,
            )
        )
        .with_panel(
            lines(
                "Rounds that reached their deadline",
                "Rounds of observing a server that some queries did not end in time. The other triggers are answered; "
                "these keep their last observation until theirs comes.",
                [Query("sum by (instance) (increase(headway_observe_deadlines_total[5m]))", INSTANCE)],
                width=QUARTER,
            )
        )
        .with_panel(
            lines(
                "Refused by the HTTP port",
                "By reason: too many connections, slow readers, wrong names of hosts, missing certificates or tokens.",
                [Query("sum by (reason) (rate(headway_http_refused_total[5m]))", "{{reason}}")],
                unit="reqps",
                width=QUARTER,
            )
        )
    )


def _resources(built: Builder) -> Builder:
    return (
        built.with_row(row("Processes"))
        .with_panel(
            lines(
                "Memory",
                "Resident memory of each replica.",
                [Query(of_headway("process_resident_memory_bytes"), INSTANCE)],
                unit="bytes",
                width=8,
            )
        )
        .with_panel(
            lines(
                "CPU",
                "Cores that each replica uses.",
                [Query(of_headway("rate(process_cpu_seconds_total[5m])"), INSTANCE)],
                width=8,
            )
        )
        .with_panel(
            lines(
                "Uptime",
                "A drop to 0 is a restart.",
                [Query(of_headway("time() - process_start_time_seconds"), INSTANCE)],
                unit="s",
                width=8,
            )
        )
        .with_panel(
            rows(
                "Versions",
                "Replicas by version. Two versions for long: an upgrade is stuck.",
                [("replicas", Query("count by (version) (headway_build_info)", ""))],
                width=HALF,
                height=6,
            )
        )
        .with_panel(
            rows(
                "Bundles in use",
                "Replicas by bundle.",
                [("replicas", Query("count by (model) (headway_bundle_info)", ""))],
                width=HALF,
                height=6,
            )
        )
    )


def _backends(built: Builder) -> Builder:
    left = "min by (purpose, file) (headway_certificate_expiry_timestamp_seconds) - time()"
    return (
        built.with_row(row("What it depends on"))
        .with_panel(
            lines(
                "Cache and database",
                "1 while they answer. 0: answers go on; docs/architecture.md says what is lost.",
                [
                    Query("min by (instance) (headway_cache_up)", "cache, {{instance}}"),
                    Query("min by (instance) (headway_store_up)", "database, {{instance}}"),
                ],
            )
        )
        .with_panel(
            lines(
                "Refused files and bundles",
                "Changed files that cannot be used, and bundles that do not match their specification. What ran before "
                "stays in use.",
                [
                    Query("sum(headway_stale_files)", "files", ORANGE),
                    Query("max(headway_refused_bundles)", "bundles", RED),
                ],
            )
        )
        .with_panel(
            rows(
                "Certificates",
                "Time left, by file.",
                [("time left", Query(left, ""))],
                width=FULL,
                height=6,
                units={"time left": "s"},
            )
        )
    )
