"""The door to metric sources: kinds, their credentials, and what each server is asked with."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from scaler.errors import DependencyError, SettingsError, SourceUnavailable
from scaler.history import observe_all, open_source
from scaler.history.credentials import ServerAccess, secret_file
from scaler.history.sources import SourceOptions, source_for
from scaler.settings import SettingsInvalid, in_force, load_settings
from scaler.testing import FixedSource
from scaler.trigger import Trigger

TRIGGER = Trigger("shop", "web", "web", 10.0, "https://api.vendor.example", key="a")


def open_vendor(options: SourceOptions) -> FixedSource:
    """A kind as a package would bring it: it reads its own credentials, and answers with the key's length."""
    (access,) = options.access
    key = secret_file(Path(access.options["key-file"]), "key")
    return FixedSource(lambda trigger, at: float(len(key.current())))


@dataclass
class Entry:
    """An entry point of an installed package."""

    name: str
    load: Callable[[], object]


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with the kind `vendor` is installed."""
    entries = {"headway.sources": [Entry("vendor", lambda: open_vendor)]}
    monkeypatch.setattr("scaler.history.sources.entry_points", lambda group: entries.get(group, []))


def config(folder: Path, servers: str) -> dict[str, object]:
    """Flags that read a settings file with these `servers:`."""
    (folder / "headway.yaml").write_text(f"prometheus: http://127.0.0.1:1\nservers:\n{servers}")
    return {"config": folder / "headway.yaml"}


@pytest.mark.usefixtures("vendor")
async def test_a_kind_of_a_package_answers_for_its_servers_alone(tmp_path: Path) -> None:
    """It is named in the settings, follows its own credentials, and Prometheus is asked as ever."""
    key = tmp_path / "key"
    key.write_text("12345\n")
    entry = f"  - pattern: https://*.vendor.example\n    kind: vendor\n    options: {{key-file: {key}}}\n"
    settings = load_settings(config(tmp_path, entry))
    source = open_source(settings)
    theirs, ours = await observe_all(source, [TRIGGER, replace(TRIGGER, server_address="http://127.0.0.1:1")], 0.0)
    assert theirs == 5.0
    assert isinstance(ours, SourceUnavailable)
    key.write_text("1234567\n")
    assert await observe_all(source, [TRIGGER], 0.0) == [7.0]
    assert "12345" not in str(in_force(settings)) + repr(source)
    assert str(key) not in str(in_force(settings))
    await source.close()


@pytest.mark.usefixtures("vendor")
async def test_a_kind_that_fails_fails_alone(tmp_path: Path) -> None:
    """Its triggers get the error, those of other kinds their demand."""
    recording = tmp_path / "demand.csv"
    recording.write_text("series,timestamp,value\nweb,2026-01-01T00:00:00Z,3\nweb,2026-01-01T00:01:00Z,3\n")
    access = [
        ServerAccess("https://api.vendor.example", kind="vendor", options={"key-file": str(tmp_path / "absent")}),
        ServerAccess("http://recorded", kind="recorded", options={"file": str(recording)}),
    ]
    source = source_for(access)
    theirs, ours = await observe_all(source, [TRIGGER, replace(TRIGGER, server_address="http://recorded")], 0.0)
    assert isinstance(theirs, DependencyError)
    assert "absent cannot be read" in str(theirs)
    assert ours == 3.0
    await source.close()


@pytest.mark.usefixtures("vendor")
def test_an_unknown_kind_is_refused_at_the_start(tmp_path: Path) -> None:
    """With the kinds that are there, those of packages too."""
    settings = load_settings(config(tmp_path, "  - {pattern: 'https://a', kind: datdog}\n"))
    with pytest.raises(SettingsError, match=r"kind='datdog': must be one of prometheus, recorded, vendor"):
        open_source(settings)


@pytest.mark.parametrize(
    ("access", "rule"),
    [
        ({"kind": "recorded"}, "takes one option, `file`"),
        ({"kind": "recorded", "options": {"fiel": "x"}}, "takes one option, `file`"),
        ({"kind": "recorded", "options": {"file": "absent.csv"}}, "recording absent.csv: cannot be read"),
        ({"options": {"file": "x"}}, "options are for servers of another kind"),
    ],
)
def test_options_that_a_kind_refuses(access: dict[str, object], rule: str) -> None:
    """At the start, by the kind's own rules."""
    with pytest.raises(SettingsError, match=rule):
        source_for([ServerAccess("http://recorded", **access)])  # type: ignore[arg-type]


def test_options_are_not_shown(tmp_path: Path) -> None:
    """A fault of the settings names the field; what it holds may be a secret."""
    with pytest.raises(SettingsInvalid) as raised:
        load_settings(config(tmp_path, "  - {pattern: 'https://a', kind: vendor, options: {key: [s3cret]}}\n"))
    assert "servers.0.options" in str(raised.value)
    assert "s3cret" not in str(raised.value)
