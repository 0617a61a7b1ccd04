"""Who may write by HTTP: settings that contradict each other are refused."""

from pathlib import Path

import pytest

from scaler.settings import load_settings
from scaler.settings.rules import SettingsInvalid


@pytest.mark.parametrize(
    ("given", "field", "rule"),
    [
        ({"http_writes": "token"}, "http-writes", "needs http-token-file"),
        ({"http_writes": "proxy"}, "http-writes", "needs http-user-header"),
        ({"http_user_header": "X-User"}, "http-user-header", "needs http-writes: proxy"),
        ({"http_writes": "all"}, "http-writes", "must be"),
        (
            {"http_writes": "proxy", "http_user_header": "X User"},
            "http-user-header",
            "must be the name of",
        ),
    ],
)
def test_contradictions(given: dict[str, str], field: str, rule: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(given)
    (fault,) = caught.value.faults
    assert (fault.field, fault.rule.startswith(rule)) == (field, True)


def test_what_fits(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a-token-of-some-length")
    assert load_settings({}).http_writes == "off"
    assert load_settings({"http_writes": "token", "http_token_file": str(token)}).http_writes == "token"
    assert load_settings({"http_writes": "proxy", "http_user_header": "X-User"}).http_user_header == "X-User"
