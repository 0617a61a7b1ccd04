"""A web service whose replicas serve CAPACITY requests per second each, with the usual telemetry at /metrics.

In a cluster each pod is one replica. With SCALE_QUERY (PromQL) and PROMETHEUS, the process plays all replicas, and a
HorizontalPodAutoscaler that reads that query: then nothing but Prometheus is needed to see how scaling works out.

    CAPACITY=7 PORT=8000 python service.py
"""

import asyncio
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fleet import Autoscaler, Fleet, Queue
from patterns import positive
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

CAPACITY = positive(os.environ, "CAPACITY", 7)
SERVICE_SECONDS = 0.05
START_SECONDS = positive(os.environ, "START_SECONDS", 45)
SCALE_QUERY = os.environ.get("SCALE_QUERY", "")
PROMETHEUS = os.environ.get("PROMETHEUS", "http://localhost:9090")
SYNC_SECONDS = positive(os.environ, "SYNC_SECONDS", 15)

REQUESTS = Counter("http_requests_total", "Requests, those refused included.", ["code"])
DURATION = Histogram(
    "http_request_duration_seconds",
    "Time from a request to its answer.",
    buckets=(0.06, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1, 2),
)
REPLICAS = Gauge("demo_replicas", "Replicas that this process plays, by state.", ["state"])

queue = Queue(patience=positive(os.environ, "PATIENCE_SECONDS", 0.5))
fleet = Fleet(START_SECONDS)
autoscaler = Autoscaler(
    threshold=positive(os.environ, "THRESHOLD", 5),
    least=int(positive(os.environ, "MIN_REPLICAS", 2)),
    most=int(positive(os.environ, "MAX_REPLICAS", 25)),
    down_seconds=positive(os.environ, "DOWN_SECONDS", 300),
)


async def visit(_: Request) -> PlainTextResponse:
    """Answers 200 after the wait for a replica, or 503 at once where that wait is too long."""
    now = time.monotonic()
    waiting = queue.wait(now, CAPACITY * fleet.ready(now))
    code = 200 if waiting is not None else 503
    if waiting is not None:
        await asyncio.sleep(waiting + SERVICE_SECONDS)
        DURATION.observe(time.monotonic() - now)
    REQUESTS.labels(code=str(code)).inc()
    return PlainTextResponse("ok\n" if code == 200 else "too many requests for the replicas\n", status_code=code)


async def health(_: Request) -> PlainTextResponse:
    return PlainTextResponse("ok\n")


async def telemetry(_: Request) -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def read_metric(server: str, query: str) -> float | None:
    """The value of the query now; None where it has none or the server does not answer."""
    url = f"{server}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            series = json.load(response)["data"]["result"]
    except (urllib.error.URLError, TimeoutError, ConnectionError, ValueError) as fault:
        print(f"no metric from {server}: {type(fault).__name__}", flush=True)
        return None
    return float(series[0]["value"][1]) if series else None


async def scale() -> None:
    """What the HPA does every 15 s. Without a metric the replicas stay as they are."""
    while True:
        metric = await asyncio.to_thread(read_metric, PROMETHEUS, SCALE_QUERY)
        now = time.monotonic()
        if metric is not None:
            fleet.scale(autoscaler.replicas(fleet.ordered, metric, now), now)
        await asyncio.sleep(SYNC_SECONDS)


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """Runs the autoscaler beside the service."""
    REPLICAS.labels(state="ordered").set_function(lambda: fleet.ordered)
    REPLICAS.labels(state="ready").set_function(lambda: fleet.ready(time.monotonic()))
    scaling = asyncio.create_task(scale()) if SCALE_QUERY else None
    yield
    if scaling:
        scaling.cancel()


app = Starlette(routes=[Route("/", visit), Route("/healthz", health), Route("/metrics", telemetry)], lifespan=lifespan)

if __name__ == "__main__":
    address, port = os.environ.get("ADDRESS", "0.0.0.0"), int(positive(os.environ, "PORT", 8000))
    uvicorn.run(app, host=address, port=port, access_log=False, log_level="warning")
