"""A scaler with the settings that the chart renders, and certificates as cert-manager would issue them from it."""

from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import trustme

from scaler.metric.wire.externalscaler_pb2 import ScaledObjectRef
from scaler.metric.wire.externalscaler_pb2_grpc import ExternalScalerStub
from tests.e2e.scaler_process import scaler_running
from tests.helm.rendering import objects, of_kind, rendered
from tests.helm.workload import container_of, scaler_of, settings_text

pytestmark = [pytest.mark.e2e, pytest.mark.server]

HOST = "headway.keda.svc.cluster.local"
"""as in `scalerAddress`"""


def write_secret(folder: Path, issued: trustme.LeafCert, authority: trustme.CA) -> None:
    """The keys of a Secret of cert-manager, as files."""
    folder.mkdir(parents=True)
    (folder / "tls.crt").write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    (folder / "tls.key").write_bytes(issued.private_key_pem.bytes())
    (folder / "ca.crt").write_bytes(authority.cert_pem.bytes())


def ask(address: str, folder: Path, parameters: set[str]) -> Any:
    """KEDA's first call, with what the authentication's parameters name."""
    files = {"caCert": "ca.crt", "tlsClientKey": "tls.key", "tlsClientCert": "tls.crt"}
    root, key, certificate = (
        (folder / file).read_bytes() if parameter in parameters else None for parameter, file in files.items()
    )
    credentials = grpc.ssl_channel_credentials(root, key, certificate)
    options = [("grpc.ssl_target_name_override", HOST)]
    with grpc.secure_channel(address, credentials, options) as channel:
        reference = ScaledObjectRef(name="web", namespace="shop", scalerMetadata={"query": "up", "threshold": "5"})
        return ExternalScalerStub(channel).GetMetricSpec(reference, timeout=10)  # type: ignore[no-untyped-call]


def test_keda_reaches_the_scaler_by_mutual_tls(tmp_path: Path) -> None:
    """The certificate's names, the mounted files, the settings and KEDA's authentication fit each other."""
    manifests = objects(rendered("mtls-cert-manager").text)
    authority = trustme.CA()
    issued = {
        spec["secretName"]: authority.issue_cert(*spec.get("dnsNames", ()), common_name=spec.get("commonName"))
        for spec in (certificate["spec"] for certificate in of_kind(manifests, "Certificate"))
        if not spec.get("isCA")
    }
    workload = scaler_of(manifests)
    [volume] = [one for one in workload["spec"]["template"]["spec"]["volumes"] if one["name"] == "tls"]
    [mount] = [one for one in container_of(workload)["volumeMounts"] if one["name"] == "tls"]
    write_secret(tmp_path / mount["mountPath"].lstrip("/"), issued[volume["secret"]["secretName"]], authority)
    [authentication] = of_kind(manifests, "ClusterTriggerAuthentication")
    references = {one["parameter"]: one for one in authentication["spec"]["secretTargetRef"]}
    write_secret(tmp_path / "keda", issued[references["tlsClientCert"]["name"]], authority)

    settings = tmp_path / "headway.yaml"
    settings.write_text(settings_text(manifests).replace("/etc/headway", f"{tmp_path}/etc/headway"))
    probes = [container_of(workload)[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe")]

    with scaler_running(tmp_path, "--config", str(settings)) as scaler:
        [spec] = ask(scaler.grpc_address, tmp_path / "keda", set(references)).metricSpecs
        assert spec.targetSizeFloat == 5
        with pytest.raises(grpc.RpcError) as refused:
            ask(scaler.grpc_address, tmp_path / "keda", {"caCert"})
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
        for path in probes:
            assert httpx.get(f"http://{scaler.http_address}{path}").status_code == 200
