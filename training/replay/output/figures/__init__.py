"""The pictures of a replay, as plotly figures without colours of a theme: the page sets text and background.

days.py     demand and capacity of a day, and the unserved share of each
pareto.py   cost against service;  labels.py  where its labels stand
against.py  what is gained over reactive triggers, with intervals
look.py     colours, and the frame that all share
"""

from training.replay.output import wording
from training.replay.output.figures.against import against
from training.replay.output.figures.days import EVERY, daily, day_figure
from training.replay.output.figures.look import Figure
from training.replay.output.figures.pareto import pareto
from training.replay.verdict.judge import Judged


def figures(judged: Judged) -> dict[str, Figure]:
    """Each picture by the name under which the page shows it."""
    found = {"pareto": pareto(judged), "daily": daily(judged)}
    found |= {f"equal-{what}": against(judged, what) for what in ("service", "cost")}
    for day in wording.days(judged):
        found[f"day-{day.kind}"] = day_figure(judged, (day.begin, day.end), EVERY)
        found[f"closer-{day.kind}"] = day_figure(judged, day.closer, 1)
    return found
