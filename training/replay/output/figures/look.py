"""Colours, symbols and the bare frame that all pictures share."""

from collections.abc import Mapping
from typing import TypeAlias

import plotly.graph_objects as go

from training.replay.verdict.judge import DEFAULT, ORACLE, TODAY, TUNED, TUNED_REACTIVE

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


def plain(figure: Figure, height: int) -> None:
    """No colours of a theme: the page sets text and background."""
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
