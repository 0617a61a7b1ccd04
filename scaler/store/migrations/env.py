"""Run by Alembic. `upgrade` hands over its connection; `alembic revision` on a developer's machine brings a URL."""

from alembic import context
from sqlalchemy import Connection, create_engine

from scaler.store.schema import metadata


def _migrate(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
    context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    _migrate(given)
else:
    with create_engine(context.config.get_main_option("sqlalchemy.url", "sqlite://")).begin() as made:
        _migrate(made)
