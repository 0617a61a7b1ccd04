"""Whether the forecast is worth more than the newest observation; where it is not, the plan does without it. Pure.

Once a minute the window of the plan is noted: the quantile of its peak, and the newest observation, which is the
forecast of a reactive trigger. When the window is over, both have a pinball loss at the trigger's quantile. What an HPA
would not act on is no loss: a steady night, in which the newest observation is never wrong, says nothing against a
forecast. One whose loss is clearly the larger has stepped down: the ladder treats it as missing. It is watched further,
and returns when it wins again. The two bounds lie apart, so that it does not come and go.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from scaler.plan.demand import peak_quantile
from scaler.plan.fallback import LOST_BY
from scaler.plan.policies import POLICIES
from scaler.plan.rule import News, Remembered
from scaler.plan.windows import Noted, due_end, noted_now, sorted_out
from scaler.trigger import Trigger

STEPS_DOWN = 2.0
"""times the loss of the newest observation, beyond which a forecast steps down …"""
RETURNS = 1.0
"""… and up to which it returns"""
MATTERS = 0.02
"""of the demand: a mean loss of less is none"""
TOLERATED = 1.1
"""times the demand, plus a replica: a quantile up to there costs nothing, as the HPA's tolerance hides it"""
ENOUGH_WINDOWS = 360.0
"""windows that are over, one a minute, before anything is concluded"""
HALF_LIFE_WINDOWS = 1440.0
"""after so many windows, the loss of a window counts half: what is gained at nine in the morning counts all day"""
MOST_SURPRISE = 500.0
"""times the usual loss, or demand: more counts as that much, as one outlier is not a week. An edge of a schedule that
comes once a day has a hundred times the usual loss …"""
USUAL_WINDOWS = 60.0
"""… once so many windows have shown what is usual"""
MOST_LOST = 1000.0
_KEEPS = 0.5 ** (1 / HALF_LIFE_WINDOWS)


class Skill(NamedTuple):
    """What is remembered of a trigger. Losses are sums in which older windows fade."""

    noted: tuple[Noted, ...] = ()
    """windows that are not over"""
    windows: float = 0.0
    """how many are over"""
    demand: float = 0.0
    loss: float = 0.0
    """of the forecast"""
    naive_loss: float = 0.0
    """of the newest observation"""
    has_lost: bool = False

    @property
    def ratio(self) -> float:
        """The loss over that of the newest observation, or over what matters, where that is more."""
        least = max(self.naive_loss, MATTERS * self.demand)
        return min(self.loss / least, MOST_LOST) if least > 0 else 0.0


def watch(before: Skill, news: News) -> Skill:
    """`before`, with the newest observation: windows that are over count, and a new window is noted."""
    over, left = sorted_out(before.noted, news)
    new = _window(left, news)
    state = before._replace(noted=(*left, new) if new is not None else tuple(left))
    for one in over:
        state = _counted(state, one, news.trigger)
    return state


def _counted(state: Skill, over: Noted, trigger: Trigger) -> Skill:
    truth = over.observed or 0.0
    demand, loss, naive_loss = truth, peak_loss(over.peak, truth, trigger), peak_loss(over.newest, truth, trigger)
    if state.windows >= USUAL_WINDOWS:
        usual = max(state.naive_loss, MATTERS * state.demand)
        loss, naive_loss = (min(one, MOST_SURPRISE * usual / state.windows) for one in (loss, naive_loss))
        demand = min(demand, MOST_SURPRISE * state.demand / state.windows)
    counted = state._replace(
        windows=_KEEPS * state.windows + 1,
        demand=_KEEPS * state.demand + demand,
        loss=_KEEPS * state.loss + loss,
        naive_loss=_KEEPS * state.naive_loss + naive_loss,
    )
    if counted.windows < ENOUGH_WINDOWS:
        return counted
    return counted._replace(has_lost=counted.ratio > (RETURNS if state.has_lost else STEPS_DOWN))


def peak_loss(quantile: float, truth: float, trigger: Trigger) -> float:
    """Pinball loss (Koenker and Bassett 1978) beyond what is tolerated."""
    level = trigger.quantile
    excess = quantile - TOLERATED * truth - trigger.threshold
    return max(level * (truth - quantile), (1 - level) * excess, 0.0)


def _window(left: Sequence[Noted], news: News) -> Noted | None:
    """The window that begins now; None without forecast, or where neither it nor demand needs one replica."""
    forecast, observation, ends = news.forecast, news.observation, due_end(left, news)
    if ends is None or forecast is None or observation is None:
        return None
    peak = peak_quantile(forecast, news.trigger.quantile, news.now, ends)
    if not (0 <= peak < math.inf and 0 <= observation.value < math.inf):
        return None
    believed = POLICIES[news.trigger.policy].absurd_factor * observation.history_peak
    peak = min(peak, max(believed, news.trigger.threshold))
    is_judged = max(peak, observation.value) >= news.trigger.threshold
    return noted_now(news, ends, peak) if is_judged else None


SKILL: Remembered[Skill] = Remembered(
    name=LOST_BY,
    start=Skill(),
    observe=watch,
    conclude=lambda state: state.ratio if state.has_lost else None,
    resume=lambda ratio, at: Skill((), ENOUGH_WINDOWS, 0.0, ratio, 1.0, has_lost=True),
    reads_answers=False,
    lasts=True,
)
"""the loss of the forecast over that of the newest observation, where it has stepped down"""
