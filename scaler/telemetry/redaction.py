"""Text with its secrets taken out. Whatever reaches a log, an error or a page passes through here first."""

import re
import traceback

HIDDEN = "***"

_USERINFO = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^/?#\s]*@", re.IGNORECASE)
_SECRET_PAIR = re.compile(
    r"(?P<name>pass(?:word|wd)?|secret|token|api[_-]?key|authorization)"
    r"(?P<mark>[\"']?\s*[=:]\s*[\"']?(?:bearer |basic )?)"
    r"(?P<value>[^\s\"',;&]+)",
    re.IGNORECASE,
)


def redacted(text: str) -> str:
    """The same text without user names and passwords in URLs, nor the values of `password=`, `token:` and the like."""
    return _SECRET_PAIR.sub(rf"\g<name>\g<mark>{HIDDEN}", _USERINFO.sub(rf"\g<scheme>{HIDDEN}@", text))


def frames(error: BaseException) -> str:
    """Where an exception was raised, without its text: a library's text may repeat what it was given."""
    return "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__
