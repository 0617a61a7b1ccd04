"""Small charts as SVG: promised against held shares, and a figure by the day. Styles are classes of page.css."""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby

from markupsafe import Markup, escape

SIZE, MARGIN = 260, 34
WIDE, HIGH = 520, 120
MOST_DOTS = 60
"""days; a line with more has none"""


def calibration_chart(curves: Mapping[str, Mapping[str, float]], chosen: str, label: str) -> Markup:
    """Held over promised share, a line for each lead. curves: by lead, the held share by level. A point on the diagonal
    keeps its promise; the lead that is chosen has points."""

    def point(promised: float, held: float) -> str:
        return f"{MARGIN + SIZE * promised:.1f},{8 + SIZE * (1 - held):.1f}"

    def line(name: str, curve: Mapping[str, float]) -> str:
        points = [point(float(level), held) for level, held in curve.items()]
        drawn = f'<polyline class="{name}" points="{" ".join(points)}"/>'
        if name != "chosen":
            return drawn
        marks = (one.split(",") for one in points)
        return drawn + "".join(f'<circle class="dot" cx="{x}" cy="{y}" r="3.5"/>' for x, y in marks)

    ticks = "".join(
        f'<line class="grid" x1="{MARGIN}" x2="{MARGIN + SIZE}" y1="{8 + SIZE * (1 - at)}" y2="{8 + SIZE * (1 - at)}"/>'
        f'<text x="{MARGIN - 5}" y="{12 + SIZE * (1 - at)}" text-anchor="end">{100 * at:g}</text>'
        f'<text x="{MARGIN + SIZE * at}" y="{SIZE + 24}" text-anchor="middle">{100 * at:g}</text>'
        for at in (0, 0.25, 0.5, 0.75, 1)
    )
    others = "".join(line("other", curve) for lead, curve in curves.items() if lead != chosen)
    diagonal = f'<polyline class="promise" points="{point(0, 0)} {point(1, 1)}"/>'
    names = (
        f'<text x="{MARGIN + SIZE / 2}" y="{SIZE + 40}" text-anchor="middle">promised, %</text>'
        f'<text x="{MARGIN + 6}" y="20">held, %</text>'
    )
    drawn = ticks + names + diagonal + others + line("chosen", curves.get(chosen, {}))
    return _svg("calibration", MARGIN + SIZE + 12, SIZE + 46, label, drawn)


def day_chart(days: Sequence[tuple[str, float | None]], promised: float | None, label: str) -> Markup:
    """A share by the day, between the least and 100 %, with a line at what is promised. Days follow each other."""
    known = [value for _, value in days if value is not None and math.isfinite(value)]
    if not known:
        return Markup("")
    low = max(0.0, math.floor(10 * min([*known, promised or 1.0]) - 0.2) / 10)
    span = (1 - low) or 1.0

    def height(value: float) -> float:
        return 8 + (HIGH - 30) * (1 - (value - low) / span)

    def across(place: int) -> float:
        return MARGIN + (WIDE - MARGIN - 8) * (place / (len(days) - 1) if len(days) > 1 else 0.5)

    places = [(across(place), value) for place, (_, value) in enumerate(days) if value is not None]
    points = " ".join(f"{x:.1f},{height(value):.1f}" for x, value in places)
    marked = places if len(days) <= MOST_DOTS else ()
    dots = "".join(f'<circle class="dot" cx="{x:.1f}" cy="{height(value):.1f}" r="2.5"/>' for x, value in marked)
    ticks = "".join(
        f'<line class="grid" x1="{MARGIN}" x2="{WIDE - 8}" y1="{height(at):.1f}" y2="{height(at):.1f}"/>'
        f'<text x="{MARGIN - 5}" y="{height(at) + 4:.1f}" text-anchor="end">{100 * at:.0f}</text>'
        for at in (low, low + span / 2, 1.0)
    )
    promise = "" if promised is None else _level("promise", height(promised))
    ends = (
        f'<text x="{MARGIN}" y="{HIGH - 6}">{escape(days[0][0])}</text>'
        f'<text x="{WIDE - 8}" y="{HIGH - 6}" text-anchor="end">{escape(days[-1][0])}</text>'
    )
    drawn = f'{ticks}{promise}<polyline class="chosen" points="{points}"/>{dots}{ends}'
    return _svg("byday", WIDE, HIGH, label, drawn)


def demand_chart(
    observed: Sequence[float | None], planned: Sequence[float | None], ends: tuple[str, str], label: str
) -> Markup:
    """Two lines from 0 to the largest value: demand, and what was planned for it. None is a gap."""
    top = max((one for one in (*observed, *planned) if one is not None and math.isfinite(one)), default=0.0)
    if not top > 0:
        return Markup("")
    count, wide, high = max(2, len(observed)), WIDE - MARGIN - 8, HIGH - 30

    def line(name: str, values: Sequence[float | None]) -> str:
        points = [
            "" if value is None else f"{MARGIN + wide * place / (count - 1):.1f},{8 + high * (1 - value / top):.1f}"
            for place, value in enumerate(values)
        ]
        pieces = (" ".join(piece) for known, piece in groupby(points, key=bool) if known)
        return "".join(f'<polyline class="{name}" points="{piece}"/>' for piece in pieces)

    ticks = "".join(
        f'<line class="grid" x1="{MARGIN}" x2="{WIDE - 8}" y1="{y}" y2="{y}"/>'
        f'<text x="{MARGIN - 5}" y="{y + 4}" text-anchor="end">{value:.3g}</text>'
        for value, y in ((top, 8), (0, 8 + high))
    )
    words = (
        f'<text x="{MARGIN}" y="{HIGH - 6}">{escape(ends[0])}</text>'
        f'<text x="{WIDE - 8}" y="{HIGH - 6}" text-anchor="end">{escape(ends[1])}</text>'
    )
    drawn = f"{ticks}{line('observed', observed)}{line('chosen', planned)}{words}"
    return _svg("demand", WIDE, HIGH, label, drawn)


def _level(name: str, y: float) -> str:
    return f'<polyline class="{name}" points="{MARGIN},{y:.1f} {WIDE - 8},{y:.1f}"/>'


def _svg(name: str, width: int, height: int, label: str, drawn: str) -> Markup:
    return Markup(
        f'<svg class="drawn {name}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(label)}">{drawn}</svg>'
    )
