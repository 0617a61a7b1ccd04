"""A real scaler with the settings and certificates of the rendered chart: the rendered probes and scrapes reach it, and
whoever has less does not."""

import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
import yaml

from tests.e2e.scaler_process import scaler_running
from tests.helm.rendering import NAMESPACE, of_kind
from tests.helm.workload import container_of, manifests_of, scaler_of, settings_text

pytestmark = [pytest.mark.server, pytest.mark.e2e]

TOKEN = "a-token-of-the-test-alone"
SERVICE = f"headway-http.{NAMESPACE}.svc"
CLOSED = ("http-tls", "http-mtls", "http-mtls-scrape")


class Authority:
    """Issues what the Secrets of the chart hold, into `folder`."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self.folder = folder
        self._ca = trustme.CA()
        self._ca.cert_pem.write_to_path(folder / "ca.crt")
        self._pair("tls", self._ca.issue_cert(*names))
        self._pair("client", self._ca.issue_cert("prometheus"))
        trustme.CA().cert_pem.write_to_path(folder / "other-ca.crt")

    def _pair(self, name: str, made: trustme.LeafCert) -> None:
        made.cert_chain_pems[0].write_to_path(self.folder / f"{name}.crt")
        made.private_key_pem.write_to_path(self.folder / f"{name}.key")

    def trusting(self, tls: dict[str, Any]) -> ssl.SSLContext:
        """What Prometheus makes of a `tlsConfig` whose Secrets have these files."""
        context = ssl.create_default_context(cafile=self.folder / "ca.crt")
        if "cert" in tls:
            assert tls["cert"]["secret"]["name"] == tls["keySecret"]["name"]
            context.load_cert_chain(self.folder / "client.crt", self.folder / "client.key")
        return context


def unchecked() -> ssl.SSLContext:
    """As the kubelet probes."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@contextmanager
def deployed(values: str, folder: Path) -> Iterator[tuple[list[dict[str, Any]], dict[str, str], Authority]]:
    """(manifests, address of each port by its name, the authority) while a scaler runs as they say."""
    manifests = manifests_of(values)
    names = [name for one in of_kind(manifests, "Certificate") for name in one["spec"].get("dnsNames", ())]
    authority = Authority(folder, names or [SERVICE, "localhost"])  # own certificates: as docs/security.md says
    (folder / "token").write_text(TOKEN)
    text = re.sub(r"/etc/headway/[\w-]+/", f"{folder}/", settings_text(manifests))
    settings = {name: value for name, value in yaml.safe_load(text).items() if not name.endswith("-address")}
    settings.pop("data-dir")
    (folder / "headway.yaml").write_text(yaml.safe_dump(settings))
    ports = {port["name"] for port in container_of(scaler_of(manifests))["ports"]}
    probe = ["--probe-address", "127.0.0.1:0"] if "probes" in ports else []
    with scaler_running(folder, "--config", str(folder / "headway.yaml"), *probe) as scaler:
        found = re.search(r'"probe_address": ?"([^"]*)"', scaler.log.read_text())
        assert found
        yield manifests, {"http": scaler.http_address, "probes": found[1]}, authority


def status(
    address: str, path: str, scheme: str, context: ssl.SSLContext, name: str | None = None, token: str = ""
) -> int:
    """Of one request; `name`: by which the certificate is checked."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with httpx.Client(verify=context) as client:
        extensions = {"sni_hostname": name} if name else {}
        return client.get(f"{scheme}://{address}{path}", headers=headers, extensions=extensions).status_code


Deployed = tuple[str, list[dict[str, Any]], dict[str, str], Authority]


@pytest.fixture(scope="module", params=CLOSED)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with deployed(request.param, tmp_path_factory.mktemp(request.param)) as (manifests, addresses, authority):
        yield request.param, manifests, addresses, authority


def test_probes_and_scrapes_of_the_chart_reach_the_scaler(running: Deployed) -> None:
    """The kubelet's without certificate and token, Prometheus's with what the ServiceMonitor says."""
    _, manifests, addresses, authority = running
    container = container_of(scaler_of(manifests))
    for kind in ("startupProbe", "livenessProbe"):
        probe = container[kind]["httpGet"]
        scheme = probe.get("scheme", "HTTP").lower()
        assert status(addresses[probe["port"]], probe["path"], scheme, unchecked()) == 200
    [monitor] = of_kind(manifests, "ServiceMonitor")
    [endpoint] = monitor["spec"]["endpoints"]
    tls = endpoint.get("tlsConfig", {})
    answer = status(
        addresses[endpoint["port"]],
        endpoint["path"],
        endpoint.get("scheme", "http"),
        authority.trusting(tls),
        tls.get("serverName"),
    )
    assert answer == 200


def test_the_training_job_reads_the_triggers(running: Deployed) -> None:
    """With the arguments of its first step: `data pull` reaches the API, and finds no trigger yet."""
    _, manifests, addresses, authority = running
    for job in of_kind(manifests, "CronJob"):
        steps = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["initContainers"]
        [pull] = [step["args"] for step in steps if step["name"] == "pull"]
        files = re.sub(r"/etc/headway/[\w-]+/", f"{authority.folder}/", "\n".join(pull)).split("\n")
        scheme, _, port = files[files.index("--scaler") + 1].rpartition(":")
        assert (scheme, port) == ("https://headway-http", "8080")
        files[files.index("--scaler") + 1] = f"https://localhost:{addresses['http'].rpartition(':')[2]}"
        files[files.index("--config") + 1] = str(authority.folder / "pull.yaml")
        (authority.folder / "pull.yaml").write_text("prometheus: http://127.0.0.1:9\n")
        files[files.index("--out") + 1] = str(authority.folder / "demand.parquet")
        ended = headway(*files)
        assert (ended.returncode, ended.stderr) == (1, "headway: the scaler has no triggers yet\n")
        without = [one for one in files if one not in ("--scaler-token-file", str(authority.folder / "token"))]
        assert "answers HTTP 401: give the file of its read token" in headway(*without).stderr


def headway(*arguments: str) -> "subprocess.CompletedProcess[str]":
    program = "from scaler.cli import main; main()"
    return subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)


def test_why_in_the_pod_reads_the_api(running: Deployed) -> None:
    """With the environment of the container and the flags of the chart's notes."""
    values, manifests, addresses, authority = running
    environment = {one["name"]: one.get("value", "") for one in container_of(scaler_of(manifests))["env"]}
    assert environment["HEADWAY_ADDRESS"] == "https://localhost:8080"
    address = f"https://localhost:{addresses['http'].rpartition(':')[2]}"
    flags = ["--address", address, "--ca-cert", str(authority.folder / "ca.crt")]
    if token := environment.get("HEADWAY_TOKEN_FILE"):
        flags += ["--token-file", str(authority.folder / Path(token).name)]
    if "mtls" in values:
        assert "Name a certificate that the scaler trusts" in headway("why", *flags, "shop", "web").stderr
        flags += [
            f"--client-{one}={authority.folder / 'client'}.{end}" for one, end in (("cert", "crt"), ("key", "key"))
        ]
    ended = headway("why", *flags, "shop", "web")
    assert (ended.returncode, "not watched" in ended.stderr) == (1, True), ended.stderr


def test_whoever_has_less_is_refused(running: Deployed) -> None:
    """Without TLS, with another authority, without the certificate or the token that the values ask for."""
    values, manifests, addresses, authority = running
    http, has_token = addresses["http"], "http-token-file" in settings_text(manifests)
    ca = authority.trusting({})
    client = authority.trusting({"cert": {"secret": {"name": "a"}}, "keySecret": {"name": "a"}})
    with pytest.raises(httpx.TransportError):
        status(http, "/api/v1/plans", "http", ca)
    with pytest.raises(httpx.ConnectError):
        status(http, "/metrics", "https", ssl.create_default_context(cafile=authority.folder / "other-ca.crt"), SERVICE)
    if "mtls" in values:
        assert status(http, "/metrics", "https", ca, SERVICE) == 403
        assert status(http, "/api/v1/plans", "https", ca, SERVICE) == 403
        assert status(http, "/api/v1/plans", "https", client, SERVICE) == 200
    if has_token:
        assert status(http, "/api/v1/plans", "https", ca, SERVICE) == 401
        assert status(http, "/api/v1/plans", "https", ca, SERVICE, TOKEN) == 200
    if addresses.get("probes"):
        assert status(addresses["probes"], "/api/v1/plans", "http", ca) == 404
