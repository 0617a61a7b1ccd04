"""The optional YAML file: the same settings, spelled like the flags without the leading dashes."""

from pathlib import Path
from typing import Any

from scaler.errors import Fault
from scaler.files import check_is_file
from scaler.settings.rules import SettingsInvalid, field_name
from scaler.telemetry.redaction import redacted


def read_settings_file(path: object) -> dict[str, Any]:
    """The file's settings by field name; nothing without a path. Raises SettingsInvalid if it is not a YAML mapping."""
    if not path:
        return {}
    import yaml  # only where a file is used

    try:
        check_is_file(Path(str(path)))
        content = yaml.safe_load(Path(str(path)).read_text(encoding="utf-8")) or {}
    except OSError:
        return {}  # the field's own check reports it, together with the other faults
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise _unusable(path, f"must be YAML: {_why_not(error)}") from None
    if not isinstance(content, dict):
        raise _unusable(path, "must be a mapping of settings at its top level")
    if "config" in content:
        raise _unusable(path, "must not name another file (config)")
    return {field_name(str(key)): _with_field_names(value) for key, value in content.items()}


def _why_not(error: Exception) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return where + redacted(" ".join(str(problem or error).split()))


def _with_field_names(value: Any) -> Any:
    """Of a list of mappings, as `servers` is; no setting is deeper, and aliases can make deep ones endless."""
    if isinstance(value, list):
        return [_names(item) if isinstance(item, dict) else item for item in value]
    return _names(value) if isinstance(value, dict) else value


def _names(mapping: dict[Any, Any]) -> dict[str, Any]:
    return {field_name(str(key)): item for key, item in mapping.items()}


def _unusable(path: object, rule: str) -> SettingsInvalid:
    return SettingsInvalid((Fault("config", str(path), rule),))
