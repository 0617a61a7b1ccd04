"""What triggers were answered with when a replica ended, for the next start."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "outlooks",
        sa.Column("installation", sa.String(), primary_key=True, comment="whose trigger it is"),
        sa.Column("key", sa.String(), primary_key=True, comment="of the trigger"),
        sa.Column("at", sa.Float(53), nullable=False, comment="when it was made, seconds since the epoch"),
        sa.Column("observed_at", sa.Float(53), nullable=False, comment="its newest observation; 0 where it has none"),
        sa.Column("record", sa.LargeBinary(), nullable=False, comment="as Redis keeps it; scaler/forecast/record.py"),
    )


def downgrade() -> None:
    op.drop_table("outlooks")
