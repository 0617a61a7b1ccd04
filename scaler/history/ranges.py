"""Ranges of history that a server answers piece by piece: a piece that fails is halved, and leaves a gap at worst.

A range can fail for one moment in it (two series, a join that does not match), or because it is longer than the server
allows. Both show only when it is asked, so a refused piece is asked again by halves.
"""

import math
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from scaler.errors import DependencyError, SourceUnavailable
from scaler.history.answers import BadQuery, Partial, Series, TooLarge, TooSlow
from scaler.series import Gap

MOST_POINTS = 10_000
"""moments per range query; Prometheus refuses more than 11,000"""
LONGEST_RANGE_SECONDS = 7 * 86400.0
SHORTEST_RANGE_SECONDS = 3600.0
FEWEST_POINTS = 100
"""what was learned about a server never makes its pieces shorter than both"""
MOST_SPLITS = 120
"""pieces halved in one range: one bad moment of two weeks costs 15, a bad hour of minutes 75; many more are one gap"""
SLOWEST_SPLITS = 3
"""times that a piece is halved because it was too slow or partial: each attempt takes long, and it may pass"""
MOST_FAILURES = 2
"""pieces in a row that fail for a reason that may pass, after which the rest is left for later"""

REFUSED = (BadQuery, TooLarge, TooSlow, Partial)
"""errors that a shorter range may not have"""

Ask: TypeAlias = Callable[[float, float], Awaitable[list[Series]]]
"""(first, last moment) → the series that a server returns for them"""


@dataclass(slots=True)
class PieceSize:
    """How much one request may ask for, as far as a server has shown."""

    learned: dict[float, int] = field(default_factory=dict)
    """step in seconds → moments"""

    def moments(self, step_seconds: float) -> int:
        """The most moments of this step."""
        longest = math.floor(LONGEST_RANGE_SECONDS / step_seconds)
        return max(1, min(MOST_POINTS, longest, self.learned.get(step_seconds, MOST_POINTS)))

    def learn(self, step_seconds: float, moments: int) -> None:
        """Ask for no more than this from now on, but for no less than the shortest range."""
        fewest = max(2, min(FEWEST_POINTS, math.floor(SHORTEST_RANGE_SECONDS / step_seconds)))
        self.learned[step_seconds] = max(fewest, min(self.moments(step_seconds), moments))


def newest_piece(start: float, end: float, step_seconds: float, size: PieceSize) -> tuple[float, float]:
    """(first, last) of the newest of the moments start, start + step, … <= end that one request may ask for."""
    # seconds since the epoch are exact to 2.4e-7: an end that a piece left behind may lie that much too early
    moments = math.floor((end - start) / step_seconds + 1e-6) + 1
    count = min(moments, size.moments(step_seconds))
    return start + (moments - count) * step_seconds, start + (moments - 1) * step_seconds


async def read(
    ask: Ask, start: float, end: float, step_seconds: float, size: PieceSize
) -> tuple[list[Series], tuple[Gap, ...]]:
    """The series at start, start + step, … <= end, and the gaps that the server left, with its reasons.

    Raises the server's error where it answers for no moment at all.
    """
    reading = _Reading(ask, step_seconds, size)
    await reading.stretch(start, end)
    if reading.error is not None and not reading.answered:
        raise reading.error
    return reading.found, tuple(merged(reading.gaps, step_seconds))


@dataclass(slots=True)
class _Reading:
    """One range while it is read."""

    ask: Ask
    step_seconds: float
    size: PieceSize
    found: list[Series] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    splits: int = 0
    answered: bool = False
    """whether the server has answered for any moment"""
    error: DependencyError | None = None
    failures: int = 0
    """pieces in a row that failed for a reason that may pass"""

    async def stretch(self, start: float, end: float, too_slow: int = 0) -> bool:
        """Read start, start + step, … <= end, newest first. Whether all of it was answered; the rest is a gap."""
        complete = True
        while end >= start:
            first, last = newest_piece(start, end, self.step_seconds, self.size)
            complete &= await self._piece(first, last, too_slow)
            end = first - self.step_seconds
        return complete

    async def _piece(self, first: float, last: float, too_slow: int) -> bool:
        if self.error is not None and self.failures >= MOST_FAILURES:
            return self._leave(first, last, self.error)
        try:
            self.found += await self.ask(first, last)
        except REFUSED as error:
            self.error = error
            too_slow += isinstance(error, TooSlow | Partial)
            if self._may_be_halved(first, last, too_slow) and await self._answers_at_an_end(first, last):
                return await self._halves(first, last, too_slow, learn=not isinstance(error, Partial))
            return self._leave(first, last, error)
        except SourceUnavailable as error:
            if not self.answered:
                raise
            self.error = error
            self.failures += 1
            return self._leave(first, last, error)
        self.answered = True
        self.failures = 0
        return True

    def _leave(self, first: float, last: float, error: DependencyError) -> bool:
        self.gaps.append(Gap(first, last, str(error), may_close=isinstance(error, SourceUnavailable)))
        return False

    def _may_be_halved(self, first: float, last: float, too_slow: int) -> bool:
        return first < last and self.splits < MOST_SPLITS and too_slow <= SLOWEST_SPLITS

    async def _answers_at_an_end(self, first: float, last: float) -> bool:
        """Whether the server answers this query at all: a wrong query would be refused at every moment."""
        for moment in () if self.answered else (last, first):
            with suppress(*REFUSED):
                await self.ask(moment, moment)
                self.answered = True
                break
        return self.answered

    async def _halves(self, first: float, last: float, too_slow: int, learn: bool) -> bool:
        self.splits += 1
        moments = round((last - first) / self.step_seconds) + 1
        newer = first + moments // 2 * self.step_seconds
        complete = [
            await self.stretch(newer, last, too_slow),
            await self.stretch(first, newer - self.step_seconds, too_slow),
        ]
        if learn and all(complete):  # no moment in it is at fault: the piece was too long
            self.size.learn(self.step_seconds, moments - moments // 2)
        return all(complete)


def merged(gaps: Iterable[Gap], step_seconds: float) -> Iterator[Gap]:
    """The gaps in order of time; neighbours with one reason are one gap."""
    current: Gap | None = None
    for gap in sorted(gaps, key=lambda gap: gap.first):
        if current is not None and gap.why == current.why and gap.first - current.last <= 1.5 * step_seconds:
            current = replace(current, last=max(current.last, gap.last))
            continue
        if current is not None:
            yield current
        current = gap
    if current is not None:
        yield current
