"""A real, throw-away Prometheus that holds given series."""

import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.servers.process import free_port, running, wait_until
from tests.servers.programs import program


@dataclass(frozen=True)
class Recorded:
    """One series: samples (seconds since the epoch, value). Those in the future are found when their time comes."""

    name: str
    samples: Iterable[tuple[float, float]]
    labels: Mapping[str, str] = field(default_factory=dict)


class PrometheusServer:
    """One server that can be paused, stopped and started again at the same address."""

    def __init__(self, directory: Path, config: str = "global: {}\n") -> None:
        self.directory = directory
        self._config = config
        self.log = directory / "prometheus.log"
        self.port = free_port()
        self._life = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and return when it answers; always at the same port."""
        assert self._process is None, "runs already"
        (self.directory / "prometheus.yml").write_text(self._config)
        self.log.write_bytes(b"")
        command = [
            program("prometheus"),
            f"--config.file={self.directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.directory / 'data'}",
            "--storage.tsdb.retention.time=10y",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--web.enable-remote-write-receiver",
        ]
        self._process = self._life.enter_context(running(command, self.log))
        wait_until(self._is_ready, self._process, self.log)

    def stop(self) -> None:
        """Stop it; connections are refused from then on."""
        if self._process is not None:
            self.resume()
        self._process = None
        self._life.close()

    def pause(self) -> None:
        """Let it accept connections and answer none, as a hung server does."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def values(self, query: str) -> list[float]:
        """The value of each element of its answer, or the number of a scalar."""
        response = httpx.get(f"{self.url}/api/v1/query", params={"query": query}, timeout=5)
        assert response.is_success, (query, response.text)
        data = response.json()["data"]
        found = [data["result"]] if data["resultType"] == "scalar" else [one["value"] for one in data["result"]]
        return [float(value) for _, value in found]

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "does not run"
        self._process.send_signal(number)

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=1).is_success
        except httpx.TransportError:
            return False


@contextmanager
def prometheus(
    directory: Path, series: Iterable[Recorded] = (), config: str = "global: {}\n"
) -> Iterator[PrometheusServer]:
    """A running server with `series` in it; its files are in `directory`. Skips where it is not installed.

    config: its configuration file, whose relative paths begin at `directory`.
    """
    _backfill(directory, list(series))
    server = PrometheusServer(directory, config)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _backfill(directory: Path, series: list[Recorded]) -> None:
    data = directory / "data"
    data.mkdir(parents=True)
    if not series:
        return
    text = directory / "series.openmetrics"
    with text.open("w") as file:
        for one in sorted(series, key=lambda one: one.name):
            labels = ",".join(f'{name}="{value}"' for name, value in one.labels.items())
            file.writelines(f"{one.name}{{{labels}}} {value!r} {moment:.3f}\n" for moment, value in one.samples)
        file.write("# EOF\n")
    command = [program("promtool"), "tsdb", "create-blocks-from", "openmetrics", str(text), str(data)]
    subprocess.run([*command, "--max-block-duration=168h", "--quiet"], check=True, capture_output=True)
