"""Background tasks run for the life of the process, whatever happens within them."""

import asyncio

import pytest
from structlog.testing import capture_logs

import scaler.app.tasks
from scaler.app.tasks import BackgroundTasks
from scaler.telemetry.metrics import Telemetry


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause before a restart."""
    monkeypatch.setattr(scaler.app.tasks, "RESTART_SECONDS", 0.0)


async def until(runs: list[int], count: int) -> None:
    async with asyncio.timeout(5):
        while len(runs) < count:  # noqa: ASYNC110 - the tasks under test have no event to wait for
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("error", [ValueError("x"), OSError(5, "x"), ExceptionGroup("x", [KeyError("x")])])
async def test_a_task_that_fails_starts_again(error: Exception) -> None:
    """It is logged and counted by its name, from 0 on, and its neighbours go on."""
    telemetry, failing, steady = Telemetry(), [0], [0]

    async def fail() -> None:
        failing.append(0)
        raise error

    async def work() -> None:
        steady.append(0)
        await asyncio.Event().wait()

    tasks = BackgroundTasks(telemetry)
    with capture_logs() as logs:
        tasks.keep_running("failing", fail)
        assert telemetry.registry.get_sample_value("headway_task_failures_total", {"task": "failing"}) == 0
        tasks.keep_running("steady", work)
        await until(failing, 4)
        await tasks.stop()
    assert {(line["event"], line["task"]) for line in logs} == {("task_failed", "failing")}
    assert len(steady) == 2
    counted = telemetry.registry.get_sample_value("headway_task_failures_total", {"task": "failing"})
    assert counted is not None
    assert counted >= 3


async def test_stopping_waits_for_what_a_task_does_last() -> None:
    """A task that is cancelled may still give something back; afterwards nothing runs."""
    ended: list[int] = []
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            ended.append(0)

    tasks = BackgroundTasks(Telemetry())
    tasks.keep_running("work", work)
    await begun.wait()
    await tasks.stop()
    assert ended == [0]
