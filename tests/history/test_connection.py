"""One server: what is wrong on the way to it is an error of its triggers, and of no others."""

from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from scaler.errors import DependencyError, SourceRefused, SourceUnavailable
from scaler.history.connection import Limits
from scaler.history.credentials import ServerAccess
from scaler.history.prometheus import PrometheusSource
from scaler.trigger import Trigger
from tests.history.test_prometheus_answers import AT, TRIGGER, answering, vector

QUICK = Limits(observe_seconds=2, attempts=1, failures_to_open=2, open_seconds=60)


async def failure(source: PrometheusSource, trigger: Trigger = TRIGGER) -> DependencyError:
    (answer,) = await source.observe([trigger], AT)
    assert isinstance(answer, DependencyError)
    return answer


async def test_a_proxy_that_cannot_be_used_is_an_error_of_those_triggers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not of those on this machine: these are asked, and fail for a reason of their own."""
    monkeypatch.setenv("ALL_PROXY", "socks5://me:s3cret@proxy:1080")
    source = PrometheusSource(limits=QUICK)
    here = replace(TRIGGER, server_address="http://127.0.0.1:1")
    there, local = await source.observe([TRIGGER, here], AT)
    assert isinstance(there, SourceRefused)
    assert "http://prometheus:9090: ALL_PROXY of the environment names a proxy of the kind socks5://" in str(there)
    assert str(local) == "http://127.0.0.1:1: connection refused"
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


@pytest.mark.parametrize("error", [ImportError("s3cret"), UnicodeError("s3cret"), RuntimeError("s3cret")])
async def test_an_exception_that_nobody_expected(error: Exception) -> None:
    """It is an error in our own words, logged once with where it was raised, and the library's text is nowhere."""
    source = PrometheusSource(limits=replace(QUICK, failures_to_open=9), transport=answering(error))
    with capture_logs() as logged:
        texts = [str(await failure(source)) for _ in range(2)]
    assert texts[0] == f"http://prometheus:9090: unexpected {type(error).__name__}; the log of Headway shows where"
    (line,) = logged
    assert "connection.py" in line["stack"]
    assert "s3cret" not in f"{logged} {texts}"


async def test_files_that_cannot_be_used_are_an_error_of_their_server(tmp_path: Path) -> None:
    """Another server, with other files, is asked as ever."""
    (tmp_path / "ca.pem").write_text("no PEM")
    mine = ServerAccess("https://prometheus:9090", ca_file=tmp_path / "ca.pem")
    source = PrometheusSource([mine], QUICK, answering(httpx.Response(200, json=vector(3))))
    broken, fine = await source.observe([replace(TRIGGER, server_address="https://prometheus:9090"), TRIGGER], AT)
    assert isinstance(broken, SourceUnavailable | SourceRefused)
    assert "TLS files" in str(broken)
    assert fine == 3.0
