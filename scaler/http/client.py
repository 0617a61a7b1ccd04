"""HTTP clients of this project: how each is opened, and what went wrong, in our own words.

httpx never reads the environment here (`trust_env` is off): it ends in a traceback for a network in NO_PROXY and for a
SOCKS proxy. `scaler.http.proxies` reads it instead.
"""

import os
import re
import socket
import ssl
from functools import lru_cache
from http.cookiejar import CookieJar
from typing import Any

import httpx

from scaler.errors import SettingsError
from scaler.files import reason_of
from scaler.http.proxies import Proxy, not_understood, proxy_for
from scaler.telemetry.redaction import causes, os_error_text

_STATUS = re.compile(r"[1-5]\d\d\b")

_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (httpx.TimeoutException, "no answer in time"),
    (httpx.LocalProtocolError, "the request cannot be sent: a header holds a character that HTTP does not allow"),
    (httpx.UnsupportedProtocol, "the address is not an http:// or https:// URL"),
    (httpx.InvalidURL, "the address is not a URL"),
    (UnicodeError, "the name of the host is none: a label is empty, too long, or holds what no name may"),
    (httpx.ConnectError, "no connection"),
    (httpx.NetworkError, "the connection was lost"),
    (httpx.DecodingError, "the answer cannot be decompressed"),
    (httpx.TooManyRedirects, "too many redirects"),
    (httpx.HTTPError, "the HTTP request failed"),
)


class NoCookies(CookieJar):
    """Keeps nothing. A server that sets a thousand cookies would get them all back, cost half a second of the event
    loop for each answer, and never stop growing."""

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Nothing is read."""


def environment_proxy(url: str) -> Proxy | None:
    """The proxy of this process's environment for `url`. Raises ProxyUnusable, which names the variable."""
    return proxy_for(url, os.environ)


def through(proxy: Proxy | None) -> str:
    """What an error adds to the name of a server that was asked through a proxy; empty without one."""
    if proxy is None:
        return ""
    unread = "".join(f"; NO_PROXY holds {entry[:80]!r}, which is no network" for entry in not_understood(os.environ))
    return f" (through the proxy {proxy.shown}, from {proxy.variable}{unread})"


def client_options(proxy: Proxy | None) -> dict[str, Any]:
    """Arguments of every httpx client and request of this project."""
    return {
        "trust_env": False,
        "proxy": None if proxy is None else httpx.Proxy(proxy.url, ssl_context=_proxy_trust(proxy)),
    }


def in_words(error: BaseException) -> str:
    """What went wrong with a request. No text of a library: it may repeat a header, and a token with it."""
    for cause in causes(error):
        if isinstance(cause, ssl.SSLError | socket.gaierror) or (isinstance(cause, OSError) and cause.errno):
            return os_error_text(cause)
    if isinstance(error, httpx.ProxyError):
        status = _STATUS.match(str(error))
        return "the proxy refused the connection" + (f" (HTTP {status[0]})" if status else "")
    if isinstance(error, httpx.RemoteProtocolError):
        is_cut = "disconnected" in str(error) or "closed" in str(error)
        return "the connection was closed before the answer" if is_cut else "the answer is not valid HTTP"
    known = (words for kind, words in _WORDS if isinstance(error, kind))
    return next(known, f"unexpected {type(error).__name__}")


def trust_plain_certificates(context: ssl.SSLContext) -> None:
    """Accept certificates of the operator's own authorities that lack some extensions of RFC 5280, as Go does.

    From Python 3.13 on, the default is to refuse them, and authorities of clusters (EKS) make such ones.
    """
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT


@lru_cache(maxsize=1)
def system_trust() -> ssl.SSLContext:
    """The authorities of the system; one for all, because making it takes 30 ms of the event loop.

    Raises SettingsError where SSL_CERT_FILE or SSL_CERT_DIR of the environment name others that cannot be used.
    """
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        name = "SSL_CERT_FILE" if os.environ.get("SSL_CERT_FILE") else "SSL_CERT_DIR"
        raise SettingsError(f"{name} of the environment cannot be used: {reason_of(error)}") from None


def trust_for(url: str) -> ssl.SSLContext | bool:
    """What `verify` of an httpx request to `url` is. Raises SettingsError, see `system_trust`."""
    return system_trust() if url.startswith("https:") else False


def _proxy_trust(proxy: Proxy) -> ssl.SSLContext | None:
    return system_trust() if proxy.url.startswith("https:") else None
