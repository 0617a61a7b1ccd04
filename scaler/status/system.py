"""This process: what it refreshes, how long that takes, and what it works with. The path /api/v1/system.

Nearly all of it is in telemetry, too, and comes from there.
"""

import time
from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response

from scaler import __version__
from scaler.errors import CacheUnavailable, StoreUnavailable
from scaler.status.described import ApiPath
from scaler.status.parameters import unknown
from scaler.status.reads import BackendFacts
from scaler.status.record_schemas import DISCOVERY
from scaler.status.records import Record, discovery_record
from scaler.status.replies import faulty, kept_json
from scaler.status.schemas import AT, array, choice, flag, mapping, moment, nullable, real, record, text, whole
from scaler.status.shown import Shown
from scaler.status.stored import OneAtATime
from scaler.telemetry.metrics import Telemetry
from scaler.telemetry.redaction import excerpt, redacted

KEPT_SECONDS = 5.0
"""for how long the leases that were read of all replicas are shown: reading them asks the shared cache"""
MOST_REPLICAS = 100
"""that are listed; names come from the shared cache"""
_ERROR = text("why it does not answer; else empty")
_REPLICA = record(
    "Replica", {"name": text(), "triggers": whole("that it refreshes"), "is_this": flag("whether it is the one asked")}
)
DESCRIBED = ApiPath(
    "/api/v1/system",
    "replicas, refreshes, metric servers, store, cache, bundles, quotas and discovery, as this replica knows them",
    record(
        "System",
        {
            "at": AT,
            "version": text("of Headway"),
            "started_at": moment("when this process started"),
            "replica": text("the name of this one"),
            "replicas": array(_REPLICA, "as the leases in the shared cache say; of one process, itself"),
            "replicas_error": text("why they are not known; else empty"),
            "triggers": record(
                "",
                {
                    "watched": whole("in all"),
                    "refreshed": whole("by this replica"),
                    "orphaned": whole("of them, although another replica holds the lease"),
                },
            ),
            "refresh": record(
                "",
                {
                    "interval_seconds": nullable(real(), "between two refreshes"),
                    "last_at": nullable(real(), "end of the last one, in seconds since the epoch"),
                    "last_seconds": nullable(real(), "how long it took"),
                    "is_stretched": flag("whether it took longer than the interval, or put forecasts off"),
                    "deferred_forecasts": whole("that the last one put off"),
                    "overruns": whole("refreshes that took longer than the interval"),
                    "failures": whole("refreshes that failed"),
                },
            ),
            "sources": array(
                record(
                    "Source",
                    {
                        "server": text("a metric server, without credentials"),
                        "is_circuit_open": flag("whether it is left alone for some seconds, after failures"),
                        "errors": mapping(whole(), "since the start, by kind"),
                    },
                )
            ),
            "cache": record(
                "",
                {
                    "kind": nullable(choice(("memory", "redis"))),
                    "is_up": nullable(flag(), "null until it was asked"),
                    "error": _ERROR,
                    "refused": whole("received values that were no outlooks"),
                },
            ),
            "store": record(
                "",
                {
                    "kind": nullable(choice(("none", "sqlite", "postgresql"))),
                    "is_up": nullable(flag(), "null until it was asked, and without one"),
                    "error": _ERROR,
                },
            ),
            "queues": mapping(whole(), "what waits, by the queue's name in telemetry"),
            "models": array(text(), "bundles that are loaded"),
            "refused_bundles": array(record("RefusedBundle", {"bundle": text("folder or URL"), "why": text()})),
            "quotas": array(
                record(
                    "Quota",
                    {
                        "name": text("without the `max-` of the setting"),
                        "limit": real(),
                        "used": nullable(real(), "null where that is not known"),
                        "refused": whole("how often one more was refused"),
                    },
                )
            ),
            "discovery": nullable(record("DiscoveryState", DISCOVERY), "null without `discover-namespaces`"),
        },
    ),
    keeps=True,
)


class SystemRoute:
    """Answers from telemetry and memory; the leases of all replicas from the shared cache."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self._read = OneAtATime(self._replicas)
        self._known: tuple[float, Mapping[str, int]] | None = None

    async def answer(self, request: Request) -> Response:
        """All of it."""
        if faults := unknown(request.query_params, ()):
            return faulty(faults)
        return kept_json(request, await self.record())

    async def record(self) -> Record:
        """All of it, as JSON."""
        shown, error = self._shown, ""
        facts = _facts(shown.reads.backends)
        try:
            replicas = await self._read(facts)
        except (CacheUnavailable, StoreUnavailable) as caught:
            replicas, error = {}, redacted(str(caught))
        names = sorted(replicas, key=lambda name: (name != facts.replica, name)) if facts else []
        discovery = None if shown.discoveries is None else discovery_record(shown.discoveries)
        return {
            "at": shown.now(),
            "replica": facts.replica if facts else "",
            "replicas": [
                {
                    "name": excerpt(name),
                    "triggers": replicas[name],
                    "is_this": facts is not None and name == facts.replica,
                }
                for name in names[:MOST_REPLICAS]
            ],
            "replicas_error": error,
            **telemetry_record(shown.telemetry),
            **_backends(shown.telemetry, facts),
            "discovery": discovery,
        }

    async def _replicas(self, facts: BackendFacts | None) -> Mapping[str, int]:
        if self._shown.reads.replicas is None or facts is None:
            raise StoreUnavailable("cache and store are being opened")
        now = time.monotonic()
        if self._known is None or now - self._known[0] > KEPT_SECONDS:
            self._known = now, {facts.replica: 0, **await self._shown.reads.replicas()}
        return self._known[1]


def telemetry_record(telemetry: Telemetry) -> Record:
    """What telemetry knows of this process."""

    def one(called: str) -> float | None:
        return telemetry.values(called).get(())

    def count(called: str) -> int:
        return round(one(called) or 0)

    interval, took, last = one("refresh_interval"), telemetry.took("refresh"), one("last_refresh")
    deferred = count("deferred_forecasts")
    return {
        "version": __version__,
        "started_at": telemetry.registry.get_sample_value("process_start_time_seconds") or 0.0,
        "triggers": {
            "watched": count("watched_triggers"),
            "refreshed": count("refreshed_triggers"),
            "orphaned": count("orphaned_triggers"),
        },
        "refresh": {
            "interval_seconds": interval,
            "last_at": last or None,
            "last_seconds": took,
            "is_stretched": deferred > 0 or (took or 0.0) > (interval or 0.0),
            "deferred_forecasts": deferred,
            "overruns": count("refresh_overrun"),
            "failures": count("refresh_failed"),
        },
        "sources": _sources(telemetry),
        "queues": {queue: round(length) for (queue,), length in sorted(telemetry.values("queue_length").items())},
        "models": sorted(model for (model,) in telemetry.values("bundle_info")),
        "quotas": _quotas(telemetry),
    }


def _sources(telemetry: Telemetry) -> list[Record]:
    circuits, errors = telemetry.values("circuit_open"), telemetry.values("source_error")
    servers = sorted({server for server, *_ in (*circuits, *errors)})
    return [
        {
            "server": redacted(server),
            "is_circuit_open": bool(circuits.get((server,), 0.0)),
            "errors": {kind: round(count) for (at, kind), count in errors.items() if at == server},
        }
        for server in servers
    ]


def _quotas(telemetry: Telemetry) -> list[Record]:
    limits, used, refused = (telemetry.values(f"quota_{name}") for name in ("limit", "used", "refused"))
    return [
        {"name": key[0], "limit": limit, "used": used.get(key), "refused": round(refused.get(key, 0.0))}
        for key, limit in limits.items()
    ]


def _backends(telemetry: Telemetry, facts: BackendFacts | None) -> Record:
    def up(called: str) -> bool | None:
        value = telemetry.values(called).get(())
        return None if value is None else bool(value)

    refused = facts.refused_bundles if facts else {}
    return {
        "cache": {
            "kind": facts.cache if facts else None,
            "is_up": up("cache_up"),
            "error": redacted(facts.cache_error) if facts else "",
            "refused": round(telemetry.values("cache_refused").get((), 0.0)),
        },
        "store": {
            "kind": facts.store if facts else None,
            "is_up": None if facts and facts.store == "none" else up("store_up"),
            "error": redacted(facts.store_error) if facts else "",
        },
        "refused_bundles": [{"bundle": place, "why": redacted(why)} for place, why in refused.items()],
    }


def _facts(read: Callable[[], BackendFacts] | None) -> BackendFacts | None:
    try:
        return None if read is None else read()
    except StoreUnavailable:
        return None
