"""Templates, and numbers, times and reasons as people read them. A value that is not known is shown as a dash."""

import math
from datetime import UTC, datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from scaler import __version__
from scaler.page import files
from scaler.page.charts import calibration_chart, day_chart, demand_chart
from scaler.page.sparkline import sparkline
from scaler.status.exposition import Turn
from scaler.words.wording import span

NONE = "–"
PIECES_AT_A_TIME = 30
"""of a template, rendered before the event loop may answer KEDA: about half a millisecond's work"""


@cache
def environment() -> Environment:
    """All templates; every value is escaped, and a name that a template misspells raises."""
    made = Environment(
        loader=PackageLoader("scaler.page", "templates"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        amount=amount,
        percent=percent,
        signed=signed,
        opposite=opposite,
        moment=moment,
        ago=ago,
        span=_span,
        rung=rung_words,
        sentence=sentence,
        coded=coded,
    )
    made.globals.update(version=__version__, static=static_path, sparkline=sparkline)
    made.globals.update(calibration_chart=calibration_chart, day_chart=day_chart, demand_chart=demand_chart)
    return made


def rendered(template: str, **values: Any) -> str:
    """The page as HTML."""
    return environment().get_template(template).render(**values)


async def rendered_in_turns(template: str, turn: Turn, **values: Any) -> str:
    """The same, a piece at a time: KEDA is answered in between."""
    pieces = []
    for position, piece in enumerate(environment().get_template(template).generate(**values)):
        if position % PIECES_AT_A_TIME == 0:
            await turn()
        pieces.append(piece)
    return "".join(pieces)


def static_path(name: str) -> str:
    """Where a file is served; another path once any of them changes."""
    return f"/static/{files.version()}/{name}"


def amount(value: float | None, digits: int = 3) -> str:
    """`1,284`, `12.5`, `0.034`: about three digits that count, with separators."""
    if value is None or not math.isfinite(value):
        return NONE
    if value == 0 or abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:,.{digits}g}" if abs(value) >= 1e-4 else f"{value:.1e}"


def signed(value: float | None, digits: int = 3) -> str:
    """As `amount`, with a plus where it is above 0, and a true minus sign."""
    text = amount(value, digits)
    if value is None or text in (NONE, "0"):
        return text
    return f"+{text}" if value > 0 else f"−{text.removeprefix('-')}"


def opposite(value: float | None) -> float | None:
    """What was saved, as a difference that is below 0, as in the tables of savings."""
    return None if value is None else -value


def percent(share: float | None, digits: int = 0) -> str:
    """`90 %`"""
    return NONE if share is None or not math.isfinite(share) else f"{100 * share:.{digits}f} %".replace("-", "−")


def moment(at: float | None) -> Markup:
    """A moment in UTC; the page's script shows it in the viewer's zone, with UTC at hand."""
    if at is None:
        return Markup(NONE)
    found = datetime.fromtimestamp(at, UTC)
    return Markup(
        f'<time datetime="{found:%Y-%m-%dT%H:%M:%SZ}" title="{found:%Y-%m-%d %H:%M:%S} UTC">'
        f"{found:%Y-%m-%d %H:%M} UTC</time>"
    )


def coded(text: str) -> Markup:
    """What stands between backticks as code."""
    parts = str(text).split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 and place < len(parts) - 1 else escape(part)
        for place, part in enumerate(parts)
    )


def sentence(text: str) -> str:
    """With a capital letter at its begin; the others stay as they are."""
    return text[:1].upper() + text[1:]


def ago(at: float | None, now: float) -> str:
    """`3 min ago`"""
    if at is None:
        return NONE
    return "now" if abs(now - at) < 1 else f"{span(now - at)} ago" if now > at else f"in {span(at - now)}"


def _span(seconds: float | None) -> str:
    return NONE if seconds is None else span(seconds)


RUNGS = {
    "forecast_and_observation": "forecast",
    "forecast_alone": "forecast alone",
    "observation_alone": "reactive",
    "nothing": "no answer",
}


def rung_words(rung: str) -> Markup:
    """On which rung of the ladder a plan stands, in a word or two."""
    return escape(RUNGS.get(rung, rung))
