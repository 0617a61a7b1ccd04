"""Objectives: calls that succeed, calls that are fast, refreshes in time, triggers with a forecast."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.panels import HALF, ORANGE, RED, THIRD, Query, dashboard, finished, lines, number, row

UID = "headway-slo"
GOOD_CALLS, FAST_CALLS, FORECASTS = 0.999, 0.99, 0.95
OWN_FAULTS = 'code=~"INTERNAL|UNKNOWN|UNAVAILABLE|DEADLINE_EXCEEDED"'
CALLS = "sum(rate(headway_rpc_calls_total[{span}]))"
FAILED = f"(sum(rate(headway_rpc_calls_total{{{{{OWN_FAULTS}}}}}[{{span}}])) or vector(0))"
FAST = 'sum(rate(headway_rpc_duration_seconds_bucket{{le="0.01"}}[{span}]))'
TIMED = "sum(rate(headway_rpc_duration_seconds_count[{span}]))"
WANT = 'count(max by (namespace, name, trigger) (headway_trigger_info{mode!="reactive"}))'
HAVE = "(count(max by (namespace, name, trigger) (headway_plan_rung) >= 2) or vector(0))"
IN_TIME = "avg((time() - headway_last_refresh_timestamp_seconds) < bool (2 * headway_refresh_interval_seconds))"


def good(span: str) -> str:
    return f"1 - {FAILED.format(span=span)} / {CALLS.format(span=span)}"


def fast(span: str) -> str:
    return f"{FAST.format(span=span)} / {TIMED.format(span=span)}"


def burn(span: str) -> str:
    """How fast the budget of errors is used: at 1 it lasts for exactly the time of the objective."""
    return f"{FAILED.format(span=span)} / {CALLS.format(span=span)} / {1 - GOOD_CALLS:g}"


def build() -> Dashboard:
    return finished(
        dashboard(UID, "Headway / Objectives", "What Headway is expected to keep, and whether it does.")
        .with_panel(
            number(
                "Calls without a fault of Headway",
                f"In the time that is shown; the objective is {GOOD_CALLS:.1%}.",
                Query(good("$__range"), "good"),
                unit="percentunit",
                width=THIRD,
            )
        )
        .with_panel(
            number(
                "Calls within 10 ms",
                f"In the time that is shown; the objective is {FAST_CALLS:.0%}.",
                Query(fast("$__range"), "fast"),
                unit="percentunit",
                width=THIRD,
            )
        )
        .with_panel(
            number(
                "Triggers with a forecast",
                f"Of those that want one; the objective is {FORECASTS:.0%}. New ones need an hour.",
                Query(f"{HAVE} / {WANT}", "with a forecast"),
                unit="percentunit",
                width=THIRD,
            )
        )
        .with_row(row("Calls"))
        .with_panel(
            lines(
                "Budget of errors in use",
                "At 1 the budget lasts as long as the objective; at 14.4, an hour uses 2 % of that of 30 days.",
                [Query(burn("5m"), "5 min", ORANGE), Query(burn("1h"), "1 h", RED), Query(burn("6h"), "6 h")],
            )
        )
        .with_panel(
            lines(
                "Share of calls within 10 ms",
                "Of all methods.",
                [Query(fast("5m"), "within 10 ms")],
                unit="percentunit",
            )
        )
        .with_row(row("Answers"))
        .with_panel(
            lines(
                "Share of triggers with a forecast",
                "Of those that want one.",
                [Query(f"{HAVE} / {WANT}", "share")],
                unit="percentunit",
            )
        )
        .with_panel(
            lines(
                "Share of replicas that refresh in time",
                "Replicas whose last refresh ended less than two intervals ago.",
                [Query(IN_TIME, "in time")],
                unit="percentunit",
                width=HALF,
            )
        )
    )
