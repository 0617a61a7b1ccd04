"""The setting `database`: a URL of PostgreSQL with options that are known, or of a SQLite file."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlencode

from scaler.settings.urls import Options, read_options, split_url

_TLS_VERSIONS = frozenset({"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"})
_BOOLEANS = frozenset({"true", "false", "1", "0"})

_POOLER: Options = {
    "pgbouncer": _BOOLEANS,
    "statement_cache_size": frozenset({"0"}),
    "prepared_statement_cache_size": frozenset({"0"}),
}
"""what other programs need behind a pooler; Headway always works that way, so these change nothing"""

_SERVER: Options = {"application_name": None, "search_path": None, "options": None}
"""settings of the server's session; most poolers let only `application_name` through"""

_KNOWN: Options = {
    "host": None,
    "port": None,
    "user": None,
    "password": None,
    "passfile": None,
    "dbname": None,
    "database": None,
    "service": None,
    "sslmode": frozenset({"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}),
    "sslrootcert": None,
    "sslcert": None,
    "sslkey": None,
    "sslpassword": None,
    "sslcrl": None,
    "sslnegotiation": frozenset({"postgres", "direct"}),
    "ssl_min_protocol_version": _TLS_VERSIONS,
    "ssl_max_protocol_version": _TLS_VERSIONS,
    "target_session_attrs": frozenset({"any", "primary", "read-write"}),
    "krbsrvname": None,
    "gsslib": frozenset({"gssapi", "sspi"}),
    **_SERVER,
    **_POOLER,
}

_HINTS = {
    "channel_binding": "The driver has no channel binding: leave it out and use sslmode=verify-full",
    "connect_timeout": "Headway waits 2 s for a connection: leave it out",
    "schema": "Use search_path, or options=-csearch_path%3DNAME",
    "ssl": "Use sslmode",
}


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """A URL that was checked: `name` is for people and has no secret in it, `dsn` is for the driver."""

    dsn: str
    name: str


def parse_database_url(url: str) -> PostgresUrl | Path:
    """What the setting names: a PostgreSQL, or the path of a SQLite file. Raises ValueError with the rule."""
    scheme, separator, rest = url.partition("://")
    dialect = scheme.partition("+")[0] if separator else ""
    if dialect in ("postgresql", "postgres"):
        return parse_postgres_url(f"postgresql://{rest}")
    if dialect != "sqlite":
        raise ValueError("must begin with postgresql:// or sqlite:///")
    if "?" in rest:
        raise ValueError("a SQLite URL has no options (a ? in the name of the file is %3F)")
    path = unquote(rest)
    if not path.startswith("/") or path == "/":
        raise ValueError("a SQLite URL names a file: sqlite:///relative/path or sqlite:////absolute/path")
    return Path(path[1:])


def parse_postgres_url(url: str) -> PostgresUrl:
    """Read a postgresql:// URL. Raises ValueError, naming the option and the rule, for one that cannot be used."""
    parts = split_url(url)
    hosts = parts.netloc.rpartition("@")[2]
    options = read_options(parts.query, _KNOWN, _HINTS)
    ports = re.findall(r":([^:,\]]*)(?:,|$)", hosts) + options.get("port", "").split(",")
    if not all(re.fullmatch(r"\d{0,5}", port) for port in ports):
        raise ValueError("the port in the URL is a number")
    options.setdefault("application_name", "headway")
    passed_on = {name: value for name, value in options.items() if name not in _POOLER}
    dsn = f"postgresql://{parts.netloc}{parts.path}?{urlencode(passed_on)}"
    return PostgresUrl(dsn, f"PostgreSQL at {hosts}{parts.path}")
