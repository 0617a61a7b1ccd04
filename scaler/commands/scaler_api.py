"""Asking a running scaler over its HTTP port: one GET, with bounds on all that it may take."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import httpx

from scaler.commands import Usage
from scaler.commands.http_access import Access
from scaler.errors import CommandError
from scaler.http.body import PLAIN
from scaler.http.client import (
    client_options,
    environment_proxy,
    in_words,
    through,
    trust_for,
)
from scaler.trigger.server_address import redact

TIMEOUT_SECONDS = 10.0
"""for each part of an answer"""

LONGEST_SECONDS = 15.0
"""for all of it; headers, and interim answers before them, may come without end"""

MOST_BYTES = 16 * 2**20
"""of an answer; 500 triggers, the most that are listed, have two megabytes"""

REFUSED_BY: Mapping[int, str] = {
    httpx.codes.UNAUTHORIZED: "Name the file of the scaler's read token: --token-file, or HEADWAY_TOKEN_FILE.",
    httpx.codes.FORBIDDEN: "Name a certificate that the scaler trusts: --client-cert and --client-key.",
    httpx.codes.MISDIRECTED_REQUEST: "Call the scaler by another name: --address.",
}
"""status of a refusal for which the flags are to blame → what to write"""


class Unreachable(CommandError):
    """No scaler answers at the address."""


class _TooMuch(CommandError):
    """An answer that no scaler gives."""


def ask(address: str, path: str, access: Access, key: str) -> tuple[int, dict[str, Any]]:
    """Status and JSON of a scaler's answer: an object with `key`, or with errors. Raises Unreachable, or Usage for an
    address that is none."""
    base = address if "://" in address else f"http://{address}"
    url = base.rstrip("/") + path
    trust = trust_for(url) if access.trust is None else access.trust
    proxy = environment_proxy(base)
    shown = redact(base) + through(proxy)
    try:
        httpx.URL(url).host.encode("idna")  # to a resolver, a host that cannot be one is as one that is not found
        status, body = asyncio.run(_read(url, headers=access.headers, verify=trust, **client_options(proxy)))
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as error:
        rule = f"must be the URL of a scaler's HTTP port: {in_words(error)}"
        raise Usage(f"--address={redact(address)!r}: {rule}") from None
    except httpx.HTTPError as error:
        raise Unreachable(
            f"no scaler at {shown}: {in_words(error)} (is --address its HTTP port{_scheme(base)}?)"
        ) from None
    except _TooMuch as error:
        raise Unreachable(f"what answers at {shown} is no scaler: {error}") from None
    try:
        found = printable(json.loads(body))
    except (ValueError, RecursionError):
        raise Unreachable(f"what answers at {shown} is no scaler: its answer is not JSON") from None
    if not isinstance(found, dict) or not (key in found or "errors" in found):
        raise Unreachable(f"what answers at {shown} is no scaler: its JSON has neither {key} nor errors")
    return status, found


async def _read(url: str, headers: Mapping[str, str], **options: Any) -> tuple[int, bytes]:
    """Status and body. Raises _TooMuch where it is too long or takes too long, else as httpx does."""
    body, plain = bytearray(), {**headers, "Accept-Encoding": PLAIN}
    try:
        async with (
            asyncio.timeout(LONGEST_SECONDS),
            httpx.AsyncClient(timeout=TIMEOUT_SECONDS, **options) as client,
            client.stream("GET", url, headers=plain) as answer,
        ):
            if answer.headers.get("Content-Encoding", PLAIN) != PLAIN:
                raise _TooMuch("its answer is compressed, which was not asked for")
            async for piece in answer.aiter_raw():
                body += piece
                if len(body) > MOST_BYTES:
                    raise _TooMuch(f"its answer has more than {MOST_BYTES // 2**20} MiB")
    except TimeoutError:
        raise _TooMuch(f"its answer takes longer than {LONGEST_SECONDS:g} s") from None
    return answer.status_code, bytes(body)


def printable(value: Any) -> Any:
    """The same with a question mark for each character in its texts that a terminal would obey."""
    if isinstance(value, str):
        return "".join(one if one.isprintable() or one == "\n" else "?" for one in value)
    if isinstance(value, list):
        return [printable(one) for one in value]
    return {printable(name): printable(one) for name, one in value.items()} if isinstance(value, dict) else value


def _scheme(base: str) -> str:
    return "" if base.startswith("https:") else ", and https:// where it has http-tls"
