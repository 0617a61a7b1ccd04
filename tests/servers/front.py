"""An HTTP server in front of a real Prometheus that answers some requests late, never, or with other bytes."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias
from urllib.parse import parse_qsl, urlsplit

import httpx

from tests.servers.serving import serving


@dataclass(frozen=True)
class Asked:
    """One request: the path, and the parameters of its URL and its form together."""

    path: str
    parameters: Mapping[str, str]

    @property
    def query(self) -> str:
        """The PromQL text."""
        return self.parameters.get("query", "")


@dataclass(frozen=True)
class Instead:
    """What the client gets. Where `body` is None, it is the upstream's own answer, `after_seconds` later."""

    body: bytes | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    after_seconds: float = 0.0
    endless: bytes = b""
    """what follows `body` over and over; the two are sent as they are, without a status or headers"""


HANGS = Instead(after_seconds=3600.0)

MANY_BYTES = 2**16
"""about as many are written at once"""

ENDLESS = {
    "endless interim answers": Instead(endless=b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n"),
    "endless headers": Instead(b"HTTP/1.1 200 OK\r\n", endless=b"A: 1\r\n"),
    "an endless header": Instead(b"HTTP/1.1 200 OK\r\nA: ", endless=b"1"),
    "endless chunks of a byte": Instead(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", endless=b"1\r\n \r\n"
    ),
    "endless blanks": Instead(b"HTTP/1.1 200 OK\r\n\r\n", endless=b" "),
}
"""answers that never end"""

Rule: TypeAlias = Callable[[Asked], Instead | None]


class Front:
    """A running front. The first of `rules` that does not return None decides; without one, the upstream answers."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.rules: list[Rule] = []
        self.asked: list[Asked] = []
        self.under_way = 0
        self.closing = threading.Event()
        self.client = httpx.Client(timeout=60, trust_env=False)
        self.url = ""

    def instead(self, asked: Asked) -> Instead:
        """How this request is answered."""
        self.asked.append(asked)
        return next(filter(None, (rule(asked) for rule in list(self.rules))), Instead())


@contextmanager
def front(upstream: str) -> Iterator[Front]:
    """A front of the server at `upstream`, on a port of its own."""
    state = Front(upstream)
    server = _Server(state)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    with closing(state.client), serving(server):
        try:
            yield state
        finally:
            state.closing.set()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, state: Front) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.state = state

    def handle_error(self, *_: object) -> None:
        """A client that broke off is no fault of this server."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, form: bytes) -> None:
        url, state = urlsplit(self.path), self.server.state
        parameters = dict(parse_qsl(url.query) + parse_qsl(form.decode(errors="replace")))
        state.under_way += 1
        try:
            self._send_instead(state.instead(Asked(url.path, parameters)), form)
        finally:
            state.under_way -= 1

    def _send_instead(self, instead: Instead, form: bytes) -> None:
        if instead.after_seconds and self.server.state.closing.wait(instead.after_seconds):
            return
        with suppress(OSError):  # the client may have given up
            if instead.endless:
                self._send_for_ever(instead.body or b"", instead.endless)
            elif instead.body is None:
                self._forward(form)
            else:
                self._send(instead.status, instead.headers, instead.body)

    def _forward(self, form: bytes) -> None:
        found = self.server.state.client.request(
            self.command,
            self.server.state.upstream + self.path,
            content=form,
            headers={"Content-Type": self.headers.get("Content-Type") or "text/plain"},
        )
        content_type = found.headers.get("Content-Type", "application/json")
        self._send(found.status_code, {"Content-Type": content_type}, found.content)

    def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_for_ever(self, first: bytes, endless: bytes) -> None:
        self.close_connection = True
        self.wfile.write(first)
        while not self.server.state.closing.is_set():
            self.wfile.write(endless * (MANY_BYTES // len(endless)))


def slow(seconds: float, needle: str) -> Rule:
    """Answers to queries that contain `needle` come `seconds` later."""
    return lambda asked: Instead(after_seconds=seconds) if needle in asked.query else None


def wait_for_requests(state: Front, needle: str, count: int, seconds: float = 30) -> None:
    """Return when `count` queries that contain `needle` have arrived. Fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while sum(needle in one.query for one in list(state.asked)) < count:
        assert time.monotonic() < deadline, f"fewer than {count} queries with {needle!r}"
        time.sleep(0.05)
