"""Why a new model should be trained now. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Rules:
    """When a champion is due for a successor."""

    oldest_seconds: float = 6 * DAY_SECONDS
    """a little less than the week of a weekly schedule"""
    worse: float = 1.2
    """live loss over that at publishing, in the median over the triggers"""
    no_skill: float = 1.0
    """live loss over that of the newest observation: above it, the forecast is of no use"""
    new_share: float = 0.1
    """of the triggers, that the champion has not learned from"""


@dataclass(frozen=True, slots=True)
class Serving:
    """What serves now. model: empty where it is the shipped one. learned_at: when it was published.

    triggers: names of those it has learned from. loss: peak loss over that of the newest observation at publishing.
    """

    model: str = ""
    learned_at: float = 0.0
    triggers: frozenset[str] = frozenset()
    skill: float | None = None


def reasons(
    now: float,
    serving: Serving,
    watched: Sequence[str],
    live_skill: Mapping[str, float],
    asked_for: bool = False,
    rules: Rules = Rules(),
) -> list[str]:
    """The reasons, a sentence each; empty where nothing is due.

    live_skill: by trigger, loss of the peak over that of the newest observation, of late.
    """
    return list(_reasons(now, serving, watched, live_skill, asked_for, rules))


def _reasons(
    now: float,
    serving: Serving,
    watched: Sequence[str],
    live_skill: Mapping[str, float],
    asked_for: bool,
    rules: Rules,
) -> Iterator[str]:
    if asked_for:
        yield "asked for"
    if not serving.model:
        yield "no model of your own serves yet"
        return
    if (age := now - serving.learned_at) >= rules.oldest_seconds:
        yield f"{serving.model} is {age / DAY_SECONDS:.1f} days old"
    if new := [name for name in watched if name not in serving.triggers]:
        share = len(new) / len(watched)
        if share >= rules.new_share:
            yield f"{serving.model} has not learned from {len(new)} of {len(watched)} triggers"
    yield from _drift(serving, [live_skill[name] for name in watched if name in live_skill], rules)


def _drift(serving: Serving, skill: Sequence[float], rules: Rules) -> Iterator[str]:
    if not skill:
        return
    middle = sorted(skill)[len(skill) // 2]
    if middle > rules.no_skill:
        yield f"{serving.model} has {middle:.2f} times the loss of the newest observation"
    elif serving.skill and middle > rules.worse * serving.skill:
        yield f"{serving.model} has {middle:.2f} times the loss of the newest observation, {serving.skill:.2f} at first"
