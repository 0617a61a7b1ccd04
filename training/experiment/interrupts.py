"""Ctrl-C during a fit: the first ends the fit, which keeps the best so far; the second ends the command."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from training.progress import Progress


@dataclass(slots=True)
class Interrupts:
    """The interrupts of one fit so far."""

    came: bool = False
    """a first one came"""
    passed_on: bool = False
    """and reached the fit"""
    again: bool = False
    """a second one came"""
    begun: bool = False
    """some work was done when it reached the fit"""


def ignore_interrupt() -> None:
    """Does nothing on an interrupt."""


@contextmanager
def interruptible(
    progress: Progress, on_interrupt: Callable[[], None] = ignore_interrupt
) -> Iterator[tuple[Progress, Interrupts]]:
    """(progress for the fit, interrupts so far): after the first SIGINT, progress raises KeyboardInterrupt once.

    A second SIGINT raises at once, and again at the end if the fit swallowed it. A first SIGINT before anything was
    learned also raises at the end. `on_interrupt` is called at the first SIGINT, which may be long before the fit
    reports progress again. Outside the main thread, and where SIGINT is ignored, signals are left as they are.
    """
    interrupts = Interrupts()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if interrupts.came:
            interrupts.again = True
            raise KeyboardInterrupt
        interrupts.came = True
        on_interrupt()

    def passing(doing: str, share: float) -> None:
        progress(doing, share)
        if interrupts.came and not interrupts.passed_on:
            interrupts.passed_on = True
            raise KeyboardInterrupt
        if not interrupts.passed_on:
            interrupts.begun = interrupts.begun or share > 0

    before = signal.getsignal(signal.SIGINT)
    ours = threading.current_thread() is threading.main_thread() and callable(before)
    if ours:
        signal.signal(signal.SIGINT, on_signal)
    try:
        yield passing, interrupts
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)
    if interrupts.again or (interrupts.passed_on and not interrupts.begun):
        raise KeyboardInterrupt
