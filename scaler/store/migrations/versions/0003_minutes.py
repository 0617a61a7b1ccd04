"""Past days by the minute."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "minutes",
        sa.Column("key", sa.String(), primary_key=True),
        sa.Column("zone", sa.String(), primary_key=True, comment="IANA time zone of the day"),
        sa.Column(
            "day", sa.Integer(), primary_key=True, autoincrement=False, comment="days from the epoch of local time"
        ),
        sa.Column(
            "packed",
            sa.LargeBinary(),
            nullable=False,
            comment="demand by the minute; scaler/store/packed_minutes.py",
        ),
    )


def downgrade() -> None:
    op.drop_table("minutes")
