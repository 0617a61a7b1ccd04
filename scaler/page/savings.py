"""The page of savings: what all workloads were worth together, and each of them, a page at a time."""

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final

from starlette.requests import Request

from scaler.errors import Fault
from scaler.page.asking import Refused, with_query
from scaler.page.bounded import BoundedReads
from scaler.savings import DAY_HOURS, HOUR_SECONDS, SavedDay, SavingsAsked
from scaler.status.exposition import Turn
from scaler.status.parameters import unknown, unprintable
from scaler.status.reads import ReadSavings
from scaler.status.savings import savings_record
from scaler.status.shown import Shown
from scaler.telemetry.redaction import excerpt
from scaler.words.compared import LEVEL, Compared, compared
from scaler.words.savings import NOTHING_COUNTED, rows
from scaler.words.verdict import verdict_of

DAYS: Final = (7, 30, 90, 365)
ROWS = 50
"""ScaledObjects on a page, and in one read for the sums"""
LARGEST_PRICE = 1e9


@dataclass(frozen=True, slots=True)
class PageAsked:
    """price: of a replica-hour, None where none is given. after: NAMESPACE and NAME that the page before ended with."""

    days: int
    price: float | None
    after: tuple[str, str]

    def savings(self, now: float, after: tuple[str, str]) -> SavingsAsked:
        last = int(now // HOUR_SECONDS) + 1
        return SavingsAsked((last - self.days * DAY_HOURS, last), ROWS, after)


def page_asked(query: Mapping[str, str], faults: list[Fault]) -> PageAsked:
    """What the parameters ask for; what is wrong with them is added to `faults`. An empty one counts as absent."""
    faults += unknown(query, ("days", "price", "after")) + unprintable(query)
    given = {name: value.strip() for name, value in query.items() if value.strip()}
    days = given.get("days", str(DAYS[0]))
    if days not in map(str, DAYS):
        faults.append(Fault("days", excerpt(days), f"must be one of {', '.join(map(str, DAYS))}"))
        days = str(DAYS[0])
    first, slash, second = given.get("after", "/").partition("/")
    if not slash:
        faults.append(Fault("after", excerpt(first), "must be NAMESPACE/NAME"))
    return PageAsked(int(days), _price(given.get("price", ""), faults), (first, second))


def _price(text: str, faults: list[Fault]) -> float | None:
    if not text:
        return None
    if re.fullmatch(r"[0-9]{1,12}([.][0-9]{0,12})?|[.][0-9]{1,12}", text) and float(text) <= LARGEST_PRICE:
        return float(text)
    faults.append(Fault("price", excerpt(text), f"must be a number from 0 to {LARGEST_PRICE:g}"))
    return None


class SavingsView:
    """Sums over all workloads change once an hour: they are read again when the hour is over."""

    def __init__(self) -> None:
        self._sums: dict[int, tuple[int, Sequence[SavedDay]]] = {}

    async def __call__(self, shown: Shown, request: Request) -> Mapping[str, Any]:
        """One page of workloads, and the sums over all of them."""
        faults: list[Fault] = []
        asked = page_asked(request.query_params, faults)
        if faults:
            raise Refused(faults)
        now, turn, ask = shown.now(), shown.turn_of(request), BoundedReads()
        page = await ask(shown.reads.savings, asked.savings(now, asked.after))
        found = [await _compared(list(days), turn) for days in _by_workload(page.found or ())]
        owners = list(dict.fromkeys((one.namespace, one.name) for one in found))
        is_whole = len(owners) < ROWS and asked.after == ("", "")
        sums = _summed(page.found or ()) if is_whole else await self._of_all(shown, asked, ask, turn)
        query = dict(request.query_params)
        return {
            "asked": asked,
            "days": [(days, f"{days} days") for days in DAYS],
            "notice": page.notice,
            "nothing": NOTHING_COUNTED,
            "level": LEVEL,
            "all": [_table(await _compared(list(days), turn), asked.price) for days in _by_workload(sums or ())],
            "all_notice": "" if sums is not None else "sums over this many workloads take longer than a page may",
            "rows": [{"of": one, "verdict": verdict_of(one)} for one in found],
            "next": "/".join(owners[-1]) if len(owners) == ROWS else "",
            "is_first": asked.after == ("", ""),
            "link": lambda **changed: with_query(query, **changed),
        }

    async def _of_all(self, shown: Shown, asked: PageAsked, ask: BoundedReads, turn: Turn) -> Sequence[SavedDay] | None:
        """The sums by mode and day; None where they take too long, or cannot be read."""
        hour, sums = self._sums.get(asked.days, (0, ()))
        if hour == int(shown.now() // HOUR_SECONDS):
            return sums
        read = shown.reads.savings
        answer = await ask(None if read is None else _reading(read, shown.now(), turn), asked)
        if answer.found is not None:
            self._sums[asked.days] = int(shown.now() // HOUR_SECONDS), answer.found
        return answer.found


def _reading(read: ReadSavings, now: float, turn: Turn) -> Callable[[PageAsked], Any]:
    async def of_all(asked: PageAsked) -> Sequence[SavedDay]:
        """Page after page, each in a transaction of its own."""
        sums: Sequence[SavedDay] = ()
        after = ("", "")
        while True:
            await turn()
            page = await read(asked.savings(now, after))
            sums = _summed([*sums, *page])
            if len({(one.namespace, one.name) for one in page}) < ROWS:
                return sums
            after = page[-1].namespace, page[-1].name

    return of_all


def _by_workload(days: Sequence[SavedDay]) -> Iterator[Iterator[SavedDay]]:
    for _, group in groupby(days, key=lambda one: (one.namespace, one.name, one.mode)):
        yield group


def _summed(days: Sequence[SavedDay]) -> Sequence[SavedDay]:
    """The sums of all workloads for each mode and day, without a name, in this order."""
    sums: dict[tuple[str, int], SavedDay] = {}
    for one in days:
        so_far = sums.get((one.mode, one.day))
        added = one.sums if so_far is None else so_far.sums.plus(one.sums)
        # of the workload that is known longest: workloads times time would be no time
        known = max(one.sums.known_seconds, so_far.sums.known_seconds if so_far else 0.0)
        sums[one.mode, one.day] = replace(one, namespace="", name="", sums=replace(added, known_seconds=known))
    return [sums[key] for key in sorted(sums)]


async def _compared(days: Sequence[SavedDay], turn: Turn) -> Compared:
    await turn()
    return await asyncio.to_thread(compared, savings_record(days))  # its intervals take milliseconds


def _table(found: Compared, price: float | None) -> Mapping[str, Any]:
    return {"of": found, "sentence": verdict_of(found).sentence, "rows": list(rows(found, price))}
