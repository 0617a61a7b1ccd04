"""A day of minutes as one binary value: small, exact, and refused where it is not what was written."""

import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.series import DAY_MINUTES, Floats, MinuteDay
from scaler.store.packed_minutes import packed, unpacked
from scaler.store.watched_rows import Unusable

KEY, ZONE, DAY = "shop/web/0f", "Europe/Berlin", 20_500
HEADER_BYTES = 9


def day_of(demand_M: Floats, complete: int = DAY_MINUTES) -> MinuteDay:
    return MinuteDay(KEY, ZONE, DAY, demand_M.astype(np.float32), complete)


def restless() -> Floats:
    """Demand with noise of a tenth, a night of zero and a gap of an hour."""
    demand_M = np.random.default_rng(5).normal(1000, 100, DAY_MINUTES).astype(np.float32)
    demand_M[60:300] = 0
    demand_M[600:660] = np.nan
    return demand_M


GOOD = packed(day_of(restless()))


@pytest.mark.parametrize("scale", [1e-20, 1e-3, 1.0, 1e6, 1e12])
def test_a_day_comes_back(scale: float) -> None:
    """Within half a thousandth, in any unit; zero stays zero, and unknown stays unknown."""
    day = day_of(restless() * scale, 700)
    found = unpacked(KEY, ZONE, DAY, packed(day))
    assert replace(found, demand_M=day.demand_M) == day
    np.testing.assert_allclose(found.demand_M, day.demand_M, rtol=5e-4)
    assert (found.demand_M[60:300] == 0).all()


def test_half_floats_come_back_exactly() -> None:
    """What the memory holds are half floats times a power of two: storing them again and again loses nothing."""
    once = unpacked(KEY, ZONE, DAY, GOOD)
    np.testing.assert_array_equal(unpacked(KEY, ZONE, DAY, packed(once)).demand_M, once.demand_M)


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_day_without_demand_is_small(value: float) -> None:
    day = day_of(np.full(DAY_MINUTES, value, np.float32))
    assert len(packed(day)) < 60
    np.testing.assert_array_equal(unpacked(KEY, ZONE, DAY, packed(day)).demand_M, day.demand_M)


def test_a_row_stays_small() -> None:
    """2 kB at the worst of what is recorded, less than 100 bytes for what happens on a clock."""
    batch = np.where((np.arange(DAY_MINUTES) // 40) == 3, 1000.0, 20.0)
    assert len(packed(day_of(batch))) < 100
    assert len(GOOD) < 2000


def test_more_than_can_be_answered_counts_as_unknown() -> None:
    demand_M = restless()
    demand_M[0] = 1e20
    assert np.isnan(unpacked(KEY, ZONE, DAY, packed(day_of(demand_M))).demand_M[0])


def made_of(halves: np.ndarray, exponent: int = 0, complete: int = 0) -> bytes:  # type: ignore[type-arg]
    """A row that any program could write, with a right checksum."""
    raw = halves.astype("<f2").view(np.uint8).reshape(-1, 2).T.tobytes()
    whose = f"{KEY}\n{ZONE}\n{DAY}\n{exponent}\n{complete}\n".encode()
    deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
    header = struct.pack("<BhHI", 1, exponent, complete, zlib.crc32(raw, zlib.crc32(whose)))
    return header + deflate.compress(raw) + deflate.flush()


def plain(value: float = 5.0, count: int = DAY_MINUTES, at: int = 7) -> np.ndarray:  # type: ignore[type-arg]
    halves = np.full(count, 5.0, np.float16)
    halves[at] = value
    return halves


def bomb() -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return GOOD[:HEADER_BYTES] + deflate.compress(bytes(2_000_000)) + deflate.flush()


def test_the_forger_of_these_tests_is_able() -> None:
    assert unpacked(KEY, ZONE, DAY, made_of(plain())).demand_M[7] == 5


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "length"),
        (None, "length"),
        ("text", "length"),
        (GOOD[:HEADER_BYTES], "length"),
        (GOOD + bytes(5000), "length"),
        (bytes([2]) + GOOD[1:], "its version is 2, and 1 is read"),
        (GOOD[:-1], "minutes of one day"),
        (GOOD + b"x", "minutes of one day"),
        (GOOD[:HEADER_BYTES] + b"\xff" * 100, "decompressed"),
        (bomb(), "minutes of one day"),
        (made_of(plain(count=1439)), "minutes of one day"),
        (made_of(plain(count=1441)), "minutes of one day"),
        (made_of(plain(float("nan"))), "no demand"),
        (made_of(plain(float("inf"))), "no demand"),
        (made_of(plain(-1.0)), "no demand"),
        (made_of(plain(60_000.0), exponent=39), "no demand"),
        (made_of(plain(), exponent=300), "header"),
        (made_of(plain(), complete=1441), "header"),
        (GOOD[:1] + bytes([GOOD[1] ^ 1]) + GOOD[2:], "checksum"),
        (GOOD[:3] + bytes([GOOD[3] ^ 0x80]) + GOOD[4:], "checksum"),
    ],
)
def test_what_was_not_written_is_refused(value: object, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        unpacked(KEY, ZONE, DAY, value)


@pytest.mark.parametrize(
    ("key", "zone", "day"), [("shop/other/0f", ZONE, DAY), (KEY, "UTC", DAY), (KEY, ZONE, DAY + 1)]
)
def test_a_row_in_the_place_of_another_is_refused(key: str, zone: str, day: int) -> None:
    """Another trigger's minutes, or those of another day, are not taken for its own."""
    with pytest.raises(Unusable, match="checksum"):
        unpacked(key, zone, day, GOOD)


@pytest.mark.parametrize("day", [-1, 10**9, "20500", None, 1.0, True])
def test_a_day_has_a_number(day: object) -> None:
    with pytest.raises(Unusable, match="number of the day"):
        unpacked(KEY, ZONE, day, GOOD)


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_no_changed_byte_is_believed(place: int, difference: int) -> None:
    changed = bytearray(GOOD)
    changed[place] ^= difference
    try:
        found = unpacked(KEY, ZONE, DAY, bytes(changed))
    except Unusable:
        return
    np.testing.assert_array_equal(found.demand_M, unpacked(KEY, ZONE, DAY, GOOD).demand_M)  # padding of the last byte
