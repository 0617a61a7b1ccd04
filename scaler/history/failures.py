"""Whatever a source raises becomes an error of the triggers that were asked for, in our own words."""

import structlog

from scaler.errors import SettingsError, SourceRefused, SourceUnavailable
from scaler.telemetry.redaction import frames

log = structlog.get_logger(__name__)


class Failures:
    """Turns unexpected exceptions into errors of a source; the log shows each kind once, with its stack."""

    def __init__(self) -> None:
        self._logged: set[tuple[str, str]] = set()

    def error(self, name: str, error: Exception) -> SourceUnavailable | SourceRefused:
        """The error of the source `name`. The text of a foreign exception stays out: it may hold a secret."""
        if isinstance(error, SettingsError):
            return SourceRefused(f"{name}: {error}")
        kind = type(error).__name__
        if (name, kind) not in self._logged:
            self._logged.add((name, kind))
            log.error("source_failed", server=name, error=kind, stack=frames(error))
        return SourceUnavailable(f"{name}: unexpected {kind}; the log of Headway shows where")
