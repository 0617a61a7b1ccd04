"""The setting `redis`: a URL with options that are known."""

import re

from scaler.settings.urls import Options, read_options, split_url

_BOOLEANS = frozenset({"true", "false", "True", "False", "yes", "no", "1", "0"})
_KNOWN: Options = {
    "db": None,
    "username": None,
    "password": None,
    "client_name": None,
    "socket_timeout": None,
    "socket_connect_timeout": None,
    "socket_keepalive": _BOOLEANS,
    "health_check_interval": None,
    "ssl_cert_reqs": frozenset({"required", "optional", "none"}),
    "ssl_ca_certs": None,
    "ssl_ca_path": None,
    "ssl_certfile": None,
    "ssl_keyfile": None,
    "ssl_password": None,
    "ssl_check_hostname": _BOOLEANS,
}
_HINTS = {
    "ssl": "For TLS the URL begins with rediss://",
    "tls": "For TLS the URL begins with rediss://",
    "cluster": "A cluster is noticed without an option",
    "protocol": "Headway chooses it",
    "decode_responses": "Headway stores bytes",
}


def check_redis_url(url: str) -> None:
    """Raises ValueError, naming the option and the rule, for a URL that cannot be used."""
    parts = split_url(url)
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError("must begin with redis://, rediss:// or unix://")
    try:
        _ = parts.port
    except ValueError as error:
        raise ValueError("the port in the URL is a number") from error
    if parts.scheme != "unix" and not re.fullmatch(r"/?\d*", parts.path):
        raise ValueError("the path of the URL is the number of a database, as in redis://host:6379/0")
    options = read_options(parts.query, _KNOWN, _HINTS)
    needs_tls = [name for name in options if name.startswith("ssl_")]
    if needs_tls and parts.scheme != "rediss":
        raise ValueError(f"{needs_tls[0]} in the URL: only a rediss:// URL has TLS")


def server_name(url: str) -> str:
    """The server as people may read it: without user, password and options."""
    parts = split_url(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
