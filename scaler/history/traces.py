"""Reading recorded demand: CSV (also .gz) or Parquet with the columns series, timestamp, value, unit."""

import csv
import gzip
import importlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from scaler.errors import SettingsError
from scaler.series import Floats
from scaler.telemetry.redaction import excerpt, os_error_text

COLUMNS = ("series", "timestamp", "value")


@dataclass(frozen=True, slots=True)
class Trace:
    """One recorded series on a regular step. values [S], NaN for a gap; bin i covers [start + i step, + step)."""

    name: str
    unit: str
    start: float
    step_seconds: float
    values: Floats


def read_traces(path: Path) -> dict[str, Trace]:
    """The series of one file by name. Raises SettingsError naming the file, the place and the rule."""
    try:
        columns = _parquet_columns(path) if path.suffix == ".parquet" else _csv_columns(path)
    except OSError as error:
        raise SettingsError(f"recording {path}: cannot be read: {os_error_text(error)}") from None
    if not columns:
        raise SettingsError(f"recording {path}: holds no rows")
    return {name: _trace(path, name, rows) for name, rows in columns.items()}


_Rows = tuple[list[Any], list[Any], str]
"""timestamps, values, unit"""


def _csv_columns(path: Path) -> Mapping[str, _Rows]:
    with _opened(path) as file:
        reader = csv.reader(file)
        try:
            places = _places(path, next(reader, []))
            return _grouped(([row[place] for place in places] for row in reader if row), path)
        except (UnicodeDecodeError, csv.Error, IndexError, EOFError, gzip.BadGzipFile) as error:
            raise SettingsError(
                f"recording {path}: line {reader.line_num}: not a row of CSV ({excerpt(str(error))})"
            ) from None


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _places(path: Path, header: list[str]) -> list[int]:
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise SettingsError(f"recording {path}: header {','.join(header)!r}: lacks {', '.join(missing)}")
    return [header.index(name) for name in COLUMNS] + ([header.index("unit")] if "unit" in header else [])


def _parquet_columns(path: Path) -> Mapping[str, _Rows]:
    try:
        pyarrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise SettingsError(f"recording {path}: Parquet needs pyarrow (pip install pyarrow); or give CSV") from None
    try:
        table = parquet.read_table(path)
    except pyarrow.ArrowException as error:
        raise SettingsError(f"recording {path}: not a Parquet file ({excerpt(str(error))})") from None
    columns = [table.column(place).to_pylist() for place in _places(path, table.column_names)]
    return _grouped((list(row) for row in zip(*columns, strict=True)), path)


def _grouped(rows: Iterator[list[Any]], path: Path) -> Mapping[str, _Rows]:
    timestamps: dict[str, list[Any]] = defaultdict(list)
    values: dict[str, list[Any]] = defaultdict(list)
    units: dict[str, str] = {}
    for name, timestamp, value, *unit in rows:
        timestamps[name].append(timestamp)
        values[name].append(value)
        units.setdefault(name, unit[0] if unit else "")
    return {name: (timestamps[name], values[name], units[name]) for name in timestamps}


def _trace(path: Path, name: str, rows: _Rows) -> Trace:
    timestamps, texts, unit = rows
    try:
        plain = [str(stamp).removesuffix("Z").removesuffix("+00:00") for stamp in timestamps]
        times = np.array(plain, dtype="datetime64[us]").astype(np.int64) / 1e6
        values = np.array([np.nan if text in ("", None) else float(text) for text in texts], np.float32)
    except ValueError as error:
        raise SettingsError(f"recording {path}: series {name}: {excerpt(str(error))}") from None
    steps = np.diff(times)
    if len(times) < 2 or steps[0] <= 0 or np.any(steps != steps[0]):
        raise SettingsError(
            f"recording {path}: series {name}: timestamps must rise by one regular step (gaps are empty values)"
        )
    if np.any(values < 0) or np.any(np.isinf(values)):
        raise SettingsError(f"recording {path}: series {name}: values must be finite and not negative")
    return Trace(name, unit, float(times[0]), float(steps[0]), values)
