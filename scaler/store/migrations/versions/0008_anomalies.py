"""Demand that left the band of its forecast."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_OVER = "0 while it lasts; also over when it no longer grows"
_UNTIL = "end of the last minute outside, so far while it lasts"


def upgrade() -> None:
    op.create_table(
        "anomalies",
        sa.Column("installation", sa.String(), primary_key=True, comment="whose trigger it is"),
        sa.Column("namespace", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("trigger", sa.String(), primary_key=True, comment="hash of its metadata"),
        sa.Column("direction", sa.String(), primary_key=True, comment="above or below the band of the forecast"),
        sa.Column("since", sa.Float(53), primary_key=True, comment="seconds since the epoch"),
        sa.Column("until", sa.Float(53), nullable=False, comment=_UNTIL),
        sa.Column("kind", sa.String(), nullable=False, comment="anomaly, or level_shift, which training keeps"),
        sa.Column("largest", sa.Float(53), nullable=False, comment="demand where it was furthest outside"),
        sa.Column("expected", sa.Float(53), nullable=False, comment="the median of the forecast for that minute"),
        sa.Column("bound", sa.Float(53), nullable=False, comment="the edge of the band that it left"),
        sa.Column("is_over", sa.Integer(), nullable=False, comment=_OVER),
    )
    op.create_index("anomalies_since", "anomalies", ["since"])


def downgrade() -> None:
    op.drop_table("anomalies")
