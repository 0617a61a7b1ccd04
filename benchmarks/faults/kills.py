"""kill -9 at random moments, with stores being written: what was acknowledged must still be there."""

import asyncio
import json
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from random import Random

from tests.servers.postgres import postgres_server

from .record import Injection, Row, fill
from .suite import Run
from .world import WRITES_OFTEN, hooked, newcomers, replicas, settled, triggers
from .writer import Written, missing

FAMILY = "kill -9"
NOTE = "the only replica; often killed again before it answered; rows seen in the file before each kill"
ROOT = Path(__file__).parents[2]
LONGEST_SECONDS = 0.5
"""from the first acknowledged row to the kill"""


def run_family(run: Run) -> None:
    """Writers of both kinds of store, and whole scalers."""
    run.add(_writers(run, "while a process writes SQLite", str(run.place("killed-sqlite")), run.times(100, 8)))
    with postgres_server() as server:
        run.add(_writers(run, "while a process writes PostgreSQL", server.fresh_database(), run.times(60, 5)))
    _scalers(run)


def _writers(run: Run, name: str, place: str, times: int) -> Row:
    row = Row(FAMILY, name, 0, note="rows that the store acknowledged, read after each kill")
    every: list[Written] = []
    for seed in range(times):
        try:
            written = killed_writer(place, seed, run.random)
            checked, lost = asyncio.run(missing(place, written))
        except Exception as error:  # noqa: BLE001  a store that cannot be read any more is a row of the matrix
            row.wrong(f"after kill {seed}: {type(error).__name__}: {error}")
            checked, lost = 0, 1
            written = []
        every += written
        row.injected += 1
        row.checked_rows += checked
        row.lost_rows += lost
    _, lost = asyncio.run(missing(place, every))
    row.lost_rows = max(row.lost_rows, lost)
    return row


def killed_writer(place: str, seed: int, random: Random) -> list[Written]:
    """What a process had acknowledged when it was killed, a random time after its first row."""
    command = [sys.executable, "-m", "benchmarks.faults.writer", place, str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(random.uniform(0, LONGEST_SECONDS))
        process.kill()
        lines = [first, *process.stdout.read().splitlines()]
    found = []
    for line in lines:
        with suppress(ValueError):  # the last line may be cut
            said = json.loads(line)
            if "called" in said:
                found.append(Written(said["called"], said["blocks"]))
    return found


def _scalers(run: Run) -> None:
    """One scaler with SQLite, killed again and again: it must come back with its rows and answer."""
    row = Row(FAMILY, "a whole scaler with SQLite, and a start", 0, note=NOTE)
    folder = run.place("killed-scaler")
    often = hooked(folder, WRITES_OFTEN)
    with replicas(folder, 1, "--prometheus", run.prometheus.url, environment=often) as group:
        wanted = triggers(run.prometheus.url)
        group.until_forecast(wanted)
        with newcomers(group), group.watched(wanted) as watches:
            settled(watches, 1)
            injections = []
            for _ in range(run.times(45, 3)):
                time.sleep(run.random.uniform(0.2, 6))
                start = time.time()
                group.replicas[0].kill()
                before = rows(group.data_dir(0))
                group.replicas[0].restart()
                injections.append(Injection(start, time.time()))
                after = rows(group.data_dir(0))
                row.injected += 1
                row.checked_rows += len(before)
                row.lost_rows += sum(after.get(key, 0) < called for key, called in before.items())
            settled(watches, 1)
            fill(row, watches, injections, time.time())
    run.add(row)


def rows(folder: Path) -> dict[str, float]:
    """Watched triggers in the file of this data directory, with their last calls."""
    with closing(sqlite3.connect(f"file:{folder / 'headway.db'}?mode=ro", uri=True, timeout=10)) as connection:
        return dict(connection.execute("SELECT key, last_called FROM watched").fetchall())
