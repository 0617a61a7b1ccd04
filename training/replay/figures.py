"""The pictures of a replay, as plotly figures without colours of a theme: the page sets text and background.

Nothing is thinned: a step line keeps every point at which it changes, and each shortage is a shape with an outline of
its own, so that even one of 15 s in a day is a pixel wide.

Axes: K ticks, D days, R runs of ticks.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from scaler.plan.hpa import SYNC_SECONDS
from training.data.load import local_seconds
from training.replay import telling
from training.replay.contest import RIVALS, Ran
from training.replay.demand import Moments
from training.replay.front import LEAST_UNSERVED, Front, Interval, front_of
from training.replay.judge import DEFAULT, ORACLE, TODAY, TUNED, TUNED_REACTIVE, Judged
from training.replay.world import World

Figure: TypeAlias = go.Figure

BLUE, VERMILLION, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#8d8d8d"
"""of Okabe and Ito, "Color Universal Design", 2008; the page lightens the blue on a dark ground"""
FAINT = "rgba(128,128,128,0.22)"
AREA = "rgba(128,128,128,0.42)"
COLOURS: Mapping[str, str] = {
    TODAY: VERMILLION,
    TUNED_REACTIVE: VERMILLION,
    DEFAULT: BLUE,
    TUNED: BLUE,
    ORACLE: GREEN,
}
SYMBOLS: Mapping[str, str] = {
    TODAY: "circle",
    TUNED_REACTIVE: "circle-open",
    DEFAULT: "diamond-open",
    TUNED: "diamond-open",
    ORACLE: "star",
}
OPACITY = (0.9, 0.6)
"""of the filled shortages: of the recommended trigger, which lies above, and of today's"""
EVERY = 4
"""ticks between two places of a whole day that tell their figures"""
SLIVER = 0.25
"""of a day: one of which less was judged has no bar, its share would be that of a few hours"""


def figures(judged: Judged) -> dict[str, Figure]:
    """Each picture by the name under which the page shows it."""
    found = {"pareto": pareto(judged), "daily": daily(judged)}
    found |= {f"equal-{what}": against(judged, what) for what in ("service", "cost")}
    for day in telling.days(judged):
        found[f"day-{day.kind}"] = day_figure(judged, (day.begin, day.end), EVERY)
        found[f"closer-{day.kind}"] = day_figure(judged, day.closer, 1)
    return found


def day_figure(judged: Judged, ticks: tuple[int, int], every: int) -> Figure:
    """Demand and what could be carried from tick to tick, shortages filled; below it when each trigger was short.

    Traces have their role as `meta`. every: at every so-many-th tick the hover tells figures.
    """
    world, mine = judged.world, telling.recommended(judged)
    cut = slice(*ticks)
    time_K = _local(world, ticks)
    demand_K = world.demand_K[cut]
    figure = make_subplots(2, 1, shared_xaxes=True, vertical_spacing=0.03, row_heights=[0.83, 0.17])
    area = {"fill": "tozeroy", "fillcolor": AREA, "line": {"color": GREY, "width": 0, "shape": "hv"}}
    figure.add_trace(_steps(time_K, np.nan_to_num(demand_K), "demand", **area), row=1, col=1)
    for name, line in ((ORACLE, {"width": 1.2, "dash": "dot"}), (TODAY, {"width": 1.5}), (mine, {"width": 2})):
        told = {"line": {**line, "color": COLOURS[name], "shape": "hv"}}
        figure.add_trace(_steps(time_K, judged.ran[name].run.capacity_K[cut], _role(name, mine), **told), row=1, col=1)
    for place, name in ((1, TODAY), (0, mine)):
        run, role = judged.ran[name].run, f"short-{_role(name, mine)}"
        runs_R2 = telling.runs_of(telling.short_K(world, run)[cut])
        bands = [_band(time_K, demand_K, run.capacity_K[cut], begin, end) for begin, end in runs_R2.tolist()]
        figure.add_trace(_filled(bands, role, COLOURS[name], OPACITY[place]), row=1, col=1)
        figure.add_trace(_filled(_marks(time_K, runs_R2, place), role, COLOURS[name], 1), row=2, col=1)
    figure.add_trace(_told(judged, ticks, time_K, every), row=1, col=1)
    for begin, end in telling.runs_of(np.isnan(demand_K)).tolist():
        edges = {"x0": _date(time_K[begin]), "x1": _date(time_K[end])}
        figure.add_vrect(**edges, line_width=0, fillcolor=FAINT, row="all", col=1)
    _plain(figure, 330)
    unit = f" ({world.demand.series.unit})" if world.demand.series.unit else ""
    figure.update_layout(margin={"b": 28}, hovermode="x unified")
    figure.update_yaxes(rangemode="tozero", title_text=f"demand{unit}", tickformat=",", row=1, col=1)
    figure.update_yaxes(
        tickvals=[0, 1],
        ticktext=[mine.replace(", ", ",<br>"), "today"],
        range=[-0.6, 1.6],
        showgrid=False,
        fixedrange=True,
        row=2,
        col=1,
    )
    figure.update_xaxes(spikecolor=GREY, spikethickness=1, spikedash="solid")
    figure.update_xaxes(
        type="date",
        tickformat="%H:%M",
        hoverformat="%a %H:%M:%S",
        range=[_date(time_K[0]), _date(time_K[-1])],
        nticks=9 if every > 1 else 6,
    )
    return figure


def _role(name: str, mine: str) -> str:
    return "headway" if name == mine else name


def _local(world: World, ticks: tuple[int, int]) -> Moments:
    """When each of these ticks begins, and the last one ends, in milliseconds as clocks showed it at the first. [K+1]

    Should clocks change within, the time goes on as it was.
    """
    begin, end = ticks
    first = world.sync_K[begin]
    shift = float(local_seconds(np.array([first]), world.demand.series.timezone)[0] - math.floor(first))
    return np.asarray((first + shift + SYNC_SECONDS * np.arange(end - begin + 1)) * 1000)


def _steps(time_K: Moments, value_K: Moments, role: str, **told: Any) -> Any:
    at_K = telling.changes(value_K)
    x = np.concatenate([time_K[at_K], time_K[-1:]])
    y = np.concatenate([value_K[at_K], value_K[-1:]]).astype(np.float32)
    return go.Scatter(x=x, y=y, meta=role, mode="lines", hoverinfo="skip", showlegend=False, connectgaps=False, **told)


def _band(time_K: Moments, upper_K: Moments, lower_K: Moments, begin: int, end: int) -> NDArray[np.float64]:
    """(x, y) along the upper steps, back along the lower ones, and a gap. [2, …]"""
    edges = np.repeat(time_K[begin : end + 1], 2)[1:-1]
    upper, lower = (np.repeat(one[begin:end], 2) for one in (upper_K, lower_K))
    x = np.concatenate([edges, edges[::-1], edges[:1], [np.nan]])
    return np.stack([x, np.concatenate([upper, lower[::-1], upper[:1], [np.nan]])])


def _marks(time_K: Moments, runs_R2: NDArray[np.int64], place: int) -> list[NDArray[np.float64]]:
    """A bar at height `place` for each unbroken shortage."""
    top, bottom = np.array([place + 0.4]), np.array([place - 0.4])
    return [_band(time_K[one], top, bottom, 0, 1) for one in runs_R2]


def _filled(parts: Sequence[NDArray[np.float64]], role: str, colour: str, opacity: float) -> Any:
    x, y = np.concatenate(parts, axis=1) if parts else np.empty((2, 0))
    return go.Scatter(
        x=x,
        y=y.astype(np.float32),
        meta=role,
        mode="lines",
        line={"color": colour, "width": 1},
        fill="toself",
        fillcolor=colour,
        opacity=opacity,
        hoverinfo="skip",
        showlegend=False,
    )


def _told(judged: Judged, ticks: tuple[int, int], time_K: Moments, every: int) -> Any:
    """What the hover says."""
    cut = slice(ticks[0], ticks[1], every)
    names = {"today": TODAY, "headway": telling.recommended(judged), "oracle": ORACLE}
    pods = np.stack([judged.ran[name].run.ready_K[cut] for name in names.values()], axis=1)
    lines = [f"{role}: %{{customdata[{i}]}} pods ready" for i, role in enumerate(names)]
    return go.Scatter(
        x0=_date(time_K[0]),
        dx=every * SYNC_SECONDS * 1000,
        y=judged.world.demand_K[cut].astype(np.float32),
        customdata=pods.astype(np.int32),
        mode="lines",
        line={"width": 0, "color": GREY},
        hovertemplate="<br>".join(["demand %{y:,.4~g}", *lines]) + "<extra></extra>",
        showlegend=False,
    )


def daily(judged: Judged) -> Figure:
    """Unserved share of each judged day, today's trigger next to the recommended one; days shown closer are named."""
    world, figure = judged.world, go.Figure()
    pairs = {"today": judged.ran[TODAY], "headway": judged.ran[telling.recommended(judged)]}
    days = [ran.scores.by_day for ran in pairs.values()]
    drawn_D = telling.judged_share(judged) >= SLIVER
    share_2D = np.array([one.unserved_D / np.where(drawn_D & (one.demand_D > 0), one.demand_D, np.nan) for one in days])
    names = [telling.day_text(world, i).split(" ") for i in range(share_2D.shape[1])]
    x = [f"{weekday}<br>{day} {month}" for weekday, day, month, _ in names]
    for (role, ran), y, one in zip(pairs.items(), share_2D, days, strict=True):
        figure.add_trace(
            go.Bar(
                x=x,
                y=y,
                customdata=one.short_minutes_D,
                meta=role,
                showlegend=False,
                marker={"color": COLOURS[ran.entry.name]},
                name=ran.entry.name,
                hovertemplate="%{fullData.name}: %{y:.3%} unserved, %{customdata:.0f} short minutes<extra></extra>",
            )
        )
    top = float(np.nan_to_num(share_2D).max()) or 0.01
    for day in telling.days(judged):
        height = float(np.nan_to_num(share_2D[:, day.index]).max())
        figure.add_annotation(x=day.index, y=height, text=f"<b>{day.kind}</b>", showarrow=False, yanchor="bottom")
    _plain(figure, 250)
    figure.update_layout(barmode="group", bargap=0.3, bargroupgap=0.06, hovermode="closest")
    figure.update_yaxes(tickformat=".2~%", range=[0, 1.15 * top], title_text="unserved, of the demand")
    figure.update_xaxes(type="category", showgrid=False, tickfont={"size": 11})
    return figure


@dataclass(frozen=True, slots=True)
class Point:
    """A policy in the plot of cost and service. y: its unserved share, or the least that is drawn."""

    name: str
    label: str
    x: float
    y: float


def pareto(judged: Judged) -> Figure:
    """Replica-hours against what is left unserved: both fronts, every policy, and the gap of the recommended one.

    Labels stand where they cover nothing, on a wide screen; for a narrow one their places are in `meta`.
    """
    named = list(judged.ran.values())
    least = _least(named)
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
    _plain(figure, 470)
    lines = [(one.cost_P, one.unserved_P) for one in fronts] + [(one.x, one.y) for one in gaps]
    places = {
        name: _placed([*points, *(one.middle for one in gaps)], lines, Frame(x_range, y_range, size))
        for name, size in (("wide", WIDE), ("narrow", NARROW))
    }
    figure.update_layout(hovermode="closest", meta=places, margin={"l": 80})
    days = judged.world.span.days
    figure.update_xaxes(range=x_range, title_text=f"replica-hours in {days:.3g} days → dearer", tickformat=",")
    figure.update_yaxes(
        type="log", range=y_range, title_text="unserved, of the demand → worse", **_decades(y_range, least)
    )
    return figure


def _reactive(judged: Judged) -> tuple[Ran, ...]:
    """All reactive triggers that the verdict is held against."""
    return (*judged.reactive_front, judged.ran[TODAY], judged.ran[TUNED_REACTIVE])


def _least(ran: Sequence[Ran]) -> float:
    """Of the axis: a power of ten below every share that is not nothing."""
    some = [one.scores.unserved_share for one in ran if one.scores.unserved_share > LEAST_UNSERVED]
    return max(LEAST_UNSERVED, 10.0 ** math.floor(math.log10(min(some)) - 0.15)) if some else LEAST_UNSERVED


def _points(ran: Sequence[Ran], least: float) -> list[Point]:
    """One for each rival, then one for each of the others; of those that came out alike one, with all their names."""
    rivals = [_point(one, telling.letters()[one.entry.name], least) for one in ran if one.entry.name in RIVALS]
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
    rival, picked = one.name in RIVALS, one.name == telling.recommended(judged)
    marker: dict[str, Any]
    if rival:
        marker = {"color": GREY, "size": 17, "symbol": "circle", "line": {"width": 0}}
    else:
        symbol = "diamond" if picked else SYMBOLS[one.name]
        size = 18 if picked else 14 if one.name == ORACLE else 12
        marker = {"color": COLOURS[one.name], "symbol": symbol, "size": size}
        marker["line"] = {"width": 2 if symbol.endswith("open") else 0, "color": COLOURS[one.name]}
    told = judged.ran[one.name].scores
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
            f"{telling.share(told.unserved_share)} unserved<br>"
            f"{telling.count(told.short_minutes_per_week)} short minutes a week<extra></extra>"
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
    """From the recommended trigger to the reactive front: where that costs as much, and where it serves as well.

    NaN where the front does not reach.
    """

    cost: float
    unserved: float
    front_unserved: float
    front_cost: float


def gap(judged: Judged) -> Gap:
    scores = judged.ran[telling.recommended(judged)].scores
    front = front_of([one.scores for one in _reactive(judged)])
    cost, unserved = scores.replica_hours, max(scores.unserved_share, LEAST_UNSERVED)
    return Gap(cost, unserved, front.unserved_at(cost), front.cost_at(unserved))


@dataclass(frozen=True, slots=True)
class GapLine:
    """x, y: its ends. middle: bears what is gained."""

    equal: str
    x: Moments
    y: Moments
    middle: Point


def _gaps(found: Gap, least: float) -> list[GapLine]:
    """At equal cost and at equal service, where either can be told."""
    ends = {
        "cost": ((found.cost, found.cost), (found.unserved, found.front_unserved), " unserved"),
        "service": ((found.cost, found.front_cost), (found.unserved, found.unserved), " hours"),
    }
    lines = []
    for equal, (x, y, of_what) in ends.items():
        if all(map(math.isfinite, (*x, *y))):
            gained = telling.change(*y) if equal == "cost" else telling.change(*x)
            drawn = np.maximum(y, least)
            middle = Point("gap", gained + of_what, sum(x) / 2, float(np.sqrt(drawn.prod())))
            lines.append(GapLine(equal, np.array(x), drawn, middle))
    return lines


def _gap_traces(line: GapLine) -> Iterator[Any]:
    middle = line.middle
    told = {"hovertemplate": f"{middle.label} at equal {line.equal}<extra></extra>", "showlegend": False}
    dotted = {"color": GREY, "width": 3, "dash": "2px,3px"}
    yield go.Scatter(x=line.x, y=line.y, mode="lines", line=dotted, meta="gap", **told)
    text = {"mode": "markers+text", "text": [middle.label], "textfont": {"size": 12}, "meta": "gap-label"}
    yield go.Scatter(x=[middle.x], y=[middle.y], marker={"size": 12, "color": "rgba(0,0,0,0)"}, **text, **told)


def _decades(y_range: tuple[float, float], least: float) -> dict[str, Any]:
    """Ticks at powers of ten; the lowest stands for all that is less."""
    powers = range(math.ceil(y_range[0]), math.floor(y_range[1]) + 1)
    steps = [10.0**power * many for power in powers for many in ((1, 3) if len(powers) < 4 else (1,))]
    text = [f"{'≤ ' if abs(one / least - 1) < 1e-6 else ''}{telling.share(one)}" for one in steps]
    return {"tickvals": steps, "ticktext": text}


WIDE, NARROW = (1080.0, 400.0), (310.0, 400.0)
"""pixels of the plot of cost and service, within its axes"""
_SIDES = tuple(
    f"{vertical} {horizontal}"
    for vertical, horizontal in (
        ("bottom", "left"), ("top", "right"), ("middle", "left"), ("middle", "right"),
        ("bottom", "right"), ("top", "left"), ("bottom", "center"), ("top", "center"),
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Frame:
    """What the axes span (y: powers of ten), and in how many pixels."""

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    size: tuple[float, float]

    def at(self, x: Any, y: Any) -> tuple[Any, Any]:
        """In pixels from the lower left corner."""
        across = (x - self.x_range[0]) / (self.x_range[1] - self.x_range[0])
        up = (np.log10(y) - self.y_range[0]) / (self.y_range[1] - self.y_range[0])
        return across * self.size[0], up * self.size[1]


def _placed(points: Sequence[Point], lines: Sequence[tuple[Moments, Moments]], frame: Frame) -> dict[str, str]:
    """Each label in turn at the side where it covers least of points, lines, earlier labels, and of the edge."""
    marks = {one.label: _box(frame.at(one.x, one.y), 20, "middle center") for one in points if one.name != "gap"}
    crossed = [_box(at, 8, "middle center") for line in lines for at in _along(*frame.at(*line))]
    taken: list[Box] = []
    found: dict[str, str] = {}
    for one in (one for one in points if one.name not in RIVALS):
        others = [*taken, *(box for label, box in marks.items() if label != one.label)]
        boxes = {side: _box(frame.at(one.x, one.y), LETTER * len(one.label), side) for side in _SIDES}
        costs = {
            side: _covered(box, others) + CROSSING * _covered(box, crossed) + 100 * _beyond(box, frame.size)
            for side, box in boxes.items()
        }
        found[one.label] = min(_SIDES, key=costs.__getitem__)
        taken.append(boxes[found[one.label]])
    return found


def _along(x_P: Moments, y_P: Moments) -> list[tuple[float, float]]:
    """Points on a line, some 8 pixels from each other."""
    walked_P = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x_P), np.diff(y_P)))])
    at = np.arange(0, walked_P[-1], 8)
    return list(zip(np.interp(at, walked_P, x_P).tolist(), np.interp(at, walked_P, y_P).tolist(), strict=True))


LETTER = 7.0
"""pixels of one in a label, on average"""
CROSSING = 0.3
"""a pixel of a line covered is so bad as one of a label"""
Box: TypeAlias = tuple[float, float, float, float]


def _box(at: tuple[float, float], width: float, side: str) -> Box:
    """(left, low, right, high) of a label of this width next to, or of a mark upon, a point."""
    vertical, horizontal = side.split()
    left = at[0] + {"left": -12 - width, "center": -width / 2, "right": 12}[horizontal]
    low = at[1] + {"bottom": -26, "middle": -9, "top": 8}[vertical]
    return left, low, left + width, low + 18


def _covered(box: Box, others: Sequence[Box]) -> float:
    """Pixels shared with others."""
    return sum(
        max(0.0, min(box[2], one[2]) - max(box[0], one[0])) * max(0.0, min(box[3], one[3]) - max(box[1], one[1]))
        for one in others
    )


def _beyond(box: Box, size: tuple[float, float]) -> float:
    """How far it reaches over the edges."""
    return max(0.0, -box[0]) + max(0.0, box[2] - size[0]) + max(0.0, -box[1]) + max(0.0, box[3] - size[1])


def against(judged: Judged, equal: str) -> Figure:
    """Each candidate against the front of reactive triggers, with intervals.

    At equal service the replica-hours saved, at equal cost the unserved demand in shares of theirs.
    """
    what, nothing = {"service": ("saved", 0.0), "cost": ("unserved", 1.0)}[equal]
    names = list(reversed(judged.against))
    told = [getattr(judged.against[name], what) for name in names]
    figure = go.Figure(_whiskers(names, told, telling.recommended(judged)))
    figure.add_vline(nothing, line={"color": GREY, "width": 1.5})
    reach = [one for interval in told for one in (interval.value, interval.low, interval.high) if math.isfinite(one)]
    low, high = min([nothing, *reach]), max([nothing, *reach])
    pad = 0.12 * (high - low) or 0.1
    _plain(figure, 50 + 40 * len(names))
    figure.update_layout(margin={"l": 108, "b": 30})
    figure.update_xaxes(range=[low - pad, high + pad], tickformat=".0%", nticks=6)
    figure.update_yaxes(range=[-0.6, len(names) - 0.4], showgrid=False, fixedrange=True)
    return figure


def _whiskers(names: Sequence[str], told: Sequence[Interval], picked: str) -> Any:
    symbols = ["diamond" if name == picked else "diamond-open" for name in names]
    return go.Scatter(
        x=[one.value for one in told],
        y=list(names),
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [one.high - one.value for one in told],
            "arrayminus": [one.value - one.low for one in told],
            "color": BLUE,
            "thickness": 2,
            "width": 5,
        },
        customdata=[(one.low, one.high) for one in told],
        mode="markers",
        marker={"color": BLUE, "size": 11, "symbol": symbols},
        hovertemplate="%{y}: %{x:.1%} (90% interval %{customdata[0]:.1%} to %{customdata[1]:.1%})<extra></extra>",
        showlegend=False,
    )


def _plain(figure: Figure, height: int) -> None:
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 66, "r": 14, "t": 10, "b": 46},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hovermode="x",
        font={"size": 12, "family": "system-ui, sans-serif"},
        dragmode="zoom",
    )
    figure.update_annotations(font_size=13)
    figure.update_xaxes(gridcolor=FAINT, zeroline=False, linecolor=FAINT, title_standoff=8)
    figure.update_yaxes(gridcolor=FAINT, zeroline=False, title_standoff=8)


def _date(milliseconds: float) -> str:
    return str(np.datetime64(int(milliseconds), "ms"))
