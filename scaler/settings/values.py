"""The types of settings: text from a flag, the environment or a file → a value, or the rule that it breaks."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import durationpy
from pydantic import AfterValidator, BeforeValidator, SecretStr

from scaler.files import check_is_file
from scaler.http.headers import header_fault, is_header_name
from scaler.settings.database_url import parse_database_url
from scaler.settings.redis_url import check_redis_url
from scaler.trigger.server_address import NAMESPACE, PATTERN_RULE, chosen_by_tenants, is_pattern, parse_server_address

ALL_NAMESPACES = "*"
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_HOST = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_INSTALLATION = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?")
_PROTOCOL = re.compile(r"[a-z][a-z0-9+.-]*")


def duration_text(seconds: float) -> str:
    """Seconds as a Go duration, as `1h`."""
    text = str(durationpy.to_str(timedelta(seconds=seconds)))
    text = text.removesuffix("0s") if text.endswith("m0s") else text
    return text.removesuffix("0m") if text.endswith("h0m") else text


def _seconds(value: object) -> object:
    """Seconds of a Go duration. A bare number is refused: it would not say its unit."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    try:
        return durationpy.from_str(str(value)).total_seconds()
    except (durationpy.DurationError, ValueError, OverflowError):
        raise ValueError("must be a duration with its unit, as 15s, 2m or 1h30m") from None


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError("must be longer than 0s")
    return value


def _not_negative(value: float) -> float:
    if value < 0:
        raise ValueError("must not be negative")
    return value


def _texts(value: object) -> object:
    """A tuple of texts, also from comma separated text (the environment has no lists)."""
    parts = value if isinstance(value, list | tuple) else [value]
    return tuple(piece.strip() for part in parts for piece in str(part).split(",") if piece.strip())


def _patterns(values: tuple[str, ...]) -> tuple[str, ...]:
    wrong = [value for value in values if not is_pattern(value)]
    if wrong:
        which = f" (wrong: {', '.join(wrong)})" if len(values) > 1 else ""
        raise ValueError(PATTERN_RULE + which)
    for value in values:
        if rule := chosen_by_tenants(value):
            raise ValueError(f"{rule} (wrong: {value})")
    return values


def _namespaces(values: tuple[str, ...]) -> tuple[str, ...]:
    wrong = [value for value in values if value != ALL_NAMESPACES and not _NAMESPACE.fullmatch(value)]
    if wrong:
        raise ValueError(f"must be names of namespaces, or * alone for all (wrong: {', '.join(wrong)})")
    if ALL_NAMESPACES in values and len(set(values)) > 1:
        raise ValueError("must be * alone: it covers the others")
    return tuple(dict.fromkeys(values))


def _pattern(value: str) -> str:
    if NAMESPACE in value:
        raise ValueError(f"must not hold {NAMESPACE}: credentials are for a server, whichever trigger names it")
    return _patterns((value,))[0]


def _hosts(values: tuple[str, ...]) -> tuple[str, ...]:
    lower = tuple(value.lower().rstrip(".") for value in values)
    wrong = [value for value in lower if len(value) > 253 or not _HOST.fullmatch(value)]
    if wrong:
        raise ValueError(f"must be names of hosts without port, as headway.keda or *.example.com (wrong: {wrong[0]})")
    return lower


def _protocols(values: tuple[str, ...]) -> tuple[str, ...]:
    wrong = [value for value in values if not _PROTOCOL.fullmatch(value)]
    if wrong:
        raise ValueError(f"must be names of protocols without ://, as https or s3 (wrong: {wrong[0]})")
    return values


def _off(value: object) -> object:
    """YAML reads a bare `off` as a boolean."""
    return "off" if value is False else value


def _address(value: object) -> str:
    """Takes anything: YAML reads a bare port as a number."""
    text = str(value)
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535 or (":" in host and not host.startswith("[")):
        raise ValueError("must be HOST:PORT, as 0.0.0.0:50051 or [::]:50051")
    return text


def _address_or_none(value: object) -> str:
    return "" if value in ("", None) else _address(value)


def _server(value: str) -> str:
    if value:
        parse_server_address(value)
    return value.rstrip("/")


def _redis(value: SecretStr) -> SecretStr:
    check_redis_url(value.get_secret_value())
    return value


def _database(value: SecretStr) -> SecretStr:
    parse_database_url(value.get_secret_value())
    return value


def _header_text(value: str) -> str:
    if fault := header_fault(value):
        raise ValueError(f"must be one line of plain text: there is {fault}")
    return value


def _user_name(value: str) -> str:
    if ":" in value:
        raise ValueError("must not hold a colon: basic authentication ends the name there")
    if fault := header_fault(value, any_letter=True):
        raise ValueError(f"must be one line of text: there is {fault}")
    return value


def _header_name(value: str) -> str:
    if not is_header_name(value):
        raise ValueError("must be the name of an HTTP header, as X-Scope-OrgID")
    return value


def _header_name_or_none(value: str) -> str:
    return _header_name(value) if value else ""


def _installation(value: str) -> str:
    if not _INSTALLATION.fullmatch(value):
        raise ValueError("must be at most 63 lower-case letters, digits and dashes, a letter or digit at both ends")
    return value


def encodable(value: Any) -> Any:
    """The same with `\\udcff` written out for what no UTF-8 is: no library, log or terminal takes it, and no rule."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, list | tuple):
        return [encodable(one) for one in value]
    return {encodable(name): encodable(one) for name, one in value.items()} if isinstance(value, dict) else value


def _readable(path: Path) -> Path:
    try:
        check_is_file(path)
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise ValueError(f"must be a readable file ({error.strerror})") from None
    if empty:
        raise ValueError("must not be an empty file")
    return path


Seconds: TypeAlias = Annotated[float, BeforeValidator(_seconds), AfterValidator(_positive)]
SecondsOrNone: TypeAlias = Annotated[float, BeforeValidator(_seconds), AfterValidator(_not_negative)]
Address: TypeAlias = Annotated[str, BeforeValidator(_address)]
AddressOrNone: TypeAlias = Annotated[str, BeforeValidator(_address_or_none)]
Hosts: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_texts), AfterValidator(_hosts)]
Protocols: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_texts), AfterValidator(_protocols)]
HttpTls: TypeAlias = Annotated[Literal["off", "tls", "mtls"], BeforeValidator(_off)]
HttpWrites: TypeAlias = Annotated[Literal["off", "token", "proxy"], BeforeValidator(_off)]
HeaderNameOrNone: TypeAlias = Annotated[str, AfterValidator(_header_name_or_none)]
ServerUrl: TypeAlias = Annotated[str, AfterValidator(_server)]
Pattern: TypeAlias = Annotated[str, AfterValidator(_pattern)]
Patterns: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_texts), AfterValidator(_patterns)]
Namespaces: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_texts), AfterValidator(_namespaces)]
File: TypeAlias = Annotated[Path, AfterValidator(_readable)]
UserName: TypeAlias = Annotated[str, AfterValidator(_user_name)]
HeaderText: TypeAlias = Annotated[str, AfterValidator(_header_text)]
HeaderName: TypeAlias = Annotated[str, AfterValidator(_header_name)]
Installation: TypeAlias = Annotated[str, AfterValidator(_installation)]
RedisUrl: TypeAlias = Annotated[SecretStr, AfterValidator(_redis)]
DatabaseUrl: TypeAlias = Annotated[SecretStr, AfterValidator(_database)]
