"""The server's certificate, taken up anew when its files change: cert-manager renews it under a running process."""

import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import grpc
import structlog

from scaler.errors import SettingsError

log = structlog.get_logger(__name__)

_Signature: TypeAlias = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files. `client_ca`: the authorities whose clients may call; given, a client certificate is required."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.certificate, self.key) if self.client_ca is None else (self.certificate, self.key, self.client_ca)


def credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Server credentials that follow the files. Raises SettingsError when they cannot be used at the start."""
    certificates = _Certificates(files)
    return grpc.dynamic_ssl_server_credentials(
        certificates.first,
        certificates.renewed,  # type: ignore[arg-type]  # the stub does not know that None means "no change"
        require_client_authentication=files.client_ca is not None,
    )


class _Certificates:
    """The last usable pair. `renewed` runs in every handshake, in gRPC's threads: two or three stats, mostly."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._lock = threading.Lock()
        try:
            self._seen = _signature(files)
            self.first = _read(files)
        except (OSError, ValueError) as error:
            names = ", ".join(map(str, files.paths))
            raise SettingsError(f"TLS files {names}: {_reason(error)}") from error

    def renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """The new pair, or None while the files are as they were, or unusable (then the last good pair goes on)."""
        with self._lock:
            try:
                signature = _signature(self._files)
                if signature == self._seen:
                    return None
                self._seen = signature
                pair = _read(self._files)
            except (OSError, ValueError) as error:
                log.warning("certificate_not_renewed", file=str(self._files.certificate), reason=_reason(error))
                return None
        log.info("certificate_renewed", file=str(self._files.certificate))
        return pair


def _signature(files: TlsFiles) -> _Signature:
    stats = [path.stat() for path in files.paths]
    return tuple((stat.st_mtime_ns, stat.st_ino, stat.st_size) for stat in stats)


def _read(files: TlsFiles) -> grpc.ServerCertificateConfiguration:
    """The configuration; raises OSError or ValueError for files that are missing, no PEM, or do not belong together."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    if files.client_ca is not None:
        context.load_verify_locations(files.client_ca)
    pair = (files.key.read_bytes(), files.certificate.read_bytes())
    authorities = files.client_ca.read_bytes() if files.client_ca else None
    return grpc.ssl_server_certificate_configuration([pair], root_certificates=authorities)


def _reason(error: Exception) -> str:
    """What is wrong, without the path: the caller names the files."""
    if isinstance(error, ssl.SSLError):
        return f"not a certificate with its key ({error.reason or error})"
    return getattr(error, "strerror", None) or str(error)
