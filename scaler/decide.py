"""The one question behind RPCs, HTTP API, CLI and replay: (trigger, now) → Plan. Pure: no I/O, no model, no clock."""

import math

from scaler.plan import Plan
from scaler.plan.rules import plan
from scaler.series import FURTHEST_AHEAD_SECONDS, Outlook
from scaler.trigger import Trigger


def decide(trigger: Trigger, outlook: Outlook, now: float, refresh_seconds: float) -> Plan:
    """The plan for `trigger` at `now`: a pure function, equal on every replica that received the same outlook."""
    return plan(trigger, outlook, moment_of(outlook, now, refresh_seconds), refresh_seconds)


def moment_of(outlook: Outlook, now: float, refresh_seconds: float) -> float:
    """The moment for which an answer given at `now` is planned: a tick of the refresh, which all replicas share.

    A plan counts until the next refresh is due and half a refresh longer, for it to arrive; when none comes, the plan
    is made anew at every tick. Ticks are multiples of the refresh interval since the epoch, so even replicas that
    cannot talk to each other plan for the same moments. An outlook from far ahead was made before a clock was set back:
    what it holds lies in the future by now, and the plan shows it.
    """
    begins, ends = _fresh(outlook, refresh_seconds)
    return math.floor((outlook.counts_from if begins <= now < ends else now) / refresh_seconds) * refresh_seconds


def counts_between(outlook: Outlook, now: float, refresh_seconds: float) -> tuple[float, float]:
    """From when until when the plan for `now` is the answer: `moment_of` is the same at all these moments."""
    begins, ends = _fresh(outlook, refresh_seconds)
    if begins <= now < ends:
        return begins, ends
    tick = moment_of(outlook, now, refresh_seconds)
    if now < begins:
        return tick, min(tick + refresh_seconds, begins)
    return max(tick, ends), tick + refresh_seconds


def _fresh(outlook: Outlook, refresh_seconds: float) -> tuple[float, float]:
    return outlook.counts_from - FURTHEST_AHEAD_SECONDS, outlook.counts_from + 1.5 * refresh_seconds
