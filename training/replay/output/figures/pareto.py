"""Replica-hours against the unserved share: both fronts, all policies, and the gap between."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from training.replay.output import wording
from training.replay.output.figures.labels import NARROW, WIDE, Frame, Point, placed
from training.replay.output.figures.look import BLUE, COLOURS, GREY, SYMBOLS, VERMILLION, Figure, plain
from training.replay.policies.registry import RIVALS
from training.replay.simulation.demand import Moments
from training.replay.verdict.candidates import Ran
from training.replay.verdict.judge import ORACLE, TODAY, TUNED_REACTIVE, Judged
from training.replay.verdict.pareto import LEAST_UNSERVED, Front, front_of


def pareto(judged: Judged) -> Figure:
    """Replica-hours against the unserved share: both fronts, all policies, and the gap of the recommended one.

    Labels are placed for a wide screen; their places on a narrow one are in `meta`.
    """
    named = list(judged.ran.values())
    least = _least([*named, *_reactive(judged), *judged.headway_front])
    points = _points(named, least)
    gaps = _gaps(gap(judged), least)
    across = [*(one.x for one in points), *(end for one in gaps for end in one.x.tolist())]
    low, high = min(across), max(across)
    margin = 0.1 * (high - low) or 0.1 * high or 1.0
    x_range = (max(0.0, low - margin), high + margin)
    y_range = (math.log10(least) - 0.15, math.log10(max(*(one.y for one in points), 10 * least)) + 0.2)
    fronts = [front_of([one.scores for one in ran]) for ran in (_reactive(judged), judged.headway_front)]
    figure = go.Figure([_front_line(*both) for both in zip(fronts, ("reactive", "headway"), strict=True)])
    figure.add_traces([trace for one in gaps for trace in _gap_traces(one)])
    figure.add_traces([_marked(judged, one) for one in points])
    plain(figure, 470)
    lines = [(one.cost_P, one.unserved_P) for one in fronts] + [(one.x, one.y) for one in gaps]
    places = {
        name: placed([*points, *(one.middle for one in gaps)], lines, Frame(x_range, y_range, size))
        for name, size in (("wide", WIDE), ("narrow", NARROW))
    }
    figure.update_layout(hovermode="closest", meta=places, margin={"l": 80})
    days = judged.scenario.span.days
    figure.update_xaxes(range=x_range, title_text=f"replica-hours in {days:.3g} days → dearer", tickformat=",")
    figure.update_yaxes(
        type="log", range=y_range, title_text="unserved, of the demand → worse", **_decades(y_range, least)
    )
    return figure


def _reactive(judged: Judged) -> tuple[Ran, ...]:
    """All reactive triggers that the verdict compares with."""
    return (*judged.reactive_front, judged.ran[TODAY], judged.ran[TUNED_REACTIVE])


def _least(ran: Sequence[Ran]) -> float:
    """Lower end of the axis: a power of ten below every positive share."""
    some = [one.scores.unserved_share for one in ran if one.scores.unserved_share > LEAST_UNSERVED]
    return max(LEAST_UNSERVED, 10.0 ** math.floor(math.log10(min(some)) - 0.15)) if some else LEAST_UNSERVED


def _points(ran: Sequence[Ran], least: float) -> list[Point]:
    """A mark for each rival, then for each other policy; those with equal results share one, with all their names."""
    rivals = [_point(one, wording.letters()[one.entry.name], least) for one in ran if one.entry.name in RIVALS]
    alike: dict[tuple[float, float], Point] = {}
    for one in (one for one in ran if one.entry.name not in RIVALS):
        found = _point(one, one.entry.name, least)
        before = alike.get((found.x, found.y))
        alike[found.x, found.y] = found if before is None else replace(before, label=f"{before.label} = {found.name}")
    return [*rivals, *alike.values()]


def _point(ran: Ran, label: str, least: float) -> Point:
    scores = ran.scores
    return Point(ran.entry.name, label, scores.replica_hours, max(scores.unserved_share, least))


def _marked(judged: Judged, one: Point) -> Any:
    rival, picked = one.name in RIVALS, one.name == wording.recommended(judged)
    marker: dict[str, Any]
    if rival:
        marker = {"color": GREY, "size": 17, "symbol": "circle", "line": {"width": 0}}
    else:
        symbol = "diamond" if picked else SYMBOLS[one.name]
        size = 18 if picked else 14 if one.name == ORACLE else 12
        marker = {"color": COLOURS[one.name], "symbol": symbol, "size": size}
        marker["line"] = {"width": 2 if symbol.endswith("open") else 0, "color": COLOURS[one.name]}
    style = judged.ran[one.name].scores
    return go.Scatter(
        x=[one.x],
        y=[one.y],
        meta="rival" if rival else "named",
        mode="markers+text",
        text=[f"<b>{one.label}</b>" if rival or picked else one.label],
        textposition="middle center" if rival else "top right",
        textfont={"color": "#ffffff", "size": 11} if rival else {"size": 13},
        marker=marker,
        cliponaxis=False,
        showlegend=False,
        hovertemplate=(
            f"<b>{one.name if rival else one.label}</b><br>%{{x:,.0f}} replica-hours<br>"
            f"{escape(wording.share(style.unserved_share))} unserved<br>"
            f"{wording.count(style.short_minutes_per_week)} short minutes a week<extra></extra>"
        ),
    )


def _front_line(front: Front, role: str) -> Any:
    colour = VERMILLION if role == "reactive" else BLUE
    return go.Scatter(
        x=front.cost_P,
        y=front.unserved_P,
        meta=f"front-{role}",
        mode="lines+markers",
        line={"color": colour, "width": 2},
        marker={"size": 4},
        opacity=0.6,
        showlegend=False,
        hovertemplate=f"{role}<br>%{{x:,.0f}} replica-hours<br>%{{y:.3%}} unserved<extra></extra>",
    )


@dataclass(frozen=True, slots=True)
class Gap:
    """From the recommended trigger to the reactive front, at equal cost and at equal service. NaN outside the front."""

    cost: float
    unserved: float
    front_unserved: float
    front_cost: float


def gap(judged: Judged) -> Gap:
    scores = judged.ran[wording.recommended(judged)].scores
    front = front_of([one.scores for one in _reactive(judged)])
    cost, unserved = scores.replica_hours, max(scores.unserved_share, LEAST_UNSERVED)
    return Gap(cost, unserved, front.unserved_at(cost), front.cost_at(unserved))


@dataclass(frozen=True, slots=True)
class GapLine:
    """x, y: its ends. middle: carries the label of the gain."""

    equal: str
    x: Moments
    y: Moments
    middle: Point


def _gaps(found: Gap, least: float) -> list[GapLine]:
    """At equal cost and at equal service, where these are known."""
    ends = {
        "cost": ((found.cost, found.cost), (found.unserved, found.front_unserved), " unserved"),
        "service": ((found.cost, found.front_cost), (found.unserved, found.unserved), " hours"),
    }
    lines = []
    for equal, (x, y, of_what) in ends.items():
        if all(map(math.isfinite, (*x, *y))):
            gained = wording.change(*y) if equal == "cost" else wording.change(*x)
            drawn = np.maximum(y, least)
            middle = Point("gap", gained + of_what, sum(x) / 2, float(np.sqrt(drawn.prod())))
            lines.append(GapLine(equal, np.array(x), drawn, middle))
    return lines


def _gap_traces(line: GapLine) -> Iterator[Any]:
    middle = line.middle
    style = {"hovertemplate": f"{middle.label} at equal {line.equal}<extra></extra>", "showlegend": False}
    dotted = {"color": GREY, "width": 3, "dash": "2px,3px"}
    yield go.Scatter(x=line.x, y=line.y, mode="lines", line=dotted, meta="gap", **style)
    text = {"mode": "markers+text", "text": [middle.label], "textfont": {"size": 12}, "meta": "gap-label"}
    yield go.Scatter(x=[middle.x], y=[middle.y], marker={"size": 12, "color": "rgba(0,0,0,0)"}, **text, **style)


def _decades(y_range: tuple[float, float], least: float) -> dict[str, Any]:
    """Ticks at powers of ten; the lowest stands for all smaller values."""
    powers = range(math.ceil(y_range[0]), math.floor(y_range[1]) + 1)
    steps = [10.0**power * many for power in powers for many in ((1, 3) if len(powers) < 4 else (1,))]
    text = [f"{'≤ ' if abs(one / least - 1) < 1e-6 else ''}{wording.share(one)}" for one in steps]
    return {"tickvals": steps, "ticktext": text}
