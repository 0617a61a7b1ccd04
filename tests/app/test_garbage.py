"""Garbage is collected in the thread of the event loop: other threads may not close its sockets."""

import asyncio
import gc
import threading
from collections.abc import Iterator

import pytest

from scaler.app.garbage import collect_due, collect_on_loop
from tests.servers.process import until_async

CYCLES = 50_000


@pytest.fixture
def thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(1000, 20, 1000)
    yield
    gc.set_threshold(*before)


class Cycle:
    """What only the collector finds; it notes the thread in which it ends."""

    def __init__(self, ended_in: set[int]) -> None:
        self.itself, self.ended_in = self, ended_in

    def __del__(self) -> None:
        self.ended_in.add(threading.get_ident())


def leave_cycles(ended_in: set[int]) -> None:
    for _ in range(CYCLES):
        Cycle(ended_in)


@pytest.mark.usefixtures("thresholds")
async def test_cycles_of_another_thread_end_in_the_loops_thread() -> None:
    ended_in: set[int] = set()
    collecting = asyncio.create_task(collect_on_loop())
    await asyncio.sleep(0)
    await asyncio.to_thread(leave_cycles, ended_in)
    await until_async(lambda: ended_in and gc.get_count()[0] <= gc.get_threshold()[0])
    collecting.cancel()
    await asyncio.gather(collecting, return_exceptions=True)
    assert ended_in == {threading.get_ident()}
    assert gc.isenabled()


@pytest.mark.usefixtures("thresholds")
def test_python_itself_collects_in_any_thread() -> None:
    """What is avoided above is real."""
    ended_in: set[int] = set()
    thread = threading.Thread(target=leave_cycles, args=(ended_in,))
    thread.start()
    thread.join()
    assert ended_in == {thread.ident}


@pytest.mark.usefixtures("thresholds")
def test_only_what_is_due_is_collected() -> None:
    gc.disable()
    try:
        gc.collect()
        collected: list[int] = []
        gc.callbacks.append(lambda phase, info: collected.append(info["generation"]) if phase == "start" else None)
        collect_due()
        kept = [[] for _ in range(2000)]
        collect_due()
        collect_due()
        assert collected == [0]
        assert len(kept) == 2000
    finally:
        gc.callbacks.pop()
        gc.enable()
