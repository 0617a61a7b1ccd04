"""What SIGHUP reads again: files of credentials and certificates, the place of the bundles. Settings need a restart;
those that have changed in the file are named."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from scaler.app.bundles import in_thread
from scaler.errors import SettingsError
from scaler.files import check_is_file, look_at_files
from scaler.settings import Settings
from scaler.settings.file import read_settings_file
from scaler.settings.rules import written

log = structlog.get_logger()


class Reload:
    """Reads again what can be read again, beside the event loop and once at a time: the file of settings may be long.

    A call while it reads makes it read once more. read_bundles: begins to look for new bundles.
    """

    def __init__(self, settings: Settings, read_bundles: Callable[[], None]) -> None:
        self._config = settings.config
        self._at_start = _content(settings.config)
        self._read_bundles = read_bundles
        self._reading: asyncio.Future[None] | None = None
        self._again = False

    def __call__(self) -> None:
        self._read_bundles()
        if self._reading is None:
            self._read()
        else:
            self._again = True

    def _read(self) -> None:
        self._again = False
        self._reading = in_thread(self._look)
        self._reading.add_done_callback(self._ended)

    def _ended(self, _: "asyncio.Future[None]") -> None:
        self._reading = None
        if self._again:
            self._read()

    def _look(self) -> None:
        look_at_files()
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
        check_is_file(config)
    return read_settings_file(config)


def _changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The settings whose value in the file is another one now."""
    names = before.keys() | after.keys()
    return sorted(written(name) for name in names if before.get(name) != after.get(name))
