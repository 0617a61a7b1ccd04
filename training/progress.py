"""How long work reports its progress."""

import time
from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, float], None]
"""called with what is being done and the share of it that is done (0 to 1); may raise KeyboardInterrupt to end a fit
early"""


def no_progress(doing: str, share: float) -> None:
    """Progress that is not shown."""


LINE_SECONDS = 30.0
"""from one line of a log to the next"""


def in_lines(write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> Progress:
    """Progress for a log: a line every LINE_SECONDS at most, and none of what is over sooner."""
    written_at = clock()

    def progress(doing: str, share: float) -> None:
        nonlocal written_at
        if clock() - written_at >= LINE_SECONDS:
            write(f"{doing}: {100 * min(share, 1.0):.0f} %")
            written_at = clock()

    return progress
