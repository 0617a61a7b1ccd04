"""The tables, for SQLite and PostgreSQL alike. A change here needs a migration, and `HEAD` names the newest one."""

from sqlalchemy import (
    JSON,
    Column,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)

HEAD = "0004"
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
    # With defaults, because replicas of the previous version write beside those of this one during an upgrade.
    Column("installation", String, nullable=False, server_default="", comment="whose trigger it is"),
    Column("history_key", String, nullable=False, server_default="", comment="key of its rows in long_history"),
)

long_history = Table(
    "long_history",
    metadata,
    Column("key", String, primary_key=True),
    Column("block_seconds", Integer, primary_key=True, autoincrement=False),
    Column("page", Integer, primary_key=True, autoincrement=False, comment="blocks since the epoch, by 96"),
    Column("blocks", LargeBinary, nullable=False, comment="96 x (mean, max), float32 little-endian, NaN where missing"),
)

minutes = Table(
    "minutes",
    metadata,
    Column("key", String, primary_key=True),
    Column("zone", String, primary_key=True, comment="IANA time zone of the day"),
    Column("day", Integer, primary_key=True, autoincrement=False, comment="days from the epoch of local time"),
    Column("packed", LargeBinary, nullable=False, comment="demand by the minute; scaler/store/packed_minutes.py"),
)

savings = Table(
    "savings",
    metadata,
    Column("namespace", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("trigger", String, primary_key=True, comment="hash of its metadata"),
    Column("hour", Integer, primary_key=True, autoincrement=False, comment="hours since the epoch"),
    Column("part", String, primary_key=True, comment="who has counted; all parts of an hour add up to it"),
    Column("installation", String, nullable=False, comment="whose trigger it is"),
    Column(
        "mode", String, nullable=False, comment="predictive: the plan was the answer; shadow: the reactive side was"
    ),
    Column("known_seconds", Float(53), nullable=False, comment="of the hour; nothing else is counted"),
    Column("demand", Float(53), nullable=False, comment="times seconds, as are plan_unserved and reactive_unserved"),
    Column("plan_replica_seconds", Float(53), nullable=False),
    Column("plan_short_seconds", Float(53), nullable=False),
    Column("plan_unserved", Float(53), nullable=False),
    Column("plan_scale_events", Integer, nullable=False),
    Column("reactive_replica_seconds", Float(53), nullable=False),
    Column("reactive_short_seconds", Float(53), nullable=False),
    Column("reactive_unserved", Float(53), nullable=False),
    Column("reactive_scale_events", Integer, nullable=False),
)
"""what each trigger was worth; scaler/savings.py"""

quarantined = Table(
    "quarantined",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("source", String, nullable=False, comment="the table it was in"),
    Column("key", String, nullable=False, comment="cut"),
    Column("reason", String, nullable=False),
    Column("since", Float(53), nullable=False, comment="seconds since the epoch"),
    Column("content", Text, nullable=False, comment="the row as text, cut"),
)
"""rows that could not be used, for inspection"""

set_apart = Table(
    "set_apart",
    metadata,
    Column("hash", String, primary_key=True),
    Column("since", Float(53), nullable=False, comment="seconds since the epoch"),
)
"""hashes of queries that are never joined with others"""

alembic_version = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""the table in which Alembic keeps the revision, as Alembic creates it"""
