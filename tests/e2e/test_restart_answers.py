"""A scaler that ended in an orderly way answers at once after its start, as before: with nothing but its database."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from scaler.app.engine import LONGEST_RESTORE_SECONDS
from scaler.commands.check.keda_client import KedaClient, OurTrigger
from scaler.refresh.earlier_outlooks import OLD, UNREADABLE
from tests.e2e.scaler_process import ScalerProcess, scaler_running
from tests.servers.front import front
from tests.servers.postgres import PostgresServer, postgres_server
from tests.servers.process import until
from tests.servers.prometheus import PrometheusServer, Recorded, prometheus

pytestmark = [pytest.mark.server, pytest.mark.e2e]

NAMES = ("api", "shop", "web")
"""of the ScaledObjects; each demands another multiple of the same series"""
BOTH = "forecast_and_observation"
DRAIN = ("--drain-grace", "0.5s")


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    now = time.time() // 60 * 60
    samples = [(now - minute * 60, 100.0 + minute % 3) for minute in range(2 * 1440, -30, -1)]
    with prometheus(tmp_path_factory.mktemp("prometheus"), [Recorded("demand", samples)]) as server:
        yield server


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@dataclass
class Place:
    """A database, how a scaler is told of it, and how it is lost and comes back."""

    option: tuple[str, str]
    lose: Callable[[], None]
    restore: Callable[[], None]
    change: Callable[[str], None]
    """run a statement in it"""


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.fresh_database()
        return Place(("--database", url), server.pause, server.resume, lambda statement: server.execute(url, statement))
    file, locks = tmp_path / "kept.db", list[sqlite3.Connection]()

    def lock() -> None:
        locks.append(sqlite3.connect(file, isolation_level=None))
        locks[-1].execute("BEGIN IMMEDIATE")

    def change(statement: str) -> None:
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute(statement)

    return Place(("--database", f"sqlite:///{file}"), lock, lambda: locks.pop().close(), change)


@dataclass
class Source:
    """A metric server that can go away for good."""

    url: str
    leave: Callable[[], None] = field(repr=False)


@pytest.fixture
def source(metrics: PrometheusServer) -> Iterator[Source]:
    with ExitStack() as stack:
        state = stack.enter_context(front(metrics.url))
        yield Source(state.url, stack.close)


def trigger(name: str, source: Source, threshold: str = "10") -> OurTrigger:
    query = f"demand * {1 + NAMES.index(name)}"
    metadata = {"serverAddress": source.url, "query": query, "threshold": threshold, "leadTime": "5m"}
    return OurTrigger(0, "shop", name, metadata)


def answered(scaler: ScalerProcess, *triggers: OurTrigger) -> dict[str, float | None]:
    """What the first call of each gets."""
    with KedaClient(scaler.grpc_address, timeout_seconds=15) as client:
        return {one.name: client.metrics(one, "headway", "poll").number for one in triggers}


def rungs(scaler: ScalerProcess) -> Mapping[str, str]:
    plans = httpx.get(f"http://{scaler.http_address}/api/v1/plans").json()["plans"]
    return {one["name"]: (one["plan"] or {}).get("rung", "") for one in plans}


def filled(scaler: ScalerProcess, source: Source) -> dict[str, float | None]:
    """Call for all triggers until they are forecast; their answers then."""
    triggers = [trigger(name, source) for name in NAMES]

    def forecast() -> bool:
        answered(scaler, *triggers)
        return rungs(scaler) == dict.fromkeys(NAMES, BOTH)

    until(forecast, 60)
    return answered(scaler, *triggers)


@contextmanager
def replica(folder: Path, place: Place, source: Source, name: str = "scaler") -> Iterator[ScalerProcess]:
    with scaler_running(folder, "--allow-server-address", source.url, *place.option, *DRAIN, name=name) as scaler:
        yield scaler


@contextmanager
def lost(place: Place) -> Iterator[None]:
    """While the database takes connections, and answers nothing."""
    place.lose()
    try:
        yield
    finally:
        place.restore()


def is_ready(scaler: ScalerProcess) -> bool:
    return httpx.get(f"http://{scaler.http_address}/readyz").status_code == httpx.codes.OK


def events(scaler: ScalerProcess, name: str) -> list[Mapping[str, object]]:
    lines = [json.loads(line) for line in scaler.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == name]


def lived(folder: Path, place: Place, source: Source) -> dict[str, float | None]:
    """The answers of a scaler that has ended in an orderly way."""
    with replica(folder, place, source) as scaler:
        before = filled(scaler, source)
        assert scaler.terminate() == 0
        assert events(scaler, "outlooks_not_stored") == []
    return before


def close(answers: Mapping[str, float | None], before: Mapping[str, float | None]) -> bool:
    """Whether all are what they were, or nearly: the rule of the HPA's tolerance."""
    pairs = [(answers[name], before[name]) for name in before]
    return all(now is not None and then is not None and abs(now / then - 1) < 0.1 for now, then in pairs)


def test_an_orderly_restart_answers_at_once_without_any_source(tmp_path: Path, place: Place, source: Source) -> None:
    """The first call of each trigger; one that was edited meanwhile, and one that nobody knows, get an error and no
    number of before."""
    before = lived(tmp_path, place, source)
    source.leave()
    with replica(tmp_path, place, source) as scaler:
        assert close(answered(scaler, *(trigger(name, source) for name in NAMES)), before)
        until(lambda: rungs(scaler) == dict.fromkeys(NAMES, BOTH))
        assert answered(scaler, trigger("web", source, threshold="20")) == {"web": None}
        until(lambda: events(scaler, "outlooks_taken_up") != [])
        assert scaler.terminate() == 0
    with replica(tmp_path, place, source) as scaler:
        answers = answered(scaler, *(trigger(name, source) for name in NAMES))
    assert close(answers, before), "a second restart still knows them, with the time at which they were observed"


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE outlooks SET at = at - 1000", OLD),
        ("UPDATE outlooks SET record = substr(record, 1, 400)", UNREADABLE),
    ],
    ids=["old", "damaged"],
)
def test_a_row_that_does_not_count_is_as_no_row(
    tmp_path: Path, place: Place, source: Source, statement: str, reason: str
) -> None:
    """Every trigger begins anew, the source answers, and the log says why."""
    lived(tmp_path, place, source)
    place.change(statement)
    with replica(tmp_path, place, source) as scaler:
        assert all(answered(scaler, *(trigger(name, source) for name in NAMES)).values())
        until(lambda: events(scaler, "restored") != [])
        ignored = [(line["reason"], line["count"]) for line in events(scaler, "outlooks_ignored")]
        assert ignored == [(reason, len(NAMES))]
        assert events(scaler, "outlooks_taken_up") == []


def test_a_killed_process_leaves_nothing(tmp_path: Path, place: Place, source: Source) -> None:
    """Without a source its successor has no answer, and invents none."""
    with replica(tmp_path, place, source) as scaler:
        filled(scaler, source)
        scaler.kill()
    source.leave()
    with replica(tmp_path, place, source) as scaler:
        assert answered(scaler, *(trigger(name, source) for name in NAMES)) == dict.fromkeys(NAMES)


def test_a_database_that_is_away_at_the_end_holds_nothing_up(tmp_path: Path, place: Place, source: Source) -> None:
    """The process ends within its limits, and the next one begins as it would without outlooks."""
    with replica(tmp_path, place, source) as scaler:
        filled(scaler, source)
        with lost(place):
            scaler.terminate()
        assert events(scaler, "stop_cut_off") == []
        assert events(scaler, "outlooks_not_stored") != []
    with replica(tmp_path, place, source) as scaler:
        assert all(answered(scaler, *(trigger(name, source) for name in NAMES)).values())


def test_a_database_that_is_away_at_the_start_holds_nothing_up(tmp_path: Path, place: Place, source: Source) -> None:
    """The source answers for all triggers meanwhile."""
    lived(tmp_path, place, source)
    with lost(place), replica(tmp_path, place, source) as scaler:
        assert all(answered(scaler, *(trigger(name, source) for name in NAMES)).values())
        until(lambda: is_ready(scaler), LONGEST_RESTORE_SECONDS + 15)
        assert events(scaler, "restored") == []


def test_replicas_of_one_database_all_go_on(tmp_path: Path, postgres: PostgresServer, source: Source) -> None:
    """Two without Redis end one after the other, and two start: neither takes away what the other one needs."""
    url = postgres.fresh_database()
    place = Place(("--database", url), postgres.pause, postgres.resume, lambda _: None)
    with replica(tmp_path, place, source, "one") as one, replica(tmp_path, place, source, "two") as two:
        before = filled(one, source)
        filled(two, source)
        assert [one.terminate(), two.terminate()] == [0, 0]
    source.leave()
    with replica(tmp_path, place, source, "one") as one, replica(tmp_path, place, source, "two") as two:
        for each in (one, two):
            assert close(answered(each, *(trigger(name, source) for name in NAMES)), before)
