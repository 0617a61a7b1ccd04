"""Recorded demand out of a Prometheus-compatible server, into one Parquet file that `load` and the scaler read.

What has arrived is kept in parts, in a hidden folder next to the file (`.NAME.parts`): one for each query and 1440
steps, a day of minutes. A pull that was interrupted goes on with the first part that is missing; the folder goes when
every series has arrived.
"""

import asyncio
import hashlib
import json
import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from json import JSONDecodeError
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]
import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]
import stamina
from numpy.typing import NDArray

from scaler.errors import CommandError, DependencyError, SourceUnavailable
from scaler.files import appearing
from scaler.history.answers import TooSlow
from scaler.history.connection import Limits, Pairs
from scaler.history.credentials import ServerAccess
from scaler.history.sources import source_for
from scaler.http_client import client_options, environment_proxy, in_words, through, trust_for
from scaler.series import Floats, Samples
from scaler.telemetry.redaction import HIDDEN, os_error_text, redacted
from scaler.trigger import Trigger
from scaler.trigger.server_address import parse_server_address
from training.data.load import Refused, system_of
from training.errors import DataError

STEPS_PER_PART = 1440
PAGE = 500
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
    `progress` is told the series and the share of all that is there. Whatever is wrong with one series, the others go
    on.

    Raises DataError for a span, step, name or address that cannot be, NotWritten for a file that cannot be written:
    it stays as it was, and the next pull goes on with the parts that are there. Not to be called where an event loop
    runs.
    """
    wanted = _checked(triggers, server)
    bins = _bins(since, until, step_seconds)
    folder = target.with_name(f".{target.name}.parts")
    parts = {one.name: _parts(one, folder, step_seconds, bins) for one in wanted}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        work = _Pull(access, at_once, patience_seconds, progress, transport, sum(map(len, parts.values())))
        troubles = asyncio.run(work.all(wanted, parts, step_seconds))
        arrived = [one.name for one in wanted if one.name not in troubles]
        tables = (_table(one, parts[one.name], step_seconds, unit) for one in wanted if one.name not in troubles)
        empty = _write(target, tables)
        if not troubles:
            shutil.rmtree(folder)
    except OSError as error:
        raise NotWritten(
            f"{target}: cannot be written: {os_error_text(error)}; what arrived is kept, a rerun goes on from there"
        ) from None
    troubles |= dict.fromkeys(empty, "the query returned no demand (a finite value from 0 on) in the whole span")
    refused = tuple(Refused(system_of(target), one.name, troubles[one.name]) for one in wanted if one.name in troubles)
    return Pulled(target, tuple(name for name in arrived if name not in troubles), refused)


def watched(
    address: str, server: str = "", transport: httpx.BaseTransport | None = None
) -> tuple[list[Wanted], list[Refused]]:
    """What the scaler at `address` (http://HOST:8080) watches, named namespace/name; and what it tells too little of.

    Where one ScaledObject has several triggers, their short hashes tell them apart. The scaler hides what may be a
    secret: a server's address of which it hides a part is taken from `server` where that is the same. Raises DataError.
    """
    records: list[dict[str, Any]] = []
    after: str | None = ""
    proxy = environment_proxy(address)
    shown = redacted(address) + through(proxy)
    options = client_options(None if transport else proxy)
    verify = trust_for(address)
    try:
        with httpx.Client(timeout=TIMEOUT_SECONDS, transport=transport, verify=verify, **options) as client:
            while after is not None:
                found = client.get(f"{address.rstrip('/')}/api/v1/plans", params={"limit": PAGE, "after": after})
                found.raise_for_status()
                page = found.json()
                records += page["plans"]
                after = page["next"]
        names = [f"{record['namespace']}/{record['name']}" for record in records]
        several = {name for name, count in Counter(names).items() if count > 1}
        wanted = [
            _asked_by(f"{name}/{record['trigger']}" if name in several else name, record, server)
            for name, record in zip(names, records, strict=True)
        ]
    except httpx.HTTPStatusError as error:
        raise DataError(f"scaler at {shown}: answers HTTP {error.response.status_code}") from None
    except (AttributeError, KeyError, TypeError, JSONDecodeError, UnicodeDecodeError):
        raise DataError(f"scaler at {shown}: answers, but not as a scaler does") from None
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        raise DataError(f"scaler at {shown}: {in_words(error)}") from None
    refused = [Refused("scaler", one.name, rule) for one in wanted if (rule := _hidden(one))]
    return [one for one in wanted if not _hidden(one)], refused


def _asked_by(name: str, record: dict[str, Any], server: str) -> Wanted:
    """What the trigger of a record asks. A scaler of an older version tells of its query and server alone."""
    shown = record["server"]
    return Wanted(
        name,
        record["query"],
        server if server and redacted(server.rstrip("/")) == shown.rstrip("/") else shown,
        record.get("ignore_null_values", False),
        record.get("tenant", ""),
        tuple((key, value) for key, value in record.get("query_parameters", ())),
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


@dataclass(frozen=True, slots=True)
class _Part:
    """Bins [first, end) of one query: two arrays, the numbers of the known bins and their demand."""

    path: Path
    first: int
    end: int

    def save(self, samples: Samples, step_seconds: int) -> None:
        bins = np.rint(samples.times / step_seconds).astype(np.int64) - 1
        with appearing(self.path) as draft, draft.open("wb") as file:
            np.savez(file, bins=bins, values=samples.values)

    def load(self) -> tuple[NDArray[np.int64], Floats]:
        with np.load(self.path) as stored:
            return stored["bins"], stored["values"]


def _parts(one: Wanted, folder: Path, step_seconds: int, bins: range) -> list[_Part]:
    """Parts begin at multiples of their size, so that a later pull of a longer span finds them again."""
    asked = [one.server, one.query, one.tenant, one.query_parameters, step_seconds]
    key = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]
    borders = [bins.start, *range((bins.start // STEPS_PER_PART + 1) * STEPS_PER_PART, bins.stop, STEPS_PER_PART)]
    return [
        _Part(folder / f"{key}-{first}-{end}.npz", first, end)
        for first, end in zip(borders, [*borders[1:], bins.stop], strict=True)
    ]


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
        self._lost: dict[str, str] = {}
        """servers given up, and why"""

    async def all(self, wanted: Sequence[Wanted], parts: dict[str, list[_Part]], step_seconds: int) -> dict[str, str]:
        """Fetches what is missing. Returns what went wrong, by name."""
        try:
            troubles = await asyncio.gather(*(self._series(one, parts[one.name], step_seconds) for one in wanted))
        finally:
            await self._source.close()
        return {one.name: trouble for one, trouble in zip(wanted, troubles, strict=True) if trouble}

    async def _series(self, one: Wanted, parts: list[_Part], step_seconds: int) -> str:
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
        async with self._at_once:
            for number, part in enumerate(parts):
                try:
                    if not part.path.exists():
                        part.save(await self._samples(trigger, part, step_seconds), step_seconds)
                except DependencyError as error:
                    self._tell(one.name, len(parts) - number)
                    return str(error)
                self._tell(one.name, 1)
        return ""

    def _tell(self, name: str, parts: int) -> None:
        self._over += parts
        self._progress(name, self._over / self._parts)

    async def _samples(self, trigger: Trigger, part: _Part, step_seconds: int) -> Samples:
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
                    first, last = (part.first + 1) * step_seconds, part.end * step_seconds
                    samples = await self._source.samples(trigger, first, last, step_seconds)
                    self._answered[server] = time.monotonic()
                    return samples
        except SourceUnavailable as error:
            if self._answered.get(server, -math.inf) < began and not isinstance(error, TooSlow):
                self._lost[server] = str(error)
            raise
        raise AssertionError("stamina returns or raises")


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


def _table(one: Wanted, parts: list[_Part], step_seconds: int, unit: str) -> tuple[str, pa.Table]:
    """The name, and the rows from the first known bin to the last, without a value where nothing is known.

    Where null values are ignored: the rows to the end of the span, 0 where nothing is known.
    """
    loaded = [part.load() for part in parts]
    bins, values = (np.concatenate(column) for column in zip(*loaded, strict=True))
    every = bins
    if len(bins):
        every = np.arange(bins[0], parts[-1].end if one.ignore_null_values else bins[-1] + 1)
    demand = np.full(len(every), 0.0 if one.ignore_null_values else np.nan, np.float32)
    demand[bins - every[:1]] = values
    return one.name, pa.table(
        [
            pa.array([one.name] * len(every), pa.string()),
            pa.array(every * step_seconds * 1_000_000, pa.timestamp("us", tz="UTC")),
            pa.array(demand, pa.float32(), from_pandas=True),
            pa.array([unit] * len(every), pa.string()),
        ],
        schema=SCHEMA,
    )
