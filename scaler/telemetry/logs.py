"""The log: one JSON object per line (or coloured text for people), on stderr, without secrets.

events.py lists the events with their fields. Records of the standard logging module get the same form. What is bound
with `request` stands on every line written while that request is handled.
"""

import logging
import math
import secrets
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, TextIO

import structlog
from structlog.contextvars import bound_contextvars, get_contextvars, merge_contextvars

from scaler.telemetry.redaction import HIDDEN, redacted
from scaler.telemetry.traces import with_trace_ids

TENANT_FIELDS = frozenset({"metadata", "scaler_metadata"})
"""fields whose values tenants wrote: their keys are shown, their values are not"""

SECRET_FIELDS = frozenset({"password", "token", "bearer_token", "secret", "authorization", "credentials"})

QUIET = (
    "httpx",
    "httpcore",
    "uvicorn",
    "aiosqlite",
    "sqlalchemy",
    "alembic",
    "stamina",
    "asyncio",
    "fsspec",
    "s3fs",
    "aiobotocore",
    "botocore",
    "gcsfs",
    "google",
    "adlfs",
    "azure",
    "urllib3",
    "opentelemetry",
)
"""libraries heard from `warning` up"""


def configure_logs(log_format: str, log_level: str, stream: TextIO | None = None) -> None:
    """Make every logger of this process write `json` or `console` lines from `log_level` up."""
    level = logging.getLevelNamesMapping()[log_level.upper()]
    shared: list[structlog.typing.Processor] = [
        merge_contextvars,
        with_trace_ids,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        without_secrets,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared[:3], structlog.stdlib.add_logger_name, *shared[3:]],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(log_format)],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def line_logger() -> Any:
    """A logger that writes JSON lines to stderr in a process whose logs are not configured. It hides no secrets: an
    error's text has none."""
    return structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _renderer("json"),
        ],
        wrapper_class=structlog.BoundLogger,
    )


@contextmanager
def request(request_id: str = "") -> Iterator[str]:
    """A request id that stands on every line logged inside; a new one unless the caller brought one."""
    chosen = request_id or secrets.token_hex(6)
    with bound_contextvars(request_id=chosen):
        yield chosen


def current_request_id() -> str:
    """The id of the request being handled; empty outside of one."""
    return str(get_contextvars().get("request_id", ""))


def without_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The event with credentials and tenants' values hidden, and numbers that JSON cannot hold as text."""
    return {name: _safe(name, value) for name, value in event.items()}


def _safe(name: str, value: Any) -> Any:
    if name in SECRET_FIELDS:
        return HIDDEN
    if name in TENANT_FIELDS:
        return dict.fromkeys(value, HIDDEN) if isinstance(value, Mapping) else HIDDEN
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _safe(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple) and name != "exc_info":
        return [_safe(name, item) for item in value]
    return value


def _renderer(log_format: str) -> structlog.typing.Processor:
    if log_format == "console":
        # not the pretty tracebacks: they show local variables, and secrets with them
        return structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    return structlog.processors.JSONRenderer(ensure_ascii=False)
