"""Amounts as a table and a sentence show them. Pure."""

import math

LEAST_SHARE = 1e-5
"""a smaller share is written as less than it"""


def count(value: float) -> str:
    """`1,234`, `41`, `2.5`."""
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 or value == round(value) else f"{value:,.3g}"


def minutes(value: float) -> str:
    number = f"{value:,.0f}" if value >= 9.95 else f"{value:.1f}".removesuffix(".0")
    return f"{number} {'minute' if number == '1' else 'minutes'}"


def lasted(days: float) -> str:
    """`12 days`, `1 day`, `2.5 days`; less than a day in hours."""
    amount, unit = (days, "day") if days >= 0.95 else (24 * days, "hour")
    number = f"{amount:.0f}" if amount >= 9.95 else f"{amount:.1f}".removesuffix(".0")
    return f"{number} {unit if number == '1' else unit + 's'}"


def span(seconds: float) -> str:
    """A span of time in the two largest units that matter, as `3 h 20 min`."""
    whole = round(seconds)
    for size, unit, smaller_size, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller_size
            return f"{whole // size} {unit} {rest} {smaller}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def share(value: float) -> str:
    """`3.0 %`, `0.21 %`, `< 0.001 %`; only nothing is `0 %`."""
    return percent(value) + ("" if math.isnan(value) else " %")


def percent(value: float, signed: bool = False) -> str:
    """The number before the percent sign; of a difference of two shares, its points."""
    if math.isnan(value):
        return "–"
    if value == 0:
        return "0"
    size = abs(value)
    sign = ("−" if value < 0 else "+") if signed else ""
    if size < LEAST_SHARE:
        return f"{sign}<{100 * LEAST_SHARE:g}"
    digits = max(0, min(3, 1 - math.floor(math.log10(size * 100))))
    return f"{sign}{100 * size:.{digits}f}"


def difference(value: float) -> str:
    """`−41`, `+2.5`, `0`."""
    return _signed(value, count(abs(value)))


def money(value: float) -> str:
    return f"{value:,.2f}"


def money_difference(value: float) -> str:
    return _signed(value, money(abs(value)))


def _signed(value: float, text: str) -> str:
    if math.isnan(value) or float(text.replace(",", "").replace("–", "0")) == 0:
        return text
    return ("−" if value < 0 else "+") + text
