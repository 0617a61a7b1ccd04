"""How Headway proves itself to metric servers: chosen by the operator for a server, never by a trigger."""

import ssl
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from scaler.errors import SettingsError, SourceUnavailable
from scaler.files import FollowedFiles, reason_of
from scaler.http.client import system_trust, trust_plain_certificates
from scaler.http.headers import header_fault, is_header_name
from scaler.trigger.server_address import is_allowed, is_pattern, parse_server_address

PROMETHEUS = "prometheus"
"""the kind of source where nothing else is said"""


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
    kind: str = PROMETHEUS
    """which source asks this server, see `scaler.history.sources`"""
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    """what a source of another kind needs, as it documents"""
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
            (self.kind == PROMETHEUS and bool(self.options), "options are for servers of another kind"),
            (self.method not in ("POST", "GET"), f"method={self.method!r} must be POST or GET"),
            (not is_header_name(self.tenant_header), "tenant_header must be the name of an HTTP header"),
            (":" in self.username, "username must not hold a colon"),
            *(
                (bool(fault), f"{name} must be one line of plain text: there is {fault}")
                for name, fault in self._texts()
            ),
        ]

    def _texts(self) -> Iterator[tuple[str, str]]:
        """What is put into headers, by name, and what is wrong with it."""
        yield "username", header_fault(self.username, any_letter=True)
        yield "tenant", header_fault(self.tenant)
        for name, value in self.headers:
            yield (
                f"header {name!r}",
                header_fault(value) or ("" if is_header_name(name) else "a name that is no header's"),
            )

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


class Credentials(httpx.Auth):
    """Puts the operator's credentials on each request."""

    def __init__(self, access: ServerAccess) -> None:
        self._access = access
        self._password = access.password_file and secret_file(access.password_file, "password", any_letter=True)
        self._token = access.bearer_token_file and secret_file(access.bearer_token_file, "token")

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """The request with its credentials. Raises SourceUnavailable, naming the file and never its content."""
        request.headers.update(self._access.headers)
        if self._access.tenant:
            request.headers[self._access.tenant_header] = self._access.tenant
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token.current()}"
        if self._password:
            yield from httpx.BasicAuth(self._access.username, self._password.current()).auth_flow(request)
        else:
            yield request


def tls_context(access: ServerAccess) -> FollowedFiles[ssl.SSLContext]:
    """Whom we trust and the certificate we show; another context when one of the files changes.

    Reading it raises SourceUnavailable, naming the files, while they cannot be used.
    """
    paths = [path for path in (access.ca_file, access.certificate_file, access.key_file) if path]
    return FollowedFiles(paths, lambda: _context(access, paths))


def _context(access: ServerAccess, paths: Sequence[Path]) -> ssl.SSLContext:
    if not paths:
        return system_trust()
    try:
        own = _trusting(access.ca_file) if access.ca_file else httpx.create_ssl_context()
        if access.certificate_file:
            # OpenSSL would ask the terminal for a password
            own.load_cert_chain(access.certificate_file, access.key_file, password="")
    except (OSError, ValueError) as error:
        names = ", ".join(map(str, paths))
        raise SourceUnavailable(f"access to {access.pattern!r}: TLS files {names}: {reason_of(error)}") from None
    return own


def _trusting(ca_file: Path) -> ssl.SSLContext:
    """Trusts the operator's own authorities."""
    own = ssl.create_default_context(cafile=ca_file)
    trust_plain_certificates(own)
    return own


LONGEST_SECRET_BYTES = 16 * 1024
"""servers accept headers of 8 to 32 kB in all; a larger file is no token or password"""


def secret_file(path: Path, what: str, *, any_letter: bool = False) -> FollowedFiles[str]:
    """The token or password in a file, read again when it changes. Reading raises as `read_secret` does, until the
    first time that it does not."""
    return FollowedFiles([path], lambda: read_secret(path, what, any_letter=any_letter))


def read_secret(path: Path, what: str, *, any_letter: bool = False) -> str:
    """The token or password in a file, one line. `any_letter`: not only ASCII.

    Raises SourceUnavailable, naming the file and never its content, where it cannot be sent.
    """
    try:
        with path.open("rb") as file:
            text = file.read(LONGEST_SECRET_BYTES + 1).decode("utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise SourceUnavailable(f"credentials file {path} cannot be read: {reason_of(error)}") from None
    too_long = f"it is longer than {LONGEST_SECRET_BYTES // 1024} KiB" if len(text) > LONGEST_SECRET_BYTES else ""
    if fault := too_long or header_fault(text, any_letter=any_letter) or ("it is empty" if not text else ""):
        raise SourceUnavailable(f"credentials file {path} holds no {what}: {fault}")
    return text
