"""A scaler process that is killed while it writes scores, and the one that starts after it with the same database."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from scaler.scored import ScoredDay, ScoresAsked
from scaler.store.schema import scores
from scaler.store.sql_scores import scores_beside
from scaler.store.sql_store import SqlStore, open_store
from tests.servers.postgres import postgres_server

BEGIN = 1_700_006_400
HOUR, MINUTE = BEGIN // 3600, 60
TRIGGERS, WRITTEN_TOGETHER = 5, 2

SCALER = f"""
import asyncio, os, signal, sys
from pathlib import Path
from scaler.app.service import Service
from scaler.clock import AcceleratedClock
from scaler.refresh import keeping_scores
from scaler.settings import Settings
from scaler.store import sql_scores
from scaler.testing import FixedSource

url, folder, begin, scored, killed = sys.argv[1:]
keeping_scores.HOURS_WRITTEN = {WRITTEN_TOGETHER}
execute, save, transactions = sql_scores.execute, sql_scores.SqlScores.save, []

def die_if(moment):
    if killed == moment and len(transactions) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

async def counted(connection, statement, rows):
    transactions.append(rows)
    await execute(connection, statement, rows)
    die_if("within")

async def saved(self, hours):
    await save(self, hours)
    die_if("after")

sql_scores.execute, sql_scores.SqlScores.save = counted, saved

def least(registry):
    found = [one.scores().of("2 min") if one.scores() else None for one in registry]
    return min(0 if one is None else one.count for one in found)

async def main():
    metadata = {{"serverAddress": "http://prometheus:9090", "query": "demand", "threshold": "10"}}
    listed = [{{"namespace": "shop", "name": f"app-{{n}}", "metadata": metadata}} for n in range({TRIGGERS})]
    settings = Settings(
        triggers=listed, allow_server_address=["http://prometheus:9090"], database=url or None, data_dir=Path(folder),
        grpc_address="127.0.0.1:0", http_address="127.0.0.1:0", drain_grace="1ms",
    )
    service = Service(
        settings, FixedSource(lambda trigger, at: 50.0 + at // 60 % 10), AcceleratedClock(100, float(begin))
    )
    await service.start()
    while not float(scored) or len(service.registry) < {TRIGGERS} or least(service.registry) < float(scored):
        await asyncio.sleep(0.05)
    await service.stop()

asyncio.run(main())
"""


class Place(NamedTuple):
    url: str
    folder: Path


class Row(NamedTuple):
    name: str
    hour: int
    lead: str
    part: str
    minutes: float
    forecasts: float


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "sqlite":
        yield Place("", tmp_path)
        return
    with postgres_server() as server:
        yield Place(server.fresh_database(), tmp_path)


def lives(place: Place, begin: int, scored: int = 0, killed: str = "") -> int:
    """The exit status of a scaler that starts at `begin`, and ends in good order when it knows so many scores of each
    trigger, those from the store included; never with 0. killed: `within` or `after` its second transaction of them."""
    options = (place.url, place.folder, str(begin), str(scored), killed)
    return subprocess.run([sys.executable, "-c", SCALER, *options], timeout=240, check=False).returncode


def stored(place: Place) -> set[Row]:
    async def rows(connection: AsyncConnection) -> Sequence[Any]:
        return (await connection.execute(select(*(scores.c[name] for name in Row._fields)))).all()

    async def read() -> set[Row]:
        store = open_store(place.url or None, place.folder)
        assert isinstance(store, SqlStore)
        found = {Row(*row) for row in await store.database.run(rows)}
        await store.close()
        return found

    return asyncio.run(read())


def shown(place: Place) -> Mapping[str, ScoredDay]:
    """What `headway scores` reads of the lead of two minutes, by name."""

    async def read() -> dict[str, ScoredDay]:
        store = open_store(place.url or None, place.folder)
        names = [f"app-{number}" for number in range(TRIGGERS)]
        asked = [ScoresAsked("shop", name, "2 min", (HOUR, HOUR + 4)) for name in names]
        found = {one.name: await scores_beside(store).days(one) for one in asked}
        await store.close()
        return {name: day for name, days in found.items() for day in days}

    return asyncio.run(read())


def assert_counted_once(place: Place) -> None:
    """No process has two rows of an hour, nor more forecasts two minutes ahead than it has noted two minutes before its
    end; the rows of an hour have no more minutes than it has, and what is shown is what was written."""
    rows = stored(place)
    processes = [(row.name, row.lead, row.hour, row.part[:8]) for row in rows]
    assert len(processes) == len(set(processes))
    for name, lead, hour in {(row.name, row.lead, row.hour) for row in rows}:
        assert sum(row.minutes for row in rows if (row.name, row.lead, row.hour) == (name, lead, hour)) <= 60
    for name, day in shown(place).items():
        written = [row for row in rows if row.name == name and row.lead == "2 min"]
        for process in {row.part[:8] for row in written}:
            of_process = [row for row in written if row.part[:8] == process]
            assert sum(row.forecasts for row in of_process) <= sum(row.minutes for row in of_process) - 2
        assert day.minutes == pytest.approx(sum(row.minutes for row in written))
        assert day.sums[0] == pytest.approx(sum(row.forecasts for row in written))


def names(rows: set[Row]) -> set[str]:
    return {row.name for row in rows}


@pytest.mark.parametrize("killed", ["within", "after"])
def test_killed_after_the_full_hour(place: Place, killed: str) -> None:
    """What is written stays, whole transactions of it. What is not is lost: the hour that was being written, of some
    triggers, and the one under way. The next process counts on from its start."""
    assert lives(place, BEGIN + 52 * MINUTE, killed=killed) == -9
    before = stored(place)
    (hour,) = {row.hour for row in before}
    assert len(names(before)) == WRITTEN_TOGETHER * (2 if killed == "after" else 1)
    assert lives(place, (hour + 1) * 3600 + 5 * MINUTE, scored=1) == 0
    after = stored(place)
    assert {row for row in after if row.hour <= hour} == before
    assert len(names(after - before)) == TRIGGERS
    assert_counted_once(place)


@pytest.mark.parametrize("killed", ["within", "after"])
def test_killed_while_it_ends(place: Place, killed: str) -> None:
    """The hour under way is written at the end. The next process adds the rest of the hour to it."""
    assert lives(place, BEGIN + 5 * MINUTE, scored=8, killed=killed) == -9
    before = stored(place)
    assert len(names(before)) == WRITTEN_TOGETHER * (2 if killed == "after" else 1)
    assert lives(place, BEGIN + 35 * MINUTE, scored=1) == 0
    after = stored(place)
    assert before < after
    assert len(names(after - before)) == TRIGGERS
    assert {row.hour for row in after} == {HOUR}
    assert_counted_once(place)
