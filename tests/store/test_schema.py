"""Tables, migrations and the revision that the fast path trusts belong together."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

import scaler.store.migrations
from scaler.store.migrations import upgrade
from scaler.store.schema import HEAD, metadata
from tests.servers.postgres import postgres_server


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
    from scaler.settings.database_url import parse_postgres_url
    from scaler.store.database import Postgres

    with postgres_server() as server:
        database = Postgres(parse_postgres_url(server.fresh_database()))

        async def differences(connection) -> list[object]:
            return await connection.run_sync(
                lambda c: compare_metadata(MigrationContext.configure(c, opts={"compare_type": True}), metadata)
            )

        assert await database.run(differences) == []
        await database.close()
