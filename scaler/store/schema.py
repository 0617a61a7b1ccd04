"""The tables, for SQLite and PostgreSQL alike. A change here needs a migration, and `HEAD` names the newest one."""

from sqlalchemy import JSON, Column, Float, Integer, LargeBinary, MetaData, PrimaryKeyConstraint, String, Table

HEAD = "0001"
"""revision of the newest migration: a database that is empty, or has it already, is used without loading Alembic"""

metadata = MetaData()

watched = Table(
    "watched",
    metadata,
    Column("key", String, primary_key=True),
    Column("namespace", String, nullable=False),
    Column("name", String, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("last_called", Float(53), nullable=False, comment="seconds since the epoch"),
)

long_history = Table(
    "long_history",
    metadata,
    Column("key", String, primary_key=True),
    Column("block_seconds", Integer, primary_key=True, autoincrement=False),
    Column("page", Integer, primary_key=True, autoincrement=False, comment="blocks since the epoch, by 96"),
    Column("blocks", LargeBinary, nullable=False, comment="96 x (mean, max), float32 little-endian, NaN where missing"),
)

alembic_version = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""the table in which Alembic keeps the revision, as Alembic creates it"""
