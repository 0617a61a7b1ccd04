"""What SIGHUP reads again: files of credentials and certificates, the place of the bundles. Settings need a restart;
those that have changed in the file are named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from scaler.errors import SettingsError
from scaler.files import look_at_files
from scaler.settings import Settings
from scaler.settings.file import read_settings_file
from scaler.settings.rules import written

log = structlog.get_logger()


class Reload:
    """Reads again what can be read again. read_bundles: begins to look for new bundles."""

    def __init__(self, settings: Settings, read_bundles: Callable[[], None]) -> None:
        self._config = settings.config
        self._at_start = _content(settings.config)
        self._read_bundles = read_bundles

    def __call__(self) -> None:
        look_at_files()
        self._read_bundles()
        try:
            changed = _changed(self._at_start, _content(self._config))
        except (OSError, SettingsError) as error:
            reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
            log.error("reload_failed", file=str(self._config), reason=reason)
            changed = []
        log.info("reloaded", restart_needed=changed)


def _content(config: Path | None) -> dict[str, Any]:
    if config is not None:
        config.stat()  # else a file that is gone would read as an empty one
    return read_settings_file(config)


def _changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The settings whose value in the file is another one now."""
    names = before.keys() | after.keys()
    return sorted(written(name) for name in names if before.get(name) != after.get(name))
