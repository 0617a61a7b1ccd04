"""What the process does on a signal: drain on SIGTERM and SIGINT, reload on SIGHUP, nothing on others whose default
would end it without a drain.
"""

import asyncio
import signal
from collections.abc import Callable

ONE_REQUEST_SECONDS = 1.0
"""a supervisor may signal the process and its group; within this time that is one request"""

_ENDING = (signal.SIGTERM, signal.SIGINT)
_IGNORED = ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGPIPE")


def ignore_signals() -> None:
    """Ignore what would end the process without a drain. SIGHUP is, too, until `on_signals`."""
    for name in _IGNORED:
        number = getattr(signal, name, None)  # Windows has none of them
        if number is not None:
            signal.signal(number, signal.SIG_IGN)


def on_signals(stop: Callable[[], None], reload: Callable[[], None]) -> None:
    """Call `stop` on the first SIGTERM or SIGINT, and `reload` on each SIGHUP. A further SIGTERM or SIGINT ends the
    process at once, also where the event loop is stuck."""
    loop = asyncio.get_running_loop()
    stopping = False

    def drain() -> None:
        nonlocal stopping
        if not stopping:
            stopping = True
            stop()
            loop.call_later(ONE_REQUEST_SECONDS, _end_at_the_next, loop)

    for number in _ENDING:
        loop.add_signal_handler(number, drain)
    loop.add_signal_handler(signal.SIGHUP, reload)


def _end_at_the_next(loop: asyncio.AbstractEventLoop) -> None:
    for number in _ENDING:
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)
