"""A schedule that was learned outlives the process, to the minute: killed, and started beside a Prometheus that has
lost its past."""

import json
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import httpx
import pytest

from scaler.commands.check.keda_client import KedaClient, OurTrigger
from tests.e2e.scaler_process import ScalerProcess, scaler_running
from tests.servers.front import Asked, Front, Instead, front
from tests.servers.prometheus import Recorded, prometheus

pytestmark = [pytest.mark.server, pytest.mark.e2e, pytest.mark.alone]

MINUTE, HOUR, DAY = 60, 3600, 86400
QUIET, BUSY = 20.0, 1000.0
AHEAD = 15 * MINUTE
"""from the start of the test to the moment at which demand rises every day"""
KNOWN = re.compile(r"\d+ of 1[34]\b")
"""in a reason: of the past days, those that know the demand"""
NOTHING = b'{"status": "success", "data": {"resultType": "matrix", "result": []}}'


@pytest.fixture(scope="module")
def edge() -> float:
    return time.time() // MINUTE * MINUTE + AHEAD


@pytest.fixture(scope="module")
def metrics(edge: float, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Fifteen days on which demand rises at the same minute, for twenty minutes."""
    begin = edge - AHEAD - 15 * DAY
    moments = [begin + MINUTE * n for n in range(15 * 1440 + 30)]
    demand = [(at, BUSY if (at - edge) % DAY < 20 * MINUTE else QUIET) for at in moments]
    with (
        prometheus(tmp_path_factory.mktemp("schedule") / "prometheus", [Recorded("demand", demand)]) as server,
        front(server.url) as state,
    ):
        yield state


def trigger(number: int, server: str, lead_minutes: int) -> OurTrigger:
    metadata = {
        "scalerAddress": "dns:///headway:50051",
        "serverAddress": server,
        "query": "demand",
        "threshold": "10",
        "leadTime": f"{lead_minutes}m",
    }
    return OurTrigger(number, "shop", f"lead-{lead_minutes}", metadata)


def plans(scaler: ScalerProcess) -> dict[str, dict[str, object]]:
    with urlopen(f"http://{scaler.http_address}/api/v1/plans", timeout=5) as answer:
        return {one["name"]: one["plan"] or {} for one in json.load(answer)["plans"]}


def until_known(scaler: ScalerProcess, triggers: list[OurTrigger], seconds: float = 90) -> dict[str, float]:
    """Call as KEDA does until past days make up the forecasts; the values then, by name."""
    deadline = time.monotonic() + seconds
    with KedaClient(scaler.grpc_address) as client:
        while time.monotonic() < deadline:
            given = {one.name: client.metrics(one, "headway", "poll").number for one in triggers}
            found = plans(scaler)
            if all(KNOWN.search(json.dumps(found.get(one.name, {}))) for one in triggers):
                return {name: value for name, value in given.items() if value is not None}
            time.sleep(1)
    raise AssertionError(f"past days are not known after {seconds} s: {json.dumps(plans(scaler))}")


def until_stored(data: Path, days: int, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        connection = sqlite3.connect(f"file:{data}/headway.db?mode=ro", uri=True)
        (count,) = connection.execute("SELECT count(*) FROM minutes").fetchone()
        connection.close()
        if count >= days:
            return
        time.sleep(0.5)
    raise AssertionError(f"{count} days are stored after {seconds} s")


def last_hour_only(metrics: Front) -> None:
    """From now on the server has lost what is older than an hour."""
    kept_since = time.time() - HOUR

    def clip(asked: Asked) -> Instead | None:
        if not asked.path.endswith("/query_range") or float(asked.parameters["start"]) >= kept_since:
            return None
        if float(asked.parameters["end"]) < kept_since:
            return Instead(NOTHING)
        step = float(asked.parameters["step"].removesuffix("s"))
        start = (kept_since // step + 1) * step
        clipped = {**asked.parameters, "start": f"{start}"}
        return Instead(httpx.post(f"{metrics.upstream}{asked.path}", data=clipped, timeout=10).content)

    metrics.rules.append(clip)


def test_a_schedule_outlives_a_kill(metrics: Front, edge: float, tmp_path: Path) -> None:
    """The trigger that looks over the edge gets what is coming, and the one that looks to a few minutes before it does
    not: after the restart as before it."""
    before, over = trigger(0, metrics.url, 4), trigger(1, metrics.url, AHEAD // MINUTE + 1)
    options = ("--allow-server-address", metrics.url, "--refresh-interval", "5s")
    with scaler_running(tmp_path, *options) as scaler:
        until_known(scaler, [before, over])
        until_stored(tmp_path / "scaler-data", 15)
        scaler.kill()
    last_hour_only(metrics)
    metrics.asked.clear()
    with scaler_running(tmp_path, *options) as scaler:
        given = until_known(scaler, [before, over])
    assert time.time() < edge - 6 * MINUTE, "too slow to look at both sides of the edge"
    assert given[over.name] == pytest.approx(BUSY, rel=0.1)
    assert given[before.name] < 3 * QUIET
    by_minute = [one for one in list(metrics.asked) if one.parameters.get("step") in ("60", "60s", "60.0")]
    assert by_minute
    assert min(float(one.parameters["start"]) for one in by_minute) > time.time() - DAY - HOUR
