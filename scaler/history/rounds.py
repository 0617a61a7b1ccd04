"""One look at the demand of many triggers: who is asked alone, who together, and who is tried.

Only queries of one namespace share a request, and only those that are trusted (known.py). Others are asked alone; what
was answered well is then asked together, too, and trusted if both answers are alike. Nobody's number comes from such a
trial. Whatever is odd about an answer to several queries makes them be asked alone, at once.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from scaler.errors import AmbiguousDemand, DependencyError, SourceUnavailable
from scaler.history.answers import (
    BadQuery,
    Element,
    Malformed,
    NotAsked,
    Partial,
    ServerAnswer,
    TooLarge,
    TooSlow,
    assigned,
    demand,
    elements,
)
from scaler.history.arriving import Put
from scaler.history.connection import Asker, Pairs, Server
from scaler.history.known import KnownQueries
from scaler.history.queries import MOST_QUERIES, TAG, joined, packed, tagged
from scaler.http.body import off_loop
from scaler.trigger import Trigger

Observed: TypeAlias = float | DependencyError
_Request: TypeAlias = tuple[list[int], bool]
"""positions of triggers, and whether each is asked alone and all together then are tried"""
_Comparable: TypeAlias = tuple[tuple[str, list[tuple[str, str]]], ...]

FEWEST_JOINED = 2
"""queries of one namespace that are worth a request of their own"""
AT_A_TIME = 500
"""triggers sorted into requests before the event loop may answer a call"""
FEW = 2
"""up to this number of slow requests in a round, a query is blamed and not the server"""
MOST_SPLITS = 300
"""requests split in one round; a bad query costs six, and a server that refuses everything is not stormed"""
MOST_PARTIAL_SPLITS = 8
"""requests with a partial answer that are split in one round: enough to find one query; an outage of a store is not
multiplied"""
MOST_MALFORMED = 20
"""requests with an answer of another shape whose queries are asked alone in the same round; more wait for the next"""
MOST_CONFIRMED = 300
"""queries asked alone in one round because a joint answer suddenly held nothing for them"""


class Round:
    """One observe() of the triggers that share server, namespace, parameters and time limit.

    What cannot begin before `until` (time of the event loop) is not asked.
    """

    def __init__(
        self,
        server: Server,
        known: KnownQueries,
        namespace: str,
        parameters: Pairs,
        seconds: float,
        at: float,
        until: float,
    ) -> None:
        self._server = server
        self._known = known
        self._namespace = namespace
        self._parameters = parameters
        self._seconds = seconds
        self._at = at
        self._until = until
        self._alone: dict[str, _Comparable] = {}
        """by query: the values of an answer that may be compared"""
        self._slow: list[list[Trigger]] = []
        self._failed = self._splits = self._partial_splits = self._malformed = self._confirmed = 0

    async def observe(self, triggers: Sequence[Trigger], put: Put) -> None:
        """Put demand or error of each, request by request."""

        async def answer(positions: list[int]) -> None:
            members = [triggers[i] for i in positions]
            try:
                answers = await self._ask(members)
            except Exception as error:  # noqa: BLE001  logged by Failures; the other requests go on
                answers = _each(self._server.unexpected(error), members)
            put(list(zip(positions, map(_bare, answers), strict=True)))

        async def answer_and_try(positions: list[int]) -> None:
            await asyncio.gather(*(answer([i]) for i in positions))
            await self._try([triggers[i].query for i in positions])

        async with asyncio.TaskGroup() as requests:
            for positions, is_trial in await self._requests(triggers):
                requests.create_task(answer_and_try(positions) if is_trial else answer(positions))
                await asyncio.sleep(0)
        self._learn()

    # Who is asked with whom

    async def _requests(self, triggers: Sequence[Trigger]) -> list[_Request]:
        joinable = []
        for position, trigger in enumerate(triggers):
            if position % AT_A_TIME == 0:
                await asyncio.sleep(0)
            self._known.meet(trigger.query, self._at)
            if self._may_join(trigger.query):
                joinable.append(position)
        if len(joinable) < FEWEST_JOINED:
            joinable = []
        alone = set(range(len(triggers))).difference(joinable)
        trusted = [i for i in joinable if self._known.is_trusted(triggers[i].query)]
        tried = set(joinable).difference(trusted)
        requests: list[_Request] = [([i], False) for i in sorted(alone)]
        requests += [(group, False) for group in self._packed(trusted, triggers)]
        requests += [(group, True) for group in self._packed(sorted(tried), triggers)]
        return requests

    def _may_join(self, query: str) -> bool:
        return self._known.is_trusted(query) or self._known.may_be_tried(query, self._at)

    def _packed(self, members: Sequence[int], triggers: Sequence[Trigger]) -> Iterable[list[int]]:
        queries = [triggers[i].query for i in members]
        groups = packed(queries, self._known.most_together, self._server.most_bytes)
        return ([members[k] for k in group] for group in groups)

    # Together

    async def _ask(self, triggers: list[Trigger]) -> list[Observed]:
        if len(triggers) == 1:
            return [await self._ask_alone(triggers[0])]
        try:
            return await self._ask_together(triggers)
        except (BadQuery, TooLarge):
            return await self._ask_halves(triggers)
        except Malformed as error:
            self._distrust(triggers)
            return await self._ask_each(triggers, error)
        except Partial as error:
            if self._partial_splits >= MOST_PARTIAL_SPLITS:
                return _each(error, triggers)
            self._partial_splits += 1
            return await self._ask_both_halves(triggers)
        except TooSlow as error:
            self._slow.append(triggers)
            return _each(error, triggers)
        except DependencyError as error:
            return _each(error, triggers)

    async def _ask_together(self, triggers: list[Trigger]) -> list[Observed]:
        found = await self._joint([trigger.query for trigger in triggers])
        pairs = list(zip(found, triggers, strict=True))
        answers = [_demand_or_error(one, trigger, self._at) for one, trigger in pairs]
        doubtful = [i for i, (one, trigger) in enumerate(pairs) if self._is_doubtful(one, trigger)]
        confirmed = await asyncio.gather(*(self._confirm(triggers[i]) for i in doubtful))
        for i, answer in zip(doubtful, confirmed, strict=True):
            answers[i] = answer
        return answers

    async def _joint(self, queries: Sequence[str]) -> list[list[Element]]:
        """The elements of each query, from one request. Raises Malformed for an answer that is no proper one."""
        tags = [str(number) for number in range(len(queries))]
        answer = await self._instant(joined(map(tagged, queries, tags)), queries)
        try:
            found = await off_loop(answer.size, _elements_of_several, answer)
            return list(assigned(found, TAG, tags).values())
        except AmbiguousDemand as error:
            raise Malformed(str(error)) from None

    def _is_doubtful(self, found: list[Element], trigger: Trigger) -> bool:
        """A joint answer without anything for a trigger is no 0 before its query alone has returned nothing, too."""
        if found:
            self._known.note_answer(trigger.query, empty=False)
        return not found and trigger.ignore_null_values and not self._known.is_empty(trigger.query)

    async def _confirm(self, trigger: Trigger) -> Observed:
        self._confirmed += 1
        if self._confirmed > MOST_CONFIRMED:
            return SourceUnavailable("nothing was returned for it together with others; it is asked alone next")
        return await self._ask_alone(trigger)

    async def _ask_halves(self, triggers: list[Trigger]) -> list[Observed]:
        """Ask again by halves until the failing query is alone; where none fails, the request was too long."""
        self._splits += 1
        if self._splits > MOST_SPLITS:
            return _each(SourceUnavailable("asked together with queries that the server refuses"), triggers)
        failed_before = self._failed
        answers = await self._ask_both_halves(triggers)
        if self._failed == failed_before:
            self._known.most_together = max(1, min(self._known.most_together, len(triggers) // 2))
        return answers

    async def _ask_both_halves(self, triggers: list[Trigger]) -> list[Observed]:
        half = len(triggers) // 2
        left, right = await asyncio.gather(self._ask(triggers[:half]), self._ask(triggers[half:]))
        return left + right

    async def _ask_each(self, triggers: list[Trigger], error: DependencyError) -> list[Observed]:
        self._malformed += 1
        if self._malformed > MOST_MALFORMED:
            return _each(error, triggers)
        return list(await asyncio.gather(*map(self._ask_alone, triggers)))

    # Alone

    async def _ask_alone(self, trigger: Trigger) -> Observed:
        try:
            answer = await self._instant(trigger.query, [trigger.query])
            found = await off_loop(answer.size, elements, answer)
        except (BadQuery, TooLarge, TooSlow, Partial, AmbiguousDemand) as error:
            self._failed += 1
            self._distrust([trigger])
            return error
        except DependencyError as error:
            return error
        if answer.kind == "vector" and len(found) <= 1:
            self._known.note_answer(trigger.query, empty=not found)
            self._alone[trigger.query] = _comparable(found)
        else:
            self._distrust([trigger])
        return _demand_or_error(found, trigger, self._at)

    async def _instant(self, query: str, members: Sequence[str]) -> ServerAnswer:
        asker = Asker(self._namespace, members, self._until)
        return await self._server.instant(query, self._at, self._parameters, self._seconds, asker)

    # Trials

    async def _try(self, queries: Iterable[str]) -> None:
        """Ask together, for the same moment, what has just been answered alone, and properly."""
        answered = list(dict.fromkeys(query for query in queries if query in self._alone))
        try:
            if answered:
                await self._alike(answered)
        except Exception as error:  # noqa: BLE001  logged by Failures; nobody's number depends on a trial
            self._server.unexpected(error)

    async def _alike(self, queries: list[str]) -> bool:
        """Whether they are answered together as alone; trusted if so. Halves find the ones that are not.

        Where each half is alike and both together are not, one of them disturbs another: none is trusted.
        """
        try:
            found = await self._joint(queries)
            alike = [_comparable(one) for one in found] == [self._alone[query] for query in queries]
        except (BadQuery, TooLarge, Malformed):
            alike = False
        except DependencyError:
            return self._postpone(queries)
        if alike:
            for query in queries:
                self._known.trust(query, self._at)
            return True
        if len(queries) > 1 and not await self._halves_alike(queries):
            return False
        for query in queries:
            self._known.unlike(query, self._at)
        return False

    async def _halves_alike(self, queries: list[str]) -> bool:
        self._splits += 1
        if self._splits > MOST_SPLITS:
            return self._postpone(queries)
        half = len(queries) // 2
        return all(await asyncio.gather(self._alike(queries[:half]), self._alike(queries[half:])))

    def _postpone(self, queries: Iterable[str]) -> bool:
        for query in queries:
            self._known.distrust(query, self._at)
        return False

    # Afterwards

    def _distrust(self, triggers: Iterable[Trigger]) -> None:
        for query in {trigger.query for trigger in triggers}:
            self._known.distrust(query, self._at)

    def _learn(self) -> None:
        """Prepare the next round: suspects are asked alone, and more queries together where nothing was split.

        Suspects are all members of a request that was too slow, unless the server itself is slow.
        """
        if 0 < len(self._slow) <= FEW:
            self._distrust(trigger for triggers in self._slow for trigger in triggers)
        if not self._splits:
            self._known.most_together = min(MOST_QUERIES, self._known.most_together + 1)


def _elements_of_several(answer: ServerAnswer) -> list[Element]:
    if answer.kind != "vector":
        raise Malformed(f"the server's answer to several queries is a {answer.kind}, not a vector")
    return elements(answer)


def _comparable(found: Iterable[Element]) -> _Comparable:
    """To compare two answers with: NaN equals NaN, and a name that a function drops does not count."""
    return tuple((repr(one.value), sorted(one.without_label("__name__").labels.items())) for one in found)


def _demand_or_error(found: list[Element], trigger: Trigger, at: float) -> Observed:
    try:
        return demand(found, trigger, at)
    except DependencyError as error:
        return error


def _bare(answer: Observed) -> Observed:
    """An error without its traceback, whose frames lead back to it: only a full collection of garbage frees those."""
    return answer.with_traceback(None) if isinstance(answer, DependencyError) else answer


def _each(error: DependencyError, triggers: Iterable[Trigger]) -> list[Observed]:
    """An error of its own for each: one instance raised again and again would collect tracebacks."""
    plain = (
        SourceUnavailable if isinstance(error, SourceUnavailable) and not isinstance(error, NotAsked) else type(error)
    )
    return [plain(str(error)) for _ in triggers]
