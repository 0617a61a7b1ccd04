"""The service level that must hold: so many short minutes per week."""

import re
from dataclasses import dataclass

import numpy as np

from training.replay.front import LEVEL, draws
from training.replay.score import Scores


@dataclass(frozen=True, slots=True)
class Slo:
    """short minutes per week that are allowed."""

    short_minutes_per_week: float

    def holds(self, scores: Scores) -> bool:
        """On these days."""
        return scores.short_minutes_per_week <= self.short_minutes_per_week

    def is_likely(self, scores: Scores) -> bool:
        """It holds on nine of ten draws of these days, with repetition: so it should on others like them."""
        short_D = scores.by_day.short_minutes_D
        per_week_B = draws(len(short_D)) @ short_D * 7 / scores.days
        return bool(np.quantile(per_week_B, LEVEL) <= self.short_minutes_per_week)

    def __str__(self) -> str:
        return f"short minutes per week ≤ {self.short_minutes_per_week:g}"


def slo(text: str) -> Slo:
    """`short minutes per week ≤ 5` (or <=). Raises ValueError that says what was expected."""
    found = re.fullmatch(r"\s*short minutes per week\s*(?:≤|<=)\s*(\d+(?:\.\d+)?)\s*", text)
    if not found:
        raise ValueError(f"{text!r}: must be as 'short minutes per week <= 5'")
    return Slo(float(found[1]))
