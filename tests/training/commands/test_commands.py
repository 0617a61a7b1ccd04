"""The commands of the training package as they are typed: recipes listed, demand pulled, errors reported."""

import errno
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import numpy as np
import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from scaler.cli import app
from scaler.commands import Usage
from tests.servers.prometheus import Recorded, prometheus
from tests.servers.serving import serving
from training.commands.shared import command_errors
from training.data.load import load
from training.recipes import RECIPES

MANIFEST = """\
kind: ScaledObject
metadata: {name: web, namespace: shop}
spec:
  triggers:
    - type: external
      metadata: {scalerAddress: "headway:50051", query: "sum(rate(a[1m]))", threshold: "10"}
    - type: prometheus
      metadata: {serverAddress: "http://other:9090", query: headway_planned_demand, threshold: "1"}
    - type: cpu
      metadata: {value: "80"}
---
kind: ScaledObject
metadata: {name: both, namespace: shop}
spec:
  triggers:
    - type: prometheus
      metadata: {serverAddress: "SERVER", query: b, threshold: "10"}
    - type: external
      metadata: {scalerAddress: "headway:50051", query: c, threshold: "10"}
    - type: external
      metadata: {scalerAddress: "headway:50051", query: d, threshold: "soon"}
"""


TENANT = """\
kind: ScaledObject
metadata: {name: ours, namespace: shop}
spec:
  triggers:
    - type: external
      metadata:
        scalerAddress: "headway:50051"
        query: ours
        threshold: "10"
        namespace: blue
        queryParameters: dedup=false
---
kind: ScaledObject
metadata: {name: kedas, namespace: shop}
spec:
  triggers:
    - type: prometheus
      metadata: {serverAddress: "SERVER", query: patchy, threshold: "10"}
"""


def asked(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    "command", [("train", "run"), ("train", "compare"), ("train", "recipes"), ("data", "pull")], ids=" ".join
)
def test_every_command_explains_itself_and_its_exit_status(command: tuple[str, str]) -> None:
    """Each help text ends with what the exit status means."""
    result = asked(*command, "--help")
    assert result.exit_code == 0
    assert "Exit status: 0 fine" in " ".join(result.stdout.split())


def test_help_of_pull_names_every_flag_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a terminal of 80 columns no flag is cut off."""
    monkeypatch.setenv("COLUMNS", "80")
    assert "--prometheus-bearer-token-file" in asked("data", "pull", "--help").stdout


def test_recipes_are_listed() -> None:
    """A line for each, with what it is."""
    lines = asked("train", "recipes").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(RECIPES)
    assert all(len(line.split()) > 3 for line in lines)


class Answering(ThreadingHTTPServer):
    """A Prometheus that answers every query with a ramp, to whoever has the token."""

    daemon_threads = True

    def __init__(self, token: str = "") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.token = token
        self.asked: list[str] = []
        self.paths: list[str] = []
        self.interrupt_at = 0
        """the number of the range query that somebody presses Ctrl-C at; 0: nobody does"""
        self.plans: list[dict[str, str]] = []
        """what it says as a scaler"""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Answering

    def do_GET(self) -> None:
        self._say(200, {"plans": self.server.plans, "next": None})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        if self.server.token and self.headers["Authorization"] != f"Bearer {self.server.token}":
            self._say(401, {"status": "error", "error": "who are you?"})
            return
        first, last, step = (float(form[name]) for name in ("start", "end", "step"))
        if form["query"] != "vector(0)":
            self.server.asked.append(form["query"])
            self.server.paths.append(self.path)
            if len(self.server.asked) == self.server.interrupt_at:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.5)
        moments = [first + i * step for i in range(int((last - first) / step) + 1)]
        if form["query"] == "patchy":
            moments = [moment for moment in moments if moment // 60 % 3 == 0]
        values = [[moment, str(100 + moment // 60 % 7)] for moment in moments]
        result = [{"metric": {}, "values": values}]
        self._say(200, {"status": "success", "data": {"resultType": "matrix", "result": result}})

    def _say(self, status: int, content: object) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Answering]:
    with serving(Answering()) as running:
        yield running


def nobody() -> str:
    """An address where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.server
def test_pulling_from_a_real_server(tmp_path: Path) -> None:
    """Good queries are in the file, a bad one is reported, and the exit status says that something is missing."""
    now = time.time() // 60 * 60
    recording = [Recorded("demand", [(now - 60 * back, 100.0 + back % 7) for back in range(180, -1, -1)])]
    with prometheus(tmp_path / "prometheus", recording) as running:
        out = tmp_path / "shop.parquet"
        queries = ["--query", 'shop/web=sum(demand{job=~".*"})', "--query", "shop/bad=sum(demand"]
        result = asked("data", "pull", "--prometheus", running.url, *queries, "--since", "2h", "--out", out)
    assert result.exit_code == 1, result.output
    assert "1 series in" in result.stdout
    assert "series 'shop/bad': " in result.stderr
    assert "parse error" in result.stderr
    (web,) = load([out]).series
    assert web.name == "shop/web"
    assert len(web.values) in (119, 120)


def test_triggers_of_a_file_are_pulled_under_their_names(server: Answering, tmp_path: Path) -> None:
    """Ours and KEDA's own; those of one ScaledObject have names of their own, a faulty one is reported."""
    file = tmp_path / "triggers.yaml"
    file.write_text(MANIFEST.replace("SERVER", server.url))
    out = tmp_path / "shop.parquet"
    arguments = ["--triggers", file, "--prometheus", server.url, "--since", "1h", "--out", out]
    result = asked("data", "pull", *arguments)
    assert result.exit_code == 1, result.output
    assert set(server.asked) == {"b", "c", "sum(rate(a[1m]))"}  # near midnight in parts, a day each
    names = sorted(one.name for one in load([out]).series)
    assert names[2] == "shop/web"
    assert [name.rpartition("/")[0] for name in names[:2]] == ["shop/both"] * 2
    assert "series 'shop/both': trigger 2: threshold='soon'" in result.stderr
    tolerant = asked("data", "pull", *arguments, "--allow-missing")
    assert tolerant.exit_code == 0, tolerant.output
    assert "series 'shop/both': trigger 2: threshold='soon'" in tolerant.stderr


def test_triggers_are_asked_as_the_scaler_asks(server: Answering, tmp_path: Path) -> None:
    """Tenant and parameters are sent along, and what ignores null values is 0 where the server knows nothing."""
    file = tmp_path / "triggers.yaml"
    file.write_text(TENANT.replace("SERVER", server.url))
    out = tmp_path / "shop.parquet"
    result = asked("data", "pull", "--triggers", file, "--prometheus", server.url, "--since", "1h", "--out", out)
    assert result.exit_code == 0, result.output
    assert {path.partition("?")[2] for path in server.paths} == {"namespace=blue&dedup=false", ""}
    patchy, ours = sorted(load([out]).series, key=lambda one: one.name)
    assert (np.isnan(patchy.values).any(), np.isnan(ours.values).any()) == (False, False)
    assert (patchy.values == 0).sum() > 20
    assert not (ours.values == 0).any()


def test_a_scaler_that_hides_its_servers(server: Answering, tmp_path: Path) -> None:
    """Triggers on a server whose address is hidden are named with the flag to give; the others are in the file."""
    server.plans = [
        {"namespace": "shop", "name": name, "trigger": "1", "query": name, "server": address}
        for name, address in (("web", server.url), ("api", "http://prometheus/token=***"))
    ]
    out = tmp_path / "shop.parquet"
    result = asked("data", "pull", "--scaler", server.url, "--since", "1h", "--out", out)
    assert result.exit_code == 1, result.output
    assert [one.name for one in load([out]).series] == ["shop/web"]
    assert "series 'shop/api': the scaler hides a part of its server's address" in result.stderr
    assert "give the whole of it as --prometheus URL" in result.stderr


def test_a_full_disk_is_a_failure(server: Answering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit status 1 as of every command that finds no place for its work, a sentence that names the file, no draft."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    out = tmp_path / "shop.parquet"
    pull = ["data", "pull", "--prometheus", server.url, "--query", "web=web", "--since", "1h", "--out", out]
    with monkeypatch.context() as patch:
        patch.setattr("training.data.pull.pq.ParquetWriter.write_table", full)
        result = asked(*pull)
    assert result.exit_code == 1, result.output
    assert f"headway: {out}: cannot be written: No space left on device; what arrived is kept" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == [".shop.parquet.parts"]
    assert asked(*pull).exit_code == 0
    assert list(tmp_path.iterdir()) == [out]


def test_credentials_are_given_as_for_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a flag, the environment, or the settings file; without them the server's refusal is reported."""
    token = tmp_path / "token"
    token.write_text("secret\n")
    with serving(Answering("secret")) as running:
        config = tmp_path / "headway.yaml"
        config.write_text(f"prometheus: {running.url}\nprometheus-bearer-token-file: {token}\n")
        pull = ["data", "pull", "--query", "a=a", "--since", "1h", "--out", tmp_path / "a.parquet"]
        refused = asked(*pull, "--prometheus", running.url)
        assert refused.exit_code == 1
        assert "who are you?" in refused.stderr
        assert not (tmp_path / "a.parquet").exists()
        by_flag = asked(*pull, "--prometheus", running.url, "--prometheus-bearer-token-file", token)
        by_file = asked(*pull, "--config", config)
        monkeypatch.setenv("HEADWAY_PROMETHEUS", running.url)
        monkeypatch.setenv("HEADWAY_PROMETHEUS_BEARER_TOKEN_FILE", str(token))
        by_environment = asked(*pull)
    assert [by_flag.exit_code, by_file.exit_code, by_environment.exit_code] == [0, 0, 0]


def test_an_interrupted_pull_goes_on_where_it_was(
    server: Answering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After Ctrl-C there is no file yet; the same command later asks only for what is missing."""
    monkeypatch.setattr("training.commands.data_pull.time", Frozen())
    out = tmp_path / "shop.parquet"
    pull = ["data", "pull", "--prometheus", server.url, "--query", "web=web", "--since", "10d", "--out", out]
    server.interrupt_at = 4
    first = asked(*pull)
    assert first.exit_code == 130
    assert "interrupted; what arrived is kept" in first.stderr
    assert not out.exists()
    server.interrupt_at, before = 0, len(server.asked)
    assert asked(*pull).exit_code == 0
    assert len(server.asked) - before == 11 - 3
    (web,) = load([out]).series
    assert len(web.values) == 10 * 1440


class Frozen:
    """A minute that does not end while the test runs."""

    now = time.time() - 120

    def time(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        ([], 2, "nothing to pull: give --query NAME=PROMQL, --triggers FILE.yaml or --scaler URL"),
        (["--query", "sum(rate(x{a='b'}[1m]))"], 2, "must be NAME=PROMQL"),
        (["--query", "web="], 2, "must be NAME=PROMQL"),
        (["--query", "web=up"], 2, "web: no server is given; use --prometheus URL"),
        (["--query", "web=up", "--prometheus", "ftp://x"], 2, "prometheus='ftp://x'"),
        (["--query", "web=up", "--prometheus", "http://x", "--since", "soon"], 2, "--since 'soon': must be a duration"),
        (["--query", "web=up", "--prometheus", "http://x", "--step", "0s"], 2, "--step '0s': must be whole seconds"),
        (["--query", "web=up", "--prometheus", "NOBODY"], 3, "127.0.0.1"),
        (["--scaler", "NOBODY"], 3, "scaler at http://127.0.0.1"),
        (["--triggers", "absent.yaml"], 2, "--triggers 'absent.yaml': No such file or directory"),
        (["--triggers", "bad.yaml"], 2, "--triggers 'bad.yaml': line 1"),
        (["--triggers", "latin.yaml"], 2, "--triggers 'latin.yaml': is not UTF-8 text\n"),
        (["--triggers", "none.yaml"], 2, "--triggers 'none.yaml': no trigger in it asks Prometheus"),
        (["--out", "web.csv", "--query", "web=up"], 2, "--out 'web.csv': must end in .parquet"),
    ],
)
def test_what_cannot_be_pulled_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], status: int, told: str
) -> None:
    """One sentence, an exit status that tells wrong flags from servers that are away, and nothing written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yaml").write_text("- not\n- an object\n")
    (tmp_path / "none.yaml").write_text("kind: Deployment\nmetadata: {name: web}\n")
    (tmp_path / "latin.yaml").write_bytes("kind: Möbel\n".encode("latin-1"))
    before = set(tmp_path.iterdir())
    out = [] if "--out" in arguments else ["--out", "web.parquet"]
    result = asked("data", "pull", *(nobody() if one == "NOBODY" else one for one in arguments), *out)
    assert result.exit_code == status, result.output
    assert told in result.stderr
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "proxy", ["NO_PROXY=fd02::/112", "NO_PROXY=[::1]", "ALL_PROXY=socks5://p:1", "all_proxy=socks://p"]
)
def test_proxy_settings_end_no_command(
    server: Answering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    """A server on this machine is asked; one that is only reached through SOCKS is an error that names the variable."""
    variable, value = proxy.split("=")
    monkeypatch.setenv(variable, value)
    pull = ["data", "pull", "--query", "a=a", "--since", "1h", "--out", tmp_path / "a.parquet", "--prometheus"]
    assert asked(*pull, server.url).exit_code == 0
    if "socks" in value:
        refused = asked(*pull[:-2], tmp_path / "b.parquet", "--prometheus", "http://prometheus.example")
        assert refused.exit_code == 1
        assert f"{variable} of the environment names a proxy" in refused.stderr
        scaler = asked("data", "pull", "--scaler", "http://headway.example", "--out", tmp_path / "c.parquet")
        assert scaler.exit_code == 2
        assert f"{variable} of the environment names a proxy" in scaler.stderr


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn"), "the training packages are missing"),
        (ImportError("libgomp.so.1", name="xgboost"), "the training package xgboost cannot be loaded"),
    ],
)
def test_a_training_package_that_is_missing_or_broken(error: ImportError, text: str) -> None:
    """One line says what to install."""
    with pytest.raises(Usage, match=text), command_errors():
        raise error


@pytest.mark.parametrize("name", ["socksio", "scaler.gone", None])
def test_any_other_failed_import_is_not_blamed_on_the_training_packages(name: str | None) -> None:
    """It is a fault of the code, and stays one."""
    with pytest.raises(ImportError, match="elsewhere"), command_errors():
        raise ImportError("elsewhere", name=name)


@pytest.mark.parametrize("ended_by", [signal.SIGTERM, signal.SIGINT])
def test_a_command_that_is_ended_leaves_in_order(ended_by: signal.Signals, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever cleans up does so; exit status and message are those of an interrupt, and the old handler is back."""
    before, cleaned = signal.getsignal(signal.SIGTERM), []

    def work() -> None:
        try:
            os.kill(os.getpid(), ended_by)
            time.sleep(5)
        finally:
            cleaned.append(True)

    with pytest.raises(typer.Exit) as left, command_errors("nothing is left half-written"):
        work()
    assert (left.value.exit_code, cleaned) == (130, [True])
    assert capsys.readouterr().err == "headway: interrupted; nothing is left half-written\n"
    assert signal.getsignal(signal.SIGTERM) is before
