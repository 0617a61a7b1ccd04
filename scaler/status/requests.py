"""Requests that change something: their bodies, and whether a page of this port has sent them."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from scaler.errors import Fault
from scaler.telemetry.redaction import excerpt

LARGEST_BODY = 64 * 1024
"""bytes"""
MOST_FIELDS = 20
READ_SECONDS = 10.0
"""how long a body may take to arrive"""
BODY_REFUSALS = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
FORM, JSON = "application/x-www-form-urlencoded", "application/json"


class RequestRefused(Exception):
    """What is wrong with a request that would change something."""

    def __init__(self, fault: Fault, status: HTTPStatus) -> None:
        super().__init__(str(fault))
        self.fault = fault
        self.status = status


async def form_of(request: Request) -> Mapping[str, str]:
    """The fields of a form that a page of this port has sent. Raises RequestRefused."""
    from_this_port(request)
    return fields_of(await _text(request, FORM))


def fields_of(form: str) -> dict[str, str]:
    """The fields of an encoded form; of several of one name, the last. Raises RequestRefused."""
    try:
        return dict(parse_qsl(form, keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:
        rule = f"must have at most {MOST_FIELDS} fields"
        raise RequestRefused(Fault("body", "", rule), HTTPStatus.BAD_REQUEST) from None


async def object_of(request: Request) -> Mapping[str, Any]:
    """The JSON object that the body is. Raises RequestRefused."""
    from_this_port(request)
    text = await _text(request, JSON)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise RequestRefused(Fault("body", "", "must be a JSON object"), HTTPStatus.BAD_REQUEST)
    return found


def form_token(session: str, user: str = "") -> str:
    """What a form of this session must bring: another site can neither read nor guess it."""
    return hmac.new(session.encode(), f"form {user}".encode(), hashlib.sha256).hexdigest()


def check_form_token(brought: str, session: str, user: str = "") -> None:
    """Raises RequestRefused where the form is not of this session."""
    if not session or not hmac.compare_digest(brought.encode(), form_token(session, user).encode()):
        rule = "is not that of this session: load the page again, and send the form from there"
        raise RequestRefused(Fault("form_token", "", rule), HTTPStatus.FORBIDDEN)


def closing(answer: Response) -> Response:
    """The answer to a request whose body was perhaps not read to its end: another cannot follow on the connection."""
    answer.headers["connection"] = "close"
    return answer


def from_this_port(request: Request) -> None:
    """Raises RequestRefused where a page of another site has sent the request: browsers say so by Sec-Fetch-Site, and
    without TLS by Origin alone."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        name, value, own = "Sec-Fetch-Site", site, site in ("same-origin", "none")
    elif origin is not None:
        host = request.headers.get("host", "")
        name, value, own = "Origin", origin, origin.partition("://")[2].lower() == host.lower()
    else:
        return
    if not own:
        rule = "must be this port itself: a page of another site may change nothing here"
        raise RequestRefused(Fault(name, excerpt(value), rule), HTTPStatus.FORBIDDEN)


async def body_of(request: Request, most: int = LARGEST_BODY) -> bytes:
    """The body. Raises RequestRefused where it has more bytes, ends early, or takes too long to arrive."""
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length[:20]) > most:
        raise _too_large(most)
    body = bytearray()
    try:
        async with asyncio.timeout(READ_SECONDS):
            async for piece in request.stream():
                body += piece
                if len(body) > most:
                    raise _too_large(most)
    except TimeoutError:
        rule = f"must arrive within {READ_SECONDS:.0f} s"
        raise RequestRefused(Fault("body", "", rule), HTTPStatus.REQUEST_TIMEOUT) from None
    except ClientDisconnect:
        raise RequestRefused(Fault("body", "", "ended early"), HTTPStatus.BAD_REQUEST) from None
    return bytes(body)


async def _text(request: Request, kind: str) -> str:
    found = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if found != kind:
        raise RequestRefused(
            Fault("Content-Type", excerpt(found), f"must be {kind}"), HTTPStatus.UNSUPPORTED_MEDIA_TYPE
        )
    try:
        return (await body_of(request)).decode()
    except UnicodeDecodeError:
        raise RequestRefused(Fault("body", "", "must be UTF-8"), HTTPStatus.BAD_REQUEST) from None


def _too_large(most: int) -> RequestRefused:
    rule = f"must have at most {most // 1024} kB"
    return RequestRefused(Fault("body", "", rule), HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
