"""Which of several runs is chosen: by the SLO, else by service at a limited cost."""

from collections.abc import Sequence

from training.replay.verdict.candidates import Ran
from training.replay.verdict.score import Scores
from training.replay.verdict.slo import Slo

DEARER = 1.02
"""this ratio to the cost of a reactive trigger of equal service is neither gain nor loss"""
GOOD_ENOUGH = 1e-4
"""unserved share: below this, and without an SLO, settings are chosen by cost"""


def cheapest(ran: Sequence[Ran], today: Scores, wanted: Slo | None, budget: float | None = None) -> Ran:
    """The cheapest run with sufficient service.

    With an SLO: one that is likely to hold it on other days like these, else one that holds it on these days. Without:
    one that serves no worse than today's trigger within the budget, by default today's cost; among these the best
    service wins, down to GOOD_ENOUGH. If there is none, the cheapest that serves no worse. At last the one with the
    least short time (with an SLO) or the least unserved demand.
    """

    def cost(one: Ran) -> tuple[float, float]:
        return bill(one.scores), one.scores.unserved_share

    good = [one for one in ran if serves(one.scores, today, wanted)]
    if wanted:
        good = [one for one in good if wanted.is_likely(one.scores)] or good
    if not good:
        return min(ran, key=lambda one: (one.scores.short_minutes if wanted else 0.0, *reversed(cost(one))))
    most = DEARER * bill(today) if budget is None else budget
    affordable = [one for one in good if bill(one.scores) <= most]
    if wanted or not affordable:
        return min(good, key=cost)
    return min(affordable, key=lambda one: (max(one.scores.unserved_share, GOOD_ENOUGH), *cost(one)))


def search_budget(today: Scores, default: Scores) -> float:
    """The most that settings of Headway may cost in a search: today's cost, or that of Headway's default trigger."""
    return max(DEARER * bill(today), bill(default))


def bill(scores: Scores) -> float:
    """Its cost: money if a price is given, else replica-hours."""
    return scores.money or scores.replica_hours


def serves(found: Scores, today: Scores, wanted: Slo | None) -> bool:
    """Whether it holds the SLO; without one, whether it serves no worse than today's trigger."""
    return wanted.holds(found) if wanted else found.unserved_share <= today.unserved_share


def is_dominated(found: Scores, by: Scores, wanted: Slo | None) -> bool:
    """Whether the other costs no more, and holds the SLO; without one, and serves no worse."""
    if bill(by) > bill(found):
        return False
    return wanted.holds(by) if wanted else by.unserved_share <= found.unserved_share
