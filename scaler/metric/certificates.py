"""The server's certificate, read again when its files change: cert-manager renews it under a running process."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from scaler.errors import SettingsError
from scaler.files import FollowedFiles, reason_of


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files. `client_ca`: the authorities whose clients may call; with it a client certificate is required."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.certificate, self.key) if self.client_ca is None else (self.certificate, self.key, self.client_ca)


def credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Server credentials that follow the files. Raises SettingsError when they cannot be used at the start."""
    followed = FollowedFiles(files.paths, lambda: _read(files))
    served = followed.current()

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        """The new pair; None for no change. gRPC asks in every handshake, one thread at a time."""
        nonlocal served
        before, served = served, followed.current()
        return None if served is before else served

    return grpc.dynamic_ssl_server_credentials(
        served,
        renewed,  # type: ignore[arg-type]  # the stub does not know that None means "no change"
        require_client_authentication=files.client_ca is not None,
    )


def _read(files: TlsFiles) -> grpc.ServerCertificateConfiguration:
    """The configuration. Raises SettingsError for files that are missing, no PEM, or do not belong together."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key, password="")  # OpenSSL would ask the terminal for one
        if files.client_ca is not None:
            context.load_verify_locations(files.client_ca)
        pair = (files.key.read_bytes(), files.certificate.read_bytes())
        authorities = files.client_ca.read_bytes() if files.client_ca else None
    except (OSError, ValueError) as error:
        raise SettingsError(f"TLS files {', '.join(map(str, files.paths))}: {reason_of(error)}") from None
    return grpc.ssl_server_certificate_configuration([pair], root_certificates=authorities)
