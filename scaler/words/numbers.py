"""Numbers as people read them, and as programs do."""

import math
from collections.abc import Mapping
from typing import Any


def figure(value: float) -> str:
    """`84.33`, `0.00123`, `1234568`: without the noise of float32, and never as a power of ten."""
    size = abs(value)
    if size >= 1e6:
        return f"{value:.0f}"
    return f"{round(value, 2):.8g}" if size >= 1 else f"{float(f'{value:.3g}'):.10f}".rstrip("0").rstrip(".")


def rounded(value: Any) -> Any:
    """The same JSON with every number at seven digits, which is what float32 holds, and moments at milliseconds."""
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    if isinstance(value, float) and value and math.isfinite(value):
        return round(value, max(3, 6 - math.floor(math.log10(abs(value)))))
    return value
