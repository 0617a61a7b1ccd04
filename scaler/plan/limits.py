"""What bounds a plan: the policy's step limits, what is absurd, and the HPA's dead band."""

from bisect import bisect_left

from scaler.plan.fallback import LARGEST_DEMAND, Situation

MATTERS = 1.05
"""growth over the observation below which the dead band is left alone: lifting it would only add scale events"""


def step(situation: Situation, value: float) -> tuple[float, str] | None:
    """At most the policy's step over the observed demand, unless demand was that high only just now."""
    if situation.observed is None or situation.last is None:
        return None
    policy = situation.policy
    furthest = policy.step_factor * situation.observed + policy.step_replicas * situation.trigger.threshold
    limit = max(furthest, min(situation.last.recent_peak, LARGEST_DEMAND))
    if not value > limit:
        return None
    return limit, (
        f"the {policy.name} policy allows {policy.step_factor:g} × the observed {situation.observed:.4g} "
        f"and {policy.step_replicas:g} replicas more"
    )


def absurd(situation: Situation, value: float) -> tuple[float, str] | None:
    """At most so many times what was ever observed, and never what KEDA or the HPA cannot carry."""
    last, factor = situation.last, situation.policy.absurd_factor
    limit, text = LARGEST_DEMAND, "larger numbers overflow the HPA's arithmetic"
    if last is not None and 0 < last.history_peak < LARGEST_DEMAND / factor:
        limit = max(factor * last.history_peak, situation.trigger.threshold, situation.observed or 0.0)
        text = f"more than {factor:g} × the largest demand ever observed, {last.history_peak:.4g}, is not believed"
    return (limit, text) if value > limit else None


def _rungs() -> tuple[int, ...]:
    """1, 2, … 10, 12, 14, 16, 18, 20, 23, 26, 29, 32, 36, …: each the first whole number above 1.1 × the one before."""
    rungs = [1]
    while rungs[-1] < 1_000_000:
        rungs.append(rungs[-1] * 11 // 10 + 1)
    return tuple(rungs)


RUNGS = _rungs()


def dead_band(situation: Situation, value: float) -> tuple[float, str] | None:
    """The next rung of whole replicas, where demand is about to grow by more than 5 %; upwards only.

    The HPA leaves a workload of r replicas alone until the value exceeds 1.1 × r × threshold, so a growth of up to a
    tenth is answered with nothing. The ladder depends on the threshold alone, hence all replicas of Headway agree
    without knowing how many there are of the workload. Two things make it work:

    * Rungs are whole replicas. The HPA rounds up to whole replicas, so on a ladder of real numbers
      (threshold × 1.1^k) it stands a little above a rung, and the next rung lies within its tolerance, as often as not.
    * Each rung lies strictly above 1.1 × the one before, because the tolerance includes its end. A workload that
      stands on a rung therefore moves with each rung; one that stands between two (another trigger put it there) is
      at most a tenth short, until the rung after.

    It lifts by less than one rung, and below ten replicas by nothing that the HPA's own rounding would not add:

        | need, in replicas | 0.4 | 7.2 | 9.5 | 10.1 | 19 | 47 | 100 |
        | answered with     | 0.4 |   8 |  10 |   12 | 20 | 50 | 103 |
    """
    last, threshold = situation.last, situation.trigger.threshold
    if situation.forecast is None or last is None or not value > MATTERS * last.value:
        return None
    needed = value / threshold * (1 - 1e-9)  # a value that was a rung stays that rung
    if not 1 < needed <= RUNGS[-1]:
        return None
    lifted = threshold * RUNGS[bisect_left(RUNGS, needed)]
    if not value < lifted < LARGEST_DEMAND:
        return None
    return lifted, f"lifted to {lifted / threshold:.0f} replicas: the HPA ignores growth of up to 10 %"
