"""Why a database did not do what was asked, in words that may be shown: cut, and without secrets."""

import sqlite3

from sqlalchemy.exc import TimeoutError as PoolTimeout

from scaler.errors import StoreUnavailable
from scaler.telemetry.redaction import excerpt, os_error_text

_ALTERED = "the tables are not as Headway made them: undo the change, or drop the table, and Headway makes it again"

_OLDER = "the table alembic_version names an older schema than the tables have: restore all of them from one backup"

_REFUSED = {
    "28000": "correct the user name, or the server's rules for it (pg_hba.conf)",
    "28P01": "correct the password",
    "3F000": "no schema of the user's search_path exists, or none that it may use: create it, "
    "grant USAGE and CREATE, or set search_path",
    "3D000": "create the database, or correct its name at the end of the URL",
    "42501": "grant the user CREATE on the schema and all rights on its tables, or use the user that owns them",
    # a column that is missing, of another type, too short, or new and without a default; a key that is missing
    **dict.fromkeys(("42703", "42804", "42846", "42883", "42P10", "22001", "23502", "42809"), _ALTERED),
    **dict.fromkeys(("42701", "42P07"), _OLDER),
}
"""by SQLSTATE: what an operator must do; waiting does not help"""

_NO_TEXT = ("22021", "22P05")
"""SQLSTATE of bytes that are no text in the encoding of the connection"""

_HINTS = {
    "unable to open database file": "the path must lead to a file that this user may read and write, or to none yet",
    "database is locked": "another process holds it",
    "due to statement timeout": "raise statement_timeout for this user",
    "duplicate column name": _OLDER,
    "already exists": _OLDER,
    "no such column": _ALTERED,
    "has no column named": _ALTERED,
    "ON CONFLICT clause does not match": _ALTERED,
    "NOT NULL constraint failed": _ALTERED,
    "transaction blocks not allowed": "the pooler is in statement mode, which has no transactions: "
    "use transaction or session mode",
    "read-only transaction": "the server only reads, as a replica does: the URL must lead to the primary",
    "unsupported startup parameter": "the pooler does not let this option of the URL through: leave it out, "
    "or add it to the pooler's ignore_startup_parameters",
    "prepared statement": "something between Headway and PostgreSQL mixes up connections within a transaction: "
    "use a pooler in transaction or session mode",
}
"""by a part of the server's text: what to do"""


def driver_error(error: BaseException | None) -> BaseException | None:
    """What the driver raised, out of SQLAlchemy's wrapping, whose text would show the statement."""
    while (inner := getattr(error, "orig", None)) is not None:
        error = inner
    return error


def is_refusal(error: BaseException) -> bool:
    """Whether the database answers, and refuses what it was asked until an operator acts."""
    return getattr(driver_error(error), "sqlstate", None) in _REFUSED


_PASSES = ("55P03", "57014", "57P01", "57P02", "57P03", "40P01")
"""SQLSTATE of a lock that was not free in time, a statement that was ended, a server that shuts down, a deadlock"""


def is_answer(error: BaseException | None) -> bool:
    """Whether PostgreSQL itself refused a statement; else it was not reached, or took too long."""
    return getattr(driver_error(error), "sqlstate", None) not in (None, *_PASSES)


def is_undecodable(error: BaseException | None) -> bool:
    """Whether the driver or the server could not make text of the bytes that a row holds."""
    cause = driver_error(error)
    if isinstance(cause, sqlite3.OperationalError):
        return "decode" in str(cause)
    return isinstance(cause, UnicodeError) or getattr(cause, "sqlstate", None) in _NO_TEXT


def reason(error: BaseException) -> str:
    """The error in a few words of ours, followed by the first line of the server's text where there is one."""
    cause = driver_error(error)
    if isinstance(cause, StoreUnavailable):
        return str(cause)
    if isinstance(cause, TimeoutError | PoolTimeout):
        return "no answer in time"
    if isinstance(cause, OSError):
        return os_error_text(cause)
    text = next(iter(str(cause).splitlines()), "") or type(cause).__name__
    hint = _REFUSED.get(getattr(cause, "sqlstate", None) or "") or next(
        (hint for part, hint in _HINTS.items() if part in text), ""
    )
    return f"{excerpt(text)} ({hint})" if hint else excerpt(text)
