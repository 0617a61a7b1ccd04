"""When the certificates that the settings name expire."""

import ssl
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from scaler.app.expiry import Certificates, certificate_files, follow_certificates, validity
from scaler.settings import Settings, load_settings
from scaler.telemetry.metrics import Telemetry
from scaler.telemetry.process_figures import PURPOSES

LONG_AGO, SOON = datetime(1999, 12, 31, tzinfo=UTC), datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)
LATE = datetime(2060, 1, 1, tzinfo=UTC)
START = datetime(1998, 1, 1, tzinfo=UTC)


def issued(authority: trustme.CA, expires: datetime) -> str:
    """A chain of one certificate; beyond 2049 its dates have another form."""
    made = authority.issue_cert("localhost", not_before=START, not_after=expires)
    return made.cert_chain_pems[0].bytes().decode()


def written(path: Path, *texts: str) -> Path:
    path.write_text("\n".join(texts))
    return path


@pytest.mark.parametrize("expires", [LONG_AGO, SOON, LATE])
def test_dates_are_those_of_the_certificate(tmp_path: Path, expires: datetime) -> None:
    """Both forms of a date are read, and years of two digits as those of the last century from 50 on."""
    path = written(tmp_path / "tls.crt", issued(trustme.CA(), expires))
    assert validity(Certificates("grpc_server", path)) == (START.timestamp(), expires.timestamp())


def test_python_reads_the_same_date_of_an_authority(tmp_path: Path) -> None:
    """ssl shows the dates of authorities: they agree."""
    authority = trustme.CA()
    path = written(tmp_path / "ca.crt", authority.cert_pem.bytes().decode())
    context = ssl.create_default_context(cafile=path)
    found = validity(Certificates("grpc_client_ca", path))
    assert found is not None
    assert found.expiry == ssl.cert_time_to_seconds(str(context.get_ca_certs()[0]["notAfter"]))


def test_a_chain_ends_with_its_first_and_trust_with_its_last(tmp_path: Path) -> None:
    """A chain is worthless once one certificate has expired, a list of authorities once all have."""
    authority = trustme.CA()
    path = written(tmp_path / "both.pem", "a comment", issued(authority, LATE), issued(authority, SOON))
    chain, trusted = (validity(Certificates(purpose, path)) for purpose in ("source_client", "source_ca"))
    assert chain is not None
    assert trusted is not None
    assert (chain.expiry, trusted.expiry) == (SOON.timestamp(), LATE.timestamp())


@pytest.mark.parametrize("bad", ["", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", "\x00ÿ"])
def test_a_file_that_is_no_certificate_has_no_date(tmp_path: Path, bad: str) -> None:
    """Missing, empty or garbled: no figure, and no error in the scrape."""
    assert validity(Certificates("grpc_server", tmp_path / "absent")) is None
    assert validity(Certificates("grpc_server", written(tmp_path / "bad.pem", bad))) is None


def test_a_renewed_file_is_read_again(tmp_path: Path) -> None:
    """The exported figure follows the file."""
    authority = trustme.CA()
    path = written(tmp_path / "tls.crt", issued(authority, SOON))
    telemetry = Telemetry()
    follow_certificates(Settings(tls_cert=path, tls_key=path), telemetry)

    def exported() -> float | None:
        labels = {"purpose": "grpc_server", "file": str(path)}
        return telemetry.registry.get_sample_value("headway_certificate_expiry_timestamp_seconds", labels)

    assert exported() == SOON.timestamp()
    written(path, issued(authority, LATE), "")
    assert exported() == LATE.timestamp()


def test_every_file_of_the_settings_is_followed(tmp_path: Path) -> None:
    """gRPC, HTTP, metric servers, Redis and PostgreSQL: every purpose of the table, and no key."""
    names = (
        "tls.crt",
        "tls.key",
        "clients.crt",
        "own.crt",
        "own.key",
        "ca.crt",
        "r.crt",
        "r-ca.crt",
        "d.crt",
        "d-ca.crt",
    )
    files = {name: str(written(tmp_path / name, "x")) for name in names}
    config = tmp_path / "headway.yaml"
    config.write_text(
        f"""
tls-cert: {files["tls.crt"]}
tls-key: {files["tls.key"]}
tls-client-ca: {files["clients.crt"]}
http-tls: mtls
servers:
  - pattern: https://mimir.example.com
    certificate-file: {files["own.crt"]}
    key-file: {files["own.key"]}
    ca-file: {files["ca.crt"]}
redis: rediss://:secret@redis:6379/0?ssl_certfile={files["r.crt"]}&ssl_ca_certs={files["r-ca.crt"]}
database: postgresql://u:secret@db/headway?sslmode=verify-full&sslcert={files["d.crt"]}&sslrootcert={files["d-ca.crt"]}
"""
    )
    found = certificate_files(load_settings({"config": str(config)}))
    assert {one.purpose for one in found} == set(PURPOSES)
    assert {str(one.path) for one in found} == {path for name, path in files.items() if not name.endswith(".key")}


@pytest.mark.parametrize(("http_tls", "purposes"), [("off", set()), ("tls", {"http_server"})])
def test_the_http_port_counts_where_it_uses_tls(tmp_path: Path, http_tls: str, purposes: set[str]) -> None:
    """It has the files of the gRPC port; without TLS it has no certificate that could expire."""
    path = written(tmp_path / "tls.crt", "x")
    found = certificate_files(Settings(tls_cert=path, tls_key=path, tls_client_ca=path, http_tls=http_tls))
    assert {one.purpose for one in found} - {"grpc_server", "grpc_client_ca"} == purposes


def test_a_process_without_certificates_does_not_load_cryptography() -> None:
    """It takes 9 MB, and only those who use TLS need it."""
    program = (
        "import sys\n"
        "from scaler.app.expiry import follow_certificates\n"
        "from scaler.settings import Settings\n"
        "from scaler.telemetry.metrics import Telemetry\n"
        "telemetry = Telemetry()\n"
        "follow_certificates(Settings(), telemetry)\n"
        "list(telemetry.registry.collect())\n"
        "print('cryptography' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"
