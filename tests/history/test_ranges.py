"""Ranges that a server refuses as a whole are read by halves, and what is missing is a gap with its reason."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scaler.errors import SourceUnavailable
from scaler.history.answers import BadQuery, Partial, Series, TooSlow
from scaler.history.ranges import MOST_POINTS, PieceSize, merged, newest_piece, read
from scaler.series import Gap

WEEKS = 14 * 86400.0


class Server:
    """Answers each range with one series; refuses what `refuses` says, and counts the requests."""

    def __init__(self, refuses=lambda first, last: None, step: float = 60.0) -> None:
        self.refuses = refuses
        self.step = step
        self.asked: list[tuple[float, float]] = []

    async def __call__(self, first: float, last: float) -> list[Series]:
        self.asked.append((first, last))
        error = self.refuses(first, last)
        if error is not None:
            raise error
        times = first + self.step * np.arange(round((last - first) / self.step) + 1)
        return [Series({}, times, np.ones(len(times)))]


def moments(found: list[Series]) -> list[float]:
    return sorted(float(at) for one in found for at in one.times)


def longer_than(seconds: float):
    return lambda first, last: BadQuery("the query time range exceeds the limit") if last - first > seconds else None


def more_points_than(count: int):
    return lambda first, last: BadQuery("exceeded maximum resolution") if (last - first) / 60 >= count else None


def within(begin: float, end: float, error=BadQuery):
    return lambda first, last: error("found duplicate series") if first <= end and last >= begin else None


@given(st.floats(0, 2e9), st.floats(0, 60 * 86400), st.sampled_from([1.0, 15.0, 60.0, 900.0]))
@example(62469066.80300946, 5183999.5, 1.0)
def test_pieces_cover_every_moment_once(start: float, span: float, step: float) -> None:
    """No piece has too many points, and together they ask for start, start + step, … <= end."""
    found, end = [], start + span
    while end >= start:
        found.append(newest_piece(start, end, step, PieceSize()))
        end = found[-1][0] - step
    counts = [round((last - first) / step) + 1 for first, last in found]
    assert all(0 < count <= MOST_POINTS for count in counts)
    assert sum(counts) == int(span / step + 1e-6) + 1 or abs(span / step - round(span / step)) < 1e-6
    for (after, _), (_, before) in pairwise(found):
        assert after - before == pytest.approx(step)


@pytest.mark.parametrize("limit_hours", [168 - 1 / 60, 72, 24, 1.5])
async def test_a_range_longer_than_the_server_allows_arrives_by_halves(limit_hours: float) -> None:
    """All of it arrives, and later ranges are asked for in pieces that the server takes."""
    server, size = Server(longer_than(limit_hours * 3600)), PieceSize()
    found, gaps = await read(server, 0.0, WEEKS, 60.0, size)
    assert (moments(found), gaps) == ([60.0 * i for i in range(20161)], ())
    before = len(server.asked)
    await read(server, 0.0, WEEKS, 60.0, size)
    assert all(last - first <= limit_hours * 3600 for first, last in server.asked[before:])


async def test_a_limit_on_points_is_met_as_well() -> None:
    """Some servers count samples, not hours."""
    found, gaps = await read(Server(more_points_than(1000)), 0.0, WEEKS, 60.0, PieceSize())
    assert (len(moments(found)), gaps) == (20161, ())


@pytest.mark.parametrize("bad", [0.0, 60.0 * 777, WEEKS])
async def test_one_bad_moment_costs_one_moment(bad: float) -> None:
    """The oldest, the newest, or one in between."""
    server, size = Server(within(bad, bad)), PieceSize()
    found, gaps = await read(server, 0.0, WEEKS, 60.0, size)
    assert gaps == (Gap(bad, bad, "found duplicate series"),)
    assert len(moments(found)) == 20160
    assert len(server.asked) < 60
    assert size == PieceSize()


async def test_a_bad_hour_is_one_gap() -> None:
    """Neighbours with the same reason are reported together."""
    _, gaps = await read(Server(within(3660.0, 7140.0)), 0.0, 86400.0, 60.0, PieceSize())
    assert gaps == (Gap(3660.0, 7140.0, "found duplicate series"),)


async def test_a_query_that_is_wrong_everywhere_is_refused_at_once() -> None:
    """Its error is raised after a few requests: halving cannot help."""
    server = Server(lambda first, last: BadQuery("parse error"))
    with pytest.raises(BadQuery, match="parse error"):
        await read(server, 0.0, 28 * 86400.0, 60.0, PieceSize())
    assert len(server.asked) <= 15


async def test_many_bad_stretches_end_in_gaps_not_in_a_storm() -> None:
    """The number of requests is bounded, and what was answered is kept."""

    def every_other_hour(first: float, last: float) -> BadQuery | None:
        return BadQuery("no") if int(first // 3600) % 2 or last // 3600 > first // 3600 else None

    server = Server(every_other_hour)
    found, gaps = await read(server, 0.0, WEEKS, 60.0, PieceSize())
    assert len(server.asked) < 250
    assert found
    assert gaps


async def test_a_piece_that_is_too_slow_is_halved_a_few_times_only() -> None:
    """Each attempt takes the server's whole time limit."""
    server = Server(within(0.0, 86400.0, TooSlow))
    _, gaps = await read(server, 0.0, WEEKS, 60.0, PieceSize())
    assert gaps[0].first == 0.0
    assert len(server.asked) < 30


async def test_what_may_heal_is_raised() -> None:
    """A server that is down says nothing about a range: the caller tries again later."""
    with pytest.raises(SourceUnavailable):
        await read(Server(lambda first, last: SourceUnavailable("down")), 0.0, WEEKS, 60.0, PieceSize())


@pytest.mark.parametrize("error", [SourceUnavailable, Partial])
async def test_an_old_piece_that_a_store_cannot_give_is_left_for_later(error: type[Exception]) -> None:
    """The rest is used; the gap may close, so that it is asked for again. Nothing is learned about the length."""
    size = PieceSize()
    found, gaps = await read(Server(within(86400.0, 90000.0, error)), 0.0, WEEKS, 60.0, size)
    assert [gap.may_close for gap in gaps] == [True]
    assert gaps[0].first <= 86400.0
    assert gaps[0].last >= 90000.0
    assert (min(moments(found)), max(moments(found))) == (0.0, WEEKS)
    assert size == PieceSize()


async def test_a_server_that_goes_away_half_way_is_not_asked_on() -> None:
    """What arrived counts; the rest is one gap after two failed requests."""
    server = Server(lambda first, last: SourceUnavailable("down") if first < WEEKS else None)
    found, gaps = await read(server, 0.0, 4 * WEEKS, 60.0, PieceSize())
    assert max(moments(found)) == 4 * WEEKS
    assert (gaps[0].first, gaps[0].may_close, len(gaps)) == (0.0, True, 1)
    assert len(server.asked) == 8


async def test_what_is_learned_is_about_one_step() -> None:
    """A limit on hours, met with blocks of 15 minutes, leaves a day of minutes in one piece."""
    size = PieceSize()
    await read(Server(longer_than(72 * 3600), step=900.0), 0.0, 2 * WEEKS, 900.0, size)
    server = Server(longer_than(72 * 3600))
    await read(server, 0.0, 86400.0, 60.0, size)
    assert len(server.asked) == 1


def test_gaps_of_different_reasons_stay_apart() -> None:
    """Neighbours are joined where their reason is one."""
    gaps = [Gap(60.0, 120.0, "b"), Gap(0.0, 0.0, "a"), Gap(180.0, 180.0, "b")]
    assert list(merged(gaps, 60.0)) == [Gap(0.0, 0.0, "a"), Gap(60.0, 180.0, "b")]


def test_a_gap_reads_as_a_stretch_of_time() -> None:
    """As the log and `headway why` show it."""
    assert str(Gap(1_764_151_440.0, 1_764_151_800.0, "two series")) == "26 Nov 2025 10:04 to 10:10 UTC: two series"
    assert str(Gap(0.0, 86400.0, "x")) == "01 Jan 1970 00:00 to 02 Jan 1970 00:00 UTC: x"
