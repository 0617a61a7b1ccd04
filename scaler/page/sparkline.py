"""A small line as SVG: what was observed, and behind it the p50 and the trigger's quantile of what is expected."""

import math
from collections.abc import Sequence

from markupsafe import Markup

WIDTH, HEIGHT = 140, 28


def sparkline(past: Sequence[float | None], median: Sequence[float | None], upper: Sequence[float | None]) -> Markup:
    """An image without axes. Values are at equal distances in time; None is a gap. Empty where nothing is known."""
    every = [one for one in (*past, *median, *upper) if one is not None and math.isfinite(one)]
    if not every:
        return Markup("")
    top, count = max(every) or 1.0, max(2, len(past) + max(len(median), len(upper)))

    def line(values: Sequence[float | None], first: int, name: str) -> str:
        pieces, piece = [], []
        for place, value in enumerate([*values, None]):
            if value is not None and math.isfinite(value):
                x = WIDTH * (first + place) / (count - 1)
                piece.append(f"{x:.1f},{HEIGHT - 1 - (HEIGHT - 2) * max(0.0, value) / top:.1f}")
            elif piece:
                pieces.append(f'<polyline class="{name}" points="{" ".join(piece)}"/>')
                piece = []
        return "".join(pieces)

    drawn = line(past, 0, "past") + line(upper, len(past), "upper") + line(median, len(past), "median")
    return Markup(
        f'<svg class="spark" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'aria-label="demand of the last three hours, and expected">{drawn}</svg>'
    )
