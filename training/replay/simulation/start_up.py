"""The time from ordering a pod until it serves: constant, lognormal, or one of two values (warm or new node)."""

import math
from dataclasses import dataclass
from typing import Protocol

import durationpy
import numpy as np

FORMS = "must be as 90s, lognormal:90s,0.4 or bimodal:40s,240s,0.2"


class StartUp(Protocol):
    """`draw`: seconds of the next pod. `usual`: the most that nearly all pods need, for choosing a lead time."""

    @property
    def usual(self) -> float: ...

    def draw(self, random: np.random.Generator) -> float: ...


@dataclass(frozen=True, slots=True)
class Constant:
    """Every pod takes the same time."""

    seconds: float

    @property
    def usual(self) -> float:
        return self.seconds

    def draw(self, random: np.random.Generator) -> float:
        return self.seconds

    def __str__(self) -> str:
        return f"{self.seconds:g} s"


@dataclass(frozen=True, slots=True)
class Lognormal:
    """median: seconds. sigma: standard deviation of the logarithm."""

    median: float
    sigma: float

    @property
    def usual(self) -> float:
        """The 0.9 quantile."""
        return self.median * math.exp(1.2816 * self.sigma)

    def draw(self, random: np.random.Generator) -> float:
        return float(self.median * math.exp(self.sigma * random.standard_normal()))

    def __str__(self) -> str:
        return f"about {self.median:g} s (lognormal, sigma {self.sigma:g})"


@dataclass(frozen=True, slots=True)
class Bimodal:
    """`warm` seconds, but with probability `share` the `cold` seconds of a node that must be added first."""

    warm: float
    cold: float
    share: float

    @property
    def usual(self) -> float:
        return self.warm if self.share < 0.1 else self.cold

    def draw(self, random: np.random.Generator) -> float:
        return self.cold if random.random() < self.share else self.warm

    def __str__(self) -> str:
        return f"{self.warm:g} s, or {self.cold:g} s for one pod in {1 / max(self.share, 1e-9):.3g}"


def start_up(text: str) -> StartUp:
    """`90s`, `lognormal:90s,0.4` or `bimodal:40s,240s,0.2`. Raises ValueError with the rule."""
    kind, _, values = text.partition(":") if ":" in text else ("constant", "", text)
    parts = [part.strip() for part in values.split(",")]
    try:
        if kind == "constant" and len(parts) == 1:
            return Constant(_seconds(parts[0]))
        if kind == "lognormal" and len(parts) == 2:
            return Lognormal(_seconds(parts[0]), _within(parts[1], 0.0, 3.0))
        if kind == "bimodal" and len(parts) == 3:
            return _bimodal(_seconds(parts[0]), _seconds(parts[1]), _within(parts[2], 0.0, 1.0))
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}; {FORMS}") from None
    raise ValueError(f"{text!r}: {FORMS}")


def _bimodal(warm: float, cold: float, share: float) -> Bimodal:
    if cold < warm:
        raise ValueError(f"a cold start of {cold:g} s is shorter than a warm one of {warm:g} s")
    return Bimodal(warm, cold, share)


def _seconds(text: str) -> float:
    try:
        seconds = float(durationpy.from_str(text).total_seconds())
    except (durationpy.DurationError, OverflowError):
        seconds = 0.0
    if not seconds > 0:
        raise ValueError(f"{text[:30]!r} is not a positive duration such as 90s or 1m30s")
    return seconds


def _within(text: str, least: float, most: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not least <= number <= most:
        raise ValueError(f"{text!r} is not a number from {least:g} to {most:g}")
    return number
