"""Certificates as some clusters have them, and the strict verification of newer Pythons."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


def plain_certificates(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A CA file and a server's context, as EKS makes them: without key identifiers."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("kubernetes", "apiserver")]
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    now, certificates = datetime.now(UTC), []
    for key, name, extension in zip(
        keys, names, (x509.BasicConstraints(ca=True, path_length=None), address), strict=True
    ):
        made = x509.CertificateBuilder(names[0], name, key.public_key(), len(certificates) + 1, now, now + DAY)
        signed = made.add_extension(extension, critical=extension is not address).sign(keys[0], hashes.SHA256())
        certificates.append(signed.public_bytes(serialization.Encoding.PEM))
    private = keys[1].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "ca.crt").write_bytes(certificates[0])
    (folder / "server.pem").write_bytes(private + certificates[1])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return folder / "ca.crt", context


def verify_as_python_3_13(monkeypatch: pytest.MonkeyPatch) -> None:
    """Contexts are strict by default, as Python makes them from 3.13 on."""
    default = ssl.create_default_context

    def strict(*arguments: Any, **options: Any) -> ssl.SSLContext:
        made = default(*arguments, **options)
        made.verify_flags |= ssl.VERIFY_X509_STRICT
        return made

    monkeypatch.setattr(ssl, "create_default_context", strict)
