"""The scores of all triggers of this replica by lead, for telemetry: a few numbers, however many triggers there are."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from scaler.refresh.scoring import Scoring
from scaler.scoring.leads import LeadScores
from scaler.telemetry.metrics import Telemetry, Values

SECONDS: Final = 60.0
"""between two summaries: a forecast is scored once a minute"""


class LeadSummary:
    """As it was at most a minute ago."""

    def __init__(self, scoring: Scoring, telemetry: Telemetry) -> None:
        self._scoring = scoring
        self._found: Mapping[str, LeadScores] = {}
        self._minute = -1
        self._summing: asyncio.Future[None] | None = None
        telemetry.follow("lead_triggers", lambda: self._each(lambda scores: scores.triggers))
        telemetry.follow("lead_skill", lambda: self._each(lambda scores: scores.skill))
        telemetry.follow("lead_error", lambda: self._each(lambda scores: scores.mape))
        telemetry.follow("lead_coverage", self._coverage)

    def update(self, at: float) -> "asyncio.Future[None] | None":
        """Begin to sum up again, in a thread for which no refresh waits, where the minute of `at` is another one than
        that of the last time."""
        minute = int(at // SECONDS)
        if minute == self._minute or (self._summing is not None and not self._summing.done()):
            return None
        self._minute = minute
        self._summing = asyncio.get_running_loop().run_in_executor(None, self._sum)
        return self._summing

    def _sum(self) -> None:
        self._found = self._scoring.by_lead()

    def _each(self, read: Callable[[LeadScores], float | None]) -> Values:
        return {(lead,): value for lead, scores in self._found.items() if (value := read(scores)) is not None}

    def _coverage(self) -> Values:
        return {
            (lead, f"{level:g}"): share
            for lead, scores in self._found.items()
            for level, share in scores.coverage.items()
        }
