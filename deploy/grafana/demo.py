"""The local stack: one service with forecasts and one without, under equal load."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.panels import FULL, Query, dashboard, finished, lines, note

UID = "headway-demo"
REQUESTS = 'http_requests_total{namespace="shop"}'
SERVED = 'http_requests_total{namespace="shop", code="200"}'
BUCKETS = 'http_request_duration_seconds_bucket{namespace="shop"}'
ORDERED = 'demo_replicas{namespace="shop", state="ordered"}'
APP = "{{app}}"

NOTE = (
    "`web-headway` is scaled on the plan, `web-reactive` on the demand, with headroom. Good is: fewer refused requests "
    "and shorter waits, at few more replicas. docs/local-stack.md explains the services and their load."
)


def refused(span: str) -> str:
    """The share of refused requests, by app."""
    return f"1 - sum by (app) (rate({SERVED}[{span}])) / sum by (app) (rate({REQUESTS}[{span}]))"


def build() -> Dashboard:
    return finished(
        dashboard(UID, "Headway / Demo", "One service with forecasts and one without, under equal load.")
        .with_panel(note(NOTE, width=FULL))
        .with_panel(
            lines(
                "Requests per second",
                "Demand on each service, refused requests included.",
                [Query(f"sum by (app) (rate({REQUESTS}[1m]))", APP)],
                unit="reqps",
            )
        )
        .with_panel(
            lines(
                "Replicas",
                "Replicas that were ordered. A new one is ready after 45 s.",
                [Query(f"sum by (app) ({ORDERED})", APP)],
            )
        )
        .with_panel(
            lines(
                "Refused requests",
                "The share of requests that found no replica in time, over five minutes.",
                [Query(refused("5m"), APP)],
                unit="percentunit",
            )
        )
        .with_panel(
            lines(
                "Time to an answer, 95th percentile",
                "How long requests take, waits for a replica included and refused ones not.",
                [Query(f"histogram_quantile(0.95, sum by (app, le) (rate({BUCKETS}[5m])))", APP)],
                unit="s",
            )
        )
        .with_panel(
            lines(
                "Refused requests of the last hour",
                "The same share over an hour: compare it with the replicas beside it.",
                [Query(refused("1h"), APP)],
                unit="percentunit",
            )
        )
        .with_panel(
            lines(
                "Average replicas of the last hour",
                "What the service costs.",
                [Query(f"avg_over_time(sum by (app) ({ORDERED})[1h:15s])", APP)],
            )
        )
    )
