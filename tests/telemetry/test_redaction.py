"""Text with its secrets taken out."""

import errno
import socket
import ssl

import pytest

from scaler.telemetry.redaction import excerpt, os_error_text, redacted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://:geheim@host/0", "redis://***@host/0"),
        ("at postgresql+asyncpg://u:ge@heim@host/db failed", "at postgresql+asyncpg://***@host/db failed"),
        ("Authorization: Bearer geheim", "Authorization: Bearer ***"),
        ('{"password": "geheim", "user": "a"}', '{"password": "***", "user": "a"}'),
        ("token=geheim&x=1", "token=***&x=1"),
        ("http://host/path?email=a@b", "http://host/path?email=a@b"),
        ('sum(rate(http_requests_total{app="web"}[2m]))', 'sum(rate(http_requests_total{app="web"}[2m]))'),
    ],
)
def test_secrets_are_hidden_and_the_rest_stays(text, shown):
    """Credentials in URLs and after names that reveal them are replaced; nothing else changes."""
    assert redacted(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\nlines\tand \x1b[31mcolour", "two lines and [31mcolour"),
        ("x" * 300, "x" * 199 + "…"),
        ("connecting to redis://:geheim@host failed", "connecting to redis://***@host failed"),
        ("", ""),
    ],
)
def test_foreign_text_becomes_one_short_line(text: str, shown: str) -> None:
    """A text of a library is quoted without line breaks, control characters and secrets, and cut."""
    assert excerpt(text) == shown


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('10.0.0.1', 5432)"), "Connection refused"),
        (FileNotFoundError(errno.ENOENT, "No such file", "/secret/path"), "No such file or directory"),
        (socket.gaierror(-2, "Name or service not known"), "the name of the host cannot be resolved"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)"), "TLS failed: "),
        (OSError("Multiple exceptions: one, two"), "Multiple exceptions: one, two"),
        (OSError(), "OSError"),
    ],
)
def test_an_error_of_the_system_has_no_names_of_a_library(error: OSError, shown: str) -> None:
    """The system's own words, or ours; no addresses and no lines of C."""
    assert os_error_text(error).startswith(shown)


def test_an_excerpt_of_a_long_text_is_cut_before_any_pattern_looks_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may send a megabyte; a secret that the cut runs through stays hidden."""
    seen: list[int] = []
    monkeypatch.setattr("scaler.telemetry.redaction.redacted", lambda text: seen.append(len(text)) or redacted(text))
    assert excerpt("password=" + "x" * 1_000_000) == "password=***"
    assert len(excerpt("word " * 200_000)) <= 200
    assert max(seen) <= 800
