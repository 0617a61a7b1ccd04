"""PrometheusSource against a real Prometheus."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import numpy as np
import pytest

from scaler.errors import AmbiguousDemand, NoDemand, SourceRefused, SourceUnavailable
from scaler.history import observe_all
from scaler.history.connection import Limits
from scaler.history.prometheus import PrometheusSource
from scaler.trigger import Trigger
from tests.servers.prometheus import PrometheusServer, Recorded, prometheus

pytestmark = pytest.mark.server

NOW = 1_700_006_400.0
"""the last moment of the recording; a multiple of 15 minutes"""
DAY = 86400.0


def wave(moment: float) -> float:
    """What `wave` was at a moment: a day's rise and fall, different in every minute."""
    return round(100 + 50 * math.sin(2 * math.pi * moment / DAY) + (moment // 60) % 7, 3)


def _recording() -> list[Recorded]:
    minutes = [NOW - 60.0 * back for back in range(15 * 1440, -1, -1)]
    flat = [Recorded("apps", [(t, float(app)) for t in minutes[-60:]], {"app": str(app)}) for app in range(60)]
    return [
        Recorded("wave", [(t, wave(t)) for t in minutes], {"job": "shop"}),
        Recorded("moved", [(t, 1.0) for t in minutes[-120:-60]], {"pod": "old"}),
        Recorded("moved", [(t, 2.0) for t in minutes[-50:]], {"pod": "new"}),
        Recorded("replaced", [(t, wave(t)) for t in minutes[: -120 * 60]], {"pod": "old"}),
        Recorded("replaced", [(t, wave(t)) for t in minutes[-120 * 60 - 2 :]], {"pod": "new"}),
        *flat,
    ]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    with prometheus(tmp_path_factory.mktemp("prometheus"), _recording()) as running:
        yield running


@pytest.fixture
async def source() -> AsyncIterator[PrometheusSource]:
    made = PrometheusSource(limits=Limits(observe_seconds=10, open_seconds=0.3))
    yield made
    await made.close()


@pytest.fixture
def ask(server: PrometheusServer):  # type: ignore[no-untyped-def]
    def trigger(query: str, **others: object) -> Trigger:
        return replace(Trigger("shop", "web", query, 10.0, server.url, key=query), **others)  # type: ignore[arg-type]

    return trigger


async def test_every_trigger_gets_its_own_answer(source, ask) -> None:
    """Sixty good queries and one of each bad kind, asked at once: each is told apart and disturbs nobody."""
    good = [ask(f'apps{{app="{app}"}}') for app in range(60)]
    bad = {
        'apps{app="none"}': (NoDemand, "returned nothing"),
        "apps": (AmbiguousDemand, r'60 series, \{__name__="apps", app="'),
        "sum(apps": (SourceRefused, "parse error"),
        "wave[5m]": (AmbiguousDemand, "range vector"),
        '"text"': (AmbiguousDemand, "string"),
        "0 * sum(apps) / 0": (NoDemand, "nan"),
        "-sum(apps)": (SourceRefused, "must not be negative"),
        "sum(apps) / 0": (NoDemand, "inf"),
        "apps * on() wave * on() apps": (SourceRefused, "multiple matches"),
        '1), "__headway__", "0", "", "") or label_replace((vector(7)': (SourceRefused, "parse error"),
    }
    fine = {"vector(3)": 3.0, "1 + 2": 3.0, "scalar(sum(apps)) # all": 1770.0, "sum(apps) # all": 1770.0}
    triggers = [*good, *map(ask, bad), *map(ask, fine)]
    for _ in range(2):  # the second time what cannot share a request is known
        answers = await observe_all(source, triggers, NOW)
        assert answers[:60] == [float(app) for app in range(60)]
        for answer, (kind, words) in zip(answers[60:], bad.values(), strict=False):
            assert isinstance(answer, kind)
            with pytest.raises(kind, match=words):
                raise answer
        assert answers[60 + len(bad) :] == list(fine.values())


async def test_nothing_is_zero_where_null_values_are_ignored(source, ask) -> None:
    """As in KEDA's own prometheus scaler; in history, from the first known moment on."""
    assert await observe_all(source, [ask("none", ignore_null_values=True)], NOW) == [0.0]
    samples = await source.samples(ask("moved > 0", ignore_null_values=True), NOW - DAY, NOW, 60)
    assert len(samples.times) == 120
    assert samples.values[:60].tolist() == [1.0] * 60
    assert 4 <= samples.values.tolist().count(0.0) <= 6  # ten minutes less the five that Prometheus looks back


async def test_what_is_no_number_is_never_zero(source, ask) -> None:
    """NaN and infinity are no empty answer, whatever the trigger reads that as."""
    strange = [ask(query, ignore_null_values=True) for query in ("0 * sum(apps) / 0", "sum(apps) / 0")]
    for answer in await observe_all(source, strange, NOW):
        assert isinstance(answer, NoDemand)
        assert "which returns nothing" in str(answer)
    # NaN in every second minute
    query = "wave + on() group_left() (0 / (minute() % 2))"
    for trigger in (ask(query), ask(query, ignore_null_values=True)):
        samples = await source.samples(trigger, NOW - 3600, NOW, 60)
        assert 0.0 not in samples.values
        assert len(samples.times) == 30
        blocks = await source.blocks(trigger, NOW - DAY, NOW, 900)
        assert 0.0 not in blocks.mean


async def test_samples_of_two_weeks_arrive_in_pieces(source, ask) -> None:
    """Longer than one range query may be, every minute in its place with its value."""
    samples = await source.samples(ask("wave"), NOW - 14 * DAY, NOW, 60)
    assert samples.times.tolist() == [NOW - 60.0 * back for back in range(14 * 1440, -1, -1)]
    np.testing.assert_allclose(samples.values, [wave(t) for t in samples.times], rtol=1e-6)


async def test_blocks_sum_up_the_minutes_that_end_in_them(source, ask) -> None:
    """The block that starts at s has the mean and max of the samples in (s, s + block]."""
    blocks = await source.blocks(ask("wave # a comment"), NOW - 10 * DAY - 100, NOW + 100, 900)
    assert blocks.starts.tolist() == [NOW - 900.0 * back for back in range(960, 0, -1)]
    for i in (0, 500, -1):
        minutes = [wave(blocks.starts[i] + 60 * k) for k in range(1, 16)]
        assert blocks.mean[i] == pytest.approx(sum(minutes) / 15)
        assert blocks.max[i] == pytest.approx(max(minutes))


async def test_a_pod_that_was_replaced_costs_the_minutes_in_which_both_count(source, ask) -> None:
    """Five days ago two series were there for Prometheus's lookback: those minutes are a gap, the weeks arrive."""
    trigger, then = ask('replaced{job=""}'), NOW - 120 * 3600.0
    samples = await source.samples(trigger, NOW - 14 * DAY, NOW, 60)
    (gap,) = samples.gaps
    assert then - 120 <= gap.first <= gap.last <= then + 360
    assert "2 series" in gap.why
    assert len(samples.times) == 14 * 1440 + 1 - round((gap.last - gap.first) / 60 + 1)
    blocks = await source.blocks(trigger, NOW - 10 * DAY, NOW, 900)
    assert len(blocks.starts) >= 958
    assert all(abs(gap.first - then) <= 1800 for gap in blocks.gaps)
    assert blocks.gaps
    assert all((gap.last - gap.first) % 900 == 0 and gap.last > gap.first for gap in blocks.gaps)


async def test_a_join_that_fails_at_one_moment_costs_that_moment(source, ask) -> None:
    """Prometheus refuses the whole range for one moment with duplicates; all other moments are read."""
    trigger = ask('wave * on() group_right() max by (job) (replaced) or wave * on() replaced{job=""}')
    samples = await source.samples(trigger, NOW - 7 * DAY, NOW, 60)
    assert len(samples.times) > 7 * 1440 - 20
    assert "many-to-many" in samples.gaps[0].why or "duplicate" in samples.gaps[0].why


async def test_blocks_of_a_scalar_come_from_a_plain_range_query(source, ask) -> None:
    """No subquery can be made of it, so each block is known by the sample at its end."""
    blocks = await source.blocks(ask("scalar(wave)"), NOW - 7200, NOW, 900)
    assert blocks.mean.tolist() == pytest.approx([wave(s + 900) for s in blocks.starts])
    assert blocks.mean.tolist() == blocks.max.tolist()
    assert len(blocks.starts) == 8


async def test_a_series_that_changed_its_labels_is_one_history(source, ask) -> None:
    """A pod that was replaced: the two follow each other, and in no moment are there two."""
    samples = await source.samples(ask("moved"), NOW - 7200, NOW, 60)
    assert set(samples.values.tolist()) == {1.0, 2.0}
    with pytest.raises(AmbiguousDemand, match="60 series"):
        await source.samples(ask("apps"), NOW - 600, NOW, 60)


async def test_a_stopped_server_opens_the_circuit_and_a_restart_closes_it(source, ask, server) -> None:
    """Refused connections are told as such, then nothing is asked for a while; recovery needs no restart of ours."""
    trigger = ask("sum(apps)")
    server.stop()
    try:
        for _ in range(5):
            (answer,) = await observe_all(source, [trigger], NOW)
            assert isinstance(answer, SourceUnavailable)
        assert "connect" in str(answer).lower()
        assert not source.reachable(trigger)
        (answer,) = await observe_all(source, [trigger], NOW)
        assert "in a row" in str(answer)
    finally:
        server.start()
    await asyncio.sleep(0.4)
    assert source.reachable(trigger)
    assert await observe_all(source, [trigger], NOW) == [1770.0]


async def test_a_hung_server_costs_one_time_limit(source, ask, server) -> None:
    """It accepts connections and says nothing; when it goes on, so do we."""
    triggers = [ask(f'apps{{app="{app}"}}') for app in range(60)]
    await observe_all(source, triggers, NOW)
    server.pause()
    try:
        for answer in await observe_all(source, [replace(trigger, timeout_seconds=0.3) for trigger in triggers], NOW):
            assert isinstance(answer, SourceUnavailable)
            assert "within 0.3 s" in str(answer)
    finally:
        server.resume()
    assert await observe_all(source, triggers, NOW) == [float(app) for app in range(60)]
    assert await observe_all(source, triggers, NOW) == [float(app) for app in range(60)]
