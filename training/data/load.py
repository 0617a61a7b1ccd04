"""Recorded demand from CSV or Parquet: the series that can be used, and why each other one cannot.

One row per series and moment, columns `series,timestamp,value` and optionally `unit`; an empty value is a gap, and so
is a missing row. What is wrong with one series never keeps the others out.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scaler.series import Floats

COLUMNS = ("series", "timestamp", "value")
LARGEST = 1e30
"""beyond it float32 has no room left for a square"""


class DataError(Exception):
    """A file that cannot be read as recorded demand; names the file and the rule."""


@dataclass(frozen=True, slots=True)
class Series:
    """Demand of one series of one system on a regular step. values [S], NaN for a gap.

    Bin i covers [start + i step, + step). start: seconds since the epoch; step_seconds: whole.
    """

    system: str
    name: str
    unit: str
    start: float
    step_seconds: int
    values: Floats

    @property
    def times(self) -> NDArray[np.float64]:
        return self.start + self.step_seconds * np.arange(len(self.values), dtype=np.float64)

    @property
    def end(self) -> float:
        return self.start + self.step_seconds * len(self.values)


@dataclass(frozen=True, slots=True)
class Refused:
    """A series that cannot be used, and the rule it breaks."""

    system: str
    name: str
    rule: str

    def __str__(self) -> str:
        return f"{self.system}: series {self.name!r}: {self.rule}"


@dataclass(frozen=True, slots=True)
class Loaded:
    series: tuple[Series, ...]
    refused: tuple[Refused, ...]


def load(paths: Iterable[Path]) -> Loaded:
    """All series of all files. Raises DataError for a file that is none of ours."""
    found = [one for path in paths for one in _of_file(path)]
    return Loaded(
        tuple(one for one in found if isinstance(one, Series)),
        tuple(one for one in found if isinstance(one, Refused)),
    )


def system_of(path: Path) -> str:
    """What a file's series have in common: its name without what tells the format."""
    return path.name.removesuffix(".gz").rpartition(".")[0]


def _of_file(path: Path) -> Iterator[Series | Refused]:
    frame = _read(path)
    missing = [column for column in COLUMNS if column not in frame.columns]
    if missing:
        raise DataError(f"{path.name}: lacks the column {', '.join(missing)}; there are {', '.join(frame.columns)}")
    if frame.empty:
        raise DataError(f"{path.name}: holds no rows")
    for name, rows in frame.groupby("series", sort=False):
        yield _series(system_of(path), str(name), rows)


def _read(path: Path) -> pd.DataFrame:
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, dtype={"series": str, "timestamp": str, "unit": str})
    except pd.errors.EmptyDataError:
        raise DataError(f"{path.name}: is empty") from None
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise DataError(f"{path.name}: cannot be read: {error}") from None


def _series(system: str, name: str, rows: pd.DataFrame) -> Series | Refused:
    times = pd.to_datetime(rows["timestamp"], utc=True, errors="coerce")
    values = pd.to_numeric(rows["value"], errors="coerce").to_numpy(np.float64)
    texts = rows["value"].notna().to_numpy() & np.isnan(values)
    found = _Rows(
        times=(times - pd.Timestamp(0, tz="UTC")).dt.total_seconds().to_numpy(),
        values=values,
        not_numbers=rows["value"][texts].astype(str).tolist(),
    )
    for rule in RULES:
        if broken := rule(found):
            return Refused(system, name, broken)
    unit = str(rows["unit"].iloc[0]) if "unit" in rows else ""
    step = _step(found.times)
    places = np.rint((found.times - found.times[0]) / step).astype(np.int64)
    grid = np.full(places[-1] + 1, np.nan, np.float32)
    grid[places] = found.values
    return Series(system, name, unit, float(found.times[0]), int(step), grid)


@dataclass(frozen=True, slots=True)
class _Rows:
    times: NDArray[np.float64]
    values: NDArray[np.float64]
    not_numbers: list[str]


def _step(times: NDArray[np.float64]) -> float:
    return float(np.diff(times).min())


def _moments(rows: _Rows) -> str:
    bad = np.flatnonzero(np.isnan(rows.times))
    return f"row {bad[0] + 1}: timestamp is not a moment (ISO 8601)" if len(bad) else ""


def _numbers(rows: _Rows) -> str:
    return f"value {rows.not_numbers[0]!r} is not a number; a gap is an empty value" if rows.not_numbers else ""


def _several(rows: _Rows) -> str:
    return "has fewer than two rows" if len(rows.times) < 2 else ""


def _ascending(rows: _Rows) -> str:
    steps = np.diff(rows.times)
    if (steps == 0).any():
        return f"row {int(np.flatnonzero(steps == 0)[0]) + 2}: timestamp occurs twice"
    if (steps < 0).any():
        return f"row {int(np.flatnonzero(steps < 0)[0]) + 2}: timestamps must ascend"
    return ""


def _regular(rows: _Rows) -> str:
    step = _step(rows.times)
    if step != round(step):
        return f"the step of {step:g} s is not whole seconds"
    off = np.flatnonzero(np.abs(np.diff(rows.times) % step) > 1e-6)
    return f"row {off[0] + 2}: timestamp is not on the regular step of {step:g} s" if len(off) else ""


def _in_range(rows: _Rows) -> str:
    if (rows.values < 0).any():
        return f"row {int(np.flatnonzero(rows.values < 0)[0]) + 1}: demand must not be negative"
    if (rows.values > LARGEST).any():
        return f"row {int(np.flatnonzero(rows.values > LARGEST)[0]) + 1}: demand must be finite and below {LARGEST:g}"
    return ""


def _known(rows: _Rows) -> str:
    return "has no value at all" if np.isnan(rows.values).all() else ""


def _varied(rows: _Rows) -> str:
    return "is constant: there is nothing to forecast" if np.nanmin(rows.values) == np.nanmax(rows.values) else ""


_Rule: TypeAlias = Callable[[_Rows], str]
RULES: tuple[_Rule, ...] = (_moments, _numbers, _several, _ascending, _regular, _in_range, _known, _varied)
"""each says what is broken, or nothing; a later one may rely on those before it"""
