"""How good the forecasts of each trigger turned out, by the hour, and by the day after some days."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_SUMS = (
    ("forecasts", "that were scored; all that follow are sums over them"),
    ("pinball", "loss, mean over five quantiles"),
    ("pinball_of_newest", "of the newest observation, had it been the forecast"),
    ("pinball_beside_season", "pinball, where demand a day before is known"),
    ("pinball_of_season", "there, of the demand a day before"),
    ("absolute_error", "of the median, as are those up to symmetric_error"),
    ("error", "above 0 where it was too high"),
    ("squared_error", None),
    ("relative_error", "over the demand, where that was above 0"),
    ("relative_forecasts", "how often it was"),
    ("symmetric_error", "over the mean of median and demand"),
    ("own_pinball", "loss at the trigger's own quantile"),
    ("own_pinball_of_newest", None),
    ("held", "demands within the trigger's own quantile"),
    *((f"within_p{level}", None) for level in (10, 50, 90, 95, 99)),
)


def upgrade() -> None:
    op.create_table(
        "scores",
        sa.Column("namespace", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), primary_key=True),
        _key("lead", "how far ahead: 2 min, 5 min, 15 min, 60 min, or peak"),
        sa.Column(
            "hour",
            sa.Integer(),
            primary_key=True,
            autoincrement=False,
            comment="hours since the epoch; a day's first one",
        ),
        _key("trigger", "hash of its metadata"),
        _key("part", "who has scored; all parts of an hour add up to it"),
        sa.Column("installation", sa.String(), nullable=False, comment="whose trigger it is"),
        sa.Column(
            "hours", sa.Integer(), nullable=False, comment="1, or 24 once the hours of a day have become one row"
        ),
        sa.Column("quantile", sa.REAL(), nullable=False, comment="the trigger's own, which is promised"),
        sa.Column("minutes", sa.REAL(), nullable=False, comment="in which its forecasts were looked at"),
        *(sa.Column(name, sa.REAL(), nullable=False, comment=comment) for name, comment in _SUMS),
    )
    op.create_index("scores_by_age", "scores", ["hours", "hour"])


def downgrade() -> None:
    op.drop_table("scores")


def _key(name: str, comment: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(), primary_key=True, comment=comment)
