"""Whose a watched trigger is and where its history lies; rows and queries that are set apart."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column(
        "watched",
        sa.Column("installation", sa.String(), nullable=False, server_default="", comment="whose trigger it is"),
    )
    op.add_column(
        "watched",
        sa.Column(
            "history_key", sa.String(), nullable=False, server_default="", comment="key of its rows in long_history"
        ),
    )
    op.create_table(
        "quarantined",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("source", sa.String(), nullable=False, comment="the table it was in"),
        sa.Column("key", sa.String(), nullable=False, comment="cut"),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("since", sa.Float(53), nullable=False, comment="seconds since the epoch"),
        sa.Column("content", sa.Text(), nullable=False, comment="the row as text, cut"),
    )
    op.create_table(
        "set_apart",
        sa.Column("hash", sa.String(), primary_key=True),
        sa.Column("since", sa.Float(53), nullable=False, comment="seconds since the epoch"),
    )


def downgrade() -> None:
    op.drop_table("set_apart")
    op.drop_table("quarantined")
    op.drop_column("watched", "history_key")
    op.drop_column("watched", "installation")
