"""What the planner has concluded of each trigger and counts for days."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "conclusions",
        sa.Column("installation", sa.String(), primary_key=True, comment="whose trigger it is"),
        sa.Column("key", sa.String(), primary_key=True, comment="of the trigger"),
        sa.Column("at", sa.Float(53), nullable=False, comment="seconds since the epoch"),
        sa.Column("content", sa.Text(), nullable=False, comment="JSON: numbers by the name of the rule's conclusion"),
    )


def downgrade() -> None:
    op.drop_table("conclusions")
