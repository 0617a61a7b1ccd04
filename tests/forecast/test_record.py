"""Outlooks as bytes: exact there and back, and nothing but an outlook is taken for one."""

import contextlib
import math
import struct
import zlib
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.forecast.record import MARK, ORDER_OFFSET, RecordInvalid, pack, unpack
from scaler.recurrence import Recurrence
from scaler.series import REMEMBERED, Forecast, Observation, Outlook

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
DAMAGED = {
    "nothing": b"",
    "text": b"OK",
    "foreign, as long as a record": b"x" * 4286,
    "pickle": b"\x80\x04K\x01." * 40,
}


def outlook(peaks: bool = True, seen: bool = True, forecast: bool = True, error: str = "") -> Outlook:
    random = np.random.default_rng(7)
    made = Forecast(
        start=1_700_000_000.5,
        step_seconds=60.0,
        levels=LEVELS,
        quantiles_HQ=np.sort(random.random((120, 8), dtype=np.float32), axis=1),
        peak_steps=(1, 2, 5, 10),
        peaks_WQ=np.sort(random.random((4, 8), dtype=np.float32), axis=1) if peaks else None,
        model="seasonal@1",
        past_shares=(0.7, 0.0, 0.25) if seen else (),
        days_alike=(11, 13) if seen else (0, 0),
        recurrence=Recurrence(540, 546, 1, 19_784, 8.75, 9, 10) if seen else None,
        data_step_seconds=300.0 if seen else 0.0,
    )
    observation = Observation(at=1_700_000_000.25, value=3.1, recent_peak=4.2, history_peak=1e7) if seen else None
    remembered = {"replicas": 17, "growth": 1.479} if seen else {}
    return Outlook(1_700_000_001.125, observation, made if forecast else None, error, remembered)


def same(a: Outlook, b: Outlook) -> bool:
    plain = ("counts_from", "observation", "error", "remembered")
    if any(getattr(a, name) != getattr(b, name) for name in plain):
        return False
    if a.forecast is None or b.forecast is None:
        return a.forecast is b.forecast
    pairs = [(getattr(a.forecast, f.name), getattr(b.forecast, f.name)) for f in fields(Forecast)]
    return all(np.array_equal(x, y) if isinstance(x, np.ndarray) else x == y for x, y in pairs)


def sealed(body: bytes) -> bytes:
    return body + struct.pack("<I", zlib.crc32(body))


@pytest.mark.parametrize("peaks", [True, False])
@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize("forecast", [True, False])
@pytest.mark.parametrize("error", ["", 'prometheus: "zeitüberschreitung"'])
def test_there_and_back(peaks: bool, seen: bool, forecast: bool, error: str) -> None:
    """What comes out equals what went in, to the last bit."""
    before = outlook(peaks, seen, forecast, error)
    assert same(unpack(pack(before)), before)


@given(st.fixed_dictionaries({}, optional={name: st.floats(*limits) for name, limits in REMEMBERED.items()}))
def test_what_is_remembered_is_exact(remembered: dict[str, float]) -> None:
    """All replicas answer alike: what one concluded, the others read to the last bit."""
    before = replace(outlook(), remembered=remembered)
    assert unpack(pack(before)).remembered == remembered


@pytest.mark.parametrize("odd", [{"first": 547}, {"came": 11}])
def test_an_edge_that_cannot_be_is_left_out(odd: dict[str, int]) -> None:
    made = outlook().forecast
    assert made is not None
    assert made.recurrence is not None
    back = unpack(pack(replace(outlook(), forecast=replace(made, recurrence=made.recurrence._replace(**odd)))))
    assert back.forecast is not None
    assert back.forecast.recurrence is None
    assert back.forecast.days_alike == (11, 13)


def test_an_edge_out_of_range_is_refused() -> None:
    made = outlook().forecast
    assert made is not None
    assert made.recurrence is not None
    broken = replace(outlook(), forecast=replace(made, recurrence=made.recurrence._replace(kind=10)))
    with pytest.raises(RecordInvalid, match="edge_kind, which is remembered, lies within 0 and 9"):
        unpack(pack(broken))


def test_what_a_later_version_remembers_is_passed_over() -> None:
    """Its other conclusions count."""
    before = replace(outlook(), remembered={"weather": 17.0, "replicas": 3})
    assert unpack(pack(before)).remembered == {"replicas": 3}


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, -1.0, 2.0**40])
def test_what_is_remembered_lies_within_its_range(value: float) -> None:
    """A rule never reads anything else."""
    with pytest.raises(RecordInvalid, match="remembered"):
        unpack(pack(replace(outlook(), remembered={"replicas": value})))


def test_a_record_of_another_version_is_refused() -> None:
    """Replicas of two versions do not read each other's records; each goes on with its own."""
    body = bytearray(pack(outlook())[:-4])
    body[3:4] = b"\1"
    with pytest.raises(RecordInvalid, match="starts with"):
        unpack(sealed(bytes(body)))


def test_arrays_of_another_type_and_order_are_packed_as_float32() -> None:
    """A transposed float64 array gives the same record as its float32 copy."""
    before = outlook()
    assert before.forecast is not None
    quantiles = np.asfortranarray(before.forecast.quantiles_HQ.astype(np.float64))
    assert pack(replace(before, forecast=replace(before.forecast, quantiles_HQ=quantiles))) == pack(before)


def test_shared_parts_exist_once() -> None:
    """Levels, windows and model name of two unpacked outlooks are the same objects."""
    first, second = unpack(pack(outlook())).forecast, unpack(pack(outlook(error="slow"))).forecast
    assert first is not None
    assert second is not None
    assert first.levels is second.levels
    assert first.peak_steps is second.peak_steps
    assert first.model is second.model


def test_the_moment_lies_where_the_server_script_looks() -> None:
    """`counts_from` is a little-endian float64 at the documented offset."""
    assert struct.unpack_from("<d", pack(outlook()), ORDER_OFFSET) == (1_700_000_001.125,)


@pytest.mark.parametrize("record", DAMAGED.values(), ids=DAMAGED.keys())
def test_foreign_bytes_are_refused(record: bytes) -> None:
    """Bytes that are no record raise RecordInvalid."""
    with pytest.raises(RecordInvalid):
        unpack(record)


@given(st.data())
def test_every_cut_and_every_flipped_byte_is_noticed(data: st.DataObject) -> None:
    """A record that lost its end, or in which a byte changed, is refused."""
    record = pack(outlook())
    at = data.draw(st.integers(0, len(record) - 1))
    flipped = bytes([record[at] ^ data.draw(st.integers(1, 255))])
    for damaged in (record[:at], record[:at] + flipped + record[at + 1 :]):
        with pytest.raises(RecordInvalid):
            unpack(damaged)


def test_another_version_is_refused() -> None:
    """A record of a later version names its mark and is not guessed at."""
    body = MARK[:3] + b"\x04" + pack(outlook())[4:-4]
    with pytest.raises(RecordInvalid, match="starts with"):
        unpack(sealed(body))


@pytest.mark.parametrize("rubbish", [np.nan, np.inf, -np.inf, -1.0, 1e16])
def test_demand_that_is_no_demand_is_refused(rubbish: float) -> None:
    """NaN, infinite and negative demand do not get in, be the record ever so well formed."""
    good = outlook()
    assert good.forecast is not None
    quantiles = good.forecast.quantiles_HQ.copy()
    quantiles[60, 3] = rubbish
    with pytest.raises(RecordInvalid, match="demand lies within"):
        unpack(pack(replace(good, forecast=replace(good.forecast, quantiles_HQ=quantiles))))


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"observation": Observation(1_700_000_999.0, 1.0, 1.0, 1.0)}, "after the outlook begins to count"),
        ({"observation": Observation(-1.0, 1.0, 1.0, 1.0)}, "observed at"),
        ({"observation": Observation(np.nan, 1.0, 1.0, 1.0)}, "observed at"),
        *[
            (
                {"observation": Observation(1.0, *(rubbish if i == place else 1.0 for i in range(3)))},
                "demand lies within",
            )
            for rubbish in (-1.0, np.nan, np.inf, 1e16)
            for place in range(3)
        ],
        ({"counts_from": 1e12}, "counts from a moment"),
        ({"counts_from": np.nan}, "counts from a moment"),
        ({"forecast": {"start": 1_700_000_032.0}}, "starts before"),
        ({"forecast": {"start": -1.0}}, "starts before"),
        ({"forecast": {"start": np.nan}}, "starts before"),
        ({"forecast": {"step_seconds": 5e-324}}, "a step has"),
        ({"forecast": {"step_seconds": np.nan}}, "a step has"),
        ({"forecast": {"step_seconds": 1e9}}, "a step has"),
        ({"forecast": {"model": "x\ny"}}, "a model has"),
        ({"forecast": {"peak_steps": (1, 2, 5, 121)}}, "no longer than"),
        ({"forecast": {"levels": (0.5, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)}}, "levels rise"),
        ({"forecast": {"levels": (*LEVELS[:-1], 1.5)}}, "levels rise"),
        ({"forecast": {"levels": (np.nan, *LEVELS[1:])}}, "levels rise"),
        ({"forecast": {"peak_steps": (5, 2, 1, 10)}}, "windows rise"),
        ({"forecast": {"peak_steps": (0, 2, 5, 10)}}, "windows rise"),
    ],
)
def test_an_outlook_that_cannot_be_is_refused(change: dict[str, object], rule: str) -> None:
    """What no replica with a right clock and a right bundle publishes does not get in, well packed as it may be."""
    good = outlook()
    if isinstance(of_forecast := change.get("forecast"), dict):
        assert good.forecast is not None
        change = {"forecast": replace(good.forecast, **of_forecast)}
    with pytest.raises(RecordInvalid, match=rule):
        unpack(pack(replace(good, **change)))


@given(header=st.binary(min_size=84, max_size=84), rest=st.binary(max_size=200))
def test_a_forged_record_is_an_outlook_or_refused(header: bytes, rest: bytes) -> None:
    """Well-sealed rubbish raises nothing but RecordInvalid."""
    with contextlib.suppress(RecordInvalid):
        unpack(sealed(MARK + header + rest))
