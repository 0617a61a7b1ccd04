"""Recorded demand out of a Prometheus-compatible server, into one Parquet file that `load` and the scaler read.

What has arrived is kept in parts, in a hidden folder next to the file (`.NAME.parts`): one for each query and 1440
steps, a day of minutes. A pull that was interrupted goes on with the first part that is missing; the folder goes when
every series has arrived.
"""

import asyncio
import math
import shutil
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from json import JSONDecodeError
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]
import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]
import stamina

from scaler.errors import CommandError, DependencyError, SourceUnavailable
from scaler.files import appearing
from scaler.history.answers import TooSlow
from scaler.history.connection import Limits, Pairs
from scaler.history.credentials import ServerAccess
from scaler.history.ranges import merged
from scaler.history.sources import source_for
from scaler.http.client import client_options, environment_proxy, in_words, through, trust_for
from scaler.series import Gap, Samples, within
from scaler.telemetry.redaction import HIDDEN, os_error_text, redacted
from scaler.trigger import Trigger
from scaler.trigger.server_address import parse_server_address
from training.data.load import Refused, system_of
from training.data.pull_parts import Part, parts_of
from training.errors import DataError

PAGE = 500
MOST_NOTES = 5
"""gaps of one series that are spelled out"""
TIMEOUT_SECONDS = 10.0
SCHEMA = pa.schema(
    [
        ("series", pa.string()),
        ("timestamp", pa.timestamp("us", tz="UTC")),
        ("value", pa.float32()),
        ("unit", pa.string()),
    ]
)


class Wanted(NamedTuple):
    """One trigger whose demand is pulled. `name` is what the series is called in the file."""

    name: str
    query: str
    server: str = ""
    """empty: the server that `pull` is given"""
    ignore_null_values: bool = False
    """whether a moment without an answer is 0, from the first answer on, as in the scaler"""
    tenant: str = ""
    query_parameters: Pairs = ()


class NotWritten(CommandError):
    """There is no place for what was pulled; says where, and why."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """What is in the file now, and which series are not, and why. Without any series the file was not touched."""

    path: Path
    series: tuple[str, ...]
    refused: tuple[Refused, ...]
    gaps: Mapping[str, tuple[Gap, ...]] = field(default_factory=dict)
    """by series: what the server could not answer; the file has no value there"""

    @property
    def notes(self) -> tuple[str, ...]:
        """The gaps as sentences, a few for each series."""
        return tuple(f"{name}: {note}" for name, gaps in self.gaps.items() for note in gap_notes(gaps))


def pull(
    *,
    triggers: Sequence[tuple[str, str] | Wanted],
    since: float,
    until: float,
    target: Path,
    server: str = "",
    step_seconds: int = 60,
    unit: str = "",
    access: Sequence[ServerAccess] = (),
    at_once: int = 4,
    patience_seconds: float = 60.0,
    progress: Callable[[str, float], None] = lambda doing, share: None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Pulled:
    """The demand of each trigger over [since, until) (seconds since the epoch), in the Parquet file `target`.

    Columns series, timestamp, value, unit; a series is one regular step from its first to its last known bin, a gap
    has no value; where null values are ignored it is 0, to the end of the span. A timestamp is the start of a bin,
    whose value the server gave for the bin's end. `at_once` range queries are under way at a time; one that fails for
    no fault of its own is repeated for `patience_seconds`, and a server that answers nobody for as long is given up.
    `progress` gets the series and the share of all that is there. A stretch that the server refuses is a gap with its
    reason; a series of which nothing arrives is refused, and the others are not disturbed.

    Raises DataError for a span, step, name or address that cannot be, NotWritten for a file that cannot be written:
    it stays as it was, and the next pull goes on with the parts that are there. Not to be called where an event loop
    runs.
    """
    wanted = _checked(triggers, server)
    bins = _bins(since, until, step_seconds)
    folder = target.with_name(f".{target.name}.parts")
    parts = {one.name: parts_of(_identity(one), folder, step_seconds, bins) for one in wanted}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        work = _Pull(access, at_once, patience_seconds, progress, transport, sum(map(len, parts.values())))
        arrivals = asyncio.run(work.all(wanted, parts))
        errors = {name: one.error for name, one in arrivals.items() if one.error}
        arrived = [one for one in wanted if one.name not in errors]
        gaps = {one.name: arrivals[one.name].gaps for one in arrived if arrivals[one.name].gaps}
        tables = (_table(one, parts[one.name], gaps.get(one.name, ()), unit) for one in arrived)
        empty = _write(target, tables)
        if not errors:
            shutil.rmtree(folder)
    except OSError as error:
        raise NotWritten(
            f"{target}: cannot be written: {os_error_text(error)}; what arrived is kept, a rerun goes on from there"
        ) from None
    errors |= {name: _why_empty(gaps.get(name, ())) for name in empty}
    refused = tuple(Refused(system_of(target), one.name, errors[one.name]) for one in wanted if one.name in errors)
    series = tuple(one.name for one in arrived if one.name not in errors)
    return Pulled(target, series, refused, {name: gaps[name] for name in series if name in gaps})


def gap_notes(gaps: Sequence[Gap]) -> list[str]:
    """The first gaps with their reasons, and how many more there are."""
    more = [f"and {len(gaps) - MOST_NOTES} more gaps"] if len(gaps) > MOST_NOTES else []
    return [*map(str, gaps[:MOST_NOTES]), *more]


def _why_empty(gaps: Sequence[Gap]) -> str:
    rule = "the query returned no demand (a finite value from 0 on) in the whole span"
    return "; ".join([rule, *gap_notes(gaps)])


_REFUSED_BY: Mapping[int, str] = {
    httpx.codes.UNAUTHORIZED: ": give the file of its read token as --scaler-token-file",
    httpx.codes.FORBIDDEN: ": give a certificate that it trusts as --scaler-client-cert and --scaler-client-key",
}
"""status → what to write"""


def watched(
    address: str,
    server: str = "",
    transport: httpx.BaseTransport | None = None,
    headers: Mapping[str, str] | None = None,
    trust: ssl.SSLContext | None = None,
) -> tuple[list[Wanted], list[Refused]]:
    """What the scaler at `address` (http://HOST:8080) watches, named namespace/name; and what it shows too little of.
    headers: with its read token; trust: of HTTPS, None for the authorities of the system.

    Where one ScaledObject has several triggers, their short hashes tell them apart. The scaler hides what may be a
    secret: a server's address of which it hides a part is taken from `server` where that is the same. Raises DataError.
    """
    found, refused = watched_records(address, server, transport, headers, trust)
    return [wanted for wanted, _ in found], refused


def watched_records(
    address: str,
    server: str = "",
    transport: httpx.BaseTransport | None = None,
    headers: Mapping[str, str] | None = None,
    trust: ssl.SSLContext | None = None,
) -> tuple[list[tuple[Wanted, dict[str, Any]]], list[Refused]]:
    """As `watched`, each with what the scaler says of its trigger."""
    records: list[dict[str, Any]] = []
    after: str | None = ""
    proxy = environment_proxy(address)
    shown = redacted(address) + through(proxy)
    options = client_options(None if transport else proxy)
    verify = trust_for(address) if trust is None else trust
    try:
        with httpx.Client(
            timeout=TIMEOUT_SECONDS, transport=transport, verify=verify, headers=headers, **options
        ) as client:
            while after is not None:
                found = client.get(f"{address.rstrip('/')}/api/v1/plans", params={"limit": PAGE, "after": after})
                found.raise_for_status()
                page = found.json()
                records += page["plans"] or []
                after = page["next"]
        names = [f"{record['namespace']}/{record['name']}" for record in records]
        several = {name for name, count in Counter(names).items() if count > 1}
        wanted = [
            _asked_by(f"{name}/{record['trigger']}" if name in several else name, record, server)
            for name, record in zip(names, records, strict=True)
        ]
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        raise DataError(f"scaler at {shown}: answers HTTP {status}{_REFUSED_BY.get(status, '')}") from None
    except (AttributeError, KeyError, TypeError, JSONDecodeError, UnicodeDecodeError):
        raise DataError(f"scaler at {shown}: answers, but not as a scaler does") from None
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        raise DataError(f"scaler at {shown}: {in_words(error)}") from None
    refused = [Refused("scaler", one.name, rule) for one in wanted if (rule := _hidden(one))]
    return [(one, record) for one, record in zip(wanted, records, strict=True) if not _hidden(one)], refused


def _asked_by(name: str, record: dict[str, Any], server: str) -> Wanted:
    """What the trigger of a record asks. A scaler of an older version tells of its query and server alone."""
    shown = record["server"]
    return Wanted(
        name,
        record["query"],
        server if server and redacted(server.rstrip("/")) == shown.rstrip("/") else shown,
        bool(record.get("ignore_null_values")),
        record.get("tenant") or "",
        tuple((key, value) for key, value in record.get("query_parameters") or ()),
    )


def _hidden(one: Wanted) -> str:
    """Why nobody can ask what the trigger asks: the scaler hides a part of it. Empty where it hides nothing."""
    if HIDDEN in one.server:
        rule = "the scaler hides a part of its server's address"
        return f"{rule}, {one.server}: give the whole of it as --prometheus URL"
    if any(HIDDEN in value for _, value in one.query_parameters):
        return "the scaler hides its queryParameters: give the ScaledObject as --triggers FILE.yaml instead"
    return ""


def _checked(triggers: Sequence[tuple[str, str] | Wanted], server: str) -> list[Wanted]:
    wanted = [Wanted(*one) for one in triggers]
    wanted = [one if one.server else one._replace(server=server) for one in wanted]
    if not wanted:
        raise DataError("triggers: there are none")
    for name, count in Counter(one.name for one in wanted).items():
        if count > 1 or not name:
            raise DataError(f"trigger {name!r}: each needs a name of its own")
    for one in wanted:
        if not one.query.strip():
            raise DataError(f"trigger {one.name!r}: query is empty")
        try:
            parse_server_address(one.server)
        except ValueError as error:
            raise DataError(f"trigger {one.name!r}: server {redacted(one.server)!r}: {error}") from None
    return wanted


def _bins(since: float, until: float, step_seconds: int) -> range:
    """The bins within [since, until), numbered from the epoch."""
    if step_seconds < 1 or step_seconds != int(step_seconds):
        raise DataError(f"step_seconds={step_seconds}: must be whole and at least 1")
    bins = range(math.ceil(since / step_seconds), math.floor(until / step_seconds))
    if not bins:
        raise DataError(f"since={since:.0f}, until={until:.0f}: the span holds no whole step of {step_seconds} s")
    if until > time.time():
        raise DataError(f"until={until:.0f}: lies in the future")
    return bins


def _identity(one: Wanted) -> list[Any]:
    """What decides the answers of a server, besides the time."""
    return [one.server, one.query, one.tenant, one.query_parameters]


@dataclass(frozen=True, slots=True)
class _Arrival:
    """What became of one series: gaps of what arrived, or why nothing did."""

    gaps: tuple[Gap, ...] = ()
    error: str = ""


class _Pull:
    """One pull under way."""

    def __init__(
        self,
        access: Sequence[ServerAccess],
        at_once: int,
        patience_seconds: float,
        progress: Callable[[str, float], None],
        transport: httpx.AsyncBaseTransport | None,
        parts: int,
    ) -> None:
        # half of the requests may be range queries; the circuit stays closed: patience is ours
        limits = Limits(concurrency=2 * at_once, failures_to_open=10**9)
        self._source = source_for(access, limits, transport)
        self._at_once = asyncio.Semaphore(at_once)
        self._patience = patience_seconds
        self._progress = progress
        self._parts = parts
        self._over = 0
        self._answered: dict[str, float] = {}
        """when each server last answered, by the monotonic clock"""
        self._failing: set[str] = set()
        """servers that answered before, and did not for the last part"""
        self._lost: dict[str, str] = {}
        """servers given up, and why"""

    async def all(self, wanted: Sequence[Wanted], parts: Mapping[str, Sequence[Part]]) -> dict[str, _Arrival]:
        """Fetches what is missing. Returns what became of each series, by name."""
        try:
            arrivals = await asyncio.gather(*(self._series(one, parts[one.name]) for one in wanted))
        finally:
            await self._source.close()
        return {one.name: arrival for one, arrival in zip(wanted, arrivals, strict=True)}

    async def _series(self, one: Wanted, parts: Sequence[Part]) -> _Arrival:
        """A part that is refused is a gap; a server that is given up, or refuses every part, is an error."""
        trigger = Trigger(
            namespace="",
            name=one.name,
            query=one.query,
            threshold=1.0,
            server_address=one.server,
            tenant=one.tenant,
            query_parameters=one.query_parameters,
            key=one.name,
        )
        gaps: list[Gap] = []
        error = ""
        async with self._at_once:
            for number, part in enumerate(parts):
                try:
                    if not part.is_complete:
                        part.save(await self._samples(trigger, part))
                    gaps += part.load().gaps
                except DependencyError as failure:
                    if one.server in self._lost:
                        self._report(one.name, len(parts) - number)
                        return _Arrival(error=str(failure))
                    error = str(failure)
                    gaps.append(Gap(*part.span, error, may_close=isinstance(failure, SourceUnavailable)))
                self._report(one.name, 1)
        if error and not any(part.path.exists() for part in parts):
            return _Arrival(error=error)
        return _Arrival(tuple(merged(gaps, parts[0].step_seconds)))

    def _report(self, name: str, parts: int) -> None:
        self._over += parts
        self._progress(name, self._over / self._parts)

    async def _samples(self, trigger: Trigger, part: Part) -> Samples:
        """What the server says at the end of each bin; repeated while it may get better."""
        server, began = trigger.server_address, time.monotonic()
        retries = stamina.retry_context(
            on=lambda error: isinstance(error, SourceUnavailable) and not isinstance(error, TooSlow | _GivenUp),
            attempts=None, timeout=self._patience, wait_initial=0.5, wait_max=10.0,
        )  # fmt: skip
        try:
            async for attempt in retries:
                with attempt:
                    if server in self._lost:
                        raise _GivenUp(self._lost[server])
                    samples = await self._source.samples(trigger, *part.span, part.step_seconds)
                    self._answered[server] = time.monotonic()
                    self._failing.discard(server)
                    return samples
        except SourceUnavailable as error:
            self._note_failure(server, began, error)
            raise
        raise AssertionError("stamina returns or raises")

    def _note_failure(self, server: str, began: float, error: SourceUnavailable) -> None:
        """Give the server up where it answered nobody since `began`; it may fail so for one part, not for two."""
        if isinstance(error, TooSlow) or self._answered.get(server, -math.inf) >= began:
            return
        if server in self._answered and server not in self._failing:
            self._failing.add(server)
        else:
            self._lost[server] = str(error)


class _GivenUp(SourceUnavailable):
    """The server answered nobody for as long as we had patience."""


def _write(target: Path, tables: Iterable[tuple[str, pa.Table]]) -> list[str]:
    """Writes the series one after the other; returns those that hold nothing. None at all: the file is left alone."""
    empty, written = [], 0
    with suppress(_NothingToWrite), appearing(target) as draft:
        with pq.ParquetWriter(draft, SCHEMA, compression="zstd") as writer:
            for name, table in tables:
                if len(table):
                    writer.write_table(table)
                    written += 1
                else:
                    empty.append(name)
        if not written:
            raise _NothingToWrite
    return empty


class _NothingToWrite(Exception):
    pass


def _table(one: Wanted, parts: Sequence[Part], gaps: Sequence[Gap], unit: str) -> tuple[str, pa.Table]:
    """The name, and the rows from the first known bin to the last, without a value where nothing is known.

    Where null values are ignored: the rows to the end of the span, 0 where nothing is known, but not within a gap.
    """
    step_seconds = parts[0].step_seconds
    loaded = [part.load() for part in parts]
    bins = np.concatenate([part.bins for part in loaded])
    every = bins
    if len(bins):
        every = np.arange(bins[0], parts[-1].end if one.ignore_null_values else bins[-1] + 1)
    demand = np.full(len(every), 0.0 if one.ignore_null_values else np.nan, np.float32)
    demand[within((every + 1.0) * step_seconds, gaps)] = np.nan
    demand[bins - every[:1]] = np.concatenate([part.values for part in loaded])
    return one.name, pa.table(
        [
            pa.array([one.name] * len(every), pa.string()),
            pa.array(every * step_seconds * 1_000_000, pa.timestamp("us", tz="UTC")),
            pa.array(demand, pa.float32(), from_pandas=True),
            pa.array([unit] * len(every), pa.string()),
        ],
        schema=SCHEMA,
    )
