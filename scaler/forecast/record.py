"""An `Outlook` as bytes, and back: what replicas exchange through a shared cache. Versioned, little-endian, no pickle.

    header (88 bytes) · levels float64 [Q] · quantiles float32 [H, Q] · peaks float32 [W, Q] · peak_steps uint32 [W]
    · model utf-8 · error utf-8 · names of what is remembered utf-8, its values float64 [M]
    · CRC-32 of all that precedes

What orders outlooks lies at a fixed place in the header, so that a script in the cache server can find which of two
records is newer without knowing the rest. `unpack` bounds every number: whatever it accepts can be planned from.
"""

import re
import struct
import zlib
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from math import inf

import numpy as np

from scaler.errors import HeadwayError
from scaler.recurrence import LIMITS as RECURRENCE_LIMITS
from scaler.recurrence import Recurrence
from scaler.series import FURTHEST_AHEAD_SECONDS, PAST_KINDS, REMEMBERED, Floats, Forecast, Observation, Outlook
from scaler.telemetry.redaction import excerpt
from scaler.trigger import LARGEST_DEMAND

MARK = b"HWO\x03"
"""the first bytes of every record; the last of them is the version of the layout"""
ORDER_OFFSET, ORDER_FORMAT = 8, "<dddd"
"""where counts_from, the observation's moment, the forecast's start and the fencing token lie, in bytes from the start;
a moment is 0 where there is no observation or forecast"""
ORDER_END = ORDER_OFFSET + struct.calcsize(ORDER_FORMAT)

MOST_RECORD_BYTES = 256 * 1024
"""of one record; with the bundle that ships it has 4.2 kB"""
MOST_STEPS, MOST_LEVELS, MOST_WINDOWS, MOST_CONCLUSIONS = 2880, 200, 100, 32
MOST_ERROR_BYTES, MOST_NAMES_BYTES = 4096, 1024
LONGEST_STEP_SECONDS = 86400.0
LATEST_MOMENT = 1e11
"""seconds since the epoch: the year 5138; later ones are not the time of anything, and overflow dates"""

# mark, flags, bytes: names | counts_from, observed at, forecast start, token | value, recent, ever | step | H, Q, W,
# bytes: model | bytes: error, M
_HEADER = struct.Struct("<4sBxH4d3dd4HII")
_CHECKSUM = struct.Struct("<I")
_FLOAT32 = np.dtype("<f4")
_LARGEST = np.float32(LARGEST_DEMAND)
_HAS_OBSERVATION, _HAS_FORECAST, _HAS_PEAKS = 1, 2, 4
_SHARES = tuple(f"share_{kind}" for kind in PAST_KINDS)
_DAYS = ("days_alike", "days_known")
_EDGE = {f"edge_{name}": limits for name, limits in RECURRENCE_LIMITS.items()}
_STEP = "data_step_seconds"
_LIMITS = {
    **REMEMBERED,
    **dict.fromkeys(_SHARES, (0.0, 1.0)),
    **dict.fromkeys(_DAYS, (0.0, 100.0)),
    **_EDGE,
    _STEP: (0.0, 3600.0),
}
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._-]{0,126}")


class RecordInvalid(HeadwayError):
    """Bytes that are no outlook of this version: foreign, cut short, damaged or forged. The text says what is wrong."""


def pack(outlook: Outlook, token: float = 0) -> bytes:
    """The outlook as bytes: about 4.2 kB with a forecast of 120 steps and 8 levels. token: see redis_cache.py.

    Raises RecordInvalid for a forecast that is too large to be shared.
    """
    error_text = outlook.error.encode(errors="replace")[:MOST_ERROR_BYTES]
    seen, forecast = outlook.observation, outlook.forecast
    at, observed = (
        (0.0, (0.0, 0.0, 0.0)) if seen is None else (seen.at, (seen.value, seen.recent_peak, seen.history_peak))
    )
    flags = 0 if seen is None else _HAS_OBSERVATION
    named = {**outlook.remembered, **_shares(forecast)}
    if forecast is not None and forecast.data_step_seconds:
        named[_STEP] = forecast.data_step_seconds
    names = _names_bytes(tuple(named))
    values = struct.pack(f"<{len(named)}d", *named.values())
    ends = (len(error_text), len(named))
    if forecast is None:
        order = (outlook.counts_from, at, 0.0, token)
        header = _HEADER.pack(MARK, flags, len(names), *order, *observed, 0.0, 0, 0, 0, 0, *ends)
        return _sealed(header + error_text + names + values)
    flags |= _HAS_FORECAST if forecast.peaks_WQ is None else _HAS_FORECAST | _HAS_PEAKS
    order = (outlook.counts_from, at, forecast.start, token)
    shape = (*forecast.quantiles_HQ.shape, len(forecast.peak_steps))
    _check_sizes(*shape)
    model = forecast.model.encode(errors="replace")
    parts = (
        _HEADER.pack(
            *(MARK, flags, len(names), *order, *observed, forecast.step_seconds, *shape, len(model), *ends),
        ),
        _levels_bytes(forecast.levels),
        _bytes(forecast.quantiles_HQ),
        b"" if forecast.peaks_WQ is None else _bytes(forecast.peaks_WQ),
        _steps_bytes(forecast.peak_steps),
        model,
        error_text,
        names,
        values,
    )
    record = _sealed(b"".join(parts))
    if len(record) > MOST_RECORD_BYTES:
        raise RecordInvalid(f"a record has at most {MOST_RECORD_BYTES} bytes, this one {len(record)}")
    return record


def unpack(record: bytes) -> Outlook:
    """The outlook that was packed; its arrays are read-only views of `record`. Raises RecordInvalid."""
    if not _HEADER.size + _CHECKSUM.size <= len(record) <= MOST_RECORD_BYTES:
        raise RecordInvalid(f"a record has {_HEADER.size} to {MOST_RECORD_BYTES} bytes, this one {len(record)}")
    mark, flags, names_size, counts_from, at, start, token, value, recent, ever, step_seconds, *rest = (
        _HEADER.unpack_from(record)
    )
    if mark != MARK:
        raise RecordInvalid(f"a record starts with {MARK!r}, this one with {mark!r}")
    if _CHECKSUM.unpack_from(record, len(record) - _CHECKSUM.size)[0] != zlib.crc32(record[: -_CHECKSUM.size]):
        raise RecordInvalid(f"the checksum of {len(record)} bytes does not match: cut short or damaged")
    _check_times(counts_from, at, start, token)
    if not (0 <= value <= LARGEST_DEMAND and 0 <= recent <= LARGEST_DEMAND and 0 <= ever <= LARGEST_DEMAND):
        raise RecordInvalid(f"demand lies within 0 and {LARGEST_DEMAND:g}, this is {value}, {recent} and {ever}")
    *sizes, error_size, remembered = rest
    observation = Observation(at, value, recent, ever) if flags & _HAS_OBSERVATION else None
    values_at = len(record) - _CHECKSUM.size - 8 * remembered
    names_at = values_at - names_size
    error_at = names_at - error_size
    if error_at < _HEADER.size or error_size > MOST_ERROR_BYTES or names_size > MOST_NAMES_BYTES:
        raise _misfit(record)
    forecast = None
    if flags & _HAS_FORECAST:
        forecast = _forecast(record, start, step_seconds, flags, sizes, error_at)
    elif error_at != _HEADER.size:
        raise _misfit(record)
    error_text = record[error_at:names_at].decode(errors="replace") if error_size else ""
    if not error_text.isprintable():
        error_text = excerpt(error_text, MOST_ERROR_BYTES)
    conclusions = _conclusions(record[names_at:values_at], struct.unpack_from(f"<{remembered}d", record, values_at))
    shares = tuple(conclusions.pop(name, 0.0) for name in _SHARES)
    alike, known = (int(conclusions.pop(name, 0.0)) for name in _DAYS)
    edge = _recurrence([conclusions.pop(name, None) for name in _EDGE])
    step = conclusions.pop(_STEP, 0.0)
    if forecast is not None and step:
        forecast = replace(forecast, data_step_seconds=step)
    if forecast is not None and any(shares):
        forecast = replace(forecast, past_shares=shares, days_alike=(alike, known), recurrence=edge)
    return Outlook(counts_from, observation, forecast, error_text, conclusions)


def _shares(forecast: Forecast | None) -> dict[str, float]:
    """The weights of past days travel beside what is remembered: a version that does not know them leaves them out."""
    if forecast is None or not forecast.past_shares:
        return {}
    edge = {} if forecast.recurrence is None else dict(zip(_EDGE, forecast.recurrence, strict=True))
    return dict(zip((*_SHARES, *_DAYS), (*forecast.past_shares, *forecast.days_alike), strict=True)) | edge


def _recurrence(values: list[float | None]) -> Recurrence | None:
    """The edge, where all its numbers are there and it came on no more days than are known."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    first, last, kind, since, factor, came, days = known
    if first > last or came > days:
        return None
    return Recurrence(int(first), int(last), int(kind), int(since), factor, int(came), int(days))


def _check_times(counts_from: float, at: float, start: float, token: float) -> None:
    """A NaN fails the first comparison that it takes part in."""
    latest = counts_from + FURTHEST_AHEAD_SECONDS
    if not (0 <= counts_from <= LATEST_MOMENT and 0 <= token < inf):
        raise RecordInvalid(f"an outlook counts from a moment, with a token, not from {counts_from} with {token}")
    if not 0 <= at <= latest:
        raise RecordInvalid(f"demand was observed at {at}, after the outlook begins to count at {counts_from}")
    if not 0 <= start <= latest:
        raise RecordInvalid(f"a forecast starts before the outlook begins to count at {counts_from}, not at {start}")


def _check_sizes(steps: int, levels: int, windows: int) -> None:
    if not (0 < steps <= MOST_STEPS and 0 < levels <= MOST_LEVELS and windows <= MOST_WINDOWS):
        most = f"1 to {MOST_STEPS} steps, 1 to {MOST_LEVELS} levels and up to {MOST_WINDOWS} windows"
        raise RecordInvalid(f"a shared forecast has {most}, this one {steps}, {levels} and {windows}")


def _conclusions(names: bytes, values: tuple[float, ...]) -> dict[str, float]:
    """What this version knows of; a later one may remember more."""
    known = _names(names)
    if len(known) != len(values) or len(known) > MOST_CONCLUSIONS:
        raise RecordInvalid(f"what is remembered has a number for each name, this one {len(values)} for {len(known)}")
    found = {}
    for name, value in zip(known, values, strict=True):
        if (limits := _LIMITS.get(name)) is None:
            continue
        if not limits[0] <= value <= limits[1]:
            raise RecordInvalid(
                f"{name}, which is remembered, lies within {limits[0]:g} and {limits[1]:g}, not {value}"
            )
        found[name] = value
    return found


def _forecast(record: bytes, start: float, step_seconds: float, flags: int, sizes: list[int], end: int) -> Forecast:
    """The forecast whose parts lie between the header and `end`."""
    steps, levels, windows, model_size = sizes
    _check_sizes(steps, levels, windows)
    rows = steps + windows if flags & _HAS_PEAKS else steps
    demand_at = _HEADER.size + 8 * levels
    peak_steps_at = demand_at + 4 * rows * levels
    model_at = peak_steps_at + 4 * windows
    if model_at + model_size != end:
        raise _misfit(record)
    demand = np.frombuffer(record, _FLOAT32, rows * levels, demand_at)
    _check(step_seconds, demand)
    demand_RQ = demand.reshape(rows, levels)
    peak_steps = _steps(record[peak_steps_at:model_at])
    if windows and peak_steps[-1] > steps:
        raise RecordInvalid(f"a window is no longer than the forecast of {steps} steps, this one {peak_steps[-1]}")
    return Forecast(
        start,
        step_seconds,
        _levels(record[_HEADER.size : demand_at]),
        demand_RQ[:steps],
        peak_steps,
        demand_RQ[steps:] if flags & _HAS_PEAKS else None,
        _model(record[model_at:end]),
    )


def _misfit(record: bytes) -> RecordInvalid:
    return RecordInvalid(f"{len(record)} bytes do not fit the sizes in the header")


def _check(step_seconds: float, demand: Floats) -> None:
    if not 1 <= step_seconds <= LONGEST_STEP_SECONDS:
        raise RecordInvalid(f"a step has 1 to {LONGEST_STEP_SECONDS:g} seconds, this one {step_seconds}")
    # NaN fails every comparison, so the smallest and the largest show NaN, infinities and negative demand.
    smallest, largest = np.minimum.reduce(demand), np.maximum.reduce(demand)
    if not (smallest >= 0 and largest <= _LARGEST):
        rule = f"demand lies within 0 and {LARGEST_DEMAND:g}"
        raise RecordInvalid(f"{rule}, this within [{smallest}, {largest}]")


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
def _model(packed: bytes) -> str:
    text = packed.decode(errors="replace")
    if not _MODEL.fullmatch(text):
        raise RecordInvalid(f"a model has a name and a version, as seasonal@1, not {excerpt(text)!r}")
    return text
