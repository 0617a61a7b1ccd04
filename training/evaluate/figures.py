"""The pictures of a report, as plotly figures without colours of a theme: the page sets text and background.

Axes: T past steps, H future steps, W window lengths, Q levels.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from training.evaluate.cases import NAIVE
from training.evaluate.compare import Comparison, Example
from training.evaluate.skill import BETTER_NAIVE

Figure: TypeAlias = go.Figure

PALETTE = ("#2f86c9", "#e0672f", "#1ea67a", "#c56fa6", "#c9921a", "#7a74d8", "#4fa3b5", "#a0713c")
NAIVE_GREY = "#8d8d8d"
FAINT = "rgba(128,128,128,0.22)"
ROW_PIXELS = 300
BAND_OPACITY = 0.16
TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 240)
LOWEST_SKILL = -1.0
"""lower skill is drawn here: how much worse than twice the naive loss does not matter"""
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def figures(comparison: Comparison) -> dict[str, Figure]:
    """Each picture by the name under which the page shows it; those without data are missing."""
    found = {
        "skill": skill(comparison),
        "coverage": coverage(comparison),
        "leads": leads(comparison),
        "calendar": calendar(comparison),
    }
    if comparison.examples:
        found["fans"] = fans(comparison)
    if comparison.costs:
        found["costs"] = costs(comparison)
    return found


def fans(comparison: Comparison) -> Figure:
    """The example windows: past, truth, and for each model its bands, median and peak quantile.

    A model's traces have its name as `meta`, and only those of the best one are visible: the page switches.
    """
    columns = 2 if len(comparison.examples) > 1 else 1
    rows = -(-len(comparison.examples) // columns)
    titles = [_title(example) for example in comparison.examples]
    figure = make_subplots(
        rows, columns, subplot_titles=titles, vertical_spacing=0.36 / (rows + 1), horizontal_spacing=0.06
    )
    models, colours = _ordered(comparison), _colours(comparison)
    for i, example in enumerate(comparison.examples):
        where = {"row": i // columns + 1, "col": i % columns + 1}
        for trace in _recorded(comparison, example):
            figure.add_trace(trace.update(showlegend=bool(trace.showlegend) and i == 0), **where)
        for model in models:
            for trace in _fan(comparison, example, model, PALETTE[0] if model in NAIVE else colours[model]):
                shown = {"showlegend": i == 0 and trace.showlegend is not False, "visible": model == models[0]}
                figure.add_trace(trace.update(meta=model, **shown), **where)
    _plain(figure, rows, 260)
    figure.update_layout(hovermode="x unified")
    figure.update_xaxes(
        type="date", tickformat="%H:%M" if _unit(comparison)[0] == 60 else "%a %H:%M", hoverformat="%a %d %b %Y %H:%M"
    )
    figure.update_yaxes(rangemode="tozero")
    return figure


def _recorded(comparison: Comparison, example: Example) -> Iterator[Any]:
    """Demand before the cutoff, and after it in a stronger line."""
    step = comparison.task.grid.step_seconds
    style = {"name": "recorded", "legendgroup": "recorded", "mode": "lines"}
    past, came = {"color": NAIVE_GREY, "width": 1}, {"color": NAIVE_GREY, "width": 2}
    yield _series(example.past_time_T[0], step, example.past_T, line=past, showlegend=False, hoverinfo="skip", **style)
    yield _series(example.time_H[0], step, example.truth_H, line=came, showlegend=True, **style)


def _fan(comparison: Comparison, example: Example, model: str, colour: str) -> Iterator[Any]:
    task, prediction = comparison.task, example.answers[model]
    start, step = example.time_H[0], task.grid.step_seconds
    edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    for low, high in _bands(task.levels):
        name = f"{task.levels[low] * 100:g} to {task.levels[high]:.0%}"
        fill = {"fill": "tonexty", "fillcolor": _faded(colour), "name": name, "legendgroup": name}
        yield _series(start, step, prediction.quantiles_NHQ[0, :, low], showlegend=False, legendgroup=name, **edge)
        yield _series(start, step, prediction.quantiles_NHQ[0, :, high], **fill, **edge)
    if 0.5 in task.levels:
        line = {"name": "median", "legendgroup": "median", "mode": "lines", "line": {"color": colour, "width": 2}}
        yield _series(start, step, prediction.quantiles_NHQ[0, :, task.levels.index(0.5)], **line)
    level = comparison.judging.level
    yield go.Scatter(
        x=_moments(start - step + step * np.asarray(task.peak_steps)),
        y=prediction.peaks_NWQ[0, :, task.levels.index(level)],
        name=f"largest until then, {level:.0%} quantile",
        legendgroup="peak",
        mode="lines+markers",
        line={"color": colour, "width": 1.4, "dash": "dot"},
        marker={"size": 4},
    )


def skill(comparison: Comparison) -> Figure:
    """Relative reduction of loss against the better naive model: a dot per series, a box over them."""
    figure, colours = go.Figure(), _colours(comparison)
    for model in _ordered(comparison):
        mine = comparison.skill[comparison.skill["model"] == model]
        figure.add_trace(
            go.Box(
                y=mine[BETTER_NAIVE].clip(lower=LOWEST_SKILL),
                text=mine["series"],
                name=model,
                boxpoints="all",
                jitter=0.5,
                pointpos=0,
                marker={"color": colours[model], "size": 4, "opacity": 0.7},
                line={"width": 1.2},
                fillcolor="rgba(0,0,0,0)",
                showlegend=False,
                hovertemplate="%{text}<br>%{y:.0%}<extra></extra>",
                hoveron="points",
            )
        )
    _plain(figure, 1, 340, legend=False)
    figure.update_yaxes(tickformat=".0%", zeroline=True, zerolinewidth=1.5, title_text="less peak loss than the naive")
    figure.update_xaxes(showgrid=False)
    return figure


def coverage(comparison: Comparison) -> Figure:
    """Nominal and realised coverage: of each step, of the peak, and of the one level by lead."""
    level, colours = comparison.judging.level, _colours(comparison)
    unit, unit_name = _unit(comparison)
    titles = ("each step", f"the peak in {span(comparison.deciding_seconds)}", f"the {level:.0%} quantile by lead")
    figure = make_subplots(1, 3, subplot_titles=titles, horizontal_spacing=0.07)
    by_lead = comparison.coverage_by_lead[comparison.coverage_by_lead["level"] == level]
    for model in _ordered(comparison):
        line = _line(model, colours)
        mine = comparison.coverage[comparison.coverage["model"] == model]
        for column, kind in enumerate(("step", "peak"), start=1):
            style = mine[mine["kind"] == kind]
            points = {"mode": "lines+markers", "marker": {"size": 5}, "customdata": style[["lowest", "highest"]]}
            hover = "promised %{x:.0%}, held %{y:.1%} (series: %{customdata[0]:.0%} to %{customdata[1]:.0%})"
            figure.add_trace(
                go.Scatter(
                    x=style["level"], y=style["realised"], hovertemplate=hover, showlegend=column == 1, **points, **line
                ),
                row=1,
                col=column,
            )
        style = by_lead[by_lead["model"] == model]
        hover = "%{y:.1%}"
        x = style["lead_seconds"] / unit
        figure.add_trace(
            go.Scatter(x=x, y=style["realised"], mode="lines", showlegend=False, hovertemplate=hover, **line),
            row=1,
            col=3,
        )
    perfect = {"mode": "lines", "line": {"color": FAINT, "width": 5}, "hoverinfo": "skip", "showlegend": False}
    for column in (1, 2):
        figure.add_trace(go.Scatter(x=[0, 1], y=[0, 1], **perfect), row=1, col=column)
    last = comparison.task.horizon_steps * comparison.task.grid.step_seconds / unit
    figure.add_trace(go.Scatter(x=[0, last], y=[level, level], **perfect), row=1, col=3)
    _plain(figure, 1, 380)
    figure.update_yaxes(tickformat=".0%", range=[0, 1.02])
    figure.update_yaxes(range=[_lowest(by_lead["realised"], level), 1.01], col=3)
    figure.update_xaxes(tickformat=".0%", range=[0, 1.02], title_text="promised")
    figure.update_xaxes(tickformat="", range=[0, last], title_text=f"lead in {unit_name}", col=3)
    figure.update_yaxes(title_text="realised", col=1)
    return figure


def leads(comparison: Comparison) -> Figure:
    """Loss of the peak by length of the window, and of each step by lead."""
    figure = make_subplots(
        1, 2, subplot_titles=("peak in the window", "each step"), horizontal_spacing=0.07, shared_yaxes=False
    )
    colours = _colours(comparison)
    panels = (
        (comparison.peak_windows, "window_seconds", "peak_loss", "lines+markers"),
        (comparison.leads, "lead_seconds", "pinball", "lines"),
    )
    for column, (table, along, score, mode) in enumerate(panels, start=1):
        _lines(figure, comparison, table, along, score, mode, colours, row=1, column=column)
    _plain(figure, 1, 360)
    unit, unit_name = _unit(comparison)
    longest = comparison.peak_windows["window_seconds"].max() / unit
    ticks = [tick for tick in TICKS if tick <= longest]
    figure.update_xaxes(title_text=f"window in {unit_name}", type="log", tickvals=ticks, col=1)
    figure.update_xaxes(title_text=f"lead in {unit_name}", col=2)
    figure.update_yaxes(tickformat=".1%", rangemode="tozero")
    figure.update_yaxes(title_text="loss, of mean demand", col=1)
    return figure


def calendar(comparison: Comparison) -> Figure:
    """Loss of the peak and of each step by local hour of day and weekday."""
    titles = ("peak, by hour", "peak, by weekday", "each step, by hour", "each step, by weekday")
    figure = make_subplots(
        2, 2, subplot_titles=titles, column_widths=[0.66, 0.34], horizontal_spacing=0.07, vertical_spacing=0.16
    )
    colours = _colours(comparison)
    panels = ((comparison.hours, "hour", "lines+markers"), (comparison.weekdays, "weekday", "lines+markers"))
    for row, score in enumerate(("peak_loss", "pinball"), start=1):
        for column, (table, along, mode) in enumerate(panels, start=1):
            _lines(figure, comparison, table, along, score, mode, colours, row, column)
    _plain(figure, 2, 300)
    figure.update_xaxes(tickvals=list(range(0, 24, 3)), range=[-0.3, 23.3], col=1)
    figure.update_xaxes(tickvals=list(range(7)), ticktext=list(WEEKDAYS), range=[-0.3, 6.3], col=2)
    figure.update_yaxes(tickformat=".1%", rangemode="tozero")
    return figure


def costs(comparison: Comparison) -> Figure:
    """Peak loss against the cost of a model: time to fit, time to answer, size."""
    table = comparison.summary
    panels = (
        ("fit_seconds", "seconds to fit"),
        ("inference_seconds", "seconds for 10,000 windows"),
        ("size_bytes", "bytes of the bundle"),
    )
    figure = make_subplots(1, 3, subplot_titles=[title for _, title in panels], horizontal_spacing=0.05)
    colours = _colours(comparison)
    for column, (what, _) in enumerate(panels, start=1):
        for row in table.itertuples():
            figure.add_trace(
                go.Scatter(
                    x=[getattr(row, what)],
                    y=[row.peak_loss],
                    mode="markers",
                    name=row.model,
                    legendgroup=row.model,
                    showlegend=column == 1,
                    marker={"color": colours[row.model], "size": 11, "symbol": _symbol(row.model)},
                    hovertemplate=f"{row.model}: %{{y:.2%}}, %{{x:.3s}}<extra></extra>",
                ),
                row=1,
                col=column,
            )
    _plain(figure, 1, 340)
    figure.update_layout(hovermode="closest")
    figure.update_xaxes(type="log", exponentformat="SI", showgrid=False)
    figure.update_yaxes(tickformat=".1%", rangemode="tozero")
    figure.update_yaxes(title_text="peak loss, of mean demand", col=1)
    return figure


def span(seconds: float) -> str:
    """A length of time in words."""
    for unit, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= unit and seconds % unit == 0:
            count = int(seconds // unit)
            return f"{count} {name}{'s' if count > 1 else ''}"
    return f"{seconds:g} seconds"


def _unit(comparison: Comparison) -> tuple[int, str]:
    """The unit in which leads are shown: its seconds and its name."""
    horizon = comparison.task.horizon_steps * comparison.task.grid.step_seconds
    return (60, "minutes") if horizon <= 6 * 3600 else (3600, "hours")


def _lines(
    figure: Figure,
    comparison: Comparison,
    table: pd.DataFrame,
    along: str,
    score: str,
    mode: str,
    colours: Mapping[str, str],
    row: int,
    column: int,
) -> None:
    """A line per model of one score along hours, weekdays, leads or windows (seconds in the unit of the axes)."""
    scale = _unit(comparison)[0] if along.endswith("_seconds") else 1
    for model in _ordered(comparison):
        mine = table[table["model"] == model]
        figure.add_trace(
            go.Scatter(
                x=mine[along] / scale,
                y=mine[score],
                mode=mode,
                marker={"size": 5},
                showlegend=row == column == 1,
                hovertemplate="%{y:.2%}",
                **_line(model, colours),
            ),
            row=row,
            col=column,
        )


def _plain(figure: Figure, rows: int, row_pixels: int = ROW_PIXELS, legend: bool = True) -> None:
    figure.update_layout(
        template="none",
        height=rows * row_pixels + 60,
        margin={"l": 64, "r": 12, "t": 64 if legend else 16, "b": 44},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hovermode="x",
        legend={"orientation": "h", "y": 1, "yref": "container", "yanchor": "top", "x": 0},
        font={"size": 12, "family": "system-ui, sans-serif"},
    )
    figure.update_annotations(font_size=13)
    figure.update_xaxes(gridcolor=FAINT, zeroline=False, linecolor=FAINT, title_standoff=6)
    figure.update_yaxes(gridcolor=FAINT, zerolinecolor="rgba(128,128,128,0.6)", zeroline=False, title_standoff=6)


def _line(model: str, colours: Mapping[str, str]) -> dict[str, Any]:
    dash = {"persistence": "dot", "seasonal-naive": "dash"}.get(model, "solid")
    return {"name": model, "legendgroup": model, "line": {"color": colours[model], "dash": dash, "width": 1.8}}


def _symbol(model: str) -> str:
    return {"persistence": "circle-open", "seasonal-naive": "square-open"}.get(model, "circle")


def _ordered(comparison: Comparison) -> list[str]:
    """The models, best first."""
    return [str(model) for model in comparison.summary["model"]]


def _colours(comparison: Comparison) -> dict[str, str]:
    learned = [model for model in comparison.models if model not in NAIVE]
    chosen = {model: PALETTE[i % len(PALETTE)] for i, model in enumerate(learned)}
    return {model: chosen.get(model, NAIVE_GREY) for model in comparison.models}


def _faded(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{BAND_OPACITY})"


def _bands(levels: tuple[float, ...]) -> list[tuple[int, int]]:
    """Positions of levels that are symmetric about the median, the widest first."""
    pairs = [(i, j) for i, low in enumerate(levels) for j, high in enumerate(levels) if abs(low + high - 1) < 1e-9]
    return [(i, j) for i, j in pairs if i < j]


def _series(start: float, step: int, values: NDArray[np.float32], **style: Any) -> Any:
    return go.Scatter(x0=str(_moments(np.array([start]))[0]), dx=step * 1000, y=values, connectgaps=False, **style)


def _moments(seconds: NDArray[Any]) -> NDArray[np.datetime64]:
    return np.asarray(seconds, np.int64).astype("datetime64[s]")


def _title(example: Example, longest: int = 40) -> str:
    name = example.series if len(example.series) <= longest else example.series.partition("/")[2]
    name = name if len(name) <= longest else f"{name[: longest - 1]}…"
    day = pd.Timestamp(int(example.time_H[0]), unit="s")
    return f"{name}, {day:%a %d %b %Y} (harder than {example.place:.0%})"


def _lowest(values: pd.Series, level: float) -> float:
    return float(max(0.0, min(values.min(), level) - 0.05))
