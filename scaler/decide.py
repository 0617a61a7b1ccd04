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
    counts_from = outlook.counts_from
    is_fresh = counts_from - FURTHEST_AHEAD_SECONDS <= now < counts_from + 1.5 * refresh_seconds
    return math.floor((counts_from if is_fresh else now) / refresh_seconds) * refresh_seconds
