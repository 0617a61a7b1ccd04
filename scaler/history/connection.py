"""One metric server: slots shared by turns, time limits, retries, circuit breakers, bounded reading."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import httpx
import stamina
import structlog

from scaler.errors import DependencyError, SourceRefused, SourceUnavailable
from scaler.history.answers import Malformed, NoConnection, NotAsked, ServerAnswer, TooLarge, TooSlow, TryAgain, decode
from scaler.history.circuits import Circuits, Kind
from scaler.history.client import Client
from scaler.history.credentials import ServerAccess
from scaler.history.failures import Failures
from scaler.history.lanes import Lane, Turn
from scaler.history.pace import SLOW_SECONDS, Paces
from scaler.history.queries import MOST_BYTES
from scaler.history.ranges import PieceSize
from scaler.history.slots import Slots
from scaler.http.body import GZIP, PLAIN, BodyTooLarge, bounded, off_loop
from scaler.http.client import in_words
from scaler.http.network import MOST_HEAD_BYTES, HeadTooLong
from scaler.telemetry.traces import span
from scaler.trigger.server_address import redact
from scaler.turns import Turns

MOST_ANSWER_BYTES = {"query": 64 * 2**10, "query_range": 2**20}
"""by path, decompressed. 50 numbers with their labels are 10 kB, 10,000 samples of mean and maximum 0.7 MB; more is a
query that forgot to aggregate, or a range that is asked for in smaller pieces. Parsing a megabyte takes 3 to 20 ms."""

MOST_ERROR_BYTES = 16 * 2**10
"""of an answer that is an error; the rest is not read"""

ACCEPTED = {"query": PLAIN, "query_range": GZIP}
"""the compression asked for: on answers of a few hundred bytes it costs more than it gains"""

MOST_URL_BYTES = 2_500
"""queries sent in the URL grow threefold there, and proxies refuse URLs above 8 kB"""

NOT_ASKED = (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeError)
"""raised for a request that cannot be made, whatever the server does"""
REFUSES_POST = (403, 405, 501)
"""answers to a POST after which GET is tried, as Prometheus's own Go client does"""
REFUSES_GET = (401, 403, 404, 405)
"""answers to that GET which do not show that the server takes it"""

# stamina would log every retry; the refresh logs an outage once
stamina.instrumentation.set_on_retry_hooks([])

log = structlog.get_logger(__name__)

Pairs: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """How hard one server may be asked, and how long it may take."""

    concurrency: int = 20
    """requests at the same time, instant and range queries together; lanes.py shares them"""
    observe_seconds: float = 5.0
    round_seconds: float = 12.0
    """how long the requests of one observe() may wait for a slot; less than a refresh"""
    range_seconds: float = 30.0
    attempts: int = 3
    """for connection errors, 5xx and 429, all within the time of one request"""
    failures_to_open: int = 5
    """consecutive failed requests after which the server is left alone"""
    open_seconds: float = 10.0
    """for how long: less than a refresh, so that every refresh tries once"""


@dataclass(frozen=True, slots=True)
class Asker:
    """On whose account an instant query is asked."""

    namespace: str
    queries: Sequence[str]
    """those of the triggers; several where they share a request"""
    until: float
    """the last moment at which the request may begin (time of the event loop)"""


@dataclass(slots=True)
class _Request:
    kind: Kind
    turn: Turn
    form: Mapping[str, str]
    parameters: Pairs
    seconds: float
    rank: int = 0
    until: float | None = None
    """the last moment at which it may begin (time of the event loop)"""
    began: float = 0.0
    """by the monotonic clock; 0 while it waits for a slot"""


_PATHS = {Kind.INSTANT: "query", Kind.RANGE: "query_range"}
_NOT_ASKED = {
    Lane.PROVEN: "not asked in this round: too many requests wait for {server}",
    Lane.NEW: "not asked in this round: too many queries that {server} has never answered wait for it",
    Lane.SUSPECT: "not asked in this round: slow queries share few requests to {server}, and others were first",
    Lane.RANGE: "not asked: too many requests for history wait for {server}",
}


class Server:
    """A connection pool to one address with what was learned about it. Whatever fails is a DependencyError."""

    def __init__(
        self,
        address: str,
        access: ServerAccess,
        limits: Limits,
        turns: Turns,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.shown = redact(address)
        self.most_bytes = MOST_BYTES if access.method == "POST" else MOST_URL_BYTES
        self._base = address.rstrip("/")
        self._method = access.method
        self._limits = limits
        self._slots = Slots(limits.concurrency)
        self._paces = Paces()
        self._turns = turns
        self._client = Client(self._base, access, limits.concurrency, turns, transport)
        self._failures = Failures()
        self._asked_at = time.monotonic()
        self._piece_sizes: dict[str, PieceSize] = {}
        self._circuits = Circuits(limits.failures_to_open, limits.open_seconds)

    async def instant(self, query: str, at: float, parameters: Pairs, seconds: float, asker: Asker) -> ServerAnswer:
        """What `query` returns at the moment `at`. Raises NotAsked where its turn does not come in time."""
        self._refuse_pausing(asker)
        turn = Turn(self._paces.lane(asker.namespace, asker.queries), asker.namespace)
        rank, form = self._paces.rank(asker.namespace, asker.queries), {"query": query, "time": f"{at:.3f}"}
        request = _Request(Kind.INSTANT, turn, form, parameters, seconds, rank, asker.until)
        try:
            answer = await self._guarded(request)
        except SourceUnavailable as error:
            self._note_silence(asker, request, error)
            raise
        except SourceRefused:
            self._note_pace(asker, request)
            raise
        self._note_pace(asker, request)
        return answer

    async def range(
        self, query: str, start: float, end: float, step_seconds: float, parameters: Pairs, namespace: str
    ) -> ServerAnswer:
        """What `query` returns at start, start + step, … <= end."""
        form = {"query": query, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step_seconds:g}"}
        turn = Turn(Lane.RANGE, namespace)
        return await self._guarded(_Request(Kind.RANGE, turn, form, parameters, self._limits.range_seconds))

    def reachable(self, namespace: str) -> bool:
        """False while this namespace's instant queries are not sent."""
        return not self._circuits.open_because(Kind.INSTANT, namespace)

    def idle_seconds(self) -> float:
        """How long ago the last request was made; a request takes far less than what counts as unused."""
        return time.monotonic() - self._asked_at

    def is_down(self) -> bool:
        """Whether nobody's instant queries are answered, and some are not sent for that reason."""
        return self._circuits.is_down()

    def piece_size(self, namespace: str) -> PieceSize:
        """How much one range query of this namespace may ask for: heavy queries of another teach nothing about it."""
        return self._piece_sizes.setdefault(namespace, PieceSize())

    def waiting(self) -> Counter[Lane]:
        """How many requests wait for a slot, by lane."""
        return self._slots.waiting()

    def unexpected(self, error: Exception) -> DependencyError:
        """An exception as an error of this server; its kind is logged once."""
        return self._failures.error(self._named, error)

    async def close(self) -> None:
        await self._client.close()

    def _refuse_pausing(self, asker: Asker) -> None:
        pauses = [self._paces.pause(asker.namespace, query, time.monotonic()) for query in asker.queries]
        if any(pauses):
            again = f"it is asked again in {max(pauses):.0f} s"
            raise NotAsked(f"not asked in this round: {self.shown} did not answer this query in time; {again}")

    def _note_pace(self, asker: Asker, request: "_Request") -> None:
        if request.began:
            self._paces.note_answer(asker.namespace, asker.queries, time.monotonic() - request.began)

    def _note_silence(self, asker: Asker, request: "_Request", error: SourceUnavailable) -> None:
        """A long wait for nothing speaks against the query where the server has answered others meanwhile."""
        now = time.monotonic()
        is_long = isinstance(error, TooSlow) or now - request.began > SLOW_SECONDS
        if request.began and is_long and self._circuits.answered_since(Kind.INSTANT, request.began):
            self._paces.note_silence(asker.namespace, asker.queries, now)

    async def _guarded(self, request: "_Request") -> ServerAnswer:
        self._asked_at = time.monotonic()
        described = {"server": self.shown, "namespace": request.turn.namespace}
        try:
            with span(f"metric server {_PATHS[request.kind]}", described):
                return await self._asked(request)
        except DependencyError as error:
            error.__context__ = None  # it leads to the connection, and to the megabytes that this has read
            raise error.with_traceback(None) from None

    async def _asked(self, request: "_Request") -> ServerAnswer:
        self._refuse_open(request)
        async with AsyncExitStack() as slot:
            try:
                await slot.enter_async_context(self._slots.taken(request.turn, request.rank, request.until))
            except TimeoutError:
                raise NotAsked(_NOT_ASKED[request.turn.lane].format(server=self.shown)) from None
            self._refuse_open(request)  # it may have opened meanwhile
            request.began = time.monotonic()
            with self._circuits.noted(request.kind, request.turn.namespace), self._in_words():
                async with self._time_limit(request):
                    return await self._retrying(request, slot)

    def _refuse_open(self, request: "_Request") -> None:
        why = self._circuits.open_because(request.kind, request.turn.namespace)
        if why:
            times = f"{self._limits.failures_to_open} times in a row"
            raise SourceUnavailable(f"{why} ({self.shown} failed {times}; trying again soon)")

    @property
    def _named(self) -> str:
        """The server in errors: with the proxy, where there is one."""
        return self.shown + self._client.through

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """Every exception as a DependencyError."""
        try:
            yield
        except DependencyError:
            raise
        except Exception as error:  # noqa: BLE001  logged by Failures
            raise self.unexpected(error) from None

    @asynccontextmanager
    async def _time_limit(self, request: "_Request") -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(request.seconds):
                yield
        except TimeoutError:
            error = TooSlow(f"{self._named} did not answer within {request.seconds:g} s")
            error.started = request.began
            raise error from None

    async def _retrying(self, request: "_Request", slot: AsyncExitStack) -> ServerAnswer:
        """Try as often as allowed; between two tries others may have the slot."""
        retries = stamina.retry_context(
            on=TryAgain, attempts=self._limits.attempts, timeout=None, wait_initial=0.1, wait_max=1.0, wait_jitter=0.3
        )
        async for attempt in retries:
            with attempt:
                if attempt.num > 1:
                    await slot.enter_async_context(self._slots.taken(request.turn, request.rank))
                async with slot:
                    return await self._tried(request)
        raise AssertionError("stamina returns or raises")

    async def _tried(self, request: "_Request") -> ServerAnswer:
        form = {**request.form, "timeout": f"{round(900 * request.seconds)}ms"}
        try:
            return await self._once(_PATHS[request.kind], form, request.parameters)
        except HeadTooLong:
            head = f"more than {MOST_HEAD_BYTES // 2**10} KiB of headers and interim answers (1xx)"
            raise Malformed(f"{self._named}: the answer has {head}") from None
        except NOT_ASKED as error:
            raise SourceRefused(f"{self._named}: {in_words(error)}") from None
        except (httpx.ConnectError, httpx.ProxyError) as error:
            raise NoConnection(f"{self._named}: {in_words(error)}") from None
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise TryAgain(f"{self._named}: {in_words(error)}") from None

    async def _once(self, path: str, form: Mapping[str, str], parameters: Pairs) -> ServerAnswer:
        async with self._client.request() as client:
            status, body = await self._sent(client, self._method, path, form, parameters)
            if self._method == "POST" and status in REFUSES_POST:
                refused = status
                status, body = await self._sent(client, "GET", path, form, parameters)
                if status < 500 and status not in REFUSES_GET:
                    self._ask_with_get(refused)
        return await off_loop(len(body), decode, self._named, status, body)

    async def _sent(
        self, client: httpx.AsyncClient, method: str, path: str, form: Mapping[str, str], parameters: Pairs
    ) -> tuple[int, bytes]:
        url, headers = f"{self._base}/api/v1/{path}", {"Accept-Encoding": ACCEPTED[path]}
        if method == "GET":
            request = client.build_request("GET", url, params=[*parameters, *form.items()], headers=headers)
        else:
            request = client.build_request("POST", url, params=parameters or None, data=form, headers=headers)
        response = await client.send(request, stream=True)
        try:
            return response.status_code, await self._body(response, MOST_ANSWER_BYTES[path])
        finally:
            await response.aclose()
            # The two refer to each other, and to the megabytes that the connection has read beyond the limit.
            response.stream = httpx.ByteStream(b"")

    def _ask_with_get(self, refused: int) -> None:
        if self._method == "POST":
            log.info("post_refused", server=self.shown, status=refused)
        self._method = "GET"
        self.most_bytes = min(self.most_bytes, MOST_URL_BYTES)

    async def _body(self, response: httpx.Response, most: int) -> bytes:
        if not response.is_success:
            return await bounded(response, MOST_ERROR_BYTES, cut=True, turn=self._turns.turn)
        try:
            return await bounded(response, most, turn=self._turns.turn)
        except BodyTooLarge as error:
            rule = "the query must return one series: aggregate it, as with sum()"
            too_large = f"is larger than {most // 2**10} KiB; {rule}"
            raise TooLarge(f"{self._named}: the answer {str(error) or too_large}") from None
