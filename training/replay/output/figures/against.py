"""Each candidate against the front of reactive triggers, with intervals."""

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from training.replay.output import wording
from training.replay.output.figures.look import BLUE, GREY, Figure, plain
from training.replay.verdict.judge import Judged
from training.replay.verdict.pareto import Interval


def against(judged: Judged, equal: str) -> Figure:
    """Each candidate compared with the front of reactive triggers, with intervals.

    At equal service the replica-hours saved, at equal cost the ratio of unserved demand.
    """
    what, nothing = {"service": ("saved", 0.0), "cost": ("unserved", 1.0)}[equal]
    names = list(reversed(judged.against))
    intervals = [getattr(judged.against[name], what) for name in names]
    figure = go.Figure(_whiskers(names, intervals, wording.recommended(judged)))
    figure.add_vline(nothing, line={"color": GREY, "width": 1.5})
    reach = [
        one for interval in intervals for one in (interval.value, interval.low, interval.high) if math.isfinite(one)
    ]
    low, high = min([nothing, *reach]), max([nothing, *reach])
    pad = 0.12 * (high - low) or 0.1
    plain(figure, 50 + 40 * len(names))
    figure.update_layout(margin={"l": 108, "b": 30})
    figure.update_xaxes(range=[low - pad, high + pad], tickformat=".0%", nticks=6)
    figure.update_yaxes(range=[-0.6, len(names) - 0.4], showgrid=False, fixedrange=True)
    return figure


def _whiskers(names: Sequence[str], intervals: Sequence[Interval], picked: str) -> Any:
    symbols = ["diamond" if name == picked else "diamond-open" for name in names]
    return go.Scatter(
        x=[one.value for one in intervals],
        y=list(names),
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [one.high - one.value for one in intervals],
            "arrayminus": [one.value - one.low for one in intervals],
            "color": BLUE,
            "thickness": 2,
            "width": 5,
        },
        customdata=[(one.low, one.high) for one in intervals],
        mode="markers",
        marker={"color": BLUE, "size": 11, "symbol": symbols},
        hovertemplate="%{y}: %{x:.1%} (90% interval %{customdata[0]:.1%} to %{customdata[1]:.1%})<extra></extra>",
        showlegend=False,
    )
