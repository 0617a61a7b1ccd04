"""A real, throw-away VictoriaMetrics that holds given series: the second dialect of the same API."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.servers.process import free_port, running, wait_until
from tests.servers.programs import program
from tests.servers.prometheus import Recorded


@contextmanager
def victoria(directory: Path, series: Iterable[Recorded] = ()) -> Iterator[str]:
    """The address of a running server with `series` in it. Skips where it is not installed."""
    binary = program("victoria-metrics")
    address = f"127.0.0.1:{free_port()}"
    log = directory / "victoria.log"
    command = [binary, f"-httpListenAddr={address}", f"-storageDataPath={directory / 'data'}", "-retentionPeriod=100y"]
    with running(command, log) as process:
        wait_until(lambda: _is_ready(f"http://{address}"), process, log)
        given = _import(f"http://{address}", series)
        wait_until(lambda: _holds(f"http://{address}") == given, process, log)
        yield f"http://{address}"


def _import(url: str, series: Iterable[Recorded]) -> int:
    """How many samples it was given: one request a series, because parts of a request are taken in side by side, and a
    series that is new to two parts gets two identities, of which some queries see one."""
    given = 0
    for one in series:
        labels = ",".join(f'{name}="{value}"' for name, value in one.labels.items())
        lines = [f"{one.name}{{{labels}}} {value!r} {round(1000 * moment)}\n" for moment, value in one.samples]
        httpx.post(f"{url}/api/v1/import/prometheus", content="".join(lines)).raise_for_status()
        given += len(lines)
    return given


def _holds(url: str) -> int:
    """How many samples queries see: a forced flush does not wait for one that runs already."""
    httpx.get(f"{url}/internal/force_flush").raise_for_status()
    answer = httpx.get(f"{url}/api/v1/export", params={"match[]": '{__name__!=""}', "start": 0}).raise_for_status()
    return sum(len(json.loads(line)["values"]) for line in answer.iter_lines() if line)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=1).is_success
    except httpx.TransportError:
        return False
