"""Passwords that were not percent-encoded."""

import pytest

from scaler.settings import Settings, SettingsInvalid, in_force, load_settings
from scaler.trigger.server_address import redact


@pytest.mark.parametrize("mark", "/?#@")
@pytest.mark.parametrize("setting", ["database", "redis"])
def test_a_password_with_marks_is_refused_and_hidden_whole(setting: str, mark: str) -> None:
    """What was meant as a password is hidden up to the last @, and the fault says how to write it."""
    url = f"{'postgresql' if setting == 'database' else 'redis'}://user:a{mark}hunter2@host/0"

    with pytest.raises(SettingsInvalid, match="percent-encoded") as refusal:
        load_settings({setting: url})
    assert "hunter2" not in str(refusal.value)
    assert "hunter2" not in redact(url)


def test_a_password_is_hidden_in_the_settings_in_force() -> None:
    """The log of the settings names the server, and neither user nor password."""
    shown = str(in_force(Settings(database="postgresql://user:a%40hunter2@host/db?password=hunter2")))
    assert "host/db" in shown
    assert "hunter2" not in shown


def test_a_signed_url_is_shown_without_its_signature() -> None:
    """Stores sign URLs under names of their own: nothing of the query is logged."""
    assert "hunter2" not in str(in_force(Settings(bundle="https://store/bundles?X-Amz-Signature=hunter2")))


def test_a_database_without_slashes_is_refused_unseen() -> None:
    """What lacks its :// may be anything, a password too."""
    with pytest.raises(SettingsInvalid) as refusal:
        load_settings({"database": "postgresql:hunter2"})
    assert "must begin with postgresql://" in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("setting", ["prometheus_bearer_token_file", "prometheus_password_file"])
def test_a_secret_in_place_of_its_file_is_not_shown(setting: str) -> None:
    """What does not begin as a path may be the secret itself; a path is shown, so that it can be corrected."""
    for value, is_shown in (("hunter2.hunter2", False), ("/nowhere/hunter2", True), ("./hunter2", True)):
        with pytest.raises(SettingsInvalid, match="must be a readable file") as refusal:
            load_settings({"prometheus": "http://p:9090", setting: value})
        assert ("hunter2" in str(refusal.value)) == is_shown
