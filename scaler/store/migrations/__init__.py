"""Alembic's steps from an empty database to `schema.py`; `upgrade` runs those that are missing."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Connection

from scaler.errors import StoreUnavailable
from scaler.telemetry.redaction import excerpt


def upgrade(connection: Connection) -> None:
    """Bring the connected database to the newest schema, within the caller's transaction and lock."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreUnavailable(
            "the database has a schema that this version does not know: use the version that made it, a newer one, or "
            f"another database: {excerpt(str(error))}"
        ) from error
