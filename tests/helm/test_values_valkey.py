"""The bundled Valkey, started with the command of its rendered pod."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
import redis

from tests.helm.rendering import Cluster, objects, of_kind, render
from tests.servers.helm import MAJORS
from tests.servers.process import free_port, running, wait_until
from tests.servers.redis import server_binary

SETS = ("--set", "valkey.enabled=true,valkey.password=s3cret")


@pytest.mark.server
def test_valkey_of_the_chart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The URL in the scaler's environment opens it, no password does not, and no process shows the password."""
    manifests = objects(render(MAJORS[-1], Cluster(), *SETS).text)
    valkey, scaler = (
        one["spec"]["template"]["spec"]["containers"][0]
        for one in sorted(of_kind(manifests, "Deployment"), key=lambda one: one["metadata"]["name"], reverse=True)
    )
    [secret] = of_kind(manifests, "Secret")
    password = secret["stringData"]["password"]
    port = free_port()
    binary = server_binary()
    assert binary is not None
    (tmp_path / "valkey-server").symlink_to(binary)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("VALKEY_PASSWORD", password)
    script = valkey["command"][2].replace("--port 6379", f"--port {port}").replace("--dir /tmp", f"--dir {tmp_path}")
    url = next(one["value"] for one in scaler["env"] if one["name"] == "HEADWAY_REDIS")
    host = "headway-valkey:6379"
    assert url == f"redis://:$(VALKEY_PASSWORD)@{host}/0"  # the kubelet expands it
    client = redis.Redis.from_url(url.replace("$(VALKEY_PASSWORD)", password).replace(host, f"127.0.0.1:{port}"))
    with running(["sh", "-c", script], tmp_path / "log") as process:
        wait_until(lambda: _answers(client), process, tmp_path / "log")
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=port).ping()
        processes = subprocess.run(["ps", "-A", "-o", "args"], capture_output=True, text=True, check=True).stdout
        assert f"valkey-server *:{port}" in processes
        assert password not in processes
        assert client.config_get("save") == {"save": ""}
        process.send_signal(signal.SIGTERM)  # reaches the server: the shell has made way for it
        assert process.wait(timeout=10) == 0


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
