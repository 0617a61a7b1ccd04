"""Whether a new champion falls behind the model that it replaced. Pure.

Both forecast the same triggers at the same moments. When a window is over, each has the loss that the skill gate takes:
of the peak at the trigger's quantile, beyond what an HPA would hide. Losses are in units of the trigger's largest
demand, so a large trigger does not count more than a small one, and are summed by the hour.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from scaler.plan.demand import peak_quantile
from scaler.plan.rule import News
from scaler.plan.skill import peak_loss
from scaler.plan.windows import Noted, due_end, sorted_out
from scaler.series import Forecast
from scaler.trigger import Trigger

MARGIN = 1.1
"""times the loss of its predecessor, beyond which a champion is rolled back"""
MATTERS = 0.002
"""of the largest demand: a mean loss of less is none"""
ENOUGH_SECONDS = 6 * 3600.0
"""from the first window to the last one …"""
ENOUGH_WINDOWS = 360
"""… and so many windows, before anything is concluded"""
BEYOND_CHANCE = 2.5
"""standard errors by which the hourly difference must exceed 0: the question is asked every minute of a day"""
MOST_LOSS = 10.0
"""of one window: a single absurd number is not a day"""


class Hour(NamedTuple):
    """The windows that ended in one hour, and the sums of both losses."""

    windows: int = 0
    loss: float = 0.0
    before: float = 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a champion and its predecessor, by hours since the epoch."""

    hours: Mapping[int, Hour] = field(default_factory=dict)
    first: float = math.inf
    """when the first window began"""
    last: float = -math.inf
    """when the last one ended"""

    @property
    def windows(self) -> int:
        return sum(hour.windows for hour in self.hours.values())

    @property
    def ratio(self) -> float:
        """The loss over that of the predecessor, or over what matters, where that is more."""
        loss, before = (sum(losses) for losses in self._losses()) if self.hours else (0.0, 0.0)
        least = max(before, MATTERS * self.windows)
        return loss / least if least > 0 else 0.0

    @property
    def falls_behind(self) -> bool:
        """Whether the champion is to be rolled back."""
        if self.last - self.first < ENOUGH_SECONDS or self.windows < ENOUGH_WINDOWS or self.ratio <= MARGIN:
            return False
        if len(self.hours) < 2:
            return False
        differences = [(hour.loss - hour.before) / hour.windows for hour in self.hours.values()]
        mean = sum(differences) / len(differences)
        squares = sum((one - mean) ** 2 for one in differences)
        return mean > BEYOND_CHANCE * math.sqrt(squares / (len(differences) - 1) / len(differences))

    def figures(self) -> dict[str, float]:
        """As the decision records them: losses are means over the windows, as shares of the largest demand."""
        loss, before = (sum(losses) / max(self.windows, 1) for losses in self._losses()) if self.hours else (0.0, 0.0)
        return {
            "hours": (self.last - self.first) / 3600 if self.hours else 0.0,
            "windows": float(self.windows),
            "loss": loss,
            "predecessor_loss": before,
            "ratio": self.ratio,
        }

    def _losses(self) -> tuple[list[float], list[float]]:
        return [hour.loss for hour in self.hours.values()], [hour.before for hour in self.hours.values()]


def compared(noted: Sequence[Noted], news: News, before: Forecast | None) -> tuple[list[Noted], list[Noted]]:
    """(windows that are over, windows that go on), with the newest observation, and with the window that begins now
    where both models have a forecast for it.

    news: with the champion's forecast. before: that of its predecessor. A `Noted` has the champion's quantile as
    `peak`, and that of the predecessor as `newest`.
    """
    over, left = sorted_out(noted, news)
    ends = due_end(left, news)
    if ends is None or news.forecast is None or before is None:
        return over, left
    level = news.trigger.quantile
    peaks = [peak_quantile(forecast, level, news.now, ends) for forecast in (news.forecast, before)]
    if all(0 <= peak < math.inf for peak in peaks):
        left.append(Noted(news.now, ends, *peaks))
    return over, left


def counted(evidence: Evidence, over: Sequence[Noted], trigger: Trigger, largest: float) -> Evidence:
    """`evidence` with windows that are over. largest: demand of the trigger on record, in which losses are counted."""
    hours, scale = dict(evidence.hours), max(largest, trigger.threshold)
    first, last = evidence.first, evidence.last
    for one in over:
        truth = one.observed
        if truth is None or not 0 < scale < math.inf:
            continue
        losses = [min(peak_loss(peak, truth, trigger) / scale, MOST_LOSS) for peak in (one.peak, one.newest)]
        known = hours.get(int(one.ends // 3600), Hour())
        hours[int(one.ends // 3600)] = Hour(known.windows + 1, known.loss + losses[0], known.before + losses[1])
        first, last = min(first, one.begins), max(last, one.ends)
    return Evidence(hours, first, last)
