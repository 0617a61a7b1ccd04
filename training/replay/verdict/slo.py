"""The service level objective: a maximum of short minutes per week."""

import re
from dataclasses import dataclass

import numpy as np

from training.replay.verdict.pareto import LEVEL, ROUNDING, draws
from training.replay.verdict.score import Scores

MINUTES_OF_A_WEEK = 10_080


@dataclass(frozen=True, slots=True)
class Slo:
    """The maximum of short minutes per week."""

    short_minutes_per_week: float

    def holds(self, scores: Scores) -> bool:
        """On these days."""
        return scores.short_minutes_per_week <= self.short_minutes_per_week

    def is_likely(self, scores: Scores) -> bool:
        """It holds on nine of ten bootstrap draws of these days, so it should on others like them."""
        days = scores.by_day
        draws_BD = draws(len(days.recorded_D))
        allowed_B = self.short_minutes_per_week / 7 * (draws_BD @ days.recorded_D)
        return bool(np.mean(draws_BD @ days.short_minutes_D <= allowed_B * ROUNDING) >= LEVEL)

    def about_search(self, scores: Scores) -> str:
        """How well the chosen settings, with these scores, held it on the searched days."""
        if not self.holds(scores):
            return "fewest short minutes on the days searched; nothing tried held the SLO there"
        if not self.is_likely(scores):
            return "held the SLO on the days searched, but too narrowly to be likely on others"
        return "likely to hold the SLO on other days, judging by those searched"

    def __str__(self) -> str:
        return f"short minutes per week ≤ {self.short_minutes_per_week:g}"


def slo(text: str) -> Slo:
    """`short minutes per week ≤ 5` (or <=). Raises ValueError with the rule."""
    found = re.fullmatch(r"\s*short minutes per week\s*(?:≤|<=)\s*([0-9]+(?:\.[0-9]+)?)\s*", text)
    if not found or float(found[1]) >= MINUTES_OF_A_WEEK:
        rule = f"a plain number from 0, below the {MINUTES_OF_A_WEEK} minutes of a week"
        raise ValueError(f"{text[:80]!r}: must be as 'short minutes per week <= 5', {rule}")
    return Slo(float(found[1]))
