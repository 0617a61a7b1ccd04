"""The registry of models: versions, champions, decisions, and leases."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_EPOCH = "seconds since the epoch"


def upgrade() -> None:
    op.create_table(
        "model_versions",
        sa.Column("installation", sa.String(), primary_key=True),
        sa.Column("model", sa.String(), primary_key=True, comment="name@version"),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False, comment="where its bundle lies"),
        sa.Column("graph", sa.String(), nullable=False, comment="SHA-256 of its graph"),
        sa.Column("published_at", sa.Float(53), nullable=False, comment=_EPOCH),
        sa.Column("retired_at", sa.Float(53), comment=_EPOCH),
        sa.Column("manifest", sa.Text(), nullable=False, comment="JSON"),
        sa.Column("figures", sa.Text(), nullable=False, comment="JSON"),
        sa.Column("notes", sa.Text(), nullable=False, comment="JSON"),
    )
    op.create_table(
        "champions",
        sa.Column("installation", sa.String(), primary_key=True),
        sa.Column("scope", sa.String(), primary_key=True, comment="empty, NAMESPACE or NAMESPACE/NAME"),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("previous", sa.String(), comment="empty: no champion; null: nothing to roll back to"),
        sa.Column("since", sa.Float(53), nullable=False, comment=_EPOCH),
        sa.Column("probation_until", sa.Float(53), comment=_EPOCH),
    )
    op.create_table(
        "model_decisions",
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("installation", sa.String(), nullable=False),
        sa.Column("at", sa.Float(53), nullable=False, comment=_EPOCH),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("previous", sa.String()),
        sa.Column("by", sa.String(), nullable=False, comment="who decided"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("figures", sa.Text(), nullable=False, comment="JSON"),
    )
    op.create_index("model_decisions_of", "model_decisions", ["installation", "number"])
    op.create_table(
        "leases",
        sa.Column("installation", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("until", sa.Float(53), nullable=False, comment=_EPOCH),
    )


def downgrade() -> None:
    for table in ("leases", "model_decisions", "champions", "model_versions"):
        op.drop_table(table)
