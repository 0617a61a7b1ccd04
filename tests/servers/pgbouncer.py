"""A real PgBouncer in front of a PostgreSQL of the tests."""

import os
import pwd
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.servers.postgres import PostgresServer
from tests.servers.process import free_port, running, wait_until
from tests.servers.programs import program


class PgBouncer:
    """A pooler for every database of one server, that can be stopped and started again at the same address."""

    def __init__(self, binary: str, folder: Path, server: PostgresServer, mode: str, options: Sequence[str]) -> None:
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._folder, self._log = folder, folder / "pgbouncer.log"
        self._stack = ExitStack()
        configuration, users = folder / "pgbouncer.ini", folder / "users.txt"
        users.write_text('"headway" ""\n')
        lines = [
            *("[databases]", f"* = host={server.folder}", "[pgbouncer]"),
            *("listen_addr = 127.0.0.1", f"listen_port = {self.port}", "unix_socket_dir ="),
            *("auth_type = trust", f"auth_file = {users}", f"pool_mode = {mode}"),
            *options,
        ]
        configuration.write_text("\n".join(lines) + "\n")
        self._command = [binary, str(configuration)]
        self._privileges: Sequence[str] = ()
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            self._privileges = (f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups")

    def url(self, server_url: str) -> str:
        """The URL, through the pooler, of the database that its server has at `server_url`."""
        return f"postgresql://headway@127.0.0.1:{self.port}{urlsplit(server_url).path}"

    def start(self) -> None:
        """Return when it accepts connections."""
        life = running(self._command, self._log, cwd=self._folder, privileges=self._privileges)
        self.process = self._stack.enter_context(life)
        wait_until(self._accepts, self.process, self._log)

    def stop(self) -> None:
        """Connections break; new ones are refused."""
        self._stack.close()
        self.process = None

    def _accepts(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True


@contextmanager
def pgbouncer(server: PostgresServer, mode: str, options: Sequence[str] = ()) -> Iterator[PgBouncer]:
    """A started pooler in `mode` (transaction, session or statement), with further lines of its configuration.

    Skips the test, saying how to get the program, where there is none.
    """
    binary = program("pgbouncer")
    with tempfile.TemporaryDirectory(prefix="headway-pgbouncer-", ignore_cleanup_errors=True) as folder:
        pooler = PgBouncer(binary, Path(folder), server, mode, options)
        pooler.start()
        try:
            yield pooler
        finally:
            pooler.stop()
