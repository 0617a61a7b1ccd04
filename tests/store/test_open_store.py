"""Which store serves which settings."""

from pathlib import Path

import pytest

from scaler.errors import SettingsError
from scaler.store.database import Postgres, Sqlite
from scaler.store.null import NullStore
from scaler.store.sql_store import SqlStore, open_store


def opened(url: str | None, data_dir: Path | None = None) -> Postgres | Sqlite:
    store = open_store(url, data_dir)
    assert isinstance(store, SqlStore)
    assert isinstance(store.database, Postgres | Sqlite)
    return store.database


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql://user:s3cret@db.example:5433/headway?sslmode=require", "PostgreSQL at db.example:5433/headway"),
        ("postgres://db.example/headway", "PostgreSQL at db.example/headway"),
        ("postgresql+asyncpg://u:p@one:5432,two:5433/headway", "PostgreSQL at one:5432,two:5433/headway"),
        ("postgresql://[::1]:5432/headway", "PostgreSQL at [::1]:5432/headway"),
        ("postgresql:///headway?host=/run/postgresql", "PostgreSQL at /headway"),
        ("postgresql://pooler:6432/headway?pgbouncer=true", "PostgreSQL at pooler:6432/headway"),
        ("postgresql://pooler:6432/headway?statement_cache_size=0&password=p", "PostgreSQL at pooler:6432/headway"),
        ("sqlite:///kept/headway.db", "SQLite file kept/headway.db"),
        ("sqlite:////var/lib/headway.db", "SQLite file /var/lib/headway.db"),
        ("sqlite+aiosqlite:////var/my%20data/headway.db", "SQLite file /var/my data/headway.db"),
    ],
)
def test_a_url_names_its_database(url: str, name: str) -> None:
    """The usual spellings lead to the right engine, whose name holds neither user nor password."""
    assert opened(url).name == name


def test_a_url_counts_before_the_folder() -> None:
    """With both set, the database is used and the folder is left alone."""
    assert isinstance(opened("postgresql://db.example/headway", Path("data")), Postgres)


def test_a_folder_gets_a_file(tmp_path: Path) -> None:
    """Without a URL, the data folder holds `headway.db`; opening alone makes nothing."""
    assert opened(None, tmp_path / "data").name == f"SQLite file {tmp_path}/data/headway.db"
    assert not (tmp_path / "data").exists()


def test_neither_keeps_nothing() -> None:
    """Without URL and folder, nothing is remembered."""
    assert isinstance(open_store(None, None), NullStore)


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("mysql://user:s3cret@db/headway", "must begin with postgresql:// or sqlite:///"),
        ("user:s3cret@db/headway", "must begin with postgresql:// or sqlite:///"),
        ("", "must begin with postgresql:// or sqlite:///"),
        ("sqlite://", "names a file"),
        ("sqlite:///", "names a file"),
        ("sqlite://headway.db", "names a file"),
        ("postgresql://u:s3cret@db:port/headway", "port"),
        ("postgresql://u:s3cret@db:5432,db2:port/headway", "port"),
        ("postgresql://u:s3cret@[::1/headway", "IPv6"),
        ("postgresql://u:s3cret/x@db/headway", "percent-encoded"),
        ("postgresql://u:s3cret@x@db/headway", "percent-encoded"),
        ("postgresql://u:s3cret?x@db/headway", "percent-encoded"),
        ("postgresql://u:s3cret#x@db/headway", "percent-encoded"),
        ("postgresql://db/headway?password=s3cret#x", "percent-encoded"),
        ("postgresql://db/headway?port=s3cret", "port"),
        ("postgresql://db/headway?password=s3cret&nothing", r"\?NAME=VALUE"),
        ("postgresql://db/headway?password=s3cret&jit=off", "unknown option 'jit' in the URL. Known are host, port"),
        ("postgresql://db/headway?SSLMODE=require", "unknown option 'SSLMODE'"),
        ("postgresql://db/headway?ssl=true", "unknown option 'ssl' in the URL. Use sslmode"),
        ("postgresql://db/headway?channel_binding=require", "no channel binding"),
        ("postgresql://db/headway?connect_timeout=10", "waits 2 s"),
        ("postgresql://db/headway?statement_cache_size=100", "statement_cache_size='100' in the URL: must be one of 0"),
        ("postgresql://db/headway?pgbouncer=maybe", "pgbouncer='maybe'"),
        ("postgresql://db/headway?sslmode=blue", "sslmode='blue' in the URL: must be one of allow, disable"),
        ("postgresql://db/headway?sslmode=", "sslmode=''"),
        ("postgresql://db/headway?target_session_attrs=standby", "target_session_attrs='standby'"),
        ("sqlite:///kept/headway.db?mode=ro", "no options"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url: str, rule: str) -> None:
    """The error names the rule, and nothing of the password."""
    with pytest.raises(SettingsError, match=rule) as caught:
        open_store(url, None)
    assert "s3cret" not in str(caught.value)
