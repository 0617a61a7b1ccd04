"""`headway check` at a server that wants a method, credentials and a tenant, in each way that settings have."""

import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from scaler.cli import app
from tests.servers.serving import serving

OBJECT = """\
kind: ScaledObject
metadata: {name: web, namespace: shop}
spec:
  minReplicaCount: 2
  maxReplicaCount: 20
  fallback: {failureThreshold: 3, replicas: 6, behavior: currentReplicasIfHigher}
  triggers:
    - type: external
      metadata: {scalerAddress: 'dns:///headway.keda:50051', query: vector(7), threshold: '5'OWN}
    - type: cpu
      metadata: {value: "80"}
"""


class Guarded(BaseHTTPRequestHandler):
    """Answers 7 to a GET of tenant `a` with the token `s3cr3t`, and 403 to anything else."""

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""

    def do_GET(self) -> None:
        allowed = (self.headers["Authorization"], self.headers["X-Scope-OrgID"]) == ("Bearer s3cr3t", "a")
        self._reply(200 if allowed else 403)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._reply(403)

    def _reply(self, status: int) -> None:
        found = {"metric": {}, "value": [time.time(), "7"]}
        body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": [found]}}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Guarded)) as running:
        yield f"http://127.0.0.1:{running.server_port}"


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("s3cr3t\n")
    return path


def check(folder: Path, *arguments: str, own: str = "", **environment: str) -> Result:
    path = folder / "web.yaml"
    path.write_text(OBJECT.replace("OWN", f", serverAddress: '{own}'" if own else ""))
    return CliRunner().invoke(app, ["check", str(path), *arguments], env=environment)


def test_by_flags(server: str, token: Path, tmp_path: Path) -> None:
    """The flags of `headway serve` open the server here too."""
    flags = ["--prometheus-method", "GET", "--prometheus-bearer-token-file", str(token), "--prometheus-tenant", "a"]
    result = check(tmp_path, "--prometheus", server, *flags)
    assert (result.exit_code, "demand now 7 → 2 replicas" in result.stdout) == (0, True)


def test_by_the_environment(server: str, token: Path, tmp_path: Path) -> None:
    """The server of the environment is asked where a trigger names none."""
    names = {
        "HEADWAY_PROMETHEUS": server,
        "HEADWAY_PROMETHEUS_METHOD": "GET",
        "HEADWAY_PROMETHEUS_BEARER_TOKEN_FILE": str(token),
        "HEADWAY_PROMETHEUS_TENANT": "a",
    }
    result = check(tmp_path, **names)
    assert (result.exit_code, "demand now 7 → 2 replicas" in result.stdout) == (0, True)


def test_by_the_file_of_settings(server: str, token: Path, tmp_path: Path) -> None:
    """Credentials of a listed server open it for a trigger that names it."""
    config = tmp_path / "headway.yaml"
    config.write_text(
        f"servers:\n  - {{pattern: '{server}', method: GET, bearer-token-file: {token}, tenant: a}}\n"
        f"allow-server-address: ['{server}']\n"
    )
    result = check(tmp_path, "--config", str(config), own=server)
    assert (result.exit_code, "demand now 7 → 2 replicas" in result.stdout) == (0, True)
    other = check(tmp_path, "--config", str(config), own="http://127.0.0.1:9")
    assert (other.exit_code, "that the operator of Headway allows" in " ".join(other.stdout.split())) == (1, True)


def test_credentials_go_to_their_own_server_alone(server: str, token: Path, tmp_path: Path) -> None:
    """A trigger that names another server than the environment does not get the environment's token."""
    names = {
        "HEADWAY_PROMETHEUS": "http://127.0.0.1:9",
        "HEADWAY_PROMETHEUS_METHOD": "GET",
        "HEADWAY_PROMETHEUS_BEARER_TOKEN_FILE": str(token),
        "HEADWAY_PROMETHEUS_TENANT": "a",
    }
    result = check(tmp_path, own=server, **names)
    assert (result.exit_code, "HTTP 403" in result.stdout) == (1, True)


KEDAS = """\
    - type: prometheus
      metadata: {serverAddress: 'SERVER', query: vector(7), threshold: '5'MORE}
      REFERENCE
"""


@pytest.mark.parametrize(
    ("more", "reference", "why"),
    [
        ("", "authenticationRef: {name: p}", "KEDA takes credentials for it from the cluster"),
        (", authModes: bearer", "", "KEDA takes credentials for it from the cluster"),
        (", awsRegion: eu-west-1", "", "KEDA takes credentials for it from the cluster"),
        (", customHeaders: 'X-Scope-OrgID=a'", "", "KEDA sends customHeaders with it"),
    ],
)
def test_what_kedas_trigger_sends_must_be_given(
    server: str, token: Path, tmp_path: Path, more: str, reference: str, why: str
) -> None:
    """Its query is tried where the settings open the server, and is named as not tried where they do not."""
    kedas = KEDAS.replace("SERVER", server).replace("MORE", more).replace("REFERENCE", reference)
    path = tmp_path / "web.yaml"
    path.write_text(OBJECT.replace("OWN", ", serverAddress: 'http://127.0.0.1:9'") + kedas)
    bare = CliRunner().invoke(app, ["check", str(path)])
    assert f"query of trigger 2: not tried: {why}" in " ".join(bare.stdout.split())
    names = {"HEADWAY_PROMETHEUS": server, "HEADWAY_PROMETHEUS_METHOD": "GET", "HEADWAY_PROMETHEUS_TENANT": "a"}
    opened = CliRunner().invoke(
        app, ["check", str(path)], env={**names, "HEADWAY_PROMETHEUS_BEARER_TOKEN_FILE": str(token)}
    )
    assert "demand now 7 → 2 replicas" in opened.stdout


def test_settings_that_contradict_are_named(token: Path, tmp_path: Path) -> None:
    """As for `headway serve`: a token is for a server."""
    result = check(tmp_path, "--prometheus-bearer-token-file", str(token))
    assert (result.exit_code, "needs prometheus, the server that it applies to" in result.stderr) == (2, True)
