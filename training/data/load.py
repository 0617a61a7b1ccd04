"""Recorded demand from CSV or Parquet: the series that can be used, and why each other one cannot.

One row per series and moment, columns `series,timestamp,value` and optionally `unit`. A value that is empty or one of
`GAPS` is a gap, and so is a missing row. Any other text is taken literally: a series may be called NA. An error in one
series does not affect the others.
"""

import lzma
import reprlib
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias
from zoneinfo import available_timezones

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scaler.series import Floats
from scaler.trigger import DEMAND_LIMIT
from training.errors import DataError

COLUMNS = ("series", "timestamp", "value")
AS_TEXT = {"series": str, "timestamp": str, "unit": str}
GAPS = ("nan", "na", "n/a", "null", "none")
"""words in `value` that mean a gap, in any case; an empty value is a gap, too"""
GAP_RULE = "a gap is empty, NaN, NA, N/A, null or None"
SEPARATORS = {";": "';'", "\t": "tabs", "|": "'|'"}
"""what some programs write between columns instead of commas"""
_SHORT = reprlib.Repr()
JITTER = 0.1
"""allowed distance of a timestamp from its regular step, as a share of the step"""
MOST_BINS_PER_ROW = 100
"""a series with fewer rows for its span is refused: one wrong year would fill the memory"""
DAY_SECONDS = 86_400
ZONE_RULE = "must be an IANA name such as Europe/Berlin"
_DAMAGED = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError)


@dataclass(frozen=True, slots=True)
class Series:
    """Demand of one series of one system on a regular step. values [S], NaN for a gap.

    Bin i covers [start + i step, + step). start: seconds since the epoch; step_seconds: whole. timezone: the IANA name
    of the zone whose days and weeks the demand follows, as in a trigger.
    """

    system: str
    name: str
    unit: str
    start: float
    step_seconds: int
    values: Floats
    timezone: str = "UTC"

    @property
    def times(self) -> NDArray[np.float64]:
        return self.start + self.step_seconds * np.arange(len(self.values), dtype=np.float64)

    @property
    def end(self) -> float:
        return self.start + self.step_seconds * len(self.values)

    @property
    def history_seconds(self) -> int:
        """From the first known value to the last."""
        known = np.flatnonzero(~np.isnan(self.values))
        return int(known[-1] - known[0] + 1) * self.step_seconds if len(known) else 0


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


def is_zone(name: str) -> bool:
    return name in available_timezones() and name not in ("localtime", "Factory")


def load(paths: Iterable[Path], timezone: str = "UTC") -> Loaded:
    """All series of all files, each in `timezone`. Raises DataError for a file that cannot be read.

    Timestamps that jitter are moved to the nearest regular step, at most a tenth of a step away. A series in two files
    of the same name is taken from the first.
    """
    if not is_zone(timezone):
        raise DataError(f"timezone={timezone!r}: {ZONE_RULE}")
    found: dict[tuple[str, str], Series] = {}
    refused: list[Refused] = []
    for one in (one for path in paths for one in _of_file(path, timezone)):
        if isinstance(one, Series) and (one.system, one.name) in found:
            refused.append(Refused(one.system, one.name, "is in another file of this name as well"))
        elif isinstance(one, Series):
            found[one.system, one.name] = one
        else:
            refused.append(one)
    return Loaded(tuple(found.values()), tuple(refused))


def system_of(path: Path) -> str:
    """The system of a file's series: its name without the suffixes."""
    return Path(path.name.removesuffix(".gz")).stem


def local_seconds(moments: NDArray[np.float64], timezone: str) -> NDArray[np.int64]:
    """Local time at each moment, as seconds since the epoch of the local clock."""
    clocks = pd.DatetimeIndex(np.asarray(moments).astype("datetime64[s]"), tz="UTC").tz_convert(timezone)
    return np.asarray(clocks.tz_localize(None).asi8, np.int64)


def moment_text(seconds: float) -> str:
    """A moment in messages: 2026-01-05 00:00, in UTC."""
    return f"{pd.Timestamp(seconds, unit='s'):%Y-%m-%d %H:%M}"


def _of_file(path: Path, timezone: str) -> Iterator[Series | Refused]:
    frame = _read(path)
    if frame.empty:
        raise DataError(f"{path.name}: holds no rows")
    frame["series"] = frame["series"].map(_stripped, na_action="ignore")
    if pd.api.types.is_timedelta64_dtype(frame["timestamp"]):
        raise DataError(f"{path.name}: column timestamp holds durations; it must hold moments")
    if pd.api.types.is_numeric_dtype(frame["timestamp"]):
        raise DataError(f"{path.name}: column timestamp holds plain numbers; it must hold moments (ISO 8601)")
    for name, rows in frame.groupby("series", sort=False, dropna=False, observed=True):
        if pd.isna(name) or name == "":
            yield Refused(system_of(path), "", f"{len(rows)} rows have no name of a series")
        else:
            yield _series(system_of(path), str(name), rows, timezone)


def _stripped(value: object) -> str:
    return str(value).strip()


def _read(path: Path) -> pd.DataFrame:
    try:
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path)
            _require_columns(path, list(map(str, frame.columns)))
            return frame
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # more fields than the header names
            return _read_csv(path)
    except (DataError, MemoryError):
        raise
    except pd.errors.EmptyDataError:
        raise DataError(f"{path.name}: is empty") from None
    except Exception as error:  # noqa: BLE001 - pandas raises whatever its parsers and decompressors raise
        raise DataError(f"{path.name}: cannot be read: {_why_unreadable(path, error)}") from None


def _read_csv(path: Path) -> pd.DataFrame:
    """Every column as text, except `value` if it has only numbers and empty fields."""
    header = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False)
    columns = [str(column).strip() for column in header.iloc[0]]
    _require_columns(path, columns)
    return pd.read_csv(
        path,
        header=0,
        names=columns,
        dtype=AS_TEXT,
        index_col=False,
        low_memory=False,
        skipinitialspace=True,
        keep_default_na=False,
        na_values={"value": [""]},
    )


def _require_columns(path: Path, columns: Sequence[str]) -> None:
    if twice := [column for column in columns if columns.count(column) > 1]:
        raise DataError(f"{path.name}: has the column {twice[0]} twice")
    missing = [column for column in COLUMNS if column not in columns]
    if not missing:
        return
    if separator := next((one for one in SEPARATORS if one in "".join(columns)), ""):
        raise DataError(
            f"{path.name}: columns must be separated by commas and decimals have a point: "
            f"this file seems to use {SEPARATORS[separator]}" + (" and ','" if separator == ";" else "")
        )
    raise DataError(f"{path.name}: lacks the column {', '.join(missing)}; there are {', '.join(columns) or 'none'}")


def _why_unreadable(path: Path, error: BaseException) -> str:
    """Own wording, as texts of libraries are not for users."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    if isinstance(error, pd.errors.ParserWarning | pd.errors.ParserError):
        return "a row has more fields than the header has columns, or a quote is not closed"
    if isinstance(error, ImportError):
        return "its compression is not supported; unpack it first"
    if path.suffix == ".parquet":
        return "it is not a Parquet file, or it is incomplete"
    return "it is damaged or incomplete" if isinstance(error, _DAMAGED) else "it is not CSV text"


def _series(system: str, name: str, rows: pd.DataFrame, timezone: str) -> Series | Refused:
    found = _rows(rows)
    for rule in RULES:
        if broken := rule(found):
            return Refused(system, name, broken)
    values = np.full(found.places[-1] + 1, np.nan, np.float32)
    values[found.places] = found.values
    unit = rows["unit"].iloc[0] if "unit" in rows else None
    start = found.origin + found.step * round((found.times[0] - found.origin) / found.step)
    return Series(
        system, name, "" if pd.isna(unit) else str(unit).strip(), float(start), int(found.step), values, timezone
    )


def _rows(rows: pd.DataFrame) -> "_Rows":
    times = pd.to_datetime(rows["timestamp"], utc=True, errors="coerce", format="ISO8601")
    texts = rows["value"]
    if not pd.api.types.is_numeric_dtype(texts):
        written = texts.astype(str).str.strip().str.lower()
        texts = texts.mask((written == "") | written.isin(GAPS))
    values = pd.to_numeric(texts, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    return _Rows(
        times=(times - pd.Timestamp(0, tz="UTC")).dt.total_seconds().to_numpy(),
        values=values,
        not_moments=rows["timestamp"][times.isna()].astype(str).tolist(),
        not_numbers=_texts_by_row(texts, texts.notna().to_numpy() & np.isnan(values)),
    )


def _texts_by_row(texts: Any, chosen: NDArray[np.bool_]) -> dict[int, str]:
    return dict(zip(np.flatnonzero(chosen).tolist(), texts[chosen].astype(str).tolist(), strict=True))


@dataclass(frozen=True)
class _Rows:
    """One series as written. The properties are valid if the rules before theirs hold."""

    times: NDArray[np.float64]
    values: NDArray[np.float64]
    not_moments: list[str]
    not_numbers: dict[int, str]
    """by the number of the row, from 0"""

    @cached_property
    def step(self) -> float:
        """Seconds: the smallest usual distance; if distances differ by some seconds, the nearest divisor of a day.

        Distances of at most one row in ten (overlapping exports, a wrong clock) are not usual.
        """
        distances = np.diff(self.times)
        smallest = float(np.quantile(distances, 0.1, method="lower"))
        if (np.abs(distances / smallest - np.rint(distances / smallest)) * smallest < 1e-3).all():
            return smallest
        usual = np.median(distances[distances < 1.5 * smallest])
        return float(_PARTS_OF_A_DAY[np.argmin(np.abs(_PARTS_OF_A_DAY - usual))])

    @cached_property
    def origin(self) -> float:
        """A moment on the regular step: aligned to the clock if most rows are near that, else to the rows."""
        turns = self.times / self.step % 1
        if np.mean(np.abs(turns - np.rint(turns)) <= JITTER) > MOST:
            return 0.0
        mean = np.angle(np.exp(2j * np.pi * turns).mean()) / (2 * np.pi)
        amid = mean + np.median((turns - mean + 0.5) % 1 - 0.5)
        return round(float(amid % 1 * self.step), 0 if self.step >= 10 else 3)

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """The bin of each row, counted from the first."""
        places = np.rint((self.times - self.origin) / self.step).astype(np.int64)
        return np.asarray(places - places[0], np.int64)

    def at(self, row: int) -> str:
        """A row in messages."""
        moment = pd.Timestamp(self.times[row], unit="s").round("ms") if np.isfinite(self.times[row]) else None
        return f"row {row + 1} of the series" + (f" ({moment.isoformat()}Z)" if moment is not None else "")


MOST = 0.8
"""share of rows that counts as most"""
_PARTS_OF_A_DAY = np.array([seconds for seconds in range(1, DAY_SECONDS + 1) if DAY_SECONDS % seconds == 0])


def _first(marks: NDArray[np.bool_]) -> int:
    return int(np.argmax(marks))


def _moments(rows: _Rows) -> str:
    if not rows.not_moments:
        return ""
    written = _SHORT.repr(rows.not_moments[0])
    reach = f"from {pd.Timestamp.min.year + 1} to {pd.Timestamp.max.year - 1}"
    return f"{rows.at(_first(np.isnan(rows.times)))}: timestamp {written} is not a moment (ISO 8601, {reach})"


def _numbers(rows: _Rows) -> str:
    if not rows.not_numbers:
        return ""
    row, text = next(iter(rows.not_numbers.items()))
    comma = "decimals have a point; " if "," in text else ""
    return f"{rows.at(row)}: value {_SHORT.repr(text)} is not a number; {comma}{GAP_RULE}"


def _several(rows: _Rows) -> str:
    return "has one row; the step needs at least two" if len(rows.times) < 2 else ""


def _ascending(rows: _Rows) -> str:
    distances = np.diff(rows.times, prepend=-np.inf)
    if (distances == 0).any():
        return f"{rows.at(_first(distances == 0))}: timestamp occurs twice"
    if (distances < 0).any():
        return f"{rows.at(_first(distances < 0))}: timestamps must ascend"
    return ""


def _whole_step(rows: _Rows) -> str:
    return "" if abs(rows.step - round(rows.step)) < 1e-3 <= rows.step else f"its step of {rows.step:g} s is not whole"


def _filled(rows: _Rows) -> str:
    distances = np.diff(rows.times)
    if (rows.times[-1] - rows.times[0]) / rows.step <= MOST_BINS_PER_ROW * len(rows.times):
        return ""
    widest = int(np.argmax(distances))
    return (
        f"has {len(rows.times)} rows at a step of {rows.step:g} s but spans {_span(rows.times[-1] - rows.times[0])}, "
        f"{_span(distances[widest])} of it before {rows.at(widest + 1)}: check that timestamp"
    )


def _span(seconds: float) -> str:
    return f"{seconds / DAY_SECONDS:.0f} days" if seconds >= 2 * DAY_SECONDS else f"{seconds:.0f} s"


def _regular(rows: _Rows) -> str:
    turns = (rows.times - rows.origin) / rows.step
    off = np.abs(turns - np.rint(turns))
    if (off > JITTER + 1e-9).any():
        worst = _first(off > JITTER + 1e-9)
        seconds = off[worst] * rows.step
        return (
            f"{rows.at(worst)}: timestamp is {seconds:.3g} s off its regular step of {rows.step:g} s; "
            f"{JITTER:.0%} of the step are allowed"
        )
    same = np.diff(rows.places, prepend=-1) == 0
    return f"{rows.at(_first(same))}: is the second in one step of {rows.step:g} s" if same.any() else ""


def _in_range(rows: _Rows) -> str:
    bad = (rows.values < 0) | (rows.values >= DEMAND_LIMIT)
    if not bad.any():
        return ""
    first = _first(bad)
    return f"{rows.at(first)}: value {rows.values[first]:g}: demand must be from 0 to {DEMAND_LIMIT:g}"


def _known(rows: _Rows) -> str:
    return "has no value at all" if np.isnan(rows.values).all() else ""


def _varied(rows: _Rows) -> str:
    values = rows.values.astype(np.float32)
    return "is constant: there is nothing to forecast" if np.nanmin(values) == np.nanmax(values) else ""


_Rule: TypeAlias = Callable[[_Rows], str]
RULES: tuple[_Rule, ...] = (
    _moments,
    _numbers,
    _several,
    _ascending,
    _whole_step,
    _filled,
    _regular,
    _in_range,
    _known,
    _varied,
)
"""each returns the broken rule or an empty text, and may rely on those before it"""
