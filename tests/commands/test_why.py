"""`headway why` against the scaler's real HTTP port over a registry that the test fills."""

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

import numpy as np
import pytest
import trustme
from rich.console import Console
from typer.testing import CliRunner, Result

from scaler.cli import app
from scaler.commands.scaler_api import MOST_BYTES
from scaler.commands.why import print_record
from scaler.discovery import Scope
from scaler.discovery.known import KnownObjects
from scaler.errors import HeadwayError, SourceRefused, SourceUnavailable, TriggerError
from scaler.registry import ListedBy, Registration, Registry
from scaler.scoring.losses import Figure
from scaler.scoring.pending import BUCKETS
from scaler.series import Forecast, HistoryFacts, Observation, Outlook
from scaler.settings import load_settings
from scaler.status.server import StatusServer
from scaler.telemetry.metrics import Telemetry
from scaler.trigger import TriggerRules
from tests.servers.kubernetes import scaled_object
from tests.servers.serving import serving
from tests.status.scores import scored

NOW = 1_700_000_000.0
METADATA = {"query": "sum(up[1m])", "threshold": "50"}


@dataclass
class Port:
    """The open port, and the registry behind it."""

    registry: Registry
    discovered: "Discovered"
    address: str = ""
    error: str = ""

    def explain(self, key: str) -> HistoryFacts:
        if self.error:
            away = (self.error, self.error)
            return HistoryFacts("seasonal@1", None, None, 0.0, 3600.0, 86400.0, False, *away)
        return HistoryFacts("seasonal@1", NOW, None, 600.0, 3600.0, 86400.0, True)

    def watch(self, **metadata: str) -> Registration:
        return self.registry.register("shop", "web", {**METADATA, **metadata}, NOW)

    def receive(self, registration: Registration, forecast: Forecast | None) -> None:
        observed = Observation(NOW, 120.0, 130.0, 200.0)
        self.registry.receive(registration.trigger.key, Outlook(NOW, observed, forecast), NOW)

    async def why(self, *arguments: str) -> Result:
        command = ["why", "shop", "web", "--address", self.address, *arguments]
        return await asyncio.to_thread(CliRunner().invoke, app, command)


class Discovered:
    """What discovery knows, without a watch."""

    def __init__(self, registry: Registry) -> None:
        known = KnownObjects(registry, Telemetry(), ())
        self.see, self.refusal, self.refusals = known.see, known.refusal, known.refusals

    def scopes(self) -> list[Scope]:
        return []

    def watched(self) -> int:
        return 0

    def refused(self) -> int:
        return len(self.refusals(1))


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    registry = Registry(TriggerRules("http://prometheus"), 15.0)
    port = Port(registry, Discovered(registry))
    settings = load_settings({"http_address": "127.0.0.1:0"})
    server = StatusServer(settings, port.registry, Telemetry(), dict, port.explain, lambda: NOW, port.discovered)
    port.address = f"127.0.0.1:{await server.start()}"
    yield port
    await server.stop()


def forecast(demand: float) -> Forecast:
    quantiles = np.full((120, 2), demand, np.float32)
    return Forecast(NOW, 60.0, (0.5, 0.9), quantiles, (), None, "seasonal@1")


async def test_reasons_and_replicas_are_shown(port: Port) -> None:
    """With a forecast: the metric, the replicas that follow, and every rule that changed the value."""
    port.receive(port.watch(), forecast(420.0))
    result = await port.why()
    assert result.exit_code == 0
    assert "metric 420, active" in result.stdout
    assert "→ 9 replicas" in result.stdout
    need = next(line for line in result.stdout.splitlines() if line.split()[:1] == ["need"])
    assert "420  the peak over" in need
    assert "sum(up[1m])" in result.stdout
    assert "last call 0 s ago" in result.stdout
    assert "issued 0 s ago" in result.stdout
    assert "peak over the next 435 s (lead time 120 s + one refresh and the look-ahead, 315 s):" in result.stdout
    assert "p50 420 · p90 420" in result.stdout


async def test_a_step_of_the_data_is_recommended_as_the_query_step(port: Port) -> None:
    """Where history shows one, and the trigger does not name it."""
    port.receive(port.watch(), replace(forecast(420.0), data_step_seconds=300.0))
    text = (await port.why()).stdout
    assert "demand has a new number only every 5 min: write queryStep: 5m, or the annotation" in text
    assert "the peak over the next 10 min 15 s (demand has a new number only every 5 min), p90" in " ".join(
        text.split()
    )
    port.receive(port.watch(queryStep="5m"), replace(forecast(420.0), data_step_seconds=300.0))
    named = (await port.why()).stdout
    assert named.count("write queryStep") == 1  # of the first of the two triggers


async def test_quantiles_are_of_the_window_that_need_is_about(port: Port) -> None:
    """A peak that comes after the lead window is not shown beside need."""
    late = forecast(420.0)
    late.quantiles_HQ[60:] = 900.0
    port.receive(port.watch(), late)
    text = (await port.why()).stdout
    assert "p90 420" in text
    assert "900" not in text


async def test_a_listed_trigger_was_not_asked_about(port: Port) -> None:
    """Headway itself asks about what the settings list: that is no call of KEDA's."""
    registration = port.watch()
    registration.listed_by = ListedBy.SETTINGS
    port.receive(registration, forecast(420.0))
    text = (await port.why()).stdout
    assert "listed in the settings" in text
    assert "last call" not in text


async def test_a_discovered_trigger_is_named_so(port: Port) -> None:
    """By whom it is listed decides what to change."""
    registration = port.watch()
    registration.listed_by = ListedBy.ANNOTATION
    port.receive(registration, forecast(420.0))
    assert "listed by the annotation headway.dev/forecast" in (await port.why()).stdout


async def test_a_refused_object_shows_its_faults(port: Port) -> None:
    """Exit 1, and every fault with field, value and rule."""
    port.discovered.see("shop", scaled_object(serverAddress="http://elsewhere:9090", threshold="-1"), NOW)
    result = await port.why()
    words = " ".join(result.stdout.split())
    assert result.exit_code == 1
    assert "not forecast: the object asks for a forecast by annotation and has faults" in words
    assert "spec.triggers[0].metadata.threshold='-1': must be a plain number" in words
    assert "not among the servers that the operator of Headway allows" in words
    found = json.loads((await port.why("--json")).stdout)
    assert [fault["field"].rpartition(".")[2] for fault in found["refused"]] == ["threshold", "serverAddress"]


async def test_before_the_first_forecast_it_says_what_is_missing(port: Port) -> None:
    """Without a forecast: what is missing, until when, and what happens meanwhile; exit 1."""
    port.receive(port.watch(), None)
    result = await port.why()
    assert result.exit_code == 1
    assert "10 min of history are there, at least 1 h needed by seasonal@1" in result.stdout
    assert "until      in 50 min" in result.stdout
    assert "meanwhile  KEDA gets the newest observation" in result.stdout


@pytest.mark.parametrize("made", [None, "seasonal@1"], ids=["before the first forecast", "with a forecast"])
async def test_a_model_that_is_not_there_is_shown(port: Port, made: str | None) -> None:
    """A trigger that names an unknown bundle is served by another one, and that is not kept quiet."""
    registration = port.watch(model="shopp")
    note = "no bundle 'shopp' (known: general, seasonal); seasonal@1 serves"
    found = None if made is None else forecast(420.0)
    port.registry.receive(
        registration.trigger.key, Outlook(NOW, Observation(NOW, 120.0, 130.0, 200.0), found, note), NOW
    )
    text = (await port.why()).stdout
    assert "model shopp" in text
    assert text.count(note) == 1
    assert made is None or "seasonal@1 made the forecast instead" in " ".join(text.split())


async def test_before_the_first_observation_there_is_no_answer(port: Port) -> None:
    """Nothing known yet is exit 1, with the words that KEDA gets."""
    port.watch()
    result = await port.why()
    assert result.exit_code == 1
    assert "no answer: KEDA gets" in result.stdout


async def test_an_error_is_shown_once(port: Port) -> None:
    """What keeps observation and past away stands once in the text, not with each of them."""
    port.error = "http://prometheus: parse error"
    port.registry.fail(port.watch().trigger.key, SourceRefused(port.error))
    result = await port.why()
    assert result.exit_code == 1
    assert result.stdout.count("parse error") == 1
    assert "KEDA gets FAILED_PRECONDITION" in result.stdout
    assert "missing    no observation yet\n" in result.stdout
    assert "missing    the history has not been fetched yet\n" in result.stdout


@pytest.mark.parametrize(
    ("error", "until"),
    [
        (SourceRefused, "the query or the access to its server is fixed"),
        (TriggerError, "the trigger is fixed"),
        (SourceUnavailable, "soon after the source answers again"),
    ],
)
async def test_the_status_and_how_long_it_lasts(
    port: Port, error: type[HeadwayError], until: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The gRPC status that KEDA gets is named, and what does not pass by itself is not said to."""
    port.error = "http://prometheus: away"
    port.registry.fail(port.watch().trigger.key, error(port.error))
    (record,) = json.loads((await port.why("--json")).stdout)["triggers"]
    print_record({**record, "status": error.status}, NOW, Console(width=200))
    text = capsys.readouterr().out
    assert f"KEDA gets {error.status}, http://prometheus: away" in text
    assert f"until      {until}" in text


async def test_reactive_triggers_are_fine_without_forecast(port: Port) -> None:
    """mode: reactive wants no forecast, so nothing is amiss."""
    port.receive(port.watch(mode="reactive"), None)
    assert (await port.why()).exit_code == 0


async def test_json_is_the_scalers_own_record(port: Port) -> None:
    """--json prints what the API answered."""
    port.receive(port.watch(), forecast(420.0))
    result = await port.why("--json")
    (record,) = json.loads(result.stdout)["triggers"]
    assert (record["plan"]["need"], record["readiness"]) == (420.0, None)


async def test_unknown_workload_exits_1_with_the_reason(port: Port) -> None:
    """An unknown name and an absent scaler are different errors."""
    result = await port.why()
    assert result.exit_code == 1
    assert "shop/web: no trigger of this name is watched here" in result.stderr
    assert "INVALID_ARGUMENT" in result.stderr


def test_nobody_listening_exits_3() -> None:
    """The message names the address and what it should be."""
    result = CliRunner().invoke(app, ["why", "shop", "web", "--address", "http://127.0.0.1:9"])
    assert result.exit_code == 3
    assert "no scaler at http://127.0.0.1:9" in result.stderr


def test_a_proxy_is_named_where_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not blamed on --address; a proxy that cannot be used is named by its variable."""
    command = ["why", "shop", "web", "--address", "http://headway.example:8080"]
    monkeypatch.setenv("HTTP_PROXY", "http://me:s3cret@127.0.0.1:1")
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 3
    assert "through the proxy http://127.0.0.1:1, from HTTP_PROXY" in result.stderr
    monkeypatch.setenv("HTTP_PROXY", "socks5://me:s3cret@127.0.0.1:1")
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 2
    assert "HTTP_PROXY of the environment names a proxy of the kind socks5://" in refused.stderr
    assert "s3cret" not in result.stderr + refused.stderr


@pytest.mark.parametrize("address", ["http://" + "a" * 64 + ".example", "http://.x:1", "http://[::1"])
def test_a_host_that_is_none_exits_2(address: str) -> None:
    """Not blamed on what answers."""
    result = CliRunner().invoke(app, ["why", "shop", "web", "--address", address])
    assert result.exit_code == 2, result.output
    assert f"--address={address!r}: must be the URL" in result.stderr


def test_an_address_that_is_none_exits_2() -> None:
    """Wrong usage, before anything is asked."""
    result = CliRunner().invoke(app, ["why", "shop", "web", "--address", "ftp://somewhere"])
    assert result.exit_code == 2
    assert "--address='ftp://somewhere'" in result.stderr


async def closed_port(tmp_path: Path) -> tuple[StatusServer, str, dict[str, str]]:
    """An HTTP port with mTLS and a token, its address, and the flags that open it."""
    authority = trustme.CA()
    (tmp_path / "token").write_text("a-token-of-some-length\n")
    (tmp_path / "wrong").write_text("another-token-of-some-length\n")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    for name in ("127.0.0.1", "operator"):
        issued = authority.issue_cert(name)
        issued.private_key_pem.write_to_path(str(tmp_path / f"{name}.key"))
        issued.cert_chain_pems[0].write_to_path(str(tmp_path / f"{name}.pem"))
    files = {name: str(tmp_path / file) for name, file in (
        ("tls_cert", "127.0.0.1.pem"), ("tls_key", "127.0.0.1.key"), ("tls_client_ca", "ca.pem"),
        ("http_token_file", "token"),
    )}  # fmt: skip
    settings = load_settings({"http_address": "127.0.0.1:0", "http_tls": "mtls", **files})
    registry = Registry(TriggerRules("http://prometheus"), 15.0)
    registry.register("shop", "web", METADATA, NOW)
    server = StatusServer(settings, registry, Telemetry(), dict, lambda key: None, lambda: NOW)
    flags = {"--token-file": "token", "--ca-cert": "ca.pem", "--client-cert": "operator.pem"}
    flags |= {"--client-key": "operator.key"}
    return server, f"https://127.0.0.1:{await server.start()}", {k: str(tmp_path / v) for k, v in flags.items()}


async def test_a_closed_port_is_opened_by_flags(tmp_path: Path) -> None:
    """With each of them it answers; without one, the message names the flag."""
    server, address, flags = await closed_port(tmp_path)

    async def why(**changed: str | None) -> Result:
        own = {**flags, **{f"--{name.replace('_', '-')}": value for name, value in changed.items()}}
        pairs = [text for name, value in own.items() if value is not None for text in (name, value)]
        return await asyncio.to_thread(CliRunner().invoke, app, ["why", "shop", "web", "--address", address, *pairs])

    answered = await why()
    assert (answered.exit_code, "no answer: KEDA gets UNAVAILABLE" in answered.stdout) == (1, True)
    without = await why(token_file=None)
    assert (without.exit_code, "--token-file" in without.stderr) == (2, True)
    wrong = await why(token_file=str(tmp_path / "wrong"))
    assert (wrong.exit_code, "is not the token" in wrong.stderr) == (2, True)
    assert "another-token" not in wrong.stderr
    anonymous = await why(client_cert=None, client_key=None)
    assert (anonymous.exit_code, "--client-cert and --client-key" in anonymous.stderr) == (2, True)
    untrusted = await why(ca_cert=None, client_cert=None, client_key=None)
    assert (untrusted.exit_code, "certificate" in untrusted.stderr) == (3, True)
    assert (await why(client_key=None)).exit_code == 2
    for name in ("token_file", "ca_cert", "client_cert"):
        missing = await why(**{name: str(tmp_path / "nowhere")})
        assert (missing.exit_code, "nowhere" in missing.stderr) == (2, True)
    await server.stop()


ODD_ANSWERS = {
    "empty record": b'{"triggers": [{}]}',
    "no list": b'{"triggers": null}',
    "text for a time": b'{"triggers": [1], "at": "x"}',
    "text for faults": b'{"errors": "x"}',
    "deep": b"[" * 100_000,
    "huge number": b'{"triggers": [], "at": ' + b"9" * 5000 + b"}",
    "no UTF-8": b"\xff\xfe{}",
    "long": b" " * (MOST_BYTES + 1),
}


@contextmanager
def answering(body: bytes, headers: Mapping[str, str]) -> Iterator[str]:
    """The address of what answers every request alike."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield f"127.0.0.1:{server.server_port}"


@pytest.mark.parametrize("kind", ODD_ANSWERS)
def test_an_odd_answer_is_one_line(kind: str) -> None:
    """Neither a traceback nor an answer without end."""
    with answering(ODD_ANSWERS[kind], {}) as address:
        result = CliRunner().invoke(app, ["why", "shop", "web", "--address", address])
    assert result.exit_code == 3
    assert "is no scaler" in result.stderr


def test_an_answer_is_not_unpacked() -> None:
    """A megabyte can unpack to gigabytes."""
    with answering(gzip.compress(b"{}"), {"Content-Encoding": "gzip"}) as address:
        result = CliRunner().invoke(app, ["why", "shop", "web", "--address", address])
    assert result.exit_code == 3
    assert "compressed" in result.stderr


def test_an_answer_does_not_command_the_terminal() -> None:
    """Escape sequences could rename the window or hide lines."""
    fault = {"field": "a\x1b]0;b\x07\x9b2J", "value": "", "rule": "c"}
    body = json.dumps({"triggers": [], "at": 1, "namespace": "shop", "name": "web", "refused": [fault]}).encode()
    with answering(body, {}) as address:
        result = CliRunner().invoke(app, ["why", "shop", "web", "--address", address])
    assert "a?]0;b??2J" in result.stdout
    assert "\x1b" not in result.stdout


@pytest.mark.parametrize("piece", [b"X: y\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"], ids=["headers", "interim answers"])
def test_an_answer_that_never_begins_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, piece: bytes) -> None:
    """Each piece comes in time, and there is no last one."""
    monkeypatch.setattr("scaler.commands.scaler_api.LONGEST_SECONDS", 1.0)

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            with suppress(OSError):
                self.request.sendall(b"HTTP/1.1 200 OK\r\n" if piece.startswith(b"X") else b"")
                while True:
                    self.request.sendall(piece)
                    time.sleep(0.05)

    slow = ThreadingTCPServer(("127.0.0.1", 0), Handler)
    slow.daemon_threads = True
    with serving(slow):
        address = f"127.0.0.1:{slow.server_address[1]}"
        result = CliRunner().invoke(app, ["why", "shop", "web", "--address", address])
    assert (result.exit_code, "takes longer than 1 s" in result.stderr) == (3, True)


async def test_how_good_the_forecasts_were(port: Port) -> None:
    """Coverage and loss of the peak, and the error five minutes ahead; a forecast that loses says so."""
    registration = port.watch()
    port.receive(registration, None)
    assert "held" not in (await port.why()).stdout
    registration.scores = scored
    text = (await port.why()).stdout
    assert "its p90 held 95.0% of 20 peaks in about a week" in text
    assert "loss 0.33 of that of the newest observation\n" in text
    assert "5 minutes ahead the median was off by 10.0%" in text
    record = json.loads((await port.why("--json")).stdout)["triggers"][0]
    assert record["scores"]["peak"]["held"] == 0.95
    assert set(record["scores"]) == {"5 min", "60 min", "peak"}


async def test_a_forecast_that_is_worse_than_none_is_marked(port: Port) -> None:
    registration = port.watch()
    port.receive(registration, None)
    found = scored()
    found.sums_BF[BUCKETS.index("peak"), Figure.PROMISED] = 6
    registration.scores = lambda: found
    assert "loss 2.00 of that of the newest observation: no better" in (await port.why()).stdout
