"""The settings as this process has them, to be shown."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from scaler.redaction import HIDDEN, redacted
from scaler.settings.fields import ListedTrigger, Settings
from scaler.settings.rules import written
from scaler.settings.values import duration_text


def in_force(settings: Settings) -> dict[str, Any]:
    """Every setting with its value, spelled as in the file. Without secrets; of a trigger's metadata only the keys."""
    return _entry(settings)


def _entry(entry: BaseModel) -> dict[str, Any]:
    return {written(name): _shown(getattr(entry, name)) for name in type(entry).model_fields}


def _shown(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return redacted(value.get_secret_value())
    if isinstance(value, ListedTrigger):
        return {**_entry(value), "metadata": dict.fromkeys(value.metadata, HIDDEN)}
    if isinstance(value, BaseModel):
        return _entry(value)
    if isinstance(value, tuple):
        return [_shown(item) for item in value]
    if isinstance(value, float):
        return duration_text(value)
    return redacted(str(value)) if isinstance(value, str | Path) else value
