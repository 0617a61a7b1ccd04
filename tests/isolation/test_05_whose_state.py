"""Point 5: state knows whose it is, with real databases that several installations or settings share.

The keys themselves are tested in tests/trigger/test_trigger.py; tests/isolation/test_05_shared_cache.py does the same
for Redis.
"""

import asyncio
import json
import sqlite3
import time
from pathlib import Path

import asyncpg
import numpy as np
import pytest

from scaler.forecast.cache import MemoryCache
from scaler.refresh.checkpoint import Checkpoint
from scaler.refresh.loop import Refresh, RefreshSettings
from scaler.registry import Registry
from scaler.series import Blocks
from scaler.settings import Settings
from scaler.settings.rules import trigger_rules
from scaler.store import Store
from scaler.store.sql_store import open_store
from scaler.telemetry.metrics import Telemetry
from scaler.testing import FixedSource, ManualClock, ScriptedForecaster
from scaler.trigger import Trigger, parse_trigger
from tests.refresh.test_refresh import GRID, Chosen, rising, steady
from tests.servers.postgres import PostgresServer

METADATA = {"query": "sum(demand)", "threshold": "10"}
NOW = 1_700_006_400.0
BLOCK = GRID.coarse_seconds
DAY = 86_400
pytestmark = pytest.mark.server


class Scaler:
    """A replica that has just started, with these settings, on a database."""

    def __init__(self, url: str, now: float = NOW, **settings: object) -> None:
        given = Settings(**{"prometheus": "http://p:9090", "database": url, **settings})
        self.clock = ManualClock(now)
        self.store: Store = open_store(url, None, given.installation)
        self.registry = Registry(trigger_rules(given), 15.0)
        refresh = Refresh(
            self.registry,
            FixedSource(steady),
            Chosen(ScriptedForecaster(rising, GRID)),
            MemoryCache(),
            self.store,
            self.clock,
            Telemetry(),
            RefreshSettings(),
        )
        self.checkpoint = Checkpoint(self.registry, refresh.tracking, self.store, self.clock, Telemetry(), 3600.0)

    def trigger(self, **metadata: str) -> Trigger:
        return parse_trigger("shop", "web", METADATA | metadata, self.registry.rules)

    async def watch(self, demand: float) -> None:
        """KEDA calls, and a day of history is stored."""
        self.registry.register("shop", "web", METADATA, self.clock.now())
        await self.checkpoint.write()
        values = np.full(8, demand, np.float32)
        day = Blocks(NOW - DAY + BLOCK * np.arange(8), values, values)
        await self.store.save_blocks({self.trigger().history_key: day}, BLOCK, 0.0)

    async def history(self, **metadata: str) -> set[float]:
        key = self.trigger(**metadata).history_key
        found = await self.store.load_blocks([key], BLOCK, 0.0)
        return set(found[key].mean.tolist()) if key in found else set()


@pytest.fixture
def database(postgres: PostgresServer) -> str:
    return postgres.fresh_database()


async def test_two_installations_on_one_database_share_nothing(database: str) -> None:
    """The same ScaledObject in both: each has its own trigger and its own demand, and restores only its own."""
    staging, production = Scaler(database, installation="staging"), Scaler(database, installation="production")
    await staging.watch(3.0)
    await production.watch(1000.0)
    assert (await staging.history(), await production.history()) == ({3.0}, {1000.0})
    for name in ("staging", "production"):
        assert await Scaler(database, installation=name).checkpoint.restore() == 1
    assert await Scaler(database, installation="third").checkpoint.restore() == 0
    assert await Scaler(database).checkpoint.restore() == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"prometheus": "http://other:9090"},
        {"prometheus_tenant": "team-b"},
        {"prometheus_tenant": "team-a", "prometheus_tenant_header": "X-Other"},
    ],
)
async def test_another_server_or_tenant_has_no_old_history(database: str, changed: dict[str, str]) -> None:
    """After the setting was changed the same trigger is watched, and begins with an empty past."""
    settings = {"prometheus_tenant": "team-a"}
    await Scaler(database, **settings).watch(1000.0)
    restarted = Scaler(database, **settings | changed)
    assert await restarted.checkpoint.restore() == 1
    assert [one.trigger.key for one in restarted.registry] == [restarted.trigger().key]
    assert await restarted.history() == set()
    assert await Scaler(database, **settings).history() == {1000.0}


async def test_another_threshold_keeps_the_history(database: str) -> None:
    """It changes the plan, and no demand of the past."""
    it = Scaler(database)
    await it.watch(1000.0)
    assert it.trigger(threshold="20").key != it.trigger().key
    assert await it.history(threshold="20") == {1000.0}
    assert await it.history(query="sum(other)") == set()


async def test_rows_of_the_first_version_are_adopted(postgres: PostgresServer, tmp_path: Path) -> None:
    """A database of version 0001 is migrated by three replicas at once. Its triggers and their history come back, under
    their new keys; what another installation finds there is not its own."""
    file = tmp_path / "headway.db"
    for url in (postgres.fresh_database(), f"sqlite:///{file}"):
        await _first_version(url)
        replicas = [Scaler(url) for _ in range(3 if url.startswith("postgresql") else 1)]
        assert await Scaler(url, installation="other").checkpoint.restore() == 0
        restored = await asyncio.gather(*(one.checkpoint.restore() for one in replicas))
        assert restored == [1] * len(replicas)
        assert await replicas[0].history() == {7.0}
        await replicas[0].checkpoint.write()
        keys = {record.key: record.history_key for record in await replicas[0].store.watched(0.0)}
        trigger = replicas[0].trigger()
        assert keys == {"shop/web/00112233aabb": "", trigger.key: trigger.history_key}


async def _first_version(url: str) -> None:
    """What a replica of the first version left there."""
    from alembic import command
    from alembic.config import Config
    from sqlalchemy.ext.asyncio import create_async_engine

    import scaler.store.migrations as migrations

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))

    def upgrade(connection: object) -> None:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")

    plain = url.replace("postgresql://", "postgresql+asyncpg://").replace("sqlite://", "sqlite+aiosqlite://")
    engine = create_async_engine(plain)
    async with engine.begin() as connection:
        await connection.run_sync(upgrade)
    await engine.dispose()
    values = np.full((96, 2), 7.0, "<f4").tobytes()
    page = int(NOW // (96 * BLOCK)) - 1
    row = ("shop/web/00112233aabb", "shop", "web", json.dumps(METADATA), NOW - 60)
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as raw:
            raw.execute("INSERT INTO watched VALUES (?, ?, ?, ?, ?)", row)
            raw.execute("INSERT INTO long_history VALUES (?, ?, ?, ?)", (row[0], BLOCK, page, values))
        raw.close()
    else:
        admin = await asyncpg.connect(url)
        await admin.execute("INSERT INTO watched VALUES ($1, $2, $3, $4, $5)", *row)
        await admin.execute("INSERT INTO long_history VALUES ($1, $2, $3, $4)", row[0], BLOCK, page, values)
        await admin.close()


async def test_a_replica_of_the_first_version_writes_beside_a_new_one(database: str) -> None:
    """During an upgrade it inserts rows without the new columns; they are restored like its earlier ones."""
    it = Scaler(database, time.time())
    await it.store.watched(0.0)
    admin = await asyncpg.connect(database)
    columns = "key, namespace, name, metadata, last_called"
    row = ("shop/web/00112233aabb", "shop", "web", json.dumps(METADATA), time.time())
    await admin.execute(f"INSERT INTO watched ({columns}) VALUES ($1, $2, $3, $4, $5)", *row)
    await admin.close()
    assert await Scaler(database, time.time()).checkpoint.restore() == 1
