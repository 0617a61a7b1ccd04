"""The SQLite file when things go wrong: damaged, locked, full, in a place that cannot be written, killed."""

import asyncio
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import structlog
from sqlalchemy import event

from scaler.errors import StoreUnavailable
from scaler.series import Blocks
from scaler.store import WatchedRecord
from scaler.store import database as database_module
from scaler.store.database import Sqlite
from scaler.store.schema import HEAD
from scaler.store.sql_store import SqlStore
from tests.servers.process import running, wait_until

BLOCK = 900
APP = WatchedRecord("shop/app/0f", "shop", "app", {"query": "sum(x)"}, 100.0)
KEYS = [f"shop/app-{number}/0f" for number in range(200)]


async def written(path: Path, history: int = 0) -> None:
    """A file with one watched trigger and `history` triggers with a block each, properly closed."""
    store = SqlStore(Sqlite(path))
    await store.watch([APP])
    demand = np.ones(1, np.float32)
    keys = [f"shop/app-{number}/0f" for number in range(history)]
    await store.save_blocks({key: Blocks(np.array([9e8]), demand, demand) for key in keys}, BLOCK, 0.0)
    await store.close()


def files_set_aside(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("*corrupt*")]


def overwrite_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"this is no database, but somebody's notes" * 10)


def overwrite_all(path: Path) -> None:
    path.write_bytes(os.urandom(20_000))


def overwrite_schema(path: Path) -> None:
    """The header stays as it is; what the first page lists is rubbish."""
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 3900)


@pytest.mark.parametrize("damage", [overwrite_header, overwrite_all, overwrite_schema])
async def test_a_damaged_file_is_set_aside(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """A file that is no database is kept under another name, reported, and a new one takes its place."""
    path = tmp_path / "headway.db"
    await written(path)
    damage(path)
    damaged = path.read_bytes()
    store = SqlStore(Sqlite(path))
    with structlog.testing.capture_logs() as logs:
        assert await store.watched(0.0) == []
    await store.watch([APP])
    assert await store.watched(0.0) == [APP]
    await store.close()
    assert (tmp_path / "headway.db.corrupt-1").read_bytes() == damaged
    assert [(log["event"], log["log_level"], log["aside"]) for log in logs] == [
        ("store_set_aside", "error", str(tmp_path / "headway.db.corrupt-1"))
    ]


async def test_every_damaged_file_is_kept(tmp_path: Path) -> None:
    """A second damage does not overwrite the first file that was set aside."""
    path = tmp_path / "headway.db"
    for content in (b"first" * 100, b"second" * 100):
        path.write_bytes(content)
        store = SqlStore(Sqlite(path))
        await store.watch([APP])
        await store.close()
    assert (tmp_path / "headway.db.corrupt-1").read_bytes() == b"first" * 100
    assert (tmp_path / "headway.db.corrupt-2").read_bytes() == b"second" * 100


async def test_damage_is_noticed_while_running(tmp_path: Path) -> None:
    """Pages that cannot be read, met by several operations at once, set the file aside once, and work goes on."""
    path = tmp_path / "headway.db"
    await written(path, history=300)
    store = SqlStore(Sqlite(path))
    assert await store.watched(0.0) == [APP]
    await store.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(5 * 4096)
        file.write(b"\xff" * (size - 5 * 4096))
    keys = [f"shop/app-{number}/0f" for number in range(300)]
    with structlog.testing.capture_logs() as logs:
        loads = await asyncio.gather(*(store.load_blocks(keys, BLOCK, 0.0) for _ in range(5)))
    assert loads == [{}] * 5
    assert [log["event"] for log in logs] == ["store_set_aside"]
    await store.watch([APP])
    assert await store.watched(0.0) == [APP]
    await store.close()


def deleted(path: Path) -> None:
    for file in path.parent.glob("headway.db*"):
        file.unlink()


def deleted_with_its_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def replaced_by_an_older_copy(path: Path) -> None:
    (path.parent / "copy").rename(path)


def only_the_log_deleted(path: Path) -> None:
    Path(f"{path}-wal").unlink()


LOSSES: dict[Callable[[Path], None], tuple[str, str]] = {
    deleted: ("", "none"),
    deleted_with_its_folder: ("", "none"),
    replaced_by_an_older_copy: ("", "another"),
    only_the_log_deleted: ("-wal", "none"),
}


@pytest.mark.parametrize("lose", LOSSES)
async def test_a_file_that_is_gone_is_not_written_to(tmp_path: Path, lose: Callable[[Path], None]) -> None:
    """What is written after it was deleted or replaced is in the file that a restart opens. The log names it once, and
    the store has another identity."""
    path = tmp_path / "data" / "headway.db"
    path.parent.mkdir()
    await written(path)
    shutil.copy(path, path.parent / "copy")
    store = SqlStore(Sqlite(path))
    before = [WatchedRecord(key, "shop", key.split("/")[1], {"query": "sum(x)"}, 1.0) for key in KEYS]
    await store.watch(before)
    identity = await store.identity()
    assert await store.identity() == identity
    lose(path)
    with structlog.testing.capture_logs() as logs:
        assert await store.identity() != identity
        late = WatchedRecord("shop/late/0f", "shop", "late", {"query": "sum(x)"}, 1.0)
        await asyncio.gather(store.watch([APP]), store.watch([late]))
    suffix, found = LOSSES[lose]
    assert [(log["event"], log["file"], log["found"]) for log in logs] == [
        ("store_file_replaced", f"{path}{suffix}", found)
    ]
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as raw:  # as after kill -9: the store is still open
        names = {name for (name,) in raw.execute("SELECT name FROM watched")}
    raw.close()
    await store.close()
    assert names >= {"app", "late"}
    assert (len(names) == len(KEYS) + 2) == (lose is only_the_log_deleted)
    assert files_set_aside(path.parent) == []


async def test_a_connection_that_is_made_again_is_no_loss(tmp_path: Path) -> None:
    """An operation that was cancelled closes its connection, and with it SQLite deletes its log."""
    store = SqlStore(Sqlite(tmp_path / "headway.db"))
    await store.watch([APP])
    identity = await store.identity()
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            await store.database.engine.dispose()
            assert await store.watched(0.0) == [APP]
    assert await store.identity() == identity
    assert logs == []
    await store.close()


async def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    """A schema this version does not know is reported and not touched."""
    path = tmp_path / "headway.db"
    await written(path)
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.close()
    store = SqlStore(Sqlite(path))
    with pytest.raises(StoreUnavailable, match=r"schema that this version does not know.*9999"):
        await store.watched(0.0)
    await store.close()
    assert files_set_aside(tmp_path) == []


async def test_a_place_that_cannot_be_written_is_unavailable_until_it_can(tmp_path: Path) -> None:
    """Where the folder cannot be made, every operation says so; when it can, the same store works."""
    (tmp_path / "data").write_text("a file where the folder should be")
    store = SqlStore(Sqlite(tmp_path / "data" / "headway.db"))
    with pytest.raises(StoreUnavailable, match=re.escape(str(tmp_path / "data"))):
        await store.watch([APP])
    (tmp_path / "data").unlink()
    await store.watch([APP])
    assert await store.watched(0.0) == [APP]
    await store.close()


async def test_a_folder_in_the_place_of_the_file_is_named(tmp_path: Path) -> None:
    """With what must be there."""
    path = tmp_path / "headway.db"
    path.mkdir()
    store = SqlStore(Sqlite(path))
    with pytest.raises(StoreUnavailable, match="must lead to a file that this user may read and write"):
        await store.watch([APP])
    await store.close()


async def test_a_read_only_file_is_unavailable(tmp_path: Path) -> None:
    """A file system without write access is reported; nothing is set aside."""
    path = tmp_path / "headway.db"
    await written(path)
    store = SqlStore(Sqlite(path))
    event.listen(store.database.engine.sync_engine, "connect", lambda c, _: c.execute("PRAGMA query_only = ON"))
    with pytest.raises(StoreUnavailable, match="readonly"):
        await store.watch([APP])
    await store.close()
    assert files_set_aside(tmp_path) == []


async def test_a_full_disk_is_unavailable_and_loses_nothing(tmp_path: Path) -> None:
    """When no more fits, writing says so, what was there before can be read, and writing works when there is room."""
    path = tmp_path / "headway.db"
    await written(path)
    store = SqlStore(Sqlite(path))
    room = {"pages": 20}

    def limit(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {room['pages']}").close()

    event.listen(store.database.engine.sync_engine, "connect", limit)
    many = [WatchedRecord(key, "shop", key.split("/")[1], {"query": "x" * 1000}, 1.0) for key in KEYS]
    with pytest.raises(StoreUnavailable, match="full"):
        await store.watch(many)
    assert await store.watched(50.0) == [APP]
    room["pages"] = 100_000
    await store.database.close()
    await store.watch(many)
    assert len(await store.watched(0.0)) == len(KEYS) + 1
    await store.close()


async def test_a_file_locked_by_another_process_is_given_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who holds the file for long makes the store unavailable in bounded time, and no longer than that."""
    monkeypatch.setattr(database_module, "BUSY_SECONDS", 0.1)
    path = tmp_path / "headway.db"
    await written(path)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    store = SqlStore(Sqlite(path))
    with pytest.raises(StoreUnavailable, match="locked"):
        await asyncio.wait_for(store.watch([APP]), 10)
    holder.execute("ROLLBACK")
    holder.close()
    await store.watch([APP])
    await store.close()


async def test_errors_show_no_metadata(tmp_path: Path) -> None:
    """What a tenant wrote is in no error."""
    path = tmp_path / "headway.db"
    await written(path)
    with sqlite3.connect(path) as raw:
        raw.execute("ALTER TABLE watched RENAME COLUMN metadata TO other")
    raw.close()
    store = SqlStore(Sqlite(path))
    with pytest.raises(StoreUnavailable) as caught:
        await store.watch([WatchedRecord("k", "shop", "app", {"query": "sup3rsecret"}, 1.0)])
    assert "sup3rsecret" not in f"{caught.value} {caught.value.__cause__}"
    await store.close()


@pytest.mark.parametrize("change", ["DROP TABLE alembic_version", "DELETE FROM alembic_version"])
async def test_a_revision_that_is_missing_is_noted_again(tmp_path: Path, change: str) -> None:
    """The tables are those of this version: nothing is migrated, and no row is lost."""
    path = tmp_path / "headway.db"
    await written(path)
    with sqlite3.connect(path) as raw:
        raw.execute(change)
    raw.close()
    store = SqlStore(Sqlite(path))
    assert await store.watched(0.0) == [APP]
    await store.close()
    with sqlite3.connect(path) as raw:
        assert raw.execute("SELECT version_num FROM alembic_version").fetchall() == [(HEAD,)]
    raw.close()


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ("ALTER TABLE watched RENAME COLUMN last_called TO called", "undo the change, or drop the table"),
        ("UPDATE alembic_version SET version_num = '0001'", "restore all of them from one backup"),
        ("UPDATE alembic_version SET version_num = '0099'", "use the version that made it"),
    ],
)
async def test_what_was_changed_in_the_schema_is_named(tmp_path: Path, change: str, hint: str) -> None:
    """With what to do, in each operation."""
    path = tmp_path / "headway.db"
    await written(path)
    with sqlite3.connect(path) as raw:
        raw.execute(change)
    raw.close()
    store = SqlStore(Sqlite(path))
    for operation in (lambda: store.watch([APP]), lambda: store.watched(0.0)):
        with pytest.raises(StoreUnavailable, match=hint):
            await operation()
    await store.close()


async def test_a_table_that_was_dropped_is_made_again(tmp_path: Path) -> None:
    """Nothing but its rows is lost."""
    path = tmp_path / "headway.db"
    await written(path, history=1)
    with sqlite3.connect(path) as raw:
        raw.execute("DROP TABLE watched")
    raw.close()
    store = SqlStore(Sqlite(path))
    assert await store.watched(0.0) == []
    await store.watch([APP])
    assert await store.watched(0.0) == [APP]
    assert len(await store.load_blocks(["shop/app-0/0f"], BLOCK, 0.0)) == 1
    await store.close()


WRITER = f"""
import asyncio, sys
from pathlib import Path
import numpy as np
from scaler.series import Blocks
from scaler.store import WatchedRecord
from scaler.store.database import Sqlite
from scaler.store.schema import HEAD
from scaler.store.sql_store import SqlStore

KEYS = {KEYS!r}

async def main():
    store = SqlStore(Sqlite(Path(sys.argv[1])))
    for turn in range(1, 1_000_000):
        demand = np.full(96, turn, np.float32)
        day = Blocks({BLOCK} * 96.0 * 20000 + {BLOCK} * np.arange(96), demand, demand)
        turns = {{"turn": str(turn)}}
        await store.watch([WatchedRecord(key, "shop", key.split("/")[1], turns, float(turn)) for key in KEYS])
        await store.save_blocks(dict.fromkeys(KEYS, day), {BLOCK}, 0.0)
        print(turn, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("turns", [1, 4, 9])
async def test_kill_minus_nine_leaves_whole_transactions(tmp_path: Path, turns: int) -> None:
    """After SIGKILL in the middle of writing, everything that was confirmed is there, and no write is half there."""
    log, path = tmp_path / "log", tmp_path / "headway.db"
    with running([sys.executable, "-c", WRITER, path], log) as process:
        wait_until(lambda: len(log.read_text().split()) >= turns, process, log)
        process.send_signal(signal.SIGKILL)
        process.wait()
    confirmed = max(map(int, log.read_text().split()))
    store = SqlStore(Sqlite(path))
    records = await store.watched(0.0)
    loaded = await store.load_blocks(KEYS, BLOCK, 0.0)
    await store.close()
    assert {record.key for record in records} == loaded.keys() == set(KEYS)
    assert len({record.last_called for record in records}) == 1
    assert {record.metadata["turn"] for record in records} == {str(int(records[0].last_called))}
    demands = {value for found in loaded.values() for value in (*found.mean.tolist(), *found.max.tolist())}
    assert {len(found.starts) for found in loaded.values()} == {96}
    assert len(demands) == 1
    assert confirmed <= records[0].last_called <= confirmed + 1
    assert confirmed <= demands.pop() <= confirmed + 1
    assert files_set_aside(tmp_path) == []


def test_a_new_database_and_one_that_is_up_to_date_are_opened_without_alembic(tmp_path: Path) -> None:
    """Only an old database makes a process load Alembic, which then stays in its memory."""
    program = (
        "import asyncio, sys; from pathlib import Path; from scaler.store.sql_store import open_store\n"
        "store = open_store(None, Path(sys.argv[1]))\n"
        "async def use():\n    await store.watched(0.0)\n    await store.close()\n"
        "asyncio.run(use()); print('alembic' in sys.modules)"
    )
    seen = [
        subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)], check=True, capture_output=True, text=True
        ).stdout.strip()
        for _ in range(2)
    ]
    assert seen == ["False", "False"]


async def test_metadata_that_is_no_json_is_left_out(tmp_path: Path) -> None:
    """A row with a text that cannot be read is left out; the others are restored."""
    path = tmp_path / "headway.db"
    await written(path)
    with sqlite3.connect(path) as connection:
        row = ("shop/b/0f", "shop", "b", '{"query": ', 200.0)
        connection.execute(
            "INSERT INTO watched (key, namespace, name, metadata, last_called) VALUES (?, ?, ?, ?, ?)", row
        )
    connection.close()
    store = SqlStore(Sqlite(path))
    assert await store.watched(0.0) == [APP]
    await store.close()


async def test_a_page_of_another_type_or_length_is_left_out(tmp_path: Path) -> None:
    """Text or too few bytes where a page should be are left out, when they are read and when they are written over."""
    path = tmp_path / "headway.db"
    await written(path)
    with sqlite3.connect(path) as connection:
        pages = [("a", 1, "x" * 768), ("a", 2, b"short"), ("a", 3, 7)]
        connection.executemany(f"INSERT INTO long_history VALUES (?, {BLOCK}, ?, ?)", pages)
    connection.close()
    store = SqlStore(Sqlite(path))
    assert await store.load_blocks(["a"], BLOCK, 0.0) == {}
    demand = np.ones(3, np.float32)
    await store.save_blocks({"a": Blocks(96.0 * BLOCK * np.array([1, 2, 3]), demand, demand)}, BLOCK, 0.0)
    assert len((await store.load_blocks(["a"], BLOCK, 0.0))["a"].starts) == 3
    await store.close()
