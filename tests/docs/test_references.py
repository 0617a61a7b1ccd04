"""The generated pages: up to date and complete."""

from pathlib import Path

import pytest

from scaler.plan.policies import POLICIES
from scaler.settings.fields import IN_FILE_ONLY, ListedTrigger, Server, Settings
from scaler.settings.options import environment_variable, flag, flag_fields
from scaler.settings.rules import written
from scaler.telemetry.events import EVENTS
from scaler.telemetry.figures import FIGURES
from scaler.trigger import TRIGGER_KEYS, Trigger
from tools.reference import PAGES

ROOT = Path(__file__).parent.parent.parent


def page(name: str) -> str:
    return (ROOT / "docs" / f"{name}.md").read_text()


@pytest.mark.parametrize("path", PAGES)
def test_generated_page_is_up_to_date(path):
    """`make docs` would change nothing."""
    assert (ROOT / path).read_text() == PAGES[path](), f"{path} is stale: run make docs"


def test_every_trigger_key_is_documented():
    """Each key is on the page, and each field of a Trigger has a key."""
    assert [key.name for key in TRIGGER_KEYS if f"| `{key.name}` |" not in page("trigger")] == []
    others = {"namespace", "name", "key", "history_key"}
    assert {key.field for key in TRIGGER_KEYS} | others == set(Trigger.__dataclass_fields__)


def test_every_setting_is_documented():
    """Each setting has flag, environment variable, description and, in lists, its entries' keys."""
    text = page("settings")
    for name, field in flag_fields().items():
        assert f"### `{flag(name)} " in text
        assert f"`{environment_variable(name)}`" in text
        assert field.description
        assert field.description in text
    assert flag_fields().keys() | IN_FILE_ONLY == Settings.model_fields.keys()
    entries = [*Server.model_fields, *ListedTrigger.model_fields]
    assert [name for name in entries if f"| `{written(name)}` |" not in text] == []


def test_every_figure_and_event_is_documented():
    """Each exported figure and each event of the log is on the page."""
    text = page("telemetry")
    names = [figure.name for figure in FIGURES] + [event.name for event in EVENTS]
    assert [name for name in names if f"| `{name}` |" not in text] == []


def test_every_policy_is_documented():
    """Each policy has its row in both tables."""
    assert all(page("policies").count(f"| `{name.value}` |") == 2 for name in POLICIES)
