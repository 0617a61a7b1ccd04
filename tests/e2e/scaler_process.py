"""Whole scaler processes, started as an operator would."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.process import running, wait_until


@dataclass
class ScalerProcess:
    process: subprocess.Popen[bytes]
    log: Path
    grpc_address: str = ""
    http_address: str = ""
    started: float = 0.0

    def kill(self) -> None:
        """What a node failure looks like."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def terminate(self) -> int:
        """What Kubernetes does first; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def scaler_running(
    folder: Path,
    *options: str,
    name: str = "scaler",
    environment: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
) -> Iterator[ScalerProcess]:
    """`headway serve` on free ports, ready to be called; its log in `folder`. `prefix`: a command that starts it."""
    log = folder / f"{name}-{time.monotonic_ns()}.log"
    command = [
        *(*prefix, sys.executable, "-m", "scaler.cli", "serve", "--log-format", "json"),
        *("--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0"),
        *("--data-dir", str(folder / f"{name}-data"), *options),
    ]
    with running(command, log, cwd=folder, env=environment) as process:
        scaler = ScalerProcess(process, log, started=time.time())
        wait_until(lambda: _listening(scaler), process, log)
        yield scaler


def _listening(scaler: ScalerProcess) -> bool:
    text = scaler.log.read_text()
    grpc = re.search(r'"grpc_address": ?"([^"]+)"', text)
    http = re.search(r'"http_address": ?"([^"]+)"', text)
    if grpc and http:
        scaler.grpc_address, scaler.http_address = grpc[1], http[1]
    return bool(grpc and http)
