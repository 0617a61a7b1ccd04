"""Watched triggers and the long history."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "watched",
        sa.Column("key", sa.String(), primary_key=True),
        sa.Column("namespace", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("last_called", sa.Float(53), nullable=False, comment="seconds since the epoch"),
    )
    op.create_table(
        "long_history",
        sa.Column("key", sa.String(), primary_key=True),
        sa.Column("block_seconds", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("page", sa.Integer(), primary_key=True, autoincrement=False, comment="blocks since the epoch, by 96"),
        sa.Column(
            "blocks",
            sa.LargeBinary(),
            nullable=False,
            comment="96 x (mean, max), float32 little-endian, NaN where missing",
        ),
    )


def downgrade() -> None:
    op.drop_table("long_history")
    op.drop_table("watched")
