"""The tables, for SQLite and PostgreSQL alike. A change here needs a migration, and `HEAD` names the newest one."""

from sqlalchemy import (
    JSON,
    REAL,
    Boolean,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    event,
    text,
)

HEAD = "0010"
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

_EPOCH = "seconds since the epoch"

model_versions = Table(
    "model_versions",
    metadata,
    Column("installation", String, primary_key=True),
    Column("model", String, primary_key=True, comment="name@version"),
    Column("name", String, nullable=False),
    Column("version", String, nullable=False),
    Column("place", Text, nullable=False, comment="where its bundle lies"),
    Column("graph", String, nullable=False, comment="SHA-256 of its graph"),
    Column("published_at", Float(53), nullable=False, comment=_EPOCH),
    Column("retired_at", Float(53), comment=_EPOCH),
    Column("manifest", Text, nullable=False, comment="JSON"),
    Column("figures", Text, nullable=False, comment="JSON"),
    Column("notes", Text, nullable=False, comment="JSON"),
)
"""published versions; scaler/models"""

champions = Table(
    "champions",
    metadata,
    Column("installation", String, primary_key=True),
    Column("scope", String, primary_key=True, comment="empty, NAMESPACE or NAMESPACE/NAME"),
    Column("model", String, nullable=False),
    Column("previous", String, comment="empty: no champion; null: nothing to roll back to"),
    Column("since", Float(53), nullable=False, comment=_EPOCH),
    Column("probation_until", Float(53), comment=_EPOCH),
)
"""which version serves a scope"""

model_decisions = Table(
    "model_decisions",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("installation", String, nullable=False),
    Column("at", Float(53), nullable=False, comment=_EPOCH),
    Column("kind", String, nullable=False),
    Column("model", String, nullable=False),
    Column("scope", String, nullable=False),
    Column("previous", String),
    Column("by", String, nullable=False, comment="who decided"),
    Column("reason", Text, nullable=False),
    Column("figures", Text, nullable=False, comment="JSON"),
    Index("model_decisions_of", "installation", "number"),
)
"""what was decided about models, refusals as well"""

leases = Table(
    "leases",
    metadata,
    Column("installation", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("holder", String, nullable=False),
    Column("until", Float(53), nullable=False, comment=_EPOCH),
)
"""work that only one process at a time may do"""

scores = Table(
    "scores",
    metadata,
    Column("namespace", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("lead", String, primary_key=True, comment="how far ahead: 2 min, 5 min, 15 min, 60 min, or peak"),
    Column("hour", Integer, primary_key=True, autoincrement=False, comment="hours since the epoch; a day's first one"),
    Column("trigger", String, primary_key=True, comment="hash of its metadata"),
    Column("part", String, primary_key=True, comment="who has scored; all parts of an hour add up to it"),
    Column("installation", String, nullable=False, comment="whose trigger it is"),
    Column("hours", Integer, nullable=False, comment="1, or 24 once the hours of a day have become one row"),
    Column("quantile", REAL, nullable=False, comment="the trigger's own, which is promised"),
    Column("minutes", REAL, nullable=False, comment="in which its forecasts were looked at"),
    Column("forecasts", REAL, nullable=False, comment="that were scored; all that follow are sums over them"),
    Column("pinball", REAL, nullable=False, comment="loss, mean over five quantiles"),
    Column("pinball_of_newest", REAL, nullable=False, comment="of the newest observation, had it been the forecast"),
    Column("pinball_beside_season", REAL, nullable=False, comment="pinball, where demand a day before is known"),
    Column("pinball_of_season", REAL, nullable=False, comment="there, of the demand a day before"),
    Column("absolute_error", REAL, nullable=False, comment="of the median, as are those up to symmetric_error"),
    Column("error", REAL, nullable=False, comment="above 0 where it was too high"),
    Column("squared_error", REAL, nullable=False),
    Column("relative_error", REAL, nullable=False, comment="over the demand, where that was above 0"),
    Column("relative_forecasts", REAL, nullable=False, comment="how often it was"),
    Column("symmetric_error", REAL, nullable=False, comment="over the mean of median and demand"),
    Column("own_pinball", REAL, nullable=False, comment="loss at the trigger's own quantile"),
    Column("own_pinball_of_newest", REAL, nullable=False),
    Column("held", REAL, nullable=False, comment="demands within the trigger's own quantile"),
    *(Column(f"within_p{level}", REAL, nullable=False) for level in (10, 50, 90, 95, 99)),
    Index("scores_by_age", "hours", "hour"),
)
"""how good forecasts turned out; scaler/scored.py"""

plans = Table(
    "plans",
    metadata,
    Column("installation", String, primary_key=True, comment="whose trigger it is"),
    Column("namespace", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("minute", Integer, primary_key=True, autoincrement=False, comment="of `at`, since the epoch"),
    Column("trigger", String, primary_key=True, comment="hash of its metadata"),
    Column("at", Float(53), nullable=False, comment="seconds since the epoch"),
    Column("rung", String, nullable=False, comment="of the fallback ladder"),
    Column("metric", Float(53), comment="what KEDA read; null where it got an error"),
    Column("planned", Float(53), comment="the same, but in shadow mode"),
    Column("need", Float(53), comment="the quantile of the peak"),
    Column("quantile", Float(53), comment="which one of the peak was read; null without forecast"),
    Column("observed", Float(53)),
    Column("active", Boolean, nullable=False),
    Column("replicas", Integer, comment="metric over threshold"),
    Column("model", String, nullable=False),
    Column("error", String, nullable=False, comment="why the observation was old or missing"),
    Column("reasons", JSON, nullable=False, comment="of each: rule, text, before, after"),
    postgresql_partition_by="RANGE (minute)",
)
"""what was planned, whenever it changed; scaler/past_plans.py. PostgreSQL has a partition for each week"""

PLANS_DEFAULT = "CREATE TABLE plans_default PARTITION OF plans DEFAULT"
"""for what belongs to no other partition: a wrong clock never fails an insert"""


@event.listens_for(plans, "after_create")
def _create_default(_: Table, connection: Connection, **__: object) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text(PLANS_DEFAULT))


anomalies = Table(
    "anomalies",
    metadata,
    Column("installation", String, primary_key=True, comment="whose trigger it is"),
    Column("namespace", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("trigger", String, primary_key=True, comment="hash of its metadata"),
    Column("direction", String, primary_key=True, comment="above or below the band of the forecast"),
    Column("since", Float(53), primary_key=True, comment="seconds since the epoch"),
    Column("until", Float(53), nullable=False, comment="end of the last minute outside, so far while it lasts"),
    Column("kind", String, nullable=False, comment="anomaly, or level_shift, which training keeps"),
    Column("largest", Float(53), nullable=False, comment="demand where it was furthest outside"),
    Column("expected", Float(53), nullable=False, comment="the median of the forecast for that minute"),
    Column("bound", Float(53), nullable=False, comment="the edge of the band that it left"),
    Column("is_over", Integer, nullable=False, comment="0 while it lasts; also over when it no longer grows"),
    Index("anomalies_since", "since"),
)
"""demand that left the band of its forecast; scaler/anomalies.py"""

conclusions = Table(
    "conclusions",
    metadata,
    Column("installation", String, primary_key=True, comment="whose trigger it is"),
    Column("key", String, primary_key=True, comment="of the trigger"),
    Column("at", Float(53), nullable=False, comment="seconds since the epoch"),
    Column("content", Text, nullable=False, comment="JSON: numbers by the name of the rule's conclusion"),
)
"""what the planner has concluded and counts for days; scaler/plan/memory.py"""

outlooks = Table(
    "outlooks",
    metadata,
    Column("installation", String, primary_key=True, comment="whose trigger it is"),
    Column("key", String, primary_key=True, comment="of the trigger"),
    Column("at", Float(53), nullable=False, comment="when it was made, seconds since the epoch"),
    Column("observed_at", Float(53), nullable=False, comment="its newest observation; 0 where it has none"),
    Column("record", LargeBinary, nullable=False, comment="as Redis keeps it; scaler/forecast/record.py"),
)
"""what triggers were answered with when a replica ended, for the next start"""

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
