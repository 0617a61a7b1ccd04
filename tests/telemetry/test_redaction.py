"""Text with its secrets taken out."""

import pytest

from scaler.telemetry.redaction import redacted


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
    """Credentials in URLs and after telling names are replaced; nothing else changes."""
    assert redacted(text) == shown
