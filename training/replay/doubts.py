"""Whether what a query returns is demand at all, or something that falls when replicas are added.

Nobody can tell for certain from numbers; each rule here names what it saw. A doubt that is `sure` stops a replay unless
whoever asks for it insists; the others are told next to the verdict.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scaler.series import Floats

BOUNDS = (1.0, 100.0)
"""of a share, and of one in percent"""
TARGETS = (0.2, 0.98)
"""of the bound: a target of utilisation lies between; one replica's share of a demand mostly lies far below"""
AT_BOUND, OFTEN_AT_BOUND = 0.98, 0.005
"""a share that is at 98 % of its bound for more than half a percent of the time presses against it"""
AROUND_TARGET, MOSTLY = 0.2, 0.6
"""an autoscaler that works holds a utilisation this near to its target for most of the time"""

_SAID = re.compile(r"utili[sz]ation|percent|(?<![a-z])pct(?![a-z])|saturation|^\s*%")
_PER_REPLICA = re.compile(
    r"resource_(?:limits|requests)|quota|(?<![a-z])limits?(?![a-z])|capacity|allocatable|replicas"
    r"|(?<![a-z_])(?:count|group)\s*(?:\(|by\b|without\b)"
)
_OF_PODS = re.compile(r"cpu|memory|load|pod|container")


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why this may not be demand."""

    words: str
    sure: bool


def of_names(name: str, unit: str) -> Iterator[Doubt]:
    """What a series and its unit are called."""
    for field, text in (("series", name), ("unit", unit)):
        if found := _SAID.search(text.lower()):
            yield Doubt(f"{field}={text!r}: {found[0]!r} is said of a share of what there is", sure=True)


def of_query(query: str) -> Iterator[Doubt]:
    """What a query computes, by its functions and the names of its metrics; labels do not count."""
    text = _bare(query)
    below = [part.strip() for part in text.split("/")[1:]]
    if found := _SAID.search(text) or re.search(r"\w+_ratio\b", text):
        yield Doubt(f"the query names {found[0]!r}, a share of what there is", sure=True)
    elif re.search(r"\bhistogram_quantile\b|\bquantile\s*(?:\(|by\b|without\b)", text):
        yield Doubt("the query asks for a quantile, as of latencies", sure=True)
    elif divisor := next((found[0] for part in below if (found := _PER_REPLICA.search(part))), ""):
        yield Doubt(f"the query divides by {divisor.rstrip(' (')!r}, which grows with the replicas", sure=True)
    elif re.match(r"[(\s]*avg\s*(?:\(|by\b|without\b)", text):
        yield Doubt(
            "the query is an avg(), which is per replica where each replica is a series; the sum() is demand",
            sure=_OF_PODS.search(text) is not None,
        )
    elif any(re.match(r"\(*\s*[a-z_:]", part) for part in below):
        yield Doubt("the query divides one metric by another, as a share or a mean does", sure=False)


def of_values(values: Floats, threshold: float) -> Iterator[Doubt]:
    """What known values of some days look like next to their threshold. values [S]"""
    largest = float(values.max())
    bound = next((bound for bound in BOUNDS if largest <= bound), None)
    if bound is None or not TARGETS[0] * bound <= threshold <= TARGETS[1] * bound:
        return
    pressing = float((values >= AT_BOUND * bound).mean())
    held = float((np.abs(values - threshold) <= AROUND_TARGET * threshold).mean())
    seen = f"no value is above {bound:g} and the threshold is {threshold:g}, as of a utilisation"
    if pressing > OFTEN_AT_BOUND:
        yield Doubt(f"{seen}; for {pressing:.1%} of the time it is at its limit", sure=True)
    elif held > MOSTLY:
        yield Doubt(f"{seen}; for {held:.0%} of the time something holds it near the threshold", sure=True)
    else:
        yield Doubt(seen, sure=False)


def _bare(query: str) -> str:
    """In lower case, without comments, strings, label matchers, and lists of labels."""
    text = re.sub(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|`[^`]*`', "", query)
    text = re.sub(r"#[^\n]*", "", text)
    text = re.sub(r"\{[^}]*\}", "", text)
    return re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", r"\1 ", text.lower())
