"""What a command brings to the HTTP port of a scaler: its read token, the authority that it trusts, its certificate."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scaler.commands import Usage
from scaler.errors import SourceUnavailable
from scaler.files import reason_of
from scaler.history.credentials import read_secret
from scaler.http.client import trust_plain_certificates


@dataclass(frozen=True, slots=True)
class Access:
    """trust: the context of HTTPS; None for the authorities of the system."""

    token: str = field(default="", repr=False)
    trust: ssl.SSLContext | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


def read_access(
    token_file: Path | None,
    ca_cert: Path | None,
    client_cert: Path | None,
    client_key: Path | None,
    prefix: str = "--",
) -> Access:
    """The contents of the files. Raises Usage, naming the flag, which begins with `prefix`, where one cannot be used or
    half a pair is given."""
    if (client_cert is None) != (client_key is None):
        raise Usage(f"{prefix}client-cert and {prefix}client-key go together")
    try:
        token = read_secret(token_file, "token") if token_file is not None else ""
    except SourceUnavailable as error:
        raise Usage(f"{prefix}token-file: {error}") from None
    if ca_cert is None and client_cert is None:
        return Access(token)
    try:
        trust = ssl.create_default_context(cafile=ca_cert)
        trust_plain_certificates(trust)
        if client_cert is not None:
            # OpenSSL would ask the terminal for a password
            trust.load_cert_chain(client_cert, client_key, password="")
    except (OSError, ValueError) as error:
        names = ", ".join(str(path) for path in (ca_cert, client_cert, client_key) if path is not None)
        raise Usage(f"TLS files {names}: {reason_of(error)}") from None
    return Access(token, trust)
