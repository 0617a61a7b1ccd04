"""One server: what is wrong on the way to it is an error of its triggers, and of no others."""

from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from scaler.errors import DependencyError, SourceRefused, SourceUnavailable
from scaler.history import observe_all
from scaler.history.connection import MOST_URL_BYTES, Limits
from scaler.history.credentials import ServerAccess
from scaler.history.prometheus import PrometheusSource
from scaler.trigger import Trigger
from tests.history.test_prometheus_answers import AT, TRIGGER, answering, vector

QUICK = Limits(observe_seconds=2, attempts=1, failures_to_open=2, open_seconds=60)


async def failure(source: PrometheusSource, trigger: Trigger = TRIGGER) -> DependencyError:
    (answer,) = await observe_all(source, [trigger], AT)
    assert isinstance(answer, DependencyError)
    return answer


async def test_a_proxy_that_cannot_be_used_is_an_error_of_those_triggers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not of those on this machine: these are asked, and fail for a reason of their own."""
    monkeypatch.setenv("ALL_PROXY", "socks5://me:s3cret@proxy:1080")
    source = PrometheusSource(limits=QUICK)
    here = replace(TRIGGER, server_address="http://127.0.0.1:1")
    there, local = await observe_all(source, [TRIGGER, here], AT)
    assert isinstance(there, SourceRefused)
    assert "http://prometheus:9090: ALL_PROXY of the environment names a proxy of the kind socks5://" in str(there)
    assert str(local) == "http://127.0.0.1:1: Connection refused"
    with pytest.raises(SourceRefused, match="ALL_PROXY"):
        await source.samples(TRIGGER, AT, AT, 60)
    await source.close()


async def test_a_failure_through_a_proxy_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while the circuit is open, when nobody is asked."""
    monkeypatch.setenv("HTTP_PROXY", "http://me:s3cret@127.0.0.1:1")
    source = PrometheusSource(limits=QUICK)
    texts = [str(await failure(source)) for _ in range(3)]
    assert all("http://prometheus:9090 (through the proxy http://127.0.0.1:1" in text for text in texts)
    assert "failed 2 times in a row" in texts[-1]
    assert "s3cret" not in "".join(texts)
    await source.close()


@pytest.mark.parametrize("error", [ImportError("s3cret"), KeyError("s3cret"), RuntimeError("s3cret")])
async def test_an_exception_that_nobody_expected(error: Exception) -> None:
    """It is an error in our own words, logged once with where it was raised, and the library's text is nowhere."""
    source = PrometheusSource(limits=replace(QUICK, failures_to_open=9), transport=answering(error))
    with capture_logs() as logged:
        texts = [str(await failure(source)) for _ in range(2)]
    assert texts[0] == f"http://prometheus:9090: unexpected {type(error).__name__}; the log of Headway shows where"
    (line,) = logged
    assert "connection.py" in line["stack"]
    assert "s3cret" not in f"{logged} {texts}"


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "xn--a"])
async def test_a_host_that_no_resolver_takes(host: str) -> None:
    """The error says what is wrong with it; nothing is logged as a fault of ours."""
    with capture_logs() as logged:
        error = await failure(PrometheusSource(limits=QUICK), replace(TRIGGER, server_address=f"http://{host}:1"))
    assert "the name of the host" in str(error)
    assert logged == []


async def test_files_that_cannot_be_used_are_an_error_of_their_server(tmp_path: Path) -> None:
    """Another server, with other files, is asked as ever."""
    (tmp_path / "ca.pem").write_text("no PEM")
    mine = ServerAccess("https://prometheus:9090", ca_file=tmp_path / "ca.pem")
    source = PrometheusSource([mine], QUICK, answering(httpx.Response(200, json=vector(3))))
    broken, fine = await observe_all(source, [replace(TRIGGER, server_address="https://prometheus:9090"), TRIGGER], AT)
    assert isinstance(broken, SourceUnavailable | SourceRefused)
    assert "TLS files" in str(broken)
    assert fine == 3.0


class GetOnly:
    """A server behind a proxy that refuses POST, and answers GET with `get`."""

    def __init__(self, refusal: int, get: httpx.Response) -> None:
        self.methods: list[str] = []
        self._refusal, self._get = refusal, get

    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.methods.append(request.method)
        if request.method == "POST":
            return httpx.Response(self._refusal, text="Forbidden (verb=create)")
        return httpx.Response(self._get.status_code, content=self._get.content)


@pytest.mark.parametrize("refusal", [403, 405, 501])
async def test_where_post_is_refused_get_is_tried_and_kept(refusal: int) -> None:
    """Once per server: later requests are GETs, short enough for a URL. The log has one line."""
    server = GetOnly(refusal, httpx.Response(200, json=vector(3)))
    source = PrometheusSource(limits=QUICK, transport=server.transport())
    with capture_logs() as logged:
        assert [await observe_all(source, [TRIGGER], AT) for _ in range(3)] == [[3.0]] * 3
    assert server.methods == ["POST", "GET", "GET", "GET"]
    assert [(line["event"], line["status"]) for line in logged] == [("post_refused", refusal)]
    assert source._server(TRIGGER.server_address).most_bytes == MOST_URL_BYTES


@pytest.mark.parametrize("status", [401, 403, 405, 502])
async def test_a_server_that_refuses_both_is_not_asked_with_get_for_good(status: int) -> None:
    """The access may be granted to POST alone, later."""
    server = GetOnly(403, httpx.Response(status, text="no"))
    source = PrometheusSource(limits=QUICK, transport=server.transport())
    assert str(await failure(source)) == f"http://prometheus:9090: HTTP {status}: no"
    await failure(source)
    assert server.methods == ["POST", "GET"] * 2


@pytest.mark.parametrize("status", [400, 401, 404, 422, 500])
async def test_other_refusals_are_no_reason_for_get(status: int) -> None:
    """They would be the same."""
    server = GetOnly(status, httpx.Response(200, json=vector(3)))
    await failure(PrometheusSource(limits=QUICK, transport=server.transport()))
    assert server.methods == ["POST"]


async def test_a_query_that_is_refused_by_get_too_keeps_get() -> None:
    """A parse error shows that the server takes GET."""
    wrong = httpx.Response(400, json={"status": "error", "error": "parse error"})
    server = GetOnly(405, wrong)
    source = PrometheusSource(limits=QUICK, transport=server.transport())
    assert "parse error" in str(await failure(source))
    await failure(source)
    assert server.methods == ["POST", "GET", "GET"]
