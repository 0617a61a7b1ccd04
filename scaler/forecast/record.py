"""An `Outlook` as bytes, and back: what replicas exchange through a shared cache. Versioned, little-endian, no pickle.

    header (80 bytes) · levels float64 [Q] · quantiles float32 [H, Q] · peaks float32 [W, Q] · peak_steps uint32 [W]
    · model utf-8 · error utf-8 · names of what is remembered utf-8, its values float64 [M]
    · CRC-32 of all that precedes

`counts_from` lies at a fixed place in the header, so that a script in the cache server can find which of two records
is newer without knowing the rest.
"""

import struct
import zlib
from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from math import inf, isfinite

import numpy as np

from scaler.errors import HeadwayError
from scaler.series import FURTHEST_AHEAD_SECONDS, Floats, Forecast, Observation, Outlook

MARK = b"HWO\x02"
"""the first bytes of every record; the last of them is the version of the layout"""
COUNTS_FROM_OFFSET = 8
"""where the float64 `counts_from` lies, in bytes from the start"""

FORECAST_AHEAD_SECONDS = 86400.0
"""a forecast that starts later than this after its outlook was made comes from a wrong clock"""

# mark, flags, bytes: names | counts_from | observation | forecast start, step | H, Q, W, bytes: model | error, M
_HEADER = struct.Struct("<4sBxHd4d2d4HII")
_CHECKSUM = struct.Struct("<I")
_FLOAT32 = np.dtype("<f4")
_HAS_OBSERVATION, _HAS_FORECAST, _HAS_PEAKS = 1, 2, 4


class RecordInvalid(HeadwayError):
    """Bytes that are no outlook of this version: foreign, cut short or damaged. The text says what is wrong."""


def pack(outlook: Outlook) -> bytes:
    """The outlook as bytes: about 4.5 kB with a forecast of 120 steps and 8 levels."""
    error_text = outlook.error.encode(errors="replace")
    seen = outlook.observation
    observed = (0.0, 0.0, 0.0, 0.0) if seen is None else (seen.at, seen.value, seen.recent_peak, seen.history_peak)
    flags = 0 if seen is None else _HAS_OBSERVATION
    names = _names_bytes(tuple(outlook.remembered))
    values = struct.pack(f"<{len(outlook.remembered)}d", *outlook.remembered.values())
    ends = (len(error_text), len(outlook.remembered))
    forecast = outlook.forecast
    if forecast is None:
        header = _HEADER.pack(MARK, flags, len(names), outlook.counts_from, *observed, 0.0, 0.0, 0, 0, 0, 0, *ends)
        return _sealed(header + error_text + names + values)
    flags |= _HAS_FORECAST if forecast.peaks_WQ is None else _HAS_FORECAST | _HAS_PEAKS
    shape = (*forecast.quantiles_HQ.shape, len(forecast.peak_steps))
    span = (forecast.start, forecast.step_seconds)
    model = forecast.model.encode(errors="replace")
    parts = (
        _HEADER.pack(MARK, flags, len(names), outlook.counts_from, *observed, *span, *shape, len(model), *ends),
        _levels_bytes(forecast.levels),
        _bytes(forecast.quantiles_HQ),
        b"" if forecast.peaks_WQ is None else _bytes(forecast.peaks_WQ),
        _steps_bytes(forecast.peak_steps),
        model,
        error_text,
        names,
        values,
    )
    return _sealed(b"".join(parts))


def unpack(record: bytes) -> Outlook:
    """The outlook that was packed; its arrays are read-only views of `record`. Raises RecordInvalid."""
    if len(record) < _HEADER.size + _CHECKSUM.size:
        raise RecordInvalid(f"a record of {len(record)} bytes is shorter than its header")
    mark, flags, names_size, counts_from, at, value, recent, ever, *rest = _HEADER.unpack_from(record)
    if mark != MARK:
        raise RecordInvalid(f"a record starts with {MARK!r}, this one with {mark!r}")
    if _CHECKSUM.unpack_from(record, len(record) - _CHECKSUM.size)[0] != zlib.crc32(record[: -_CHECKSUM.size]):
        raise RecordInvalid(f"the checksum of {len(record)} bytes does not match: cut short or damaged")
    if not isfinite(counts_from + at + value + recent + ever):
        raise RecordInvalid("the times and the observation of a record are finite numbers")
    if min(value, recent, ever) < 0:
        raise RecordInvalid(f"observed demand is not negative, this is {min(value, recent, ever)}")
    if at > counts_from + FURTHEST_AHEAD_SECONDS:
        raise RecordInvalid(f"demand was observed at {at}, after the outlook begins to count at {counts_from}")
    start, step_seconds, *sizes, error_size, remembered = rest
    observation = Observation(at, value, recent, ever) if flags & _HAS_OBSERVATION else None
    values_at = len(record) - _CHECKSUM.size - 8 * remembered
    names_at = values_at - names_size
    error_at = names_at - error_size
    if error_at < _HEADER.size:
        raise _misfit(record)
    forecast = None
    if flags & _HAS_FORECAST:
        if start > counts_from + FORECAST_AHEAD_SECONDS:
            raise RecordInvalid(f"a forecast starts near {counts_from}, when it begins to count, not at {start}")
        forecast = _forecast(record, start, step_seconds, flags, sizes, error_at)
    elif error_at != _HEADER.size:
        raise _misfit(record)
    error_text = record[error_at:names_at].decode(errors="replace") if error_size else ""
    conclusions = _conclusions(record[names_at:values_at], struct.unpack_from(f"<{remembered}d", record, values_at))
    return Outlook(counts_from, observation, forecast, error_text, conclusions)


def _conclusions(names: bytes, values: tuple[float, ...]) -> Mapping[str, float]:
    known = _names(names)
    if len(known) != len(values) or not all(map(isfinite, values)):
        raise RecordInvalid(f"what is remembered has a finite number for each name, this one {values} for {known}")
    return dict(zip(known, values, strict=True))


def _forecast(record: bytes, start: float, step_seconds: float, flags: int, sizes: list[int], end: int) -> Forecast:
    """The forecast whose parts lie between the header and `end`."""
    steps, levels, windows, model_size = sizes
    rows = steps + windows if flags & _HAS_PEAKS else steps
    demand_at = _HEADER.size + 8 * levels
    peak_steps_at = demand_at + 4 * rows * levels
    model_at = peak_steps_at + 4 * windows
    if model_at + model_size != end:
        raise _misfit(record)
    demand = np.frombuffer(record, _FLOAT32, rows * levels, demand_at)
    _check(start, step_seconds, demand)
    demand_RQ = demand.reshape(rows, levels)
    return Forecast(
        start,
        step_seconds,
        _levels(record[_HEADER.size : demand_at]),
        demand_RQ[:steps],
        _steps(record[peak_steps_at:model_at]),
        demand_RQ[steps:] if flags & _HAS_PEAKS else None,
        _text(record[model_at:end]),
    )


def _misfit(record: bytes) -> RecordInvalid:
    return RecordInvalid(f"{len(record)} bytes do not fit the sizes in the header")


def _check(start: float, step_seconds: float, demand: Floats) -> None:
    if not (isfinite(start) and 0 < step_seconds < inf and demand.size):
        raise RecordInvalid(f"a forecast has steps of positive length, this one {demand.size} x {step_seconds} s")
    # NaN fails every comparison, so the smallest and the largest show NaN, infinities and negative demand.
    smallest, largest = np.minimum.reduce(demand), np.maximum.reduce(demand)
    if not (smallest >= 0 and largest < inf):
        raise RecordInvalid(f"demand is finite and not negative, this lies within [{smallest}, {largest}]")


def _sealed(body: bytes) -> bytes:
    return body + _CHECKSUM.pack(zlib.crc32(body))


def _bytes(array: Floats) -> bytes:
    return array.astype(_FLOAT32, copy=False).tobytes()


# A few bundles serve all triggers: their levels, windows and names exist once in memory, not once per outlook.


@lru_cache(maxsize=256)
def _levels_bytes(levels: tuple[float, ...]) -> bytes:
    return struct.pack(f"<{len(levels)}d", *levels)


@lru_cache(maxsize=256)
def _levels(packed: bytes) -> tuple[float, ...]:
    levels = struct.unpack(f"<{len(packed) // 8}d", packed)
    if not all(low < high for low, high in pairwise((0.0, *levels, 1.0))):
        raise RecordInvalid(f"levels rise between 0 and 1, these are {levels[:20]}")
    return levels


@lru_cache(maxsize=256)
def _steps_bytes(steps: tuple[int, ...]) -> bytes:
    return struct.pack(f"<{len(steps)}I", *steps)


@lru_cache(maxsize=256)
def _steps(packed: bytes) -> tuple[int, ...]:
    steps = struct.unpack(f"<{len(packed) // 4}I", packed)
    if not all(low < high for low, high in pairwise((0, *steps))):
        raise RecordInvalid(f"the lengths of windows rise from 1, these are {steps[:20]}")
    return steps


@lru_cache(maxsize=256)
def _names_bytes(names: tuple[str, ...]) -> bytes:
    return "\0".join(names).encode()


@lru_cache(maxsize=256)
def _names(packed: bytes) -> tuple[str, ...]:
    return tuple(packed.decode(errors="replace").split("\0")) if packed else ()


@lru_cache(maxsize=256)
def _text(packed: bytes) -> str:
    return packed.decode(errors="replace")
