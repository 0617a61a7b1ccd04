"""Backup and restore, with the commands of docs/operations.md: history that Prometheus no longer has is kept."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest

from scaler.commands.check.keda_client import KedaClient, OurTrigger
from tests.e2e.scaler_process import ScalerProcess, scaler_running
from tests.servers.postgres import PostgresServer, postgres_server
from tests.servers.process import until
from tests.servers.prometheus import PrometheusServer, Recorded, prometheus

pytestmark = [pytest.mark.server, pytest.mark.e2e]

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
SQLITE_BACKUP = (
    "import sqlite3, sys; sys.stdout.buffer.write(sqlite3.connect('/var/lib/headway/headway.db').serialize())"
)
PG_DUMP = "pg_dump --format=custom --file=headway.dump"
PG_RESTORE = "pg_restore --no-owner --exit-on-error --dbname="
DAYS = 10
ROWS = "SELECT count(*) FROM long_history"


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    now = time.time() // 60 * 60
    samples = [(now - minute * 60, 100.0 + minute % 60) for minute in range(DAYS * 1440, -10, -1)]
    with prometheus(tmp_path_factory.mktemp("prometheus"), [Recorded("demand", samples)]) as server:
        yield server


def filled(folder: Path, metrics: PrometheusServer, rows: Callable[[], int], *options: str) -> None:
    """Run a process until it has stored the past of a trigger, which it does when it stops."""
    for pause in (2, 5, 15):  # history comes after the first answer, in its own time
        with scaler_running(folder, *options, name="first") as scaler:
            watch(scaler, metrics)
            time.sleep(pause)
            assert scaler.terminate() == 0
        if rows() > DAYS:
            return
    raise AssertionError(f"{rows()} rows stored")


def watch(scaler: ScalerProcess, metrics: PrometheusServer) -> None:
    """Call as KEDA does until there is an answer."""
    metadata = {"serverAddress": metrics.url, "query": "demand", "threshold": "10"}
    with KedaClient(scaler.grpc_address) as client:
        until(lambda: client.metrics(OurTrigger(0, "shop", "web", metadata), "headway", "poll").number is not None)


def restored(scaler: ScalerProcess) -> int:
    """How many watched triggers a process found in its database, by its log."""
    until(lambda: '"event": "restored"' in scaler.log.read_text())
    [event] = [line for line in map(json.loads, scaler.log.read_text().splitlines()) if line["event"] == "restored"]
    return int(event["triggers"])


def test_a_sqlite_file_is_copied_while_it_is_in_use(tmp_path: Path, metrics: PrometheusServer) -> None:
    """The copy is complete, what is still in the write-ahead log included; a new process goes on from it."""
    assert SQLITE_BACKUP in PAGE
    allowed = ("--allow-server-address", metrics.url)
    file = tmp_path / "first-data" / "headway.db"
    filled(tmp_path, metrics, lambda: rows_of(file), *allowed)
    with scaler_running(tmp_path, *allowed, name="first") as scaler, closing(sqlite3.connect(file)) as writer:
        restored(scaler)
        before = rows_of(file)
        writer.execute("INSERT INTO long_history SELECT 'late', block_seconds, page, blocks FROM long_history LIMIT 1")
        writer.commit()  # in the write-ahead log until the last connection closes
        command = SQLITE_BACKUP.replace("/var/lib/headway/headway.db", str(file))
        copy = subprocess.run([sys.executable, "-c", command], check=True, capture_output=True).stdout
    (tmp_path / "second-data").mkdir()
    restored_file = tmp_path / "second-data" / "headway.db"
    restored_file.write_bytes(copy)
    assert rows_of(restored_file) == before + 1 > DAYS
    with scaler_running(tmp_path, *allowed, name="second") as scaler:
        assert restored(scaler) == 1


def rows_of(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute(ROWS).fetchone()[0])


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


def test_a_postgresql_database_is_dumped_and_restored(
    tmp_path: Path, metrics: PrometheusServer, postgres: PostgresServer
) -> None:
    """pg_dump while Headway runs, pg_restore into an empty database: a new process goes on from it."""
    assert PG_DUMP in PAGE
    assert PG_RESTORE in PAGE
    allowed = ("--allow-server-address", metrics.url)
    old, new = postgres.fresh_database(), postgres.fresh_database()
    filled(tmp_path, metrics, lambda: count(old), *allowed, "--database", old)
    with scaler_running(tmp_path, *allowed, "--database", old, name="first") as scaler:
        restored(scaler)
        run_tool(postgres, tmp_path, *PG_DUMP.split(), old)
    run_tool(postgres, tmp_path, *PG_RESTORE.removesuffix("--dbname=").split(), f"--dbname={new}", "headway.dump")
    assert count(new) == count(old) > DAYS
    with scaler_running(tmp_path, *allowed, "--database", new, name="second") as scaler:
        assert restored(scaler) == 1


def run_tool(server: PostgresServer, folder: Path, program: str, *arguments: str) -> None:
    environment = {"PATH": f"{server.binaries}:{os.environ['PATH']}"}
    subprocess.run([str(server.binaries / program), *arguments], check=True, cwd=folder, env=environment)


def count(url: str) -> int:
    async def ask() -> int:
        connection = await asyncpg.connect(url)
        try:
            return int(await connection.fetchval(ROWS))
        finally:
            await connection.close()

    return asyncio.run(ask())
