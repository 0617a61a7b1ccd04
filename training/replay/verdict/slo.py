"""The service level that must hold: so many short minutes per week."""

import re
from dataclasses import dataclass

import numpy as np

from training.replay.verdict.pareto import LEVEL, ROUNDING, draws
from training.replay.verdict.score import Scores

MINUTES_OF_A_WEEK = 10_080


@dataclass(frozen=True, slots=True)
class Slo:
    """short minutes per week that are allowed."""

    short_minutes_per_week: float

    def holds(self, scores: Scores) -> bool:
        """On these days."""
        return scores.short_minutes_per_week <= self.short_minutes_per_week

    def is_likely(self, scores: Scores) -> bool:
        """It holds on nine of ten draws of these days, with repetition: so it should on others like them."""
        days = scores.by_day
        draws_BD = draws(len(days.recorded_D))
        allowed_B = self.short_minutes_per_week / 7 * (draws_BD @ days.recorded_D)
        return bool(np.mean(draws_BD @ days.short_minutes_D <= allowed_B * ROUNDING) >= LEVEL)

    def about_search(self, scores: Scores) -> str:
        """What the days on which settings were searched say of those that were chosen, with these scores there."""
        if not self.holds(scores):
            return "short least on the days searched, where nothing that was tried held the SLO"
        if not self.is_likely(scores):
            return "held the SLO on the days searched, by too little to be likely on others"
        return "likely to hold the SLO on other days, by those searched"

    def __str__(self) -> str:
        return f"short minutes per week ≤ {self.short_minutes_per_week:g}"


def slo(text: str) -> Slo:
    """`short minutes per week ≤ 5` (or <=). Raises ValueError that says what was expected."""
    found = re.fullmatch(r"\s*short minutes per week\s*(?:≤|<=)\s*([0-9]+(?:\.[0-9]+)?)\s*", text)
    if not found or float(found[1]) >= MINUTES_OF_A_WEEK:
        rule = f"a plain number from 0, below the {MINUTES_OF_A_WEEK} minutes of a week"
        raise ValueError(f"{text[:80]!r}: must be as 'short minutes per week <= 5', {rule}")
    return Slo(float(found[1]))
