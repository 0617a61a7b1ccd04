"""What an operator can get wrong at the start: a process ends with a status and a reason, or answers and says what is
wrong. Never a traceback, never a restart without a reason in the last line of the log."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from tests.e2e.scaler_process import scaler_running
from tests.servers.postgres import postgres_server
from tests.servers.process import free_port, wait_until

pytestmark = pytest.mark.e2e


def refused(folder: Path, *options: str, privileges: Sequence[str] = (), **environment: str) -> tuple[int, str, str]:
    """Exit status, error of the last line, and the whole log, of a process that does not start."""
    command = [*_command(folder), *options]
    result = subprocess.run(
        [*privileges, *command],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    last = json.loads(result.stderr.splitlines()[-1])
    assert (last["event"], last["level"], last["exit_status"]) == ("start_refused", "error", result.returncode)
    return result.returncode, last["error"], result.stderr


def _command(folder: Path) -> list[str]:
    addresses = ("--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0")
    data = ("--data-dir", str(folder / "data"))
    return [sys.executable, "-m", "scaler.cli", "serve", "--prometheus", "http://127.0.0.1:9", *addresses, *data]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Files as an operator may name them by mistake."""
    (tmp_path / "empty").touch()
    (tmp_path / "junk").write_text("junk\n")
    (tmp_path / "broken.yaml").write_text("triggers: [\n")
    (tmp_path / "unknown.yaml").write_text("refresh-intervall: 15s\n")
    for name in ("one", "two"):
        certificate = trustme.CA().issue_cert("localhost")
        certificate.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.crt")
        certificate.private_key_pem.write_to_path(tmp_path / f"{name}.key")
    return tmp_path


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--refresh-interval", "7s"], "refresh-interval='7s': must be at least 5s and divide a minute"),
        (["--nonsense"], "No such option: --nonsense"),
        (["--config", "gone.yaml"], "config='gone.yaml': must be a readable file (No such file or directory)"),
        (["--config", "broken.yaml"], "config='broken.yaml': must be YAML: line 2"),
        (["--config", "unknown.yaml"], "unknown setting; did you mean refresh-interval?"),
        (
            ["--prometheus-bearer-token-file", "./gone"],
            "prometheus-bearer-token-file='./gone': must be a readable file",
        ),
        (["--prometheus-bearer-token-file", "./empty"], "'./empty': must not be an empty file"),
        (["--database", "mysql://u:geheim@h/d"], "database='mysql://***@h/d': must begin with postgresql://"),
        (["--redis", "redis://:geheim@h:x/0"], "redis='redis://***@h:x/0': the port in the URL is a number"),
        (
            ["--tls-cert", "one.crt", "--tls-key", "two.key"],
            "TLS files one.crt, two.key: not PEM that belongs together",
        ),
        (["--tls-cert", "junk", "--tls-key", "two.key"], "TLS files junk, two.key: not PEM"),
        (["--tls-cert", "one.crt"], "tls-cert='one.crt': needs tls-key"),
        (["--data-dir", "junk"], "data-dir='junk': cannot be written (File exists): mount a volume there"),
    ],
)
def test_wrong_values_end_it_with_the_reason(files: Path, options: list[str], named: str):
    """Status 2; the last line of the log names field, value and rule, without a secret."""
    status, error, log = refused(files, *options)
    assert status == 2
    assert named in error
    assert "geheim" not in log


def test_wrong_variables_end_it_with_all_faults(tmp_path: Path):
    """A Deployment sets the environment; all its faults come at once, on one line."""
    status, error, _ = refused(tmp_path, HEADWAY_PUBLISH_GRACE="soon", HEADWAY_MAX_QUERY_LENGTH="x")
    assert (status, "publish-grace='soon'" in error, "max-query-length='x'" in error) == (2, True, True)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--http-token-file", "./token"], "http-token-file token holds fewer than 16 characters"),
        (
            ["--redis", "redis://127.0.0.1:1", "--redis-signing-key-file", "./token"],
            "redis-signing-key-file token has a key of fewer than 32 characters",
        ),
    ],
)
def test_a_secret_that_cannot_be_used_ends_it_before_a_port_opens(tmp_path: Path, options: list[str], reason: str):
    """KEDA and the kubelet meet no process that ends a moment later. A file may be named as what it holds."""
    (tmp_path / "token").write_text("short\n")
    with socket.socket() as taken:  # a port that cannot be opened would be the error otherwise
        taken.bind(("127.0.0.1", free_port()))
        taken.listen()
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        status, error, _ = refused(tmp_path, "--grpc-address", place, *options)
    assert (status, error) == (2, reason)


@pytest.mark.parametrize("address", ["grpc-address", "http-address"])
def test_a_port_that_is_taken_ends_it(tmp_path: Path, address: str):
    """The reason is the operating system's."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))
        taken.listen()
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        status, error, _ = refused(tmp_path, f"--{address}", place)
    assert (status, error) == (2, f"{address}='{place}': cannot listen: Address already in use")


def test_a_folder_that_its_user_cannot_write_ends_it(tmp_path: Path):
    """A volume of another owner: refused before a port opens."""
    folder = tmp_path / "volume"
    folder.mkdir(mode=0o555)
    # root writes anywhere: without its capabilities it is a user like any other
    privileges = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()
    status, error, log = refused(tmp_path, "--data-dir", str(folder), privileges=privileges)
    assert (status, "listening" in log) == (2, False)
    assert f"data-dir='{folder}': cannot be written (Permission denied)" in error


def test_people_get_plain_text(tmp_path: Path):
    """With `console` logs the reason is no JSON."""
    command = [*_command(tmp_path), "--log-format", "console", "--refresh-interval", "7s"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("headway: 1 fault in the settings:\n  refresh-interval='7s'")


@pytest.mark.parametrize(
    ("validity", "named"),
    [((-3, -1), r"expired on 20\d\d-\d\d-\d\dT"), ((1, 3), r"not valid before 20\d\d-\d\d-\d\dT")],
)
def test_a_certificate_of_another_time_is_named(tmp_path: Path, validity: tuple[int, int], named: str):
    """The process answers on: the file may be renewed at any moment."""
    now = datetime.now(UTC)
    start, end = (now + timedelta(days=days) for days in validity)
    certificate = trustme.CA().issue_cert("localhost", not_before=start, not_after=end)
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "tls.crt")
    certificate.private_key_pem.write_to_path(tmp_path / "tls.key")
    with scaler_running(
        tmp_path, "--tls-cert", str(tmp_path / "tls.crt"), "--tls-key", str(tmp_path / "tls.key")
    ) as scaler:
        wait_until(lambda: "certificate_not_valid" in scaler.log.read_text(), scaler.process, scaler.log)
        (line,) = events(scaler.log, "certificate_not_valid")
        assert (line["level"], line["purpose"], line["file"]) == ("error", "grpc_server", str(tmp_path / "tls.crt"))
        assert re.match(named, line["reason"])
        assert scaler.terminate() == 0


@pytest.mark.parametrize(
    ("bundle", "named"),
    [
        ("gone", "no bundle found: neither the folder nor one below it holds"),
        ("ftps3://bucket/models", "no file system has this scheme: write a folder, or a URL as s3://"),
    ],
)
def test_a_bundle_that_is_not_there_is_named(tmp_path: Path, bundle: str, named: str):
    """A shipped bundle serves meanwhile."""
    with scaler_running(tmp_path, "--bundle", bundle, "--bundle-protocols", "ftps3") as scaler:
        wait_until(lambda: "bundle_refused" in scaler.log.read_text(), scaler.process, scaler.log)
        (line,) = events(scaler.log, "bundle_refused")
        assert (line["level"], line["bundle"], line["serving"]) == ("error", bundle, "general@1")
        assert named in line["error"]


@pytest.mark.server
def test_a_database_that_refuses_is_an_error_in_the_log(tmp_path: Path):
    """The process starts: a database must never keep Headway from answering. What an operator must act on is an error
    that names it; a server that is down is a warning."""
    with postgres_server() as server:
        for url, event, named in (
            (server.url("nowhere"), "store_refused", "create the database, or correct its name"),
            (f"postgresql://stranger@/postgres?host={server.folder}", "store_refused", "correct the user name"),
            ("postgresql://u:geheim@127.0.0.1:1/d", "store_unavailable", "Connection refused"),
            ("postgresql://u:geheim@nohost.invalid/d", "store_unavailable", "cannot be resolved"),
        ):
            with scaler_running(tmp_path, "--database", url) as scaler:
                wait_until(lambda log=scaler.log, event=event: event in log.read_text(), scaler.process, scaler.log)
                (line,) = events(scaler.log, event)
                assert line["level"] == ("error" if event == "store_refused" else "warning")
                assert named in line["error"]
                assert "geheim" not in scaler.log.read_text()
                assert scaler.terminate() == 0


def events(log: Path, event: str) -> list[dict]:
    return [line for line in map(json.loads, log.read_text().splitlines()) if line["event"] == event]
