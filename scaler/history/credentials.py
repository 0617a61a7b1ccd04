"""How Headway proves itself to metric servers: chosen by the operator for a server, never by a trigger."""

import os
import ssl
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from scaler.errors import SettingsError, SourceUnavailable
from scaler.http_client import system_trust
from scaler.trigger.server_address import is_allowed, is_pattern, parse_server_address


@dataclass(frozen=True, slots=True)
class ServerAccess:
    """What is sent to servers whose address matches `pattern`. Files are read again when they change."""

    pattern: str
    """as in the allow-list of server addresses, see `scaler.trigger.server_address`"""
    username: str = ""
    password_file: Path | None = None
    bearer_token_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    ca_file: Path | None = None
    tenant: str = ""
    tenant_header: str = "X-Scope-OrgID"
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    method: str = "POST"
    """POST keeps long queries out of the URL; GET for proxies that allow nothing else"""

    def __post_init__(self) -> None:
        for wrong, rule in self._rules():
            if wrong:
                raise SettingsError(f"access to {self.pattern!r}: {rule}")

    def _rules(self) -> list[tuple[bool, str]]:
        basic = bool(self.username) or self.password_file is not None
        return [
            (not is_pattern(self.pattern), "the pattern must be `*` or like http://HOST[:PORT][/PATH]"),
            (bool(self.username) != (self.password_file is not None), "username and password_file go together"),
            (basic and self.bearer_token_file is not None, "either username or bearer_token_file, not both"),
            (self.key_file is not None and self.certificate_file is None, "key_file needs certificate_file"),
            (self.method not in ("POST", "GET"), f"method={self.method!r} must be POST or GET"),
        ]

    def matches(self, address: str) -> bool:
        """Whether these credentials are for the server at `address`."""
        try:
            return is_allowed(parse_server_address(address), (self.pattern,))
        except ValueError:
            return False


_NOTHING = ServerAccess("*")


def access_for(address: str, accesses: Sequence[ServerAccess]) -> ServerAccess:
    """The first of `accesses` that matches `address`; one without any credentials where none does."""
    return next((access for access in accesses if access.matches(address)), _NOTHING)


class WatchedFile:
    """A small file whose text is read again when it changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._text = ""

    def changed(self) -> bool:
        """Whether the file differs from what was last read; remembers the new state."""
        stat = os.stat(self._path)
        stamp = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
        changed, self._stamp = stamp != self._stamp, stamp
        return changed

    def forget(self) -> None:
        self._stamp = None

    def text(self) -> str:
        """The stripped text. Raises SourceUnavailable naming the file, never its content."""
        try:
            if self.changed():
                self._text = self._path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            self.forget()
            raise SourceUnavailable(f"credentials file {self._path} cannot be read: {_reason(error)}") from None
        return self._text


class Credentials(httpx.Auth):
    """Puts the operator's credentials on each request."""

    def __init__(self, access: ServerAccess) -> None:
        self._access = access
        self._password = WatchedFile(access.password_file) if access.password_file else None
        self._token = WatchedFile(access.bearer_token_file) if access.bearer_token_file else None

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers.update(self._access.headers)
        if self._access.tenant:
            request.headers[self._access.tenant_header] = self._access.tenant
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token.text()}"
        if self._password:
            yield from httpx.BasicAuth(self._access.username, self._password.text()).auth_flow(request)
        else:
            yield request


class Identity:
    """The TLS side: whom we trust and the certificate we show, reloaded for new connections when the files change."""

    def __init__(self, access: ServerAccess) -> None:
        self._access = access
        self._watched = [WatchedFile(path) for path in (access.certificate_file, access.key_file) if path]
        try:
            self.context = _context(access)
            self._load()
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(f"access to {access.pattern!r}: TLS files: {_reason(error)}") from None

    def refresh(self) -> None:
        """Take over changed files. A pair that does not fit (half of it is written yet) leaves the last good one."""
        try:
            if any(file.changed() for file in self._watched):
                self._load()
        except (OSError, ssl.SSLError):
            for file in self._watched:
                file.forget()

    def _load(self) -> None:
        if self._access.certificate_file:
            for context in (
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
                self.context,
            ):  # a bad pair would spoil the context
                context.load_cert_chain(self._access.certificate_file, self._access.key_file)


def _context(access: ServerAccess) -> ssl.SSLContext:
    if access.ca_file:
        return ssl.create_default_context(cafile=access.ca_file)
    return httpx.create_ssl_context() if access.certificate_file else system_trust()


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
