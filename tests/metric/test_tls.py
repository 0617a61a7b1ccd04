"""TLS and mutual TLS with real certificates, renewed under a running server."""

from pathlib import Path

import grpc
import pytest
import trustme

from scaler.errors import SettingsError
from scaler.metric.certificates import TlsFiles
from scaler.metric.server import ServerOptions
from tests.metric.port import refusal, scaled_object, served


async def test_a_client_that_trusts_the_authority_is_served(tmp_path: Path) -> None:
    """TLS with a certificate for the host's name."""
    authority = trustme.CA()
    async with served(tls(written(tmp_path, authority)), trusting(authority)) as it:
        spec = await it.stub.GetMetricSpec(scaled_object())

    assert len(spec.metricSpecs) == 1


async def test_plaintext_is_not_served_on_a_tls_port(tmp_path: Path) -> None:
    """A client without TLS gets UNAVAILABLE."""
    async with served(tls(written(tmp_path, trustme.CA()))) as it:
        error = await refusal(it.stub.GetMetricSpec(scaled_object(), timeout=5))

    assert error.code() == grpc.StatusCode.UNAVAILABLE


async def test_a_renewed_certificate_is_taken_up(tmp_path: Path) -> None:
    """A new connection sees the new certificate; nothing was restarted."""
    old, new = trustme.CA(), trustme.CA()
    async with served(tls(written(tmp_path, old)), trusting(old)) as it:
        await it.stub.GetMetricSpec(scaled_object())
        written(tmp_path, new)
        later = await served_spec(it.port, trusting(new))

    assert later == 1


async def test_a_bad_renewal_leaves_the_last_good_pair(tmp_path: Path) -> None:
    """A key that does not belong to the certificate is not taken up; a good pair after it is."""
    authority = trustme.CA()
    async with served(tls(written(tmp_path, authority)), trusting(authority)) as it:
        authority.issue_cert("localhost").private_key_pem.write_to_path(str(tmp_path / "key.pem"))
        during = await served_spec(it.port, trusting(authority))
        (tmp_path / "certificate.pem").unlink()
        without = await served_spec(it.port, trusting(authority))
        new = trustme.CA()
        written(tmp_path, new)
        after = await served_spec(it.port, trusting(new))

    assert (during, without, after) == (1, 1, 1)


async def test_mutual_tls_wants_a_client_certificate(tmp_path: Path) -> None:
    """With a client authority only clients with a certificate of it are served."""
    authority, clients = trustme.CA(), trustme.CA()
    clients.cert_pem.write_to_path(str(tmp_path / "clients.pem"))
    files = TlsFiles(*written(tmp_path, authority), client_ca=tmp_path / "clients.pem")
    options = ServerOptions(address="localhost:0", tls=files, notice_seconds=0)
    async with served(options, trusting(authority, clients.issue_cert("keda"))) as it:
        spec = await it.stub.GetMetricSpec(scaled_object())
        async with grpc.aio.secure_channel(f"localhost:{it.port}", trusting(authority)) as stranger:
            call = stranger.unary_unary("/externalscaler.ExternalScaler/GetMetricSpec")
            error = await refusal(call(scaled_object().SerializeToString(), timeout=5))

    assert len(spec.metricSpecs) == 1
    assert error.code() == grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("broken", ["certificate.pem", "key.pem"])
@pytest.mark.parametrize("content", [None, b"no PEM"])
async def test_unusable_files_stop_the_start(tmp_path: Path, broken: str, content: bytes | None) -> None:
    """A missing or foreign file at the start is an error that names the files."""
    files = written(tmp_path, trustme.CA())
    (tmp_path / broken).unlink() if content is None else (tmp_path / broken).write_bytes(content)

    with pytest.raises(SettingsError, match=f"TLS files .*{broken}"):
        async with served(tls(files)):
            pass


def written(folder: Path, authority: trustme.CA) -> tuple[Path, Path]:
    """A fresh certificate of the authority in the two files of the folder."""
    issued = authority.issue_cert("localhost")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    issued.private_key_pem.write_to_path(str(key))
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    return certificate, key


def tls(files: tuple[Path, Path]) -> ServerOptions:
    return ServerOptions(address="localhost:0", tls=TlsFiles(*files), notice_seconds=0)


def trusting(authority: trustme.CA, own: trustme.LeafCert | None = None) -> grpc.ChannelCredentials:
    root = authority.cert_pem.bytes()
    if own is None:
        return grpc.ssl_channel_credentials(root)
    return grpc.ssl_channel_credentials(root, own.private_key_pem.bytes(), own.cert_chain_pems[0].bytes())


async def served_spec(port: int, credentials: grpc.ChannelCredentials) -> int:
    """How many specs a new connection gets."""
    async with grpc.aio.secure_channel(
        f"localhost:{port}", credentials, [("grpc.use_local_subchannel_pool", 1)]
    ) as new:
        call = new.unary_unary("/externalscaler.ExternalScaler/GetMetricSpec")
        return len(await call(scaled_object().SerializeToString(), timeout=5)) and 1
