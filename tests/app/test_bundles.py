"""Reading bundles in the background."""

import asyncio
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from scaler.app import bundles
from scaler.app.bundles import BundleReads, in_thread
from scaler.clock import SystemClock
from scaler.models import Lineup
from tests.servers.process import until_async


class Place:
    """Stands in for a catalog whose place answers when `answers` is set."""

    champion = SimpleNamespace(model="general@1")
    lineup = Lineup()
    versions = SimpleNamespace(serving={})

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.reads = 0
        self.refusals: dict[str, str] = {}

    def reload(self) -> None:
        self.reads += 1
        assert self.answers.wait(20)


class Ticking:
    """A clock on which every sleep has passed at once; it notes how often."""

    def __init__(self) -> None:
        self.slept = 0

    def now(self) -> float:
        return 0.0

    async def sleep_until(self, moment: float) -> None:
        self.slept += 1
        await asyncio.sleep(0.001)


async def test_a_url_that_hangs_keeps_nothing_waiting(monkeypatch: pytest.MonkeyPatch):
    """The start goes on at once. The log names the place in time; no second read begins beside the first."""
    monkeypatch.setattr(bundles, "AWAITED_SECONDS", 0.05)
    place: Any = Place()
    reads = BundleReads(place, "s3://bucket")
    async with asyncio.timeout(10):
        await reads.first(seconds=20)
    clock, counted = Ticking(), []
    telemetry: Any = SimpleNamespace(count=counted.append)
    with capture_logs() as logged:
        following = asyncio.create_task(reads.follow(clock, telemetry))
        await until_async(lambda: logged)
        await asyncio.sleep(0.1)
    assert logged == [
        {"event": "bundle_awaited", "log_level": "warning", "bundle": "s3://bucket", "serving": "general@1"}
    ]
    assert (place.reads, clock.slept) == (1, 0)
    place.refusals["s3://bucket"] = "there is nothing"
    place.answers.set()
    with capture_logs() as logged:
        await until_async(lambda: place.reads > 2)
    following.cancel()
    assert [line["event"] for line in logged] == ["bundle_refused"]
    assert counted == ["bundle_refused"]


async def test_a_folder_that_hangs_delays_the_start_by_a_moment(monkeypatch: pytest.MonkeyPatch):
    """A folder may be on a network, too: what cannot be listed is not waited for, nor what is read for too long."""
    place: Any = Place()
    async with asyncio.timeout(5):
        await BundleReads(place, "/bundles").first(seconds=0.05)
    monkeypatch.setattr(bundles, "LISTING_SECONDS", 0.05)
    monkeypatch.setattr(bundles, "_list", lambda folder: place.answers.wait(20))
    async with asyncio.timeout(5):
        await BundleReads(place, "/bundles").first(seconds=60)
    place.answers.set()


async def test_a_folder_that_answers_is_read_before_the_start_goes_on():
    """Its bundle makes the first forecast."""
    place: Any = Place()
    place.answers.set()
    with capture_logs() as logged:
        await BundleReads(place, "/bundles").first()
    assert (place.reads, logged) == (1, [])


async def test_new_versions_can_be_looked_for_at_once():
    """Without waiting for the minute to end."""
    place: Any = Place()
    place.answers.set()
    reads = BundleReads(place, "/bundles")
    following = asyncio.create_task(reads.follow(SystemClock(), cast("Any", SimpleNamespace())))
    await asyncio.sleep(0.05)
    assert place.reads == 0
    reads.read_now()
    await until_async(lambda: place.reads)
    await asyncio.sleep(0.1)
    following.cancel()
    assert place.reads == 1


async def test_shipped_bundles_need_no_read():
    place: Any = Place()
    await BundleReads(place, "").first()
    assert place.reads == 0


async def test_what_a_read_raises_reaches_who_waits():
    def work() -> None:
        raise LookupError("a bug")

    with pytest.raises(LookupError, match="a bug"):
        await in_thread(work)


def test_a_read_that_hangs_does_not_keep_the_process_from_ending():
    """As the executor's threads would."""
    program = (
        "import asyncio, time\nfrom scaler.app.bundles import in_thread\n"
        "async def main():\n    await asyncio.wait({in_thread(lambda: time.sleep(60))}, timeout=0.1)\n"
        "asyncio.run(main())"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
