"""When the certificates that the settings name expire: for telemetry, so that an alert comes before the outage; and
for the log, where one is not valid now.

A process whose settings name no certificate does not load `cryptography`, which reads them.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

import structlog

from scaler.clock import Clock
from scaler.files import stamp_of
from scaler.settings import Settings
from scaler.telemetry.metrics import Telemetry, Values

log = structlog.get_logger()

MOST_BYTES = 4 * 2**20
"""a bundle of all public authorities has a quarter of a megabyte"""

WATCH_SECONDS = 60.0
"""how often the log looks at the dates"""


class Certificates(NamedTuple):
    """A file of certificates, and what they are for: one of PURPOSES in scaler/telemetry/process_figures.py."""

    purpose: str
    path: Path


class Validity(NamedTuple):
    """From when until when, in seconds since the epoch."""

    start: float
    expiry: float


def follow_certificates(settings: Settings, telemetry: Telemetry) -> None:
    """Export the validity of every certificate that the settings name. A scrape looks whether a file has changed."""
    files = certificate_files(settings)
    telemetry.follow("certificate_start", lambda: _values(files, lambda validity: validity.start))
    telemetry.follow("certificate_expiry", lambda: _values(files, lambda validity: validity.expiry))


async def watch_certificates(settings: Settings, clock: Clock) -> None:
    """Log each certificate that is not valid now, once per reason, until cancelled."""
    reported: dict[Certificates, str] = {}
    while True:
        for one in certificate_files(settings):
            found = validity(one)
            why = out_of_date(found, clock.now()) if found else ""
            if why and reported.get(one) != why:
                log.error("certificate_not_valid", purpose=one.purpose, file=str(one.path), reason=why)
            reported[one] = why
        await clock.sleep_until(clock.now() + WATCH_SECONDS)


def out_of_date(found: Validity, now: float) -> str:
    """Why a certificate is not valid at `now`; empty where it is."""
    if now > found.expiry:
        return f"expired on {_day(found.expiry)}: issue a new one; a file that changes is read without a restart"
    if now < found.start:
        return f"not valid before {_day(found.start)}: use the current one, or correct the clock of this machine"
    return ""


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")


def certificate_files(settings: Settings) -> tuple[Certificates, ...]:
    """The files of certificates that the settings name, each once per purpose."""
    named: list[tuple[str, Path | str | None]] = [
        ("grpc_server", settings.tls_cert),
        ("grpc_client_ca", settings.tls_client_ca),
        ("http_server", settings.tls_cert if settings.http_tls != "off" else None),
        ("http_client_ca", settings.tls_client_ca if settings.http_tls == "mtls" else None),
    ]
    for server in settings.known_servers:
        named += [("source_client", server.certificate_file), ("source_ca", server.ca_file)]
    redis = _options(settings.redis.get_secret_value() if settings.redis else "")
    named += [("redis_client", redis.get("ssl_certfile")), ("redis_ca", redis.get("ssl_ca_certs"))]
    database = _options(settings.database.get_secret_value() if settings.database else "")
    named += [("database_client", database.get("sslcert")), ("database_ca", database.get("sslrootcert"))]
    return tuple(dict.fromkeys(Certificates(purpose, Path(path)) for purpose, path in named if path))


def validity(certificates: Certificates) -> Validity | None:
    """Of a chain the certificate that expires first, of authorities the one that expires last. None if unreadable."""
    found = _validities(certificates.path, stamp_of(certificates.path))
    if not found:
        return None
    choose = max if certificates.purpose.endswith("_ca") else min
    return choose(found, key=lambda one: one.expiry)


def _values(files: Iterable[Certificates], of: Callable[[Validity], float]) -> Values:
    known = {(one.purpose, str(one.path)): validity(one) for one in files}
    return {labels: of(found) for labels, found in known.items() if found is not None}


def _options(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


@lru_cache(maxsize=64)
def _validities(path: Path, _stamp: tuple[int, ...]) -> tuple[Validity, ...]:
    from cryptography import x509

    try:
        with path.open("rb") as file:
            found = x509.load_pem_x509_certificates(file.read(MOST_BYTES))
        return tuple(
            Validity(one.not_valid_before_utc.timestamp(), one.not_valid_after_utc.timestamp()) for one in found
        )
    except (OSError, ValueError):  # who uses the file reports it
        return ()
