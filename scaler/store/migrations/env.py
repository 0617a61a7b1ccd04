"""Run by Alembic. `upgrade` passes its connection; `alembic revision` on a developer's machine passes a URL."""

from alembic import context
from sqlalchemy import Connection, create_engine

from scaler.store.schema import metadata


def _migrate(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
    context.run_migrations()


connection = context.config.attributes.get("connection")
if connection is not None:
    _migrate(connection)
else:
    with create_engine(context.config.get_main_option("sqlalchemy.url", "sqlite://")).begin() as made:
        _migrate(made)
