"""Demand and capacity from tick to tick of a day, and the unserved share of each day.

Nothing is thinned out: a step line keeps every change, and each shortage is a shape with its own outline, so that even
15 s in a day are a pixel wide.

Axes: K ticks, D days, R runs of ticks.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from scaler.plan.hpa import SYNC_SECONDS
from training.data.load import local_seconds
from training.replay.output import wording
from training.replay.output.figures.look import AREA, COLOURS, FAINT, GREY, Figure, plain
from training.replay.simulation.demand import Moments
from training.replay.simulation.scenario import Scenario
from training.replay.verdict.judge import ORACLE, TODAY, Judged

OPACITY = (0.9, 0.6)
"""colours of the filled shortages: the recommended trigger's, drawn on top, and today's"""
EVERY = 4
"""ticks between two hover texts in the plot of a day"""
SLIVER = 0.25
"""of a day: a day with less judged time has no bar, as its share would be that of a few hours"""


def day_figure(judged: Judged, ticks: tuple[int, int], every: int) -> Figure:
    """Demand and capacity at each tick, with shortages filled; below, when each trigger was short.

    Traces have their role as `meta`. every: number of ticks between hover texts.
    """
    scenario, mine = judged.scenario, wording.recommended(judged)
    cut = slice(*ticks)
    time_K = _local(scenario, ticks)
    demand_K = scenario.demand_K[cut]
    figure = make_subplots(2, 1, shared_xaxes=True, vertical_spacing=0.03, row_heights=[0.83, 0.17])
    area = {"fill": "tozeroy", "fillcolor": AREA, "line": {"color": GREY, "width": 0, "shape": "hv"}}
    figure.add_trace(_steps(time_K, np.nan_to_num(demand_K), "demand", **area), row=1, col=1)
    for name, line in ((ORACLE, {"width": 1.2, "dash": "dot"}), (TODAY, {"width": 1.5}), (mine, {"width": 2})):
        style = {"line": {**line, "color": COLOURS[name], "shape": "hv"}}
        figure.add_trace(_steps(time_K, judged.ran[name].run.capacity_K[cut], _role(name, mine), **style), row=1, col=1)
    for place, name in ((1, TODAY), (0, mine)):
        run, role = judged.ran[name].run, f"short-{_role(name, mine)}"
        runs_R2 = wording.runs_of(wording.short_K(scenario, run)[cut])
        bands = [_band(time_K, demand_K, run.capacity_K[cut], begin, end) for begin, end in runs_R2.tolist()]
        figure.add_trace(_filled(bands, role, COLOURS[name], OPACITY[place]), row=1, col=1)
        figure.add_trace(_filled(_marks(time_K, runs_R2, place), role, COLOURS[name], 1), row=2, col=1)
    figure.add_trace(_hover_texts(judged, ticks, time_K, every), row=1, col=1)
    for begin, end in wording.runs_of(np.isnan(demand_K)).tolist():
        edges = {"x0": _date(time_K[begin]), "x1": _date(time_K[end])}
        figure.add_vrect(**edges, line_width=0, fillcolor=FAINT, row="all", col=1)
    plain(figure, 330)
    unit = f" ({scenario.demand.series.unit})" if scenario.demand.series.unit else ""
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


def _local(scenario: Scenario, ticks: tuple[int, int]) -> Moments:
    """When each of these ticks begins, and the last one ends, in milliseconds as clocks showed it at the first. [K+1]

    If clocks change within, the time continues unchanged.
    """
    begin, end = ticks
    first = scenario.sync_K[begin]
    shift = float(local_seconds(np.array([first]), scenario.demand.series.timezone)[0] - math.floor(first))
    return np.asarray((first + shift + SYNC_SECONDS * np.arange(end - begin + 1)) * 1000)


def _steps(time_K: Moments, value_K: Moments, role: str, **style: Any) -> Any:
    at_K = wording.changes(value_K)
    x = np.concatenate([time_K[at_K], time_K[-1:]])
    y = np.concatenate([value_K[at_K], value_K[-1:]]).astype(np.float32)
    return go.Scatter(x=x, y=y, meta=role, mode="lines", hoverinfo="skip", showlegend=False, connectgaps=False, **style)


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


def _hover_texts(judged: Judged, ticks: tuple[int, int], time_K: Moments, every: int) -> Any:
    """The hover text."""
    cut = slice(ticks[0], ticks[1], every)
    names = {"today": TODAY, "headway": wording.recommended(judged), "oracle": ORACLE}
    pods = np.stack([judged.ran[name].run.ready_K[cut] for name in names.values()], axis=1)
    lines = [f"{role}: %{{customdata[{i}]}} pods ready" for i, role in enumerate(names)]
    return go.Scatter(
        x0=_date(time_K[0]),
        dx=every * SYNC_SECONDS * 1000,
        y=judged.scenario.demand_K[cut].astype(np.float32),
        customdata=pods.astype(np.int32),
        mode="lines",
        line={"width": 0, "color": GREY},
        hovertemplate="<br>".join(["demand %{y:,.4~g}", *lines]) + "<extra></extra>",
        showlegend=False,
    )


def daily(judged: Judged) -> Figure:
    """Unserved share of each judged day, today's trigger next to the recommended one, with the days shown in detail."""
    scenario, figure = judged.scenario, go.Figure()
    pairs = {"today": judged.ran[TODAY], "headway": judged.ran[wording.recommended(judged)]}
    days = [ran.scores.by_day for ran in pairs.values()]
    drawn_D = wording.judged_share(judged) >= SLIVER
    share_2D = np.array([one.unserved_D / np.where(drawn_D & (one.demand_D > 0), one.demand_D, np.nan) for one in days])
    names = [wording.day_text(scenario, i).split(" ") for i in range(share_2D.shape[1])]
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
    for day in wording.days(judged):
        height = float(np.nan_to_num(share_2D[:, day.index]).max())
        figure.add_annotation(x=day.index, y=height, text=f"<b>{day.kind}</b>", showarrow=False, yanchor="bottom")
    plain(figure, 250)
    figure.update_layout(barmode="group", bargap=0.3, bargroupgap=0.06, hovermode="closest")
    figure.update_yaxes(tickformat=".2~%", range=[0, 1.15 * top], title_text="unserved, of the demand")
    figure.update_xaxes(type="category", showgrid=False, tickfont={"size": 11})
    return figure


def _date(milliseconds: float) -> str:
    return str(np.datetime64(int(milliseconds), "ms"))
