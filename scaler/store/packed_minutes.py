"""A day of minutes as the database keeps it: half floats and their scale, compressed; 1.7 kB where demand is restless,
less than 0.1 kB where it is a plain schedule. Pure.

A row is a header of nine bytes (version, exponent of the scale, complete minutes, CRC-32) and 2880 bytes after raw
deflate: the low bytes of 1440 half floats, then the high ones, which are alike and compress well. The CRC covers the
header, the demand and whose day it is, so a row that was moved or changed is refused. A minute without demand is -0, an
unknown one +0. A new version needs a migration, so that no older replica reads it.
"""

import math
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from scaler.series import DAY_MINUTES, Floats, MinuteDay
from scaler.store.watched_rows import Unusable
from scaler.trigger import DEMAND_LIMIT

VERSION = 1
_HEADER = struct.Struct("<BhHI")
_HALF = np.dtype("<f2")
RAW_BYTES = DAY_MINUTES * _HALF.itemsize
MOST_BYTES = _HEADER.size + RAW_BYTES + 64
"""of a row that does not compress at all"""
_LEVEL = 1
"""of deflate; the highest saves 3 % and takes twice as long"""
_STORED_EXPONENT = 15
"""the largest demand of a day is stored as less than 2 to the power of this, and at least half of that"""
_SMALLEST_EXPONENT, _LARGEST_EXPONENT = -163, 39
"""of the smallest float32, and of DEMAND_LIMIT"""
_DAY_LIMIT = 1_000_000
"""no day is later: that is the year 4707"""


def packed(day: MinuteDay) -> bytes:
    """The day as one binary value."""
    demand_M = np.where(day.demand_M <= DEMAND_LIMIT, day.demand_M, np.float32(np.nan))
    exponent = _exponent(demand_M)
    halves = np.ldexp(demand_M, -exponent).astype(_HALF)
    halves[halves == 0] = -0.0
    halves[np.isnan(demand_M)] = 0.0
    raw = halves.view(np.uint8).reshape(-1, 2).T.tobytes()
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflate.compress(raw) + deflate.flush()
    return _HEADER.pack(VERSION, exponent, day.complete, _checksum(day, exponent, raw)) + body


def unpacked(key: str, zone: str, day: object, value: object) -> MinuteDay:
    """The day that `packed` made a value of. Raises Unusable for any other value."""
    if type(day) is not int or not 0 <= day <= _DAY_LIMIT:
        raise Unusable("the number of the day is none")
    if not isinstance(value, bytes) or not _HEADER.size < len(value) <= MOST_BYTES:
        raise Unusable("no day of minutes has this length")
    version, exponent, complete, checksum = _HEADER.unpack_from(value)
    if version != VERSION:
        raise Unusable(f"its version is {version}, and {VERSION} is read")
    if not (_SMALLEST_EXPONENT <= exponent <= _LARGEST_EXPONENT and complete <= DAY_MINUTES):
        raise Unusable("its header is none")
    raw = _inflated(value[_HEADER.size :])
    halves = np.ascontiguousarray(np.frombuffer(raw, np.uint8).reshape(2, -1).T).view(_HALF).reshape(-1)
    found = MinuteDay(key, zone, day, _demand(halves, exponent), complete)
    if _checksum(found, exponent, raw) != checksum:
        raise Unusable("its checksum does not match")
    return found


def _exponent(demand_M: Floats) -> int:
    """Of the power of two that the largest demand is divided by to become a large half float."""
    largest = float(np.nanmax(demand_M, initial=0.0))
    return math.frexp(largest)[1] - _STORED_EXPONENT if largest > 0 else 0


def _inflated(body: bytes) -> bytes:
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        raw = inflate.decompress(body, RAW_BYTES + 1)
    except zlib.error:
        raise Unusable("it cannot be decompressed") from None
    if len(raw) != RAW_BYTES or not inflate.eof or inflate.unused_data:
        raise Unusable("it does not hold the minutes of one day")
    return raw


def _demand(halves: NDArray[np.float16], exponent: int) -> Floats:
    sign = halves.view(np.uint16) >> 15
    is_unknown = halves.view(np.uint16) == 0
    is_demand = np.where(sign == 1, halves == 0, halves > 0) & np.isfinite(halves)
    demand = np.ldexp(np.abs(halves).astype(np.float32), exponent)
    if not (is_demand | is_unknown).all() or not float(demand.max()) <= DEMAND_LIMIT:
        raise Unusable("a minute holds no demand")
    demand[is_unknown] = np.nan
    return demand


def _checksum(day: MinuteDay, exponent: int, raw: bytes) -> int:
    whose = f"{day.key}\n{day.zone}\n{day.day}\n{exponent}\n{day.complete}\n".encode()
    return zlib.crc32(raw, zlib.crc32(whose))
