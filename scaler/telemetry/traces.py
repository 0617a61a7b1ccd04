"""Spans of refreshes, of requests to metric servers and of requests to the HTTP port, for OpenTelemetry.

Off, and free of cost, until `configure_traces` has opened an exporter. A span carries the request id of the log lines
written beside it, and the log lines carry the ids of the trace and the span.
"""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from importlib.util import find_spec
from socket import gethostname
from typing import Any

from scaler.errors import SettingsError
from scaler.telemetry.redaction import redacted

NAME = "headway"
EXTRA = "opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"
MOST_WAITING = 2048
"""spans that wait to be sent; beyond, new ones are dropped: a receiver that hangs costs no memory"""
SEND_SECONDS = 5.0
"""how long one batch may take"""


class _Process:
    """tracer: None while traces are off."""

    tracer: Any = None


def configure_traces(endpoint: str, version: str) -> Callable[[], None]:
    """Send spans to the OTLP/HTTP receiver at `endpoint`, to its path /v1/traces where the URL has none; returns what
    sends the rest and ends it. An empty endpoint does nothing. Raises SettingsError without the extra `tracing`."""
    if not endpoint:
        return lambda: None
    if not all(_is_installed(module) for module in EXTRA):
        raise SettingsError(
            f"traces-endpoint={redacted(endpoint)}: needs the extra `tracing`: pip install 'headway[tracing]'"
        )
    return _open(endpoint, version)


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its parent is missing
        return False


def _open(endpoint: str, version: str) -> Callable[[], None]:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({"service.name": NAME, "service.version": version, "host.name": gethostname()})
    provider = TracerProvider(resource=resource)
    exporter = OTLPSpanExporter(endpoint=traces_url(endpoint), timeout=SEND_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=MOST_WAITING))
    _Process.tracer = provider.get_tracer(NAME, version)
    return lambda: _close(provider)


def _close(provider: Any) -> None:
    _Process.tracer = None
    provider.shutdown()


def traces_url(endpoint: str) -> str:
    """`http://collector:4318` → `http://collector:4318/v1/traces`; a URL with a path stays."""
    base = endpoint.rstrip("/")
    return base if "/" in base.partition("://")[2] else f"{base}/v1/traces"


@contextmanager
def span(name: str, attributes: Mapping[str, str | int | float] | None = None) -> Iterator[None]:
    """A span around what runs inside; an exception marks it as failed. Nothing while traces are off."""
    if _Process.tracer is None:
        yield
        return
    with _Process.tracer.start_as_current_span(name, attributes=dict(attributes or {})):
        yield


def with_trace_ids(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The log event with the ids of the span that it is written in."""
    if _Process.tracer is None:
        return event
    from opentelemetry.trace import get_current_span

    context = get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"], event["span_id"] = f"{context.trace_id:032x}", f"{context.span_id:016x}"
    return event
