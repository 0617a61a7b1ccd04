"""Ctrl-C during a fit: the first is passed on to the fit, which keeps the best so far; the second ends everything."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from training.models import Progress


@dataclass(slots=True)
class Heard:
    """What came of the interrupts of one fit."""

    asked: bool = False
    """somebody pressed Ctrl-C"""
    passed_on: bool = False
    """and the fit was told"""
    again: bool = False
    """somebody pressed it a second time"""
    begun: bool = False
    """some of the work was over when the fit was told"""


def unsaid() -> None:
    """Tells nobody that an interrupt was heard."""


@contextmanager
def first_passed_on(progress: Progress, told: Callable[[], None] = unsaid) -> Iterator[tuple[Progress, Heard]]:
    """(progress to give to the fit, what is heard): after the first SIGINT it raises KeyboardInterrupt, once.

    A second SIGINT raises where it comes, and once more at the end where the fit took it for the first; so does a first
    that came before anything was learned. `told` is called when the first is heard, which may be long before the fit
    tells of its progress again. Outside the main thread, and where SIGINT is ignored, signals stay as they are.
    """
    heard = Heard()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if heard.asked:
            heard.again = True
            raise KeyboardInterrupt
        heard.asked = True
        told()

    def passing(doing: str, share: float) -> None:
        progress(doing, share)
        if heard.asked and not heard.passed_on:
            heard.passed_on = True
            raise KeyboardInterrupt
        if not heard.passed_on:
            heard.begun = heard.begun or share > 0

    before = signal.getsignal(signal.SIGINT)
    ours = threading.current_thread() is threading.main_thread() and callable(before)
    if ours:
        signal.signal(signal.SIGINT, on_signal)
    try:
        yield passing, heard
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)
    if heard.again or (heard.passed_on and not heard.begun):
        raise KeyboardInterrupt
