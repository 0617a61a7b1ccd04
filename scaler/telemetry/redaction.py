"""Text with its secrets taken out. Whatever reaches a log, an error or a page passes through here first."""

import os
import re
import socket
import ssl
import traceback
from collections.abc import Iterator

HIDDEN = "***"

# Both take time that grows with the text and no faster: what may repeat is bounded, or ends where it began.
_USERINFO = re.compile(r"(?P<scheme>(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,40}://)[^/?#\s]*@", re.IGNORECASE)
_SECRET_PAIR = re.compile(
    r"(?P<name>pass(?:word|wd)?|secret|token|api[_-]?key|authorization)"
    r"(?P<mark>[\"']?\s{0,20}[=:]\s{0,20}[\"']?(?:bearer |basic )?)"
    r"(?P<value>[^\s\"',;&]+)",
    re.IGNORECASE,
)

LONGEST_WHOLE_WORD = 16
"""characters of a value or a word that a message repeats whole; a longer one may be a secret in the wrong field"""
ENDS_SHOWN = 4
"""characters that a message repeats of both ends of a longer one: its author recognises it, nobody can use it"""

_LONG_WORD = re.compile(rf"[A-Za-z0-9_~+=-]{{{LONGEST_WHOLE_WORD + 1},}}")


def ends(text: str) -> str:
    """`sk-l…90ab` of a longer text."""
    return text if len(text) <= LONGEST_WHOLE_WORD else f"{text[:ENDS_SHOWN]}…{text[-ENDS_SHOWN:]}"


def without_tokens(text: str) -> str:
    """The same text with the ends alone of long words of letters and digits: a server's error repeats the query, and
    what was typed as a query may be a token. Names of functions and most metrics have no digits."""
    return _LONG_WORD.sub(lambda word: word[0] if _is_name(word[0]) else ends(word[0]), text)


def _is_name(word: str) -> bool:
    return not any(c.isdigit() for c in word) or not any(c.isalpha() for c in word)


def redacted(text: str) -> str:
    """The same text without user names and passwords in URLs, nor the values of `password=`, `token:` and the like."""
    return _SECRET_PAIR.sub(rf"\g<name>\g<mark>{HIDDEN}", _USERINFO.sub(rf"\g<scheme>{HIDDEN}@", text))


def frames(error: BaseException) -> str:
    """Where an exception was raised, without its text: a library's text may repeat its input."""
    return "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__


def excerpt(text: str, longest: int = 200) -> str:
    """One line of a foreign text (an error of a library or a server), fit to be quoted in a message of ours.

    Redacted, without line breaks and control characters, and cut to `longest` characters. A long text is cut first:
    what looks at it takes time that grows with its length.
    """
    text = redacted(text[: 4 * longest])
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def os_error_text(error: OSError) -> str:
    """What the system says of a failed connection or file, without addresses and names that a library put there."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {excerpt(error.verify_message)}"
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "reason", None) or "unknown reason"
        return f"TLS failed: {reason.lower().replace('_', ' ')}"
    if isinstance(error, socket.gaierror):
        return "the name of the host cannot be resolved"
    if error.errno:
        return os.strerror(error.errno)
    return excerpt(str(error)) or type(error).__name__


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what caused it, what caused that, …; of several causes the first.

    Libraries raise errors `from None` and keep the context, so it counts in any case.
    """
    cause: BaseException | None = error
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        first = cause.exceptions[0] if isinstance(cause, BaseExceptionGroup) else None
        cause = first or cause.__cause__ or cause.__context__
