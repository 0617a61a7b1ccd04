"""Plans of the past; on PostgreSQL in partitions, of which the default one takes what belongs to no other."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "plans",
        sa.Column("installation", sa.String(), primary_key=True, comment="whose trigger it is"),
        sa.Column("namespace", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("minute", sa.Integer(), primary_key=True, autoincrement=False, comment="of `at`, since the epoch"),
        sa.Column("trigger", sa.String(), primary_key=True, comment="hash of its metadata"),
        sa.Column("at", sa.Float(53), nullable=False, comment="seconds since the epoch"),
        sa.Column("rung", sa.String(), nullable=False, comment="of the fallback ladder"),
        sa.Column("metric", sa.Float(53), comment="what KEDA read; null where it got an error"),
        sa.Column("planned", sa.Float(53), comment="the same, but in shadow mode"),
        sa.Column("need", sa.Float(53), comment="the quantile of the peak"),
        sa.Column("quantile", sa.Float(53), comment="which one of the peak was read; null without forecast"),
        sa.Column("observed", sa.Float(53)),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("replicas", sa.Integer(), comment="metric over threshold"),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("error", sa.String(), nullable=False, comment="why the observation was old or missing"),
        sa.Column("reasons", sa.JSON(), nullable=False, comment="of each: rule, text, before, after"),
        postgresql_partition_by="RANGE (minute)",
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("CREATE TABLE plans_default PARTITION OF plans DEFAULT")


def downgrade() -> None:
    op.drop_table("plans")
