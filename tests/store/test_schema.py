"""Tables, migrations and the revision that the fast path trusts belong together."""

import asyncio
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect

import scaler.store.migrations
from scaler.settings.database_url import parse_postgres_url
from scaler.store.database import Postgres
from scaler.store.migrations import upgrade
from scaler.store.schema import HEAD, metadata
from scaler.store.sql_store import open_store
from tests.servers.postgres import postgres_server

OPTIONS = {"compare_type": True, "include_name": lambda name, kind, parents: name != "plans_default"}
"""a partition is no table of its own"""


def test_head_is_the_newest_migration() -> None:
    """A migration was added to `HEAD`, and there is one line of them."""
    config = Config()
    config.set_main_option("script_location", str(Path(scaler.store.migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_migrations_lead_to_the_schema(tmp_path: Path) -> None:
    """An empty database, migrated, has exactly the tables of schema.py."""
    engine = create_engine(f"sqlite:///{tmp_path}/migrated.db")
    with engine.begin() as connection:
        upgrade(connection)
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


@pytest.mark.server
async def test_migrations_lead_to_the_schema_on_postgresql() -> None:
    """The same on PostgreSQL, where types and comments are compared as well."""
    with postgres_server() as server:
        database = Postgres(parse_postgres_url(server.fresh_database()))

        async def differences(connection) -> list[object]:
            return await connection.run_sync(
                lambda c: compare_metadata(MigrationContext.configure(c, opts=OPTIONS), metadata)
            )

        assert await database.run(differences) == []
        await database.close()


async def test_an_empty_database_gets_what_the_migrations_lead_to(tmp_path: Path) -> None:
    """Created at once, without loading Alembic, it has the same tables as a migrated one, and nothing to migrate."""
    created = open_store(f"sqlite:///{tmp_path}/created.db", None)
    await created.watched(0.0)
    await created.close()
    migrated = create_engine(f"sqlite:///{tmp_path}/migrated.db")
    with migrated.begin() as connection:
        upgrade(connection)
        expected = tables(connection)
    again = create_engine(f"sqlite:///{tmp_path}/created.db")
    with again.begin() as connection:
        assert tables(connection) == expected
        upgrade(connection)
        assert tables(connection) == expected
    for engine in (migrated, again):
        engine.dispose()


@pytest.mark.server
async def test_an_empty_postgresql_gets_what_the_migrations_lead_to() -> None:
    """The same on PostgreSQL, with the names of its constraints; several processes may begin at once."""
    with postgres_server() as server:
        url = server.fresh_database()
        stores = [open_store(url, None) for _ in range(3)]
        await asyncio.gather(*(store.watched(0.0) for store in stores))
        await asyncio.gather(*(store.close() for store in stores))
        database = Postgres(parse_postgres_url(url))
        created = await database.run(lambda connection: connection.run_sync(tables))
        await database.close()
        database = Postgres(parse_postgres_url(server.fresh_database()))
        async with database.engine.begin() as connection:
            await connection.run_sync(upgrade)
            assert await connection.run_sync(tables) == created
        await database.close()


def tables(connection: Connection) -> dict[str, object]:
    """Every table with its columns, keys and comments."""
    found = inspect(connection)
    return {
        name: (
            [(c["name"], str(c["type"]), c["nullable"], c.get("comment")) for c in found.get_columns(name)],
            found.get_pk_constraint(name),
        )
        for name in sorted(found.get_table_names())
    }
