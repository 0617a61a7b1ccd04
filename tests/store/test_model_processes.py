"""Processes that change the index of models at once, and one that is killed in the middle of a change."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scaler.models import ALL, Champion, Kind, ModelDecision, ModelVersion
from scaler.store.model_index import open_model_index
from tests.servers.postgres import postgres_server

NOW = 1_700_006_400.0

PROMOTE = """
import asyncio, os, signal, sys
from scaler.models import ALL, ChampionChanged, Kind, ModelDecision
from scaler.store.model_index import open_model_index
from scaler.store.stored_models import SqlModels

url, model, expected, killed = sys.argv[1:]
record = SqlModels._record

async def killed_before_commit(self, connection, decision):
    if killed == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    await record(self, connection, decision)
    if killed == "within":
        os.kill(os.getpid(), signal.SIGKILL)

SqlModels._record = killed_before_commit

async def main():
    index = open_model_index(url, None)
    decision = ModelDecision(1_700_006_500.0, Kind.PROMOTED, model, "a process")
    try:
        await index.promote(ALL, model, expected or None, decision, 3600.0)
    except ChampionChanged:
        print("lost")
    else:
        if killed == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        print("won")
    await index.close()

asyncio.run(main())
"""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with the versions own@1, own@2 and own@3."""
    if request.param == "sqlite":
        fill(f"sqlite:///{tmp_path}/headway.db")
        yield f"sqlite:///{tmp_path}/headway.db"
        return
    with postgres_server() as server:
        database = server.fresh_database()
        fill(database)
        yield database


def fill(url: str) -> None:
    async def work() -> None:
        index = open_model_index(url, None)
        for number in "123":
            version = ModelVersion("own", number, "b", {"graph_sha256": number * 64}, NOW)
            await index.publish(version, ModelDecision(NOW, Kind.PUBLISHED, version.model, "a test"))
        await index.close()

    asyncio.run(work())


def found(url: str) -> tuple[dict[str, Champion], list[ModelDecision]]:
    """The champions, and the promotions in the log."""

    async def work() -> tuple[dict[str, Champion], list[ModelDecision]]:
        index = open_model_index(url, None)
        champions, decisions = await index.champions(), await index.decisions(100)
        await index.close()
        return champions, [one for one in decisions if one.kind is Kind.PROMOTED]

    return asyncio.run(work())


def begin(url: str, model: str, expected: str = "", killed: str = "") -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", PROMOTE, url, model, expected, killed]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_of_processes_that_promote_at_once_one_wins(url: str) -> None:
    """The others are told; the log has one promotion, and it is that of the champion."""
    processes = [begin(url, f"own@{number}") for number in "123"]
    said = [process.communicate(timeout=120)[0].strip() for process in processes]
    assert sorted(said) == ["lost", "lost", "won"]
    champions, promotions = found(url)
    assert [one.model for one in promotions] == [champions[ALL].model] == [f"own@{said.index('won') + 1}"]


def test_kill_9_in_the_middle_of_a_promotion(url: str) -> None:
    """Before the end of the transaction all is as before, after it all is there; the next promotion works."""
    for killed in ("before", "within"):
        process = begin(url, "own@1", killed=killed)
        process.communicate(timeout=120)
        assert process.returncode == -9
        assert found(url) == ({}, [])
    process = begin(url, "own@1", killed="after")
    process.communicate(timeout=120)
    assert process.returncode == -9
    champions, promotions = found(url)
    assert champions[ALL].model == "own@1"
    assert [one.model for one in promotions] == ["own@1"]
    assert begin(url, "own@2", "own@1").communicate(timeout=120)[0].strip() == "won"
    assert found(url)[0][ALL].previous == "own@1"
