"""Retraining against a real Prometheus and a database: what is published, refused, left out, and gone on with."""

import asyncio
import multiprocessing
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scaler.forecast.onnx_forecaster import load_forecaster
from scaler.models import ALL, Kind, ModelDecision, ModelIndex, ModelVersion
from scaler.models.changing import Author, ask_for_retraining
from tests.servers.postgres import postgres_server
from tests.servers.prometheus import PrometheusServer
from tests.training.lifecycle.workloads import BAD, GOOD, STEP, asked_of, demand, opening, watch, watched
from tests.training.recording import write_values
from training.errors import DataError
from training.experiment.train import Order, run
from training.lifecycle import lease
from training.lifecycle.gate import BOUNDS, Bounds
from training.lifecycle.publishing import Release, publish
from training.lifecycle.retraining import Around, Asked, Outcome, retrain
from training.lifecycle.work import FolderTaken, working_in

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    with demand(tmp_path_factory.mktemp("prometheus") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def poor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that has learned from noise: a p90 of it is far too high."""
    folder = tmp_path_factory.mktemp("poor")
    noise = np.random.default_rng(1).lognormal(4, 1.5, 4 * 288)
    data = write_values(folder / "noise.csv", noise=noise)
    run(Order("naive", (data,), folder / "poor", STEP, windows=50, name="poor"))
    return folder / "poor"


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty one that knows four triggers."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'headway.db'}"
        watch(url)
        yield url
        return
    with postgres_server() as running:
        url = running.fresh_database()
        watch(url)
        yield url


WIDE = Bounds(loss=9, over_naive=9, worst_loss=99, unserved=9, mean_unserved=9, worst_unserved=99)
"""that every model keeps which was measured"""


def asked(tmp_path: Path, **more: object) -> Asked:
    """Two series in steps of five minutes, a recipe that is fitted at once, one short replay."""
    usual = {"recipes": ("naive",), "step_seconds": STEP, "since_seconds": 6 * 86_400.0, "windows": 50}
    quick = {"replay_days": 0.25, "most_replayed": 1, "bounds": WIDE}
    return Asked(str(tmp_path / "bundles"), **{**usual, **quick, **more})  # type: ignore[arg-type]


def retrained(
    database: str, server: PrometheusServer, tmp_path: Path, told: list[str] | None = None, **more: object
) -> Outcome:
    said = (told if told is not None else []).append
    around = Around(opening(database), tmp_path / "work", server.url, said=said)
    return retrain(asked(tmp_path, **more), watched(database, server.url), around)


class Stuck:
    """An index whose next publishing never comes to an end."""

    def __init__(self, index: ModelIndex, said: Callable[[str], None]) -> None:
        self._index, self._said = index, said

    def __getattr__(self, name: str) -> Any:
        return getattr(self._index, name)

    async def publish(self, version: ModelVersion, decision: ModelDecision) -> bool:
        self._said(PLACED)
        return await asyncio.Event().wait()


PLACED = "the files are in place"


def retrain_and_tell(told: Connection, database: str, server: str, tmp_path: Path) -> None:
    """In a process of its own: every line that is said goes to `told`, and publishing gets stuck."""
    around = Around(lambda: Stuck(opening(database)(), told.send), tmp_path / "work", server, said=told.send)
    retrain(asked(tmp_path, force=True), watched(database, server), around)


def kill_after(line: str, database: str, server: str, tmp_path: Path) -> None:
    """A retraining begins, and is killed when it has said this."""
    spawn = multiprocessing.get_context("spawn")
    hears, told = spawn.Pipe(duplex=False)
    process = spawn.Process(target=retrain_and_tell, args=(told, database, server, tmp_path))
    process.start()
    told.close()
    heard: list[str] = []
    try:
        while line not in heard:
            heard.append(hears.recv())
    except EOFError:
        pytest.fail(f"it ended without {line!r}, after {heard}")
    finally:
        process.kill()
        process.join()


def published_by_hand(database: str, folder: Path, tmp_path: Path) -> str:
    """The bundle is the champion of all, without having been judged."""
    release = Release(folder, str(tmp_path / "bundles"), by="a test")
    return asked_of(database, lambda index: publish(index, release, None, None)).model


def decisions(database: str) -> list[ModelDecision]:
    """The oldest first."""
    return asked_of(database, lambda index: index.decisions(20))[::-1]


def test_a_model_that_passes_becomes_the_champion(database: str, server, poor, tmp_path) -> None:
    """It is published at its place, promoted on probation, with its figures in the log; the next one is refused: it has
    learned the same. Triggers that cannot be learned from are named and disturb nobody."""
    before = published_by_hand(database, poor, tmp_path)
    outcome = retrained(database, server, tmp_path, force=True)
    assert outcome.done == "published", outcome.verdict and outcome.verdict.reasons
    assert outcome.triggers == tuple(sorted(GOOD))
    assert {name: rule in outcome.left_out[name] for name, rule in BAD.items()} == dict.fromkeys(BAD, True)
    champion = asked_of(database, lambda index: index.champions())[ALL]
    assert (champion.model, champion.previous) == (outcome.model, before)
    assert champion.probation_until is not None
    assert load_forecaster(tmp_path / "bundles" / outcome.model).model == outcome.model
    log = decisions(database)
    began = Kind.RETRAINING_BEGAN
    assert [one.kind for one in log[2:]] == [began, Kind.PUBLISHED, Kind.PROMOTED, Kind.RETRAINED]
    assert {"loss_ratio", "unserved_ratio", "parity", "size_ratio", "seconds_ratio"} <= set(log[3].figures)
    asked_of(database, lambda index: ask_for_retraining(index, Author("alice", time.time()), ALL))
    again = retrained(database, server, tmp_path, bounds=BOUNDS)
    assert (again.done, again.why) == ("refused", ("asked for",))
    assert asked_of(database, lambda index: index.champions())[ALL] == champion
    assert [one.kind for one in decisions(database)[6:]] == [
        *(Kind.RETRAINING_ASKED, began, Kind.REFUSED, Kind.RETRAINED),
    ]
    assert retrained(database, server, tmp_path).done == "nothing"


def test_no_trigger_can_be_learned_from(tmp_path, server) -> None:
    """The reason of each is in the error, and in the log."""
    url = f"sqlite:///{tmp_path / 'headway.db'}"
    watch(url, tuple(BAD))
    with pytest.raises(DataError, match="shop/still"):
        retrained(url, server, tmp_path)
    assert [one.kind for one in decisions(url)] == [Kind.RETRAINING_BEGAN, Kind.RETRAINING_FAILED]
    assert "shop/still" in decisions(url)[1].reason


def test_killed_and_run_again(server, poor, tmp_path) -> None:
    """Killed after the training, and again when the files are in place and the index does not know them: the third run
    goes on, publishes once, and what was trained is not trained again."""
    database = f"sqlite:///{tmp_path / 'headway.db'}"
    watch(database)
    published_by_hand(database, poor, tmp_path)
    for last in ("trained naive", PLACED):
        kill_after(last, database, server.url, tmp_path)
    (placed,) = (tmp_path / "bundles").glob("naive@*")
    assert [one.model for one in asked_of(database, lambda index: index.versions())] == [load_forecaster(poor).model]
    told: list[str] = []
    outcome = retrained(database, server, tmp_path, told, force=True)
    assert outcome.model == placed.name
    assert told[0].startswith("going on after: ")
    assert not any(line.startswith(("pulled", "trained")) for line in told)
    kinds = [Kind.RETRAINING_BEGAN, Kind.PUBLISHED, Kind.PROMOTED, Kind.RETRAINED]
    assert [one.kind for one in decisions(database)[2:]] == kinds
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["lock"]


def test_never_two_at_once(tmp_path, server) -> None:
    """The second one is told who has the lease and until when, and changes nothing; a folder is for one process."""
    database = f"sqlite:///{tmp_path / 'headway.db'}"
    watch(database)
    with lease.held(opening(database), "another machine"):
        with pytest.raises(lease.LeaseTaken, match=r"another machine retrains; its lease runs until 20\d\d-"):
            retrained(database, server, tmp_path)
        assert decisions(database) == []
    with lease.held(opening(database), "a third one") as mine:
        mine.check()
    with working_in(tmp_path / "work", {}, 0.0, 1.0), pytest.raises(FolderTaken, match="another process retrains"):
        retrained(database, server, tmp_path)


def test_a_lease_that_was_lost_publishes_nothing() -> None:
    """As after a database that was away for longer than the lease."""
    lost = lease.Lease("this one", until=0.0)
    with pytest.raises(lease.LeaseLost):
        lost.check()
