"""The settings that are set, in a form to show."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from scaler.settings.fields import ListedTrigger, Settings
from scaler.settings.rules import written
from scaler.settings.values import duration_text
from scaler.telemetry.redaction import HIDDEN, redacted
from scaler.trigger.server_address import redact


def in_force(settings: Settings) -> dict[str, Any]:
    """The settings from flags, environment and file, spelled as in the file; the others have the defaults of
    docs/settings.md. Without secrets; only the keys of a trigger's metadata.
    """
    return _entry(settings)


def _entry(entry: BaseModel) -> dict[str, Any]:
    names = (name for name in type(entry).model_fields if name in entry.model_fields_set)
    return {written(name): _shown(getattr(entry, name)) for name in names}


def _shown(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return redact(redacted(value.get_secret_value()))
    if isinstance(value, ListedTrigger):
        return {**_entry(value), "metadata": dict.fromkeys(value.metadata, HIDDEN)}
    if isinstance(value, BaseModel):
        return _entry(value)
    if isinstance(value, dict):
        return dict.fromkeys(value, HIDDEN)  # the options of a server: only its kind knows which are secret
    if isinstance(value, tuple):
        return [_shown(item) for item in value]
    if isinstance(value, float):
        return duration_text(value)
    if isinstance(value, str) and "://" in value:
        return redact(value)  # a signed URL's secret is in its query, under a name of its maker's
    return redacted(str(value)) if isinstance(value, str | Path) else value
