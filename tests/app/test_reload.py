"""What SIGHUP reads again, beside the event loop."""

import asyncio
import os
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from scaler.app.reload import Reload
from scaler.settings import Settings


def settings_in(path: Path) -> Settings:
    path.write_text("prometheus: http://prometheus:9090\n")
    return Settings(config=path)


async def ended(reload: Reload) -> None:
    async with asyncio.timeout(20):
        while reload._reading is not None:  # noqa: ASYNC110  it ends in a thread
            await asyncio.sleep(0.005)


async def test_many_requests_are_few_reads(tmp_path: Path) -> None:
    """One that runs, and one for what came meanwhile."""
    reload = Reload(settings_in(tmp_path / "settings.yaml"), lambda: None)
    with capture_logs() as logged:
        for _ in range(300):
            reload()
        await ended(reload)
    assert [line["event"] for line in logged] == ["reloaded", "reloaded"]


async def test_a_long_file_does_not_stop_the_event_loop(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    reload = Reload(settings_in(path), lambda: None)
    path.write_text("triggers:\n" + "- {namespace: a, name: b, metadata: {query: up}}\n" * 3000)
    started = time.monotonic()
    reload()
    called = time.monotonic() - started
    await ended(reload)
    assert called < (time.monotonic() - started) / 2


@pytest.mark.parametrize("content", ["[" * 3000, ": : ["])
async def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "settings.yaml"
    reload = Reload(settings_in(path), lambda: None)
    path.write_text(content)
    with capture_logs() as logged:
        reload()
        await ended(reload)
    assert [line["event"] for line in logged] == ["reload_failed", "reloaded"]


async def test_a_pipe_in_place_of_the_file_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    reload = Reload(settings_in(path), lambda: None)
    path.unlink()
    os.mkfifo(path)
    with capture_logs() as logged:
        reload()
        await ended(reload)
    assert "pipe" in logged[0]["reason"]


async def test_aliases_that_multiply_end(tmp_path: Path) -> None:
    """Nine lists, each of nine times the one before."""
    path = tmp_path / "settings.yaml"
    reload = Reload(settings_in(path), lambda: None)
    lists = ["a0: &a0 [x]\n", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))]
    path.write_text("".join(lists))
    with capture_logs() as logged:
        reload()
        await ended(reload)
    assert [line["event"] for line in logged] == ["reloaded"]
