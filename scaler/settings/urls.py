"""What the URLs of the servers that keep state (`redis`, `database`) have in common.

They are checked before a driver reads them: drivers pass on what they do not know, or fail in words of their own. Every
ValueError here states the rule, without the URL.
"""

from collections.abc import Mapping
from urllib.parse import SplitResult, parse_qsl, urlsplit

Options = Mapping[str, frozenset[str] | None]
"""by name: the values that an option may have; None where it takes any text"""


def split_url(url: str) -> SplitResult:
    """The parts of the URL. Raises ValueError where the password cannot be separated from the rest."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ValueError("the URL cannot be read: the brackets of an IPv6 address do not match") from error
    if url.count("@") != ("@" in parts.netloc) or "#" in url:
        raise ValueError("special characters in user, password and options are percent-encoded (@ is %40, # is %23)")
    return parts


def read_options(query: str, known: Options, hints: Mapping[str, str]) -> dict[str, str]:
    """The options of a URL by name. Raises ValueError for one that is unknown, has a wrong value, or none.

    `hints` say what to do instead of an option that is often tried.
    """
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError as error:
        raise ValueError("options in the URL are written as ?NAME=VALUE&NAME=VALUE") from error
    options = dict(pairs)
    for name, value in options.items():
        if name not in known:
            hint = f"{hints[name]}. " if name in hints else ""
            raise ValueError(f"unknown option {name!r} in the URL. {hint}Known are {', '.join(known)}")
        allowed = known[name]
        if allowed is not None and value not in allowed:
            raise ValueError(f"{name}={value!r} in the URL: must be one of {', '.join(sorted(allowed))}")
    return options
