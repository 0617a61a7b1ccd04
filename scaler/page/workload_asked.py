"""What a request for the page of a workload asks for: which trigger, which time, how many days of scores. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from scaler.errors import Fault
from scaler.status.moments import is_absolute
from scaler.status.parameters import unknown, unprintable
from scaler.status.past_plans import after_in
from scaler.status.scores import LEADS
from scaler.status.timeline import moment_asked, window_asked
from scaler.telemetry.redaction import excerpt

DAYS: Final = (7, 30, 90, 365)
SPANS: Final = (("3h", "3 h"), ("6h", "6 h"), ("24h", "24 h"), ("3d", "3 days"), ("14d", "14 days"))
AROUND_SECONDS = 2 * 3600.0
"""shown before and after one moment"""
DEFAULT_SPAN = "6h"
KNOWN: Final = ("trigger", "at", "since", "until", "days", "lead", "after")


@dataclass(frozen=True, slots=True)
class WorkloadAsked:
    """trigger: its hash, empty for the first. at: the moment that somebody wants to know of, or None. since, until: the
    time that is shown, seconds since the epoch. lead: a key of LEADS. after: where the plan log goes on."""

    trigger: str
    at: float | None
    since: float
    until: float
    span: str
    """`since` as it was given; empty where the time shown has another end than now"""
    days: int
    lead: str
    after: tuple[int, str] | None
    is_relative: bool
    """whether `at` was given as what names another moment later, or in another zone"""

    def timeline(self, trigger: str, now: float) -> str:
        """The query of /api/v1/timeline."""
        until = {} if self.until >= now else {"until": round(self.until)}
        return urlencode({"trigger": trigger, "since": self.span or round(self.since), **until})


def workload_asked(query: Mapping[str, str], now: float, zone: ZoneInfo, faults: list[Fault]) -> WorkloadAsked:
    """What the parameters ask for; what is wrong with them is added to `faults`. An empty one counts as absent."""
    faults += unknown(query, KNOWN) + unprintable(query)
    given = {name: value.strip() for name, value in query.items() if value.strip()}
    if not re.fullmatch(r"[0-9a-f]{0,64}", given.get("trigger", "")):
        faults.append(Fault("trigger", excerpt(given["trigger"]), "must be the hash of a trigger, as 1f3a"))
    at = moment_asked(given, "at", now, now, zone, faults) if "at" in given else None
    if at is not None and at > now:
        faults.append(Fault("at", excerpt(given["at"]), "must not be later than now"))
    since, until = _window(given, at, now, zone, faults)
    lasts = "at" in given or "until" in given
    return WorkloadAsked(
        given.get("trigger", ""),
        at,
        since,
        until,
        "" if lasts else given.get("since", DEFAULT_SPAN),
        int(_one_of(given, "days", tuple(map(str, DAYS)), "30", faults)),
        _one_of(given, "lead", tuple(LEADS), "peak", faults),
        after_in(given, faults),
        at is not None and not is_absolute(given["at"]),
    )


def _window(
    given: Mapping[str, str], at: float | None, now: float, zone: ZoneInfo, faults: list[Fault]
) -> tuple[float, float]:
    """Around the moment, unless a time is given that holds it."""
    if at is None or "since" in given or "until" in given:
        return window_asked(given, now, zone, faults)
    return at - AROUND_SECONDS, min(at + AROUND_SECONDS, now)


def _one_of(given: Mapping[str, str], name: str, known: tuple[str, ...], default: str, faults: list[Fault]) -> str:
    value = given.get(name, default)
    if value not in known:
        faults.append(Fault(name, excerpt(value), f"must be one of {', '.join(known)}"))
        return default
    return value
