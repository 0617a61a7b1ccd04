"""The triggers to learn from, with how their workloads are scaled: from the store, or from a running scaler."""

import ssl
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from scaler.errors import HeadwayError
from scaler.scored import HOUR_SECONDS, SUMS, Owner, WeekAsked
from scaler.store import WatchedRecord
from scaler.store.scores import ScoreStore
from scaler.trigger import Trigger, TriggerRules, parse_trigger
from training.data.pull import Wanted, watched_records
from training.lifecycle.replaying import Scaling
from training.lifecycle.retraining import WatchedTrigger

PEAK, DAY_KEEPS = "peak", 6 / 7
_LOSS, _OF_NEWEST = SUMS.index("pinball"), SUMS.index("pinball_of_newest")
SAME_SECONDS = 3600.0
"""triggers of one ScaledObject that were called for at about the same time; an edited one leaves its old row behind"""


def of_records(records: Iterable[WatchedRecord], rules: TriggerRules) -> tuple[list[WatchedTrigger], dict[str, str]]:
    """(the triggers that the store knows, those that cannot be used and why). Several of one ScaledObject are named
    with their hash, as by `headway data pull`."""
    by_object: dict[str, list[WatchedRecord]] = defaultdict(list)
    for record in records:
        by_object[f"{record.namespace}/{record.name}"].append(record)
    found: list[WatchedTrigger] = []
    refused: dict[str, str] = {}
    for name, rows in sorted(by_object.items()):
        newest = max(row.last_called for row in rows)
        triggers = []
        for row in rows:
            if row.last_called < newest - SAME_SECONDS:
                continue
            try:
                triggers.append(parse_trigger(row.namespace, row.name, row.metadata, rules))
            except HeadwayError as error:
                refused[name] = str(error)
        found += [_watched(one, f"{name}/{one.short_key}" if len(triggers) > 1 else name) for one in triggers]
    return found, refused


def of_scaler(
    address: str, server: str, headers: Mapping[str, str] | None = None, trust: ssl.SSLContext | None = None
) -> tuple[list[WatchedTrigger], dict[str, str]]:
    """The same from a running scaler, which knows those that it has discovered, too. Raises DataError."""
    found, refused = watched_records(address, server, headers=headers, trust=trust)
    triggers = [
        WatchedTrigger(
            wanted,
            Scaling(float(record["threshold"]), float(record["lead_time_seconds"]), wanted.query),
            Owner(record["namespace"], record["name"], record["trigger"]),
        )
        for wanted, record in found
    ]
    return triggers, {one.name: one.rule for one in refused}


async def live_skill(scores: ScoreStore, triggers: Sequence[WatchedTrigger], now: float) -> dict[str, float]:
    """By trigger, loss of the peak over that of the newest observation, over about a week. Those without scores are
    missing. Raises StoreUnavailable."""
    asked = [WeekAsked(one.owner, int(now // HOUR_SECONDS) + 1) for one in triggers]
    weeks = await scores.weeks(asked, DAY_KEEPS)
    found = {one.wanted.name: weeks.get(one.owner, {}).get(PEAK) for one in triggers}
    return {name: sums[_LOSS] / sums[_OF_NEWEST] for name, sums in found.items() if sums and sums[_OF_NEWEST] > 0}


def chosen(triggers: Sequence[WatchedTrigger], names: Sequence[str]) -> list[WatchedTrigger]:
    """Those of the namespaces (NAMESPACE) and ScaledObjects (NAMESPACE/NAME) that are named; all where none is."""
    if not names:
        return list(triggers)
    wanted = [f"{name}/" for name in names]
    return [one for one in triggers if any(f"{one.wanted.name}/".startswith(name) for name in wanted)]


def unknown(triggers: Sequence[WatchedTrigger], names: Iterable[str]) -> list[str]:
    """Names that name none of the triggers."""
    return [name for name in names if not chosen(triggers, [name])]


def _watched(trigger: Trigger, name: str) -> WatchedTrigger:
    wanted = Wanted(
        name,
        trigger.query,
        trigger.server_address,
        trigger.ignore_null_values,
        trigger.tenant,
        trigger.query_parameters,
    )
    scaling = Scaling(trigger.threshold, trigger.lead_time_seconds, trigger.query)
    return WatchedTrigger(wanted, scaling, Owner(trigger.namespace, trigger.name, trigger.short_key))
