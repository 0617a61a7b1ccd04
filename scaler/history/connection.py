"""One metric server: bounded concurrency, time limits, retries, a circuit breaker, bounded reading."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import httpx
import stamina
import structlog
from circuitbreaker import CircuitBreaker

from scaler.errors import DependencyError, SourceRefused, SourceUnavailable
from scaler.history.answers import ServerAnswer, TooLarge, TooSlow, TryAgain, decode
from scaler.history.client import Client
from scaler.history.credentials import ServerAccess
from scaler.history.failures import Failures
from scaler.history.queries import MOST_BYTES, MOST_QUERIES
from scaler.history.ranges import PieceSize
from scaler.http.client import in_words
from scaler.trigger.server_address import redact

MOST_ANSWER_BYTES = 16 * 2**20
"""10,000 samples of one series are 0.3 MB; more than this is a query that forgot to aggregate"""

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
    """requests at the same time; at most half of them range queries, so that a backfill never holds up observing"""
    observe_seconds: float = 5.0
    range_seconds: float = 30.0
    attempts: int = 3
    """for connection errors, 5xx and 429, all within the time of one request"""
    failures_to_open: int = 5
    """consecutive failed requests after which the server is left alone"""
    open_seconds: float = 10.0
    """for how long: less than a refresh, so that every refresh tries once"""


class Server:
    """A connection pool to one address with what was learned about it. Whatever fails is a DependencyError."""

    def __init__(
        self, address: str, access: ServerAccess, limits: Limits, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.shown = redact(address)
        self.piece_size = PieceSize()
        """how much one range query may ask for"""
        self.most_together = MOST_QUERIES
        self.most_bytes = MOST_BYTES if access.method == "POST" else MOST_URL_BYTES
        self._base = address.rstrip("/")
        self._method = access.method
        self._limits = limits
        self._slots = asyncio.Semaphore(limits.concurrency)
        self._range_slots = asyncio.Semaphore(max(1, limits.concurrency // 2))
        self._client = Client(self._base, access, limits.concurrency, transport)
        self._failures = Failures()
        self._circuit = CircuitBreaker(
            failure_threshold=limits.failures_to_open,
            recovery_timeout=limits.open_seconds,
            expected_exception=self._is_the_server,
        )
        self._last_answer = 0.0
        self._last_failure = ""

    async def instant(self, query: str, at: float, parameters: Pairs, seconds: float) -> ServerAnswer:
        """What `query` returns at the moment `at`."""
        async with self._slots:
            return await self._guarded("query", {"query": query, "time": f"{at:.3f}"}, parameters, seconds)

    async def range(self, query: str, start: float, end: float, step_seconds: float, parameters: Pairs) -> ServerAnswer:
        """What `query` returns at start, start + step, … <= end."""
        form = {"query": query, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step_seconds:g}"}
        async with self._range_slots, self._slots:
            return await self._guarded("query_range", form, parameters, self._limits.range_seconds)

    def reachable(self) -> bool:
        """False while the circuit is open."""
        return not self._circuit.opened

    def unexpected(self, error: Exception) -> DependencyError:
        """An exception as an error of this server; its kind is logged once."""
        return self._failures.error(self._named, error)

    async def close(self) -> None:
        await self._client.close()

    async def _guarded(self, path: str, form: Mapping[str, str], parameters: Pairs, seconds: float) -> ServerAnswer:
        if not self.reachable():
            times = f"{self._limits.failures_to_open} times in a row"
            raise SourceUnavailable(f"{self._last_failure} ({self.shown} failed {times}; trying again soon)")
        with self._circuit, self._noted():
            async with self._time_limit(seconds):
                answer = await self._retrying(path, {**form, "timeout": f"{round(900 * seconds)}ms"}, parameters)
        self._last_answer = time.monotonic()
        return answer

    @property
    def _named(self) -> str:
        """The server in errors: with the proxy, where there is one."""
        return self.shown + self._client.through

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """Every exception as a DependencyError; its text is kept for while the circuit is open."""
        try:
            yield
        except DependencyError as error:
            self._last_failure = str(error)
            raise
        except Exception as error:  # noqa: BLE001  logged by Failures
            known = self.unexpected(error)
            self._last_failure = str(known)
            raise known from None

    @asynccontextmanager
    async def _time_limit(self, seconds: float) -> AsyncIterator[None]:
        started = time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            error = TooSlow(f"{self._named} did not answer within {seconds:g} s")
            error.started = started
            raise error from None

    def _is_the_server(self, kind: type[BaseException], error: BaseException) -> bool:
        """Whether a failure speaks against the server: not where it refused, or answered others in the meantime."""
        if isinstance(error, TooSlow):
            return self._last_answer < error.started
        return not isinstance(error, SourceRefused | asyncio.CancelledError)

    async def _retrying(self, path: str, form: Mapping[str, str], parameters: Pairs) -> ServerAnswer:
        retries = stamina.retry_context(
            on=TryAgain, attempts=self._limits.attempts, timeout=None, wait_initial=0.1, wait_max=1.0, wait_jitter=0.3
        )
        async for attempt in retries:
            with attempt:
                try:
                    return await self._once(path, form, parameters)
                except NOT_ASKED as error:
                    raise SourceRefused(f"{self._named}: {in_words(error)}") from None
                except (httpx.TransportError, httpx.DecodingError) as error:
                    raise TryAgain(f"{self._named}: {in_words(error)}") from None
        raise AssertionError("stamina returns or raises")

    async def _once(self, path: str, form: Mapping[str, str], parameters: Pairs) -> ServerAnswer:
        async with self._client.request() as client:
            status, body = await self._sent(client, self._method, path, form, parameters)
            if self._method == "POST" and status in REFUSES_POST:
                refused = status
                status, body = await self._sent(client, "GET", path, form, parameters)
                if status < 500 and status not in REFUSES_GET:
                    self._ask_with_get(refused)
        return decode(self._named, status, body)

    async def _sent(
        self, client: httpx.AsyncClient, method: str, path: str, form: Mapping[str, str], parameters: Pairs
    ) -> tuple[int, bytes]:
        url = f"{self._base}/api/v1/{path}"
        if method == "GET":
            request = client.build_request("GET", url, params=[*parameters, *form.items()])
        else:
            request = client.build_request("POST", url, params=parameters or None, data=form)
        response = await client.send(request, stream=True)
        try:
            return response.status_code, await self._body(response)
        finally:
            await response.aclose()

    def _ask_with_get(self, refused: int) -> None:
        if self._method == "POST":
            log.info("post_refused", server=self.shown, status=refused)
        self._method = "GET"
        self.most_bytes = min(self.most_bytes, MOST_URL_BYTES)

    async def _body(self, response: httpx.Response) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MOST_ANSWER_BYTES:
                most = MOST_ANSWER_BYTES // 2**20
                raise TooLarge(f"{self._named}: the answer is larger than {most} MiB; the query must return one series")
        return bytes(body)
