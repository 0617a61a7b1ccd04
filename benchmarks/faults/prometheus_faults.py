"""What a Prometheus, or what stands before it, can answer. Every fault has a server of its own and all run at once; a
further trigger reads a healthy server meanwhile."""

import gzip
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from scaler.commands.check.keda_client import OurTrigger
from scaler.history.queries import TAG
from tests.servers.front import ENDLESS, Asked, Front, Instead, Rule, front
from tests.servers.redis import redis_server

from .record import Injection, Row, Watch, fill
from .suite import Run
from .wire import Mode, Wire
from .world import Group, replicas, settled, triggers

FAMILY = "Prometheus"
LONG_SECONDS, SHORT_SECONDS = 30.0, 4.0
REPLICAS = 2
PAUSE_SECONDS = 0.8
"""between the calls for one of more than a hundred triggers"""
PACKED = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
Change = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Case:
    """One way to misbehave: a rule of a front, or a mode of a wire."""

    name: str
    rule: Rule | None = None
    mode: Mode = Mode.PASS
    changed: Change | None = None
    """a change of the upstream's own JSON"""
    nulls: bool = False
    """also watch a trigger with ignoreNullValues, whose answer must not become 0"""


def _says(body: bytes, status: int = 200, after: float = 0.0, **headers: str) -> Rule:
    given = {"Content-Type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
    return lambda _: Instead(body, status, given, after)


def _gives(instead: Instead) -> Rule:
    return lambda _: instead


def _json(data: object, **more: object) -> bytes:
    return json.dumps({"status": "success", "data": data, **more}).encode()


def _vector(count: int, value: str = "1") -> bytes:
    now = time.time()
    return _json(
        {
            "resultType": "vector",
            "result": [{"metric": {"pod": f"pod-{n}"}, "value": [now, value]} for n in range(count)],
        }
    )


@cache
def bomb() -> bytes:
    """300 MB of JSON as a third of a megabyte of gzip; takes a second or two to make."""
    return gzip.compress(b'{"status":"success","data":{"x":"' + b"0" * (300 << 20) + b'"}}', 6)


def _untagged(asked: Asked) -> Instead | None:
    """A number that belongs to none of the members; a query that is asked alone gets its own answer."""
    body = _json({"resultType": "vector", "result": [{"metric": {}, "value": [time.time(), "5"]}]})
    return Instead(body) if TAG in asked.query else None


def _bombs(_: Asked) -> Instead:
    return Instead(bomb(), headers=PACKED)


def _each_value(change: Callable[[list[Any]], list[Any]], document: dict[str, Any]) -> None:
    for one in document.get("data", {}).get("result", []):
        if "value" in one:
            one["value"] = change(one["value"])
        if "values" in one:
            one["values"] = [change(pair) for pair in one["values"]]


def _shifted(seconds: float) -> Change:
    return partial(_each_value, lambda pair: [pair[0] + seconds, pair[1]])


def _unlabelled(document: dict[str, Any]) -> None:
    for one in document.get("data", {}).get("result", []):
        one["metric"] = {}


def _partial(document: dict[str, Any]) -> None:
    """Half of the demand, with the warning of a store that did not answer."""
    _each_value(lambda pair: [pair[0], str(float(pair[1]) / 2)], document)
    document["warnings"] = ["No StoreAPIs matched for this query: partial response"]


def _as_scalar(document: dict[str, Any]) -> None:
    found = document.get("data", {})
    if found.get("resultType") == "vector" and found["result"]:
        document["data"] = {"resultType": "scalar", "result": found["result"][0]["value"]}


def _twice(document: dict[str, Any]) -> None:
    found = document.get("data", {})
    found["result"] = [{**one, "metric": {**one["metric"], "pod": n}} for one in found.get("result", []) for n in "ab"]


def cases() -> list[Case]:
    element = {"metric": {}, "value": [time.time(), "5"]}
    return [
        Case("down: connections refused", mode=Mode.REFUSE),
        Case("connections reset", mode=Mode.RESET),
        Case("hanging", mode=Mode.HOLD),
        Case("answers cut in the middle", mode=Mode.CUT),
        Case("answers trickle, 100 bytes a second", mode=Mode.TRICKLE),
        Case("slow: 2 s", rule=lambda _: Instead(after_seconds=2.0)),
        Case("slow: 6 s, beyond the timeout", rule=lambda _: Instead(after_seconds=6.0)),
        Case("empty: no elements", _says(_json({"resultType": "vector", "result": []}))),
        Case("an empty body", _says(b""), nulls=True),
        Case("HTML with status 200", _says(b"<html>log in</html>", Content_Type="text/html"), nulls=True),
        Case("JSON of another shape", _says(b'{"value": 0}'), nulls=True),
        Case("a list for an object", _says(b"[]"), nulls=True),
        Case("null data", _says(_json(None)), nulls=True),
        Case("null value", _says(_json({"resultType": "vector", "result": [{"metric": {}, "value": [0, None]}]}))),
        Case("NaN", _says(_json({"resultType": "vector", "result": [{"metric": {}, "value": [0, "NaN"]}]}))),
        Case("infinite", _says(_json({"resultType": "vector", "result": [{"metric": {}, "value": [0, "+Inf"]}]}))),
        Case("negative", _says(_json({"resultType": "vector", "result": [{"metric": {}, "value": [0, "-5"]}]}))),
        Case("an unknown kind of 200 kB", _says(_json({"resultType": "v" * 200_000, "result": [element]})), nulls=True),
        Case("deeply nested JSON", _says(b"[" * 100_000 + b"]" * 100_000), nulls=True),
        Case("one element without labels for a joined query", _untagged, nulls=True),
        Case("labels dropped", changed=_unlabelled, nulls=True),
        Case("a scalar for a vector", changed=_as_scalar, nulls=True),
        Case("every element twice", changed=_twice, nulls=True),
        Case("partial: half the demand, with a warning", changed=_partial, nulls=True),
        Case("sample times 10 min behind", changed=_shifted(-600)),
        Case("sample times 10 min ahead", changed=_shifted(600)),
        Case("large: 70,000 elements", _says(_vector(70_000)), nulls=True),
        Case("gzip bomb: 300 MB", _bombs, nulls=True),
        Case("wrong gzip", _says(b"no gzip", Content_Encoding="gzip"), nulls=True),
        Case("status 400", _says(b'{"status":"error","errorType":"bad_data","error":"bad"}', 400), nulls=True),
        Case("status 401", _says(b"", 401), nulls=True),
        Case("status 404", _says(b"not found", 404), nulls=True),
        Case("status 422", _says(b'{"status":"error","errorType":"execution","error":"too many"}', 422), nulls=True),
        Case("status 429", _says(b"", 429, Retry_After="3600"), nulls=True),
        Case("status 500", _says(b"x" * 1_000_000, 500), nulls=True),
        Case("status 503", _says(b"", 503), nulls=True),
        Case("redirect to another server", _says(b"", 302, Location="http://127.0.0.1:9/"), nulls=True),
        *(Case(name, _gives(one), nulls=True) for name, one in ENDLESS.items()),
        Case("redirect in a circle", _says(b"", 302, Location="/api/v1/query"), nulls=True),
    ]


QUICK = ("down", "hanging", "empty: no", "labels dropped", "partial", "gzip bomb", "sample times 10 min behind")


class Server:
    """The server of one case: a wire or a front before the real one."""

    def __init__(self, case: Case, upstream: str, stack: ExitStack) -> None:
        self.case = case
        self._front: Front | None = None
        if case.mode is not Mode.PASS:
            self._wire = stack.enter_context(Wire(int(upstream.rpartition(":")[2])).running())
            self.url = f"http://127.0.0.1:{self._wire.port}"
        else:
            self._front = stack.enter_context(front(upstream))
            self.url = self._front.url

    @contextmanager
    def broken(self) -> Iterator[None]:
        if self._front is None:
            with self._wire.broken(self.case.mode):
                yield
            return
        rule = self.case.rule or partial(_changed, self._front, self.case.changed)
        self._front.rules.append(rule)
        try:
            yield
        finally:
            self._front.rules.remove(rule)


def _changed(state: Front, change: Change | None, asked: Asked) -> Instead:
    found = state.client.get(state.upstream + asked.path, params=dict(asked.parameters))
    document = found.json()
    if change is not None:
        change(document)
    return Instead(json.dumps(document).encode(), found.status_code)


def run_family(run: Run) -> None:
    """All cases at the same time, each with its own server and triggers."""
    chosen = [case for case in cases() if not run.quick or case.name.startswith(QUICK)]
    folder = run.place("prometheus-faults")
    bomb()
    with ExitStack() as stack:
        servers = [Server(case, run.prometheus.url, stack) for case in chosen]
        redis = stack.enter_context(redis_server())
        allowed = [option for one in servers for option in ("--allow-server-address", one.url)]
        options = ("--prometheus", run.prometheus.url, "--redis", redis.url, *allowed)
        group = stack.enter_context(replicas(folder, REPLICAS, *options))
        wanted = {server.case.name: _wanted(server, number) for number, server in enumerate(servers)}
        healthy = triggers(run.prometheus.url, "healthy")
        group.until_forecast([*healthy, *(one for each in wanted.values() for one in each[:2])])
        watches = {name: stack.enter_context(group.watched(each, pause=PAUSE_SECONDS)) for name, each in wanted.items()}
        beside = stack.enter_context(group.watched(healthy))
        _inject(run, servers, watches, beside, group)


def _wanted(server: Server, number: int) -> list[OurTrigger]:
    own = triggers(server.url, f"case-{number}")
    if server.case.nulls:
        own += triggers(server.url, f"case-{number}-nulls", ignoreNullValues="true")[:1]
    return own


def _inject(
    run: Run, servers: Sequence[Server], watches: Mapping[str, list[Watch]], beside: list[Watch], group: Group
) -> None:
    settled([*beside, *(one for each in watches.values() for one in each)], REPLICAS)
    injections = []
    for number in range(run.times(4, 2)):
        start = time.time()
        with ExitStack() as faults:
            for server in servers:
                broken: AbstractContextManager[None] = server.broken()
                faults.enter_context(broken)
            time.sleep(LONG_SECONDS if number == 0 else SHORT_SECONDS)
        injections.append(Injection(start, time.time()))
        time.sleep(run.random.uniform(2, 4))
    settled([one for each in watches.values() for one in each], REPLICAS, 40)
    until = time.time()
    for server in servers:
        row = Row(FAMILY, server.case.name, len(injections))
        run.add(fill(row, watches[server.case.name], injections, until))
    note = f"a trigger on a healthy server while {len(servers)} others failed at once"
    run.add(fill(Row(FAMILY, "all of the above, elsewhere", 0, note=note), beside, injections, until))
