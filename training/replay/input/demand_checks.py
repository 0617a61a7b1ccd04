"""Whether what a query returns is demand at all, or something that falls when replicas are added.

Numbers alone cannot decide this; each rule names what it found. A concern that is `sure` stops a replay unless the user
accepts the input as demand; the others become notes next to the verdict.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scaler.series import Floats

BOUNDS = (1.0, 100.0)
"""of a share, and of one in percent"""
TARGETS = (0.2, 0.98)
"""of the bound: targets of utilisation lie between; one replica's share of demand is mostly far below"""
AT_BOUND, OFTEN_AT_BOUND = 0.98, 0.005
"""a share at 98 % of its bound for more than half a percent of the time presses against it"""
AROUND_TARGET, MOSTLY = 0.2, 0.6
"""a working autoscaler holds a utilisation this near to its target for most of the time"""

_COUNTED = r"(?![a-z0-9_]*_total\b)"
"""a counter counts events, whatever its name contains: `percent_encoded_urls_total`"""
_SAID = re.compile(rf"utili[sz]ation|(?:percent|(?<![a-z])pct(?![a-z])|saturation){_COUNTED}|^\s*%")
_TIME = re.compile(r"latency|response_time|(?<![a-z0-9])p9[059](?![0-9])")
_MILLISECONDS = re.compile(r"^\s*(?:ms|msecs?|milliseconds?)\s*$")
_REPLICAS = re.compile(rf"replicas{_COUNTED}|^\s*pods?\s*$")
_PER_REPLICA = re.compile(
    r"resource_(?:limits|requests)|quota|(?<![a-z])limits?(?![a-z])|capacity|allocatable|replicas|(?<![a-z_])up\b"
    r"|(?<![a-z_])(?:count|group)\s*(?:\(|by\b|without\b)"
)
_OF_PODS = re.compile(r"cpu|memory|(?<![a-z])load(?![a-z])|pod|container")
_CONSTANTS = r"^[(\s\d.*+-]*"
"""before the first function of a query, as in `100 - (avg(…) * 100)`"""


@dataclass(frozen=True, slots=True)
class Concern:
    """Why this may not be demand."""

    words: str
    sure: bool


def of_names(name: str, unit: str) -> Iterator[Concern]:
    """Concerns about the names of a series and its unit."""
    for field, text in (("series", name.lower()), ("unit", unit.lower())):
        if found := _SAID.search(text):
            yield Concern(f"{field}={text!r}: {found[0]!r} names a share of a total", sure=True)
        elif found := _REPLICAS.search(text):
            yield Concern(f"{field}={text!r}: {found[0].strip()!r} counts the replicas themselves", sure=True)
        elif found := _TIME.search(text):
            yield Concern(f"{field}={text!r}: {found[0]!r} names a duration", sure=False)
    if _MILLISECONDS.search(unit.lower()):
        yield Concern(f"unit={unit!r}: is a unit of time", sure=True)


def of_query(query: str) -> Iterator[Concern]:
    """Concerns about what a query computes, by its functions and metric names; labels do not count."""
    text = bare(query)
    below = [_operand(part.strip()) for part in text.split("/")[1:]]
    first = re.match(rf"{_CONSTANTS}(avg|max|min)\s*(?:\(|by\b|without\b)", text)
    if found := _SAID.search(text) or re.search(r"\w+_ratio\b", text):
        yield Concern(f"the query names {found[0]!r}, a share of a total", sure=True)
    elif re.search(r"\bhistogram_quantile\b|\bquantile\s*(?:\(|by\b|without\b)", text):
        yield Concern("the query asks for a quantile, as for latencies", sure=True)
    elif divisor := next((found[0] for part in below if (found := _PER_REPLICA.search(part))), ""):
        yield Concern(f"the query divides by {divisor.rstrip(' (')!r}, which grows with the replicas", sure=True)
    elif below and re.search(r"_sum\b", text.split("/")[0]) and re.search(r"_count\b", below[0]):
        yield Concern("the query divides a sum by a count, which is a mean, as for latencies", sure=True)
    elif found := re.search(rf"\w*(?:{_REPLICAS.pattern})\w*", text):
        # multiplied, it may turn a value per replica into demand
        yield Concern(f"the query counts replicas, {found[0]!r}", sure="*" not in text)
    elif first and (first[1] == "avg" or _OF_PODS.search(text)):
        yield Concern(
            f"the query uses {first[1]}(), a value per replica if each replica is a series; the sum() is demand",
            sure=_OF_PODS.search(text) is not None,
        )
    elif any(re.match(r"\(*\s*[a-z_:]", part) for part in below):
        yield Concern("the query divides one metric by another, as a share or a mean does", sure=False)


def of_values(values: Floats, threshold: float) -> Iterator[Concern]:
    """Concerns about the known values of some days next to their threshold. values [S]"""
    largest = float(values.max())
    held = float((np.abs(values - threshold) <= AROUND_TARGET * threshold).mean())
    bound = next((bound for bound in BOUNDS if largest <= bound), None)
    if bound is None or not TARGETS[0] * bound <= threshold <= TARGETS[1] * bound:
        if held > MOSTLY:
            yield Concern(
                f"for {held:.0%} of the time it is near the threshold, like a utilisation that an autoscaler controls",
                sure=False,
            )
        return
    pressing = float((values >= AT_BOUND * bound).mean())
    seen = f"no value is above {bound:g} and the threshold is {threshold:g}, like a utilisation"
    if pressing > OFTEN_AT_BOUND:
        yield Concern(f"{seen}; for {pressing:.1%} of the time it is at its limit", sure=True)
    elif held > MOSTLY:
        yield Concern(f"{seen}; for {held:.0%} of the time it is held near the threshold", sure=True)
    else:
        yield Concern(seen, sure=False)


def _operand(text: str) -> str:
    """The first operand of a text, up to the next operator or unmatched parenthesis."""
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth < 0 or (depth == 0 and letter in "+-*<>=" and place):
            return text[:place]
    return text


def bare(query: str) -> str:
    """In lower case, without comments, strings, label matchers, and lists of labels."""
    text = re.sub(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|`[^`]*`', "", query)
    text = re.sub(r"#[^\n]*", "", text)
    text = re.sub(r"\{[^}]*\}", "", text)
    return re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", r"\1 ", text.lower())
