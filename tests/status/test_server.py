"""The HTTP port as a socket."""

import asyncio
import signal

import httpx
import pytest

from scaler.errors import SettingsError
from scaler.settings import load_settings
from scaler.status.server import StatusServer
from scaler.telemetry.metrics import Telemetry
from tests.status.registry import filled_registry


def server(address: str) -> StatusServer:
    settings = load_settings({"http_address": address})
    return StatusServer(settings, filled_registry(), Telemetry(), dict, lambda key: None)


async def test_starts_answers_and_stops():
    """A started port answers; a stopped one refuses, and can be taken again."""
    status = server("127.0.0.1:0")
    port = await status.start()
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{port}/livez")).status_code == 200
        await status.stop()
        with pytest.raises(httpx.ConnectError):
            await client.get(f"http://127.0.0.1:{port}/livez")
    again = server(f"127.0.0.1:{port}")
    assert await again.start() == port
    await again.stop()


async def test_port_that_is_taken():
    """A port that is in use is an error with the name of the setting and the reason."""
    status = server("127.0.0.1:0")
    port = await status.start()
    with pytest.raises(SettingsError, match=rf"http-address='127.0.0.1:{port}': cannot listen: Address already in use"):
        await server(f"127.0.0.1:{port}").start()
    await status.stop()


async def test_signals_stay_with_the_process():
    """The HTTP port installs no signal handlers: SIGTERM belongs to the drain."""
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    status = server("127.0.0.1:0")
    await status.start()
    await asyncio.sleep(0)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
    await status.stop()


async def test_stop_without_start():
    """Stopping what never started is fine: a start that failed half way is cleaned up the same way."""
    await server("127.0.0.1:0").stop()
