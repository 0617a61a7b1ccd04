"""A stand-in for the Kubernetes API: lists and watches of ScaledObjects over real HTTP, with the failures of one.

It speaks what `scaler/discovery/api.py` needs: `limit` and `continue`, `resourceVersion`, bookmarks, 410 as a status
and as an event, 401, 403, broken streams. It runs in a thread of its own, so whole scaler processes can call it.
"""

import asyncio
import copy
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Json = dict[str, Any]

EVERYWHERE = "*"
_POLL_SECONDS = 0.01
_GONE: Json = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410}


@dataclass
class Request:
    """What was asked for."""

    verb: str
    namespace: str
    parameters: dict[str, str]
    token: str
    status: int = 200


@dataclass
class _Change:
    version: int
    kind: str
    object: Json


@dataclass
class KubernetesApi:
    """The state of the stand-in; tests change it while it runs."""

    token: str = ""
    """required where it is set"""
    denied: set[tuple[str, str]] = field(default_factory=set)
    """(verb, namespace or *) that get 403"""
    failing: int = 0
    """an HTTP status that every request gets"""
    ends_watches: bool = False
    """end every watch at once, without an error"""
    hangs: bool = False
    """accept requests and answer none"""
    page_size: int = 0
    """objects of a page where the caller wants more"""
    page_starts_at: int | None = None
    """every page of a list begins there, whatever `continue` says"""
    gone_as_event: bool = False
    """410 as an event of an accepted watch, not as a status"""
    port: int = 0
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._objects: dict[tuple[str, str], Json] = {}
        self._version = 100
        self._oldest = 100
        self._changes: list[_Change] = []
        self._raw: list[bytes] = []
        self._breaks = 0
        self._expired_pages = 0
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._tls: ssl.SSLContext | None = None
        self._open: set[asyncio.StreamWriter] = set()

    # What tests do

    def put(self, scaled: Json) -> None:
        """Create or change an object."""
        header = scaled["metadata"]
        name = (header["namespace"], header["name"])
        self._note("MODIFIED" if name in self._objects else "ADDED", copy.deepcopy(scaled))
        self._objects[name] = self._changes[-1].object

    def delete(self, namespace: str, name: str) -> None:
        self._note("DELETED", copy.deepcopy(self._objects.pop((namespace, name))))

    def bookmark(self) -> int:
        """Send the newest version to every open watch; returns it."""
        self._note("BOOKMARK", {"kind": "ScaledObject", "metadata": {}})
        return self._version

    def forget_past(self) -> None:
        """Compact: a watch from an older version is 410, and so is a page of an older list."""
        self._version += 1
        self._oldest = self._version

    def expire_next_pages(self, count: int) -> None:
        """Answer 410 to the next requests with `continue`."""
        self._expired_pages = count

    def send(self, raw: bytes) -> None:
        """Send these bytes to every open watch."""
        self._raw.append(raw)

    def break_watches(self) -> None:
        """Cut every open watch off without an end."""
        self._breaks += 1

    def stop(self) -> None:
        """Refuse connections."""
        self._run(self._close())

    def start(self, tls: ssl.SSLContext | None = None) -> None:
        """Listen, always at the same port."""
        self._tls = tls or self._tls
        self._run(self._listen())

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def asked(self, verb: str) -> list[Request]:
        return [one for one in list(self.requests) if one.verb == verb]

    # The server

    def _note(self, kind: str, changed: Json) -> None:
        self._version += 1
        changed["metadata"]["resourceVersion"] = str(self._version)
        self._changes.append(_Change(self._version, kind, changed))

    def _run(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._open):
                writer.transport.abort()
            self._server = None
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                await self._answer(head, writer)
                await writer.drain()
        self._open.discard(writer)
        writer.close()

    async def _answer(self, head: str, writer: asyncio.StreamWriter) -> None:
        request = _request(head)
        while self.hangs:  # noqa: ASYNC110  tests set it from their thread
            await asyncio.sleep(_POLL_SECONDS)
        request.status = self._status_of(request)
        marks = len(self._raw), self._breaks  # before the request can be seen: whatever a test does then counts
        self.requests.append(request)
        if request.status != 200:
            message = f"scaledobjects.keda.sh: secret-of-the-server {request.status}"
            _send(writer, request.status, {"kind": "Status", "code": request.status, "message": message})
        elif request.verb == "list":
            _send(writer, 200, self._page(request))
        else:
            await self._watch(request, writer, *marks)

    def _status_of(self, request: Request) -> int:
        if self.failing:
            return self.failing
        if self.token and request.token != self.token:
            return 401
        if (request.verb, request.namespace) in self.denied:
            return 403
        if request.verb == "watch":
            return 410 if self._is_forgotten(request) and not self.gone_as_event else 200
        if request.parameters.get("continue") and self._expired_pages > 0:
            self._expired_pages -= 1
            return 410
        return 200

    def _is_forgotten(self, request: Request) -> bool:
        return int(request.parameters["resourceVersion"]) < self._oldest

    def _page(self, request: Request) -> Json:
        wanted = [
            one for (namespace, _), one in sorted(self._objects.items()) if request.namespace in (namespace, EVERYWHERE)
        ]
        start = int(request.parameters.get("continue", "0")) if self.page_starts_at is None else self.page_starts_at
        size = min(int(request.parameters["limit"]), self.page_size or len(wanted) or 1)
        header = {"resourceVersion": str(self._version)}
        if start + size < len(wanted):
            header["continue"] = str(start + size)
        return {"kind": "ScaledObjectList", "metadata": header, "items": wanted[start : start + size]}

    async def _watch(self, request: Request, writer: asyncio.StreamWriter, raw: int, breaks: int) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        since = int(request.parameters["resourceVersion"])
        if self._is_forgotten(request):
            _chunk(writer, json.dumps({"type": "ERROR", "object": _GONE}).encode() + b"\n")
        ends = self._loop.time() + (0.0 if self.ends_watches else float(request.parameters["timeoutSeconds"]))
        while self._loop.time() < ends and not writer.is_closing():
            if self._breaks > breaks:
                writer.transport.abort()
                raise ConnectionResetError
            for change in [one for one in self._changes if one.version > since]:
                since = change.version
                if change.kind == "BOOKMARK" or request.namespace in (change.object["metadata"]["namespace"], "*"):
                    event = {"type": change.kind, "object": change.object}
                    _chunk(writer, json.dumps(event).encode() + b"\n")
                    await writer.drain()
            for piece in self._raw[raw:]:
                _chunk(writer, piece)
            raw = len(self._raw)
            await writer.drain()
            await asyncio.sleep(_POLL_SECONDS)
        _chunk(writer, b"")


@contextmanager
def kubernetes_api(tls: ssl.SSLContext | None = None, **state: Any) -> Iterator[KubernetesApi]:
    """A running stand-in."""
    api = KubernetesApi(**state)
    thread = threading.Thread(target=api._loop.run_forever, daemon=True)
    thread.start()
    api.start(tls)
    try:
        yield api
    finally:
        api.stop()
        api._loop.call_soon_threadsafe(api._loop.stop)
        thread.join(5)


def scaled_object(
    name: str = "web",
    namespace: str = "shop",
    query: str = "sum(rate(http_requests_total[2m]))",
    annotations: dict[str, str] | None = None,
    **trigger: str,
) -> Json:
    """A ScaledObject that asks for a forecast, unless `annotations` say otherwise."""
    metadata = {"serverAddress": "http://prometheus:9090", "query": query, "threshold": "100", **trigger}
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "annotations": {"headway.dev/forecast": "true"} if annotations is None else annotations,
        },
        "spec": {"scaleTargetRef": {"name": name}, "triggers": [{"type": "prometheus", "metadata": metadata}]},
    }


def _request(head: str) -> Request:
    first, *lines = head.split("\r\n")
    url = urlsplit(first.split(" ")[1])
    parameters = {name: values[0] for name, values in parse_qs(url.query).items()}
    parts = url.path.split("/")
    assert parts[1:4] == ["apis", "keda.sh", "v1alpha1"], url.path
    assert parts[-1] == "scaledobjects", url.path
    namespace = unquote(parts[5]) if parts[4] == "namespaces" else EVERYWHERE
    headers = {line.split(":", 1)[0].lower(): line.split(":", 1)[1].strip() for line in lines if ":" in line}
    verb = "watch" if parameters.get("watch") == "1" else "list"
    return Request(verb, namespace, parameters, headers.get("authorization", "").removeprefix("Bearer "))


def _send(writer: asyncio.StreamWriter, status: int, content: Json) -> None:
    body = json.dumps(content).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)


def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
