"""Recorded demand, one series, from a file or from Prometheus: what a replay takes in before anything is made of it."""

import difflib
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from scaler.commands import Usage
from scaler.errors import CommandError
from scaler.history.credentials import ServerAccess
from scaler.series import Gap, within
from training.data.clean import without_counters
from training.data.load import DAY_SECONDS, Loaded, Series, load
from training.data.pull import Wanted, gap_notes, pull
from training.errors import DataError
from training.progress import Progress, no_progress
from training.replay.input.scaled_object import Scaling

PULLED_BEFORE_DAYS = 28
OLD_SECONDS = 3600.0
MOST_TOLD = 5


class ServerRefused(CommandError):
    """A metric server gave nothing to replay; in its own words."""


@dataclass(frozen=True)
class Source:
    """Recorded demand and whence it came. query: empty where the demand is from a file."""

    series: Series
    query: str = ""
    server: str = ""
    scaling: Scaling | None = None
    notes: tuple[str, ...] = ()


def of_file(path: Path, name: str, timezone: str) -> Source:
    """The series `name` of a file; the only one, where there is one and no name is given. Raises DataError, Usage."""
    return Source(_named(without_counters(load([path], timezone)), name, path))


def _named(loaded: Loaded, name: str, path: Path) -> Series:
    found = {one.name: one for one in loaded.series}
    refused = {one.name: one for one in loaded.refused}
    names = [*found, *refused]
    if not name and len(names) != 1:
        raise Usage(f"--series: which of the {len(names)} in {path.name}? {some(names)}")
    name = name or names[0]
    if name in found:
        return found[name]
    if name in refused:
        raise DataError(str(refused[name]))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    raise DataError(
        f"--series {name!r}: is not in {path.name}; "
        + (f"did you mean {near[0]!r}?" if near else f"there are {some(names)}")
    )


def some(names: Sequence[str]) -> str:
    """A few of them, and how many more there are."""
    more = f" and {len(names) - MOST_TOLD} more" if len(names) > MOST_TOLD else ""
    return ", ".join(map(repr, names[:MOST_TOLD])) + more


def of_server(
    wanted: Wanted,
    days: int,
    timezone: str,
    access: Sequence[ServerAccess] = (),
    scaling: Scaling | None = None,
    progress: Progress = no_progress,
) -> Source:
    """The newest days of a query, with history before them, one value a minute. Raises ServerRefused, DataError.

    A moment without an answer is a gap, or 0 where the trigger says so in so many words.
    """
    now = time.time() // 60 * 60
    with tempfile.TemporaryDirectory(prefix="headway-replay-") as folder:
        target = Path(folder) / "prometheus.parquet"
        since = now - (days + PULLED_BEFORE_DAYS) * DAY_SECONDS
        pulled = pull(triggers=[wanted], since=since, until=now, target=target, access=access, progress=progress)
        if pulled.refused:
            raise ServerRefused(str(pulled.refused[0]))
        loaded = without_counters(load([target], timezone))
    if loaded.refused:
        raise DataError(str(loaded.refused[0]))
    (series,) = loaded.series
    gaps = pulled.gaps.get(wanted.name, ())
    notes = (*_aged(series, now), *(f"no demand is known: {note}" for note in gap_notes(gaps)))
    return _silent_filled(Source(series, wanted.query, wanted.server, scaling, notes), gaps)


def _aged(series: Series, now: float) -> Iterator[str]:
    age = now - known_end(series)
    if age > OLD_SECONDS:
        yield f"the newest value on record is {hours(age)} old"


def _silent_filled(source: Source, gaps: Sequence[Gap]) -> Source:
    """With 0 for the moments without an answer, where the trigger says that an empty answer means 0; not in gaps."""
    if source.scaling is None or not source.scaling.silence_is_zero:
        return source
    series = source.series
    ends = series.start + series.step_seconds * np.arange(1.0, len(series.values) + 1)
    empty = np.isnan(series.values) & ~within(ends, gaps)
    if not empty.any():
        return source
    note = f"{hours(empty.sum() * source.series.step_seconds)} without an answer count as 0, as ignoreNullValues says"
    values = np.where(empty, np.float32(0), source.series.values)
    return replace(source, series=replace(source.series, values=values), notes=(*source.notes, note))


def known_end(series: Series) -> float:
    """The moment of the last known value's end."""
    known = np.flatnonzero(~np.isnan(series.values))
    return series.start + series.step_seconds * float(known[-1] + 1)


def hours(seconds: float) -> str:
    """As it is read: 3.2 h, 12 min."""
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"
