"""How long work reports its progress."""

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, float], None]
"""called with what is being done and the share of it that is done (0 to 1); may raise KeyboardInterrupt to end a fit
early"""


def no_progress(doing: str, share: float) -> None:
    """Progress that is not shown."""
