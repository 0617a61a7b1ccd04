"""The URLs of the servers that keep state (`redis`, `database`), checked before a driver reads them.

Drivers pass on or overwrite what they do not know. Here every option is known by name, or the URL is refused.
"""

from collections.abc import Mapping
from urllib.parse import SplitResult, parse_qsl, urlsplit

from scaler.errors import SettingsError

Options = Mapping[str, frozenset[str] | None]
"""by name: the values that an option may have; None where it takes any text"""


def split_url(setting: str, url: str) -> SplitResult:
    """The parts of the URL. Raises SettingsError where the password cannot be separated from the rest."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise SettingsError(
            f"{setting}: the URL cannot be read: the brackets of an IPv6 address do not match"
        ) from error
    if url.count("@") != ("@" in parts.netloc) or "#" in url:
        raise SettingsError(
            f"{setting}: special characters in user, password and options are percent-encoded (@ is %40, # is %23)"
        )
    return parts


def read_options(setting: str, query: str, known: Options, hints: Mapping[str, str]) -> dict[str, str]:
    """The options of a URL by name. Raises SettingsError for one that is unknown, has a wrong value, or none.

    `hints` say what to do instead of an option that is often tried.
    """
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError as error:
        raise SettingsError(f"{setting}: options in the URL are written as ?NAME=VALUE&NAME=VALUE") from error
    options = dict(pairs)
    for name, value in options.items():
        if name not in known:
            hint = f"{hints[name]}. " if name in hints else ""
            raise SettingsError(f"{setting}: unknown option {name!r} in the URL. {hint}Known are {', '.join(known)}")
        allowed = known[name]
        if allowed is not None and value not in allowed:
            raise SettingsError(f"{setting}: {name}={value!r} in the URL: must be one of {', '.join(sorted(allowed))}")
    return options
