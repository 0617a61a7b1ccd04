"""What each trigger was worth, by the hour."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_MODE = "predictive: the plan was the answer; shadow: the reactive side was"
_DEMAND = "times seconds, as are plan_unserved and reactive_unserved"


def upgrade() -> None:
    op.create_table(
        "savings",
        sa.Column("namespace", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("trigger", sa.String(), primary_key=True, comment="hash of its metadata"),
        sa.Column("hour", sa.Integer(), primary_key=True, autoincrement=False, comment="hours since the epoch"),
        sa.Column("part", sa.String(), primary_key=True, comment="who has counted; all parts of an hour add up to it"),
        sa.Column("installation", sa.String(), nullable=False, comment="whose trigger it is"),
        sa.Column("mode", sa.String(), nullable=False, comment=_MODE),
        sa.Column("known_seconds", sa.Float(53), nullable=False, comment="of the hour; nothing else is counted"),
        sa.Column("demand", sa.Float(53), nullable=False, comment=_DEMAND),
        *(
            sa.Column(f"{side}_{name}", kind, nullable=False)
            for side in ("plan", "reactive")
            for name, kind in (
                ("replica_seconds", sa.Float(53)),
                ("short_seconds", sa.Float(53)),
                ("unserved", sa.Float(53)),
                ("scale_events", sa.Integer()),
            )
        ),
    )


def downgrade() -> None:
    op.drop_table("savings")
