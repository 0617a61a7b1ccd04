"""Passwords that were not percent-encoded."""

import pytest

from scaler.settings import Settings, SettingsInvalid, in_force, load_settings
from scaler.trigger.server_address import redact


@pytest.mark.parametrize("mark", "/?#@")
def test_a_password_with_marks_is_hidden_whole(mark: str) -> None:
    """What was meant as a password is hidden up to the last @, in the settings that are logged and in messages."""
    url = f"postgresql://user:a{mark}hunter2@host/db"

    assert "hunter2" not in str(in_force(Settings(database=url)))
    assert "hunter2" not in redact(url)


def test_a_signed_url_is_shown_without_its_signature() -> None:
    """Stores sign URLs under names of their own: nothing of the query is logged."""
    assert "hunter2" not in str(in_force(Settings(bundle="https://store/bundles?X-Amz-Signature=hunter2")))


def test_a_database_without_slashes_is_refused_unseen() -> None:
    """What lacks its :// may be anything, a password too."""
    with pytest.raises(SettingsInvalid) as refusal:
        load_settings({"database": "postgresql:hunter2"})
    assert "must begin with postgresql://" in str(refusal.value)
    assert "hunter2" not in str(refusal.value)
