"""TLS to Redis with files that are read again when they change: the client's library reads them once per connection."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from redis.asyncio import SSLConnection

from scaler.files import FollowedFiles
from scaler.http.client import trust_plain_certificates


class TlsConnection(SSLConnection):
    """A connection that follows `ssl_ca_certs`, `ssl_certfile` and `ssl_keyfile` whenever it connects."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        named = (self.ssl_context.ca_certs, self.ssl_context.certfile, self.ssl_context.keyfile)
        self._trust = FollowedFiles([Path(name) for name in named if name], self._read)

    def _read(self) -> ssl.SSLContext:
        self.ssl_context.context = None
        context = self.ssl_context.get()
        if self.ssl_context.ca_certs:
            trust_plain_certificates(context)
        return context

    def _connection_arguments(self) -> Mapping[str, Any]:
        self.ssl_context.context = self._trust.current()
        arguments: Mapping[str, Any] = super()._connection_arguments()
        return arguments
