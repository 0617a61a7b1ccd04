"""The ScaledObjects of one scope as the API server sends them: pages of a list, events of a watch.

Every failure is an ApiUnavailable in our own words. Every read is bounded in size and in time.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from scaler.discovery import EVERYWHERE
from scaler.discovery.place import ApiServer
from scaler.errors import DependencyError, HeadwayError
from scaler.history.client import Client
from scaler.history.credentials import ServerAccess
from scaler.http.body import PLAIN, BodyTooLarge, bounded, off_loop
from scaler.http.client import in_words
from scaler.telemetry.redaction import excerpt
from scaler.turns import Turns

RESOURCE = "scaledobjects.keda.sh"
GROUP_VERSION = "keda.sh/v1alpha1"

PAGE_OBJECTS = 100
"""objects of one page: parsing it takes some milliseconds"""
MOST_PAGE_BYTES = 4 * 2**20
"""a page of more is asked for again with fewer objects; a single object always fits"""
MOST_EVENT_BYTES = 4 * 2**20
"""the API server takes objects of up to 3 MB"""
MOST_ERROR_BYTES = 16 * 2**10

_HEADERS = {"Accept": "application/json", "Accept-Encoding": PLAIN}

CONNECT_SECONDS = 5.0
PAGE_SECONDS = 60.0
"""longest time for one page"""
READ_SECONDS = 15.0
"""longest silence within one page; a watch may be silent for as long as it was asked to last, and this much longer"""


class ApiUnavailable(DependencyError):
    """The API server did not answer, or not as it should. It is asked again with growing pauses."""


class Gone(ApiUnavailable):
    """The version to continue from is too old: everything is listed again."""


class Unreadable(ApiUnavailable):
    """What was sent is no list or no event: everything is listed again."""


class TooLarge(Unreadable):
    """More bytes than are read at once."""


class Denied(ApiUnavailable):
    """Somebody must act first: grant a permission, install KEDA, correct the settings."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list. `version`: where a watch begins after the last page."""

    objects: tuple[Mapping[str, Any], ...]
    version: str
    following: str
    """the `continue` of the next page; empty on the last"""


@dataclass(frozen=True, slots=True)
class Event:
    """A change: ADDED, MODIFIED, DELETED, or a BOOKMARK, which only moves the version on."""

    kind: str
    object: Mapping[str, Any]
    version: str


def open_client(server: ApiServer) -> Client:
    """A client that reads token and authorities again when their files change."""
    access = ServerAccess(server.url, bearer_token_file=server.token_file, ca_file=server.ca_file)
    return Client(server.url, access, keep_alive=4, turns=Turns())


class ScopedApi:
    """The API server, asked for the ScaledObjects of one namespace or of all."""

    def __init__(self, client: Client, url: str, namespace: str) -> None:
        self._client = client
        place = "" if namespace == EVERYWHERE else f"/namespaces/{quote(namespace, safe='')}"
        self._url = f"{url}/apis/{GROUP_VERSION}{place}/scaledobjects"
        self._where = "all namespaces" if namespace == EVERYWHERE else f"namespace {namespace}"

    async def page(self, following: str = "") -> Page:
        """A page of the list, of fewer objects where they are large.

        Raises ApiUnavailable; Gone where the list has to begin again.
        """
        limit = PAGE_OBJECTS
        while limit > 1:
            with suppress(TooLarge):
                return await self._page_of(limit, following)
            limit = -(-limit // 10)
        return await self._page_of(limit, following)

    async def _page_of(self, limit: int, following: str) -> Page:
        parameters = {"limit": str(limit)} | ({"continue": following} if following else {})
        try:
            async with asyncio.timeout(PAGE_SECONDS), self._answer("list", parameters, READ_SECONDS) as answer:
                body = await _body(answer, MOST_PAGE_BYTES)
                return _page(await off_loop(len(body), _parsed, body, "list"))
        except TimeoutError:
            raise ApiUnavailable(f"the Kubernetes API: a page took longer than {PAGE_SECONDS:g} s") from None

    @asynccontextmanager
    async def watch(self, version: str, seconds: int) -> AsyncIterator[AsyncIterator[Event]]:
        """What changed after `version`, for about `seconds`; entered once the server has accepted the watch.

        Raises ApiUnavailable; Gone where the version is too old.
        """
        parameters = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
        }
        async with self._answer("watch", parameters, seconds + READ_SECONDS) as answer:
            yield _events(answer)

    @asynccontextmanager
    async def _answer(self, verb: str, parameters: Mapping[str, str], seconds: float) -> AsyncIterator[httpx.Response]:
        timeout = httpx.Timeout(CONNECT_SECONDS, read=seconds)
        try:
            async with (
                self._client.request() as client,
                client.stream("GET", self._url, params=parameters, headers=_HEADERS, timeout=timeout) as answer,
            ):
                if answer.status_code != httpx.codes.OK:
                    raise self._refused(answer.status_code, verb, await bounded(answer, MOST_ERROR_BYTES, cut=True))
                yield answer
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise ApiUnavailable(f"the Kubernetes API: {in_words(error)}{self._client.through}") from None
        except ApiUnavailable:
            raise
        except HeadwayError as error:  # of the token, the authorities or a proxy
            raise ApiUnavailable(str(error)) from None

    def _refused(self, status: int, verb: str, body: bytes) -> ApiUnavailable:
        if status == httpx.codes.FORBIDDEN:
            return Denied(
                f"Headway may not {verb} {RESOURCE} in {self._where}: a Role (for all namespaces a ClusterRole) must "
                "allow its service account get, list and watch"
            )
        if status == httpx.codes.NOT_FOUND:
            return Denied(f"the Kubernetes API knows no {RESOURCE} of version {GROUP_VERSION}: KEDA is not installed")
        if status == httpx.codes.UNAUTHORIZED:
            return ApiUnavailable("the Kubernetes API does not accept the token (HTTP 401); the file is read again")
        if status == httpx.codes.GONE:
            return Gone("the Kubernetes API has forgotten the version to go on from (HTTP 410)")
        return ApiUnavailable(f"the Kubernetes API answered HTTP {status}{_message(body)}")


def _message(body: bytes) -> str:
    try:
        status = json.loads(body)
    except ValueError:
        return ""
    text = status.get("message") if isinstance(status, dict) else None
    return f": {excerpt(text)}" if isinstance(text, str) and text else ""


async def _body(answer: httpx.Response, most: int) -> bytes:
    try:
        return await bounded(answer, most)
    except BodyTooLarge:
        raise TooLarge(f"the Kubernetes API sent more than {most} bytes at once") from None


async def _events(answer: httpx.Response) -> AsyncIterator[Event]:
    async for line in _lines(answer):
        yield _event(await off_loop(len(line), _parsed, line, "event"))


async def _lines(answer: httpx.Response) -> AsyncIterator[bytes]:
    """Complete lines; what follows the last line break was cut off and is left out."""
    rest = bytearray()
    async for piece in answer.aiter_raw():  # not compressed: that was not asked for
        *lines, last = piece.split(b"\n")
        for line in lines:
            if complete := bytes(rest + line).strip():
                yield complete
            rest.clear()
        rest += last
        if len(rest) > MOST_EVENT_BYTES:
            raise Unreadable(f"the Kubernetes API sent an event of more than {MOST_EVENT_BYTES} bytes")


def _parsed(text: bytes, what: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Unreadable(f"the Kubernetes API sent a {what} that is not a JSON object")
    return value


def _page(value: Mapping[str, Any]) -> Page:
    header, items = value.get("metadata"), value.get("items")
    version = header.get("resourceVersion") if isinstance(header, dict) else None
    if not isinstance(header, dict) or not isinstance(version, str) or not version or not isinstance(items, list):
        raise Unreadable("the Kubernetes API sent a list without items or resourceVersion")
    following = header.get("continue") or ""
    return Page(tuple(item for item in items if isinstance(item, dict)), version, str(following))


def _event(value: Mapping[str, Any]) -> Event:
    kind, changed = value.get("type"), value.get("object")
    if not isinstance(kind, str) or not isinstance(changed, dict):
        raise Unreadable("the Kubernetes API sent an event without type or object")
    if kind == "ERROR":
        raise _error_event(changed)
    header = changed.get("metadata")
    version = header.get("resourceVersion") if isinstance(header, dict) else None
    if not isinstance(version, str) or not version:
        raise Unreadable("the Kubernetes API sent an event without resourceVersion")
    return Event(kind, changed, version)


def _error_event(status: Mapping[str, Any]) -> ApiUnavailable:
    if status.get("code") == httpx.codes.GONE:
        return Gone("the Kubernetes API has forgotten the version to go on from (event of code 410)")
    text = status.get("message")
    shown = f": {excerpt(text)}" if isinstance(text, str) and text else ""
    return ApiUnavailable(f"the Kubernetes API ended the watch with an error{shown}")
