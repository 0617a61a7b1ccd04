"""Pulling recorded demand: against a real Prometheus, and against servers that fail as no real one does on demand."""

import asyncio
import errno
import math
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs

import httpx
import numpy as np
import pandas as pd
import pytest

from scaler.history.traces import read_traces
from scaler.registry import Registry
from scaler.series import HistoryFacts
from scaler.status.routes import StatusRoutes
from scaler.status.shown import Shown
from scaler.telemetry.metrics import Telemetry
from scaler.trigger import TriggerRules
from tests.servers.prometheus import PrometheusServer, Recorded, prometheus
from training.data.load import load
from training.data.pull import NotWritten, Pulled, Wanted, pull, watched
from training.errors import DataError

MIDNIGHT = 1_700_006_400.0
"""2023-11-15T00:00:00Z"""
DAY = 86400.0
SPAN = {"since": MIDNIGHT - 3 * DAY, "until": MIDNIGHT}


def wave(moment: float) -> float:
    """What `wave` was at a moment: different in every minute."""
    return round(100 + 50 * math.sin(2 * math.pi * moment / DAY) + (moment // 60) % 7, 3)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    minutes = [MIDNIGHT - 60.0 * back for back in range(3 * 1440, -1, -1)]
    recording = [
        Recorded("wave", [(t, wave(t)) for t in minutes], {"job": "shop"}),
        Recorded("young", [(t, wave(t)) for t in minutes[-600:] if not 100 <= (MIDNIGHT - t) / 60 < 130]),
        *(Recorded("apps", [(t, 1.0) for t in minutes], {"app": app}) for app in "ab"),
        Recorded("replaced", [(t, wave(t)) for t in minutes[:-2000]], {"pod": "old"}),
        Recorded("replaced", [(t, wave(t)) for t in minutes[-2002:]], {"pod": "new"}),
    ]
    with prometheus(tmp_path_factory.mktemp("prometheus"), recording) as running:
        yield running


@pytest.mark.server
def test_everything_from_a_real_server(server, tmp_path) -> None:
    """Good series arrive whole, on the bins that their samples close; each bad one is named, and disturbs nobody."""
    told: list[tuple[str, float]] = []
    found = pull(
        triggers=[
            ("shop/wave", "sum(wave)"),
            ("shop/broken", "sum(wave"),
            ("shop/young", "sum(young)"),
            ("shop/several", "apps"),
            Wanted("shop/nothing", "sum(unheard_of)"),
        ],
        server=server.url,
        target=tmp_path / "shop.parquet",
        unit="req/s",
        progress=lambda doing, share: told.append((doing, share)),
        **SPAN,
    )
    refused = {one.name: one.rule for one in found.refused}
    assert found.series == ("shop/wave", "shop/young")
    assert set(refused) == {"shop/broken", "shop/several", "shop/nothing"}
    assert "parse error" in refused["shop/broken"]
    assert "returned 2 series" in refused["shop/several"]
    assert refused["shop/nothing"] == "the query returned no demand (a finite value from 0 on) in the whole span"
    assert [share for _, share in told] == sorted(share for _, share in told)
    assert told[-1][1] == pytest.approx(1)
    whole, young = load([found.path]).series
    assert (whole.system, whole.unit, whole.start, whole.end) == ("shop", "req/s", MIDNIGHT - 3 * DAY, MIDNIGHT)
    np.testing.assert_allclose(whole.values, [wave(moment + 60) for moment in whole.times], rtol=1e-6)
    assert young.end == MIDNIGHT
    assert len(young.values) == 600
    # Prometheus looks back five minutes for the last sample, version 3 a moment less
    assert np.isnan(young.values).sum() in (30 - 5, 30 - 4)


@pytest.mark.server
def test_the_file_is_a_recording_for_the_scaler_as_well(server, tmp_path) -> None:
    """What was pulled can be replayed: the scaler's own reader finds the same series, gaps included."""
    target = tmp_path / "shop.parquet"
    pull(triggers=[("young", "sum(young)")], server=server.url, target=target, step_seconds=300, **SPAN)
    (ours,) = load([target]).series
    theirs = read_traces(target)["young"]
    assert (theirs.start, theirs.step_seconds) == (ours.start, 300)
    np.testing.assert_array_equal(theirs.values, ours.values)


@pytest.mark.server
@pytest.mark.parametrize(("query", "reason"), [("replaced", "2 series"), ("replaced * on() wave", "multiple matches")])
def test_moments_with_two_series_are_a_gap(server, tmp_path, query, reason) -> None:
    """A pod was replaced a day ago: the minutes of the overlap have no value and are named; all others arrive."""
    found = pull(triggers=[("shop/web", query)], server=server.url, target=tmp_path / "shop.parquet", **SPAN)
    assert (found.series, found.refused) == (("shop/web",), ())
    (one,) = load([found.path]).series
    assert len(one.values) == 3 * 1440
    assert 5 <= np.isnan(one.values).sum() <= 8
    (note,) = found.notes
    assert note.startswith("shop/web: 13 Nov 2023 14:39 to 14:4")
    assert reason in note


class Prometheus:
    """Answers range queries; `fail` may answer otherwise. Keeps what it was asked for."""

    def __init__(self, fail: Callable[[str, int], httpx.Response | None] = lambda query, count: None) -> None:
        self.asked: list[tuple[str, float, float]] = []
        self.parameters: list[dict[str, str]] = []
        self._fail = fail

    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        first, last, step = (float(form[name]) for name in ("start", "end", "step"))
        self.asked.append((form["query"], first, last))
        self.parameters.append(dict(request.url.params))
        if failure := self._fail(form["query"], len(self.asked)):
            return failure
        values = [[moment, str(wave(moment))] for moment in np.arange(first, last + 1, step).tolist()]
        result = [{"metric": {}, "values": values}]
        return httpx.Response(200, json={"status": "success", "data": {"resultType": "matrix", "result": result}})


def pulled(one: Prometheus, target: Path, *names: str | Wanted, **told) -> Pulled:
    arguments = {"patience_seconds": 1.0, "at_once": 1, **SPAN, **told}
    triggers = [(name, f"sum({name})") if isinstance(name, str) else name for name in names]
    return pull(triggers=triggers, server="http://p:9090", target=target, transport=one.transport(), **arguments)


def test_a_pull_is_asked_for_in_days(tmp_path) -> None:
    """A request for each series and day, from midnight to midnight however the span begins and ends."""
    asking = Prometheus()
    pulled(asking, tmp_path / "a.parquet", "a", since=MIDNIGHT - DAY - 90, until=MIDNIGHT + 150)
    spans = [(first - MIDNIGHT, last - MIDNIGHT) for _, first, last in asking.asked]
    assert spans == [(-DAY, -DAY), (-DAY + 60, 0), (60, 120)]
    assert not (tmp_path / ".a.parquet.parts").exists()


def test_an_interrupted_pull_goes_on_where_it_stopped(tmp_path) -> None:
    """After Ctrl-C nothing half-written lies about; the rerun asks for the rest only, and the file is the same."""
    target = tmp_path / "shop.parquet"
    asking = Prometheus()

    def interrupt(doing: str, share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pulled(asking, target, "a", "b", progress=interrupt)
    before = len(asking.asked)
    assert [path.name for path in tmp_path.iterdir()] == [".shop.parquet.parts"]
    assert not list(tmp_path.rglob("*.tmp"))
    assert 3 <= before <= 5
    assert pulled(asking, target, "a", "b").series == ("a", "b")
    assert len(asking.asked) == 6
    assert len(set(asking.asked)) == 6
    pulled(Prometheus(), tmp_path / "whole.parquet", "a", "b")
    assert target.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shop.parquet", "whole.parquet"]


def test_a_failed_series_is_asked_again_by_the_next_pull(tmp_path) -> None:
    """One series fails: the others are in the file, the parts stay, and the rerun completes it without asking twice."""
    failing = Prometheus(lambda query, count: httpx.Response(422, json={"error": "no"}) if "b" in query else None)
    found = pulled(failing, tmp_path / "shop.parquet", "a", "b")
    assert found.series == ("a",)
    assert [str(one) for one in found.refused] == ["shop: series 'b': http://p:9090: no"]
    asking = Prometheus()
    assert pulled(asking, tmp_path / "shop.parquet", "a", "b").series == ("a", "b")
    assert {query for query, _, _ in asking.asked} == {"sum(b)"}


def test_a_server_that_stumbles_is_asked_again(tmp_path) -> None:
    """More failures in a row than one request repeats for are waited out."""
    stumbling = Prometheus(lambda query, count: httpx.Response(503, text="starting") if count <= 4 else None)
    assert pulled(stumbling, tmp_path / "a.parquet", "a", patience_seconds=60.0).refused == ()


def test_a_dead_server_is_given_up_once(tmp_path) -> None:
    """Nobody answers: every series says so after the patience for one, and the file of the last pull stays as it is."""
    target = tmp_path / "shop.parquet"
    pulled(Prometheus(), target, "a")
    before, dead = target.read_bytes(), Prometheus(lambda query, count: httpx.Response(503))
    found = pulled(dead, target, *"bcdefgh")
    assert {query for query, _, _ in dead.asked} == {"sum(b)"}
    assert (found.series, [one.name for one in found.refused]) == ((), list("bcdefgh"))
    assert all("HTTP 503" in one.rule for one in found.refused)
    assert target.read_bytes() == before


def test_tenant_and_parameters_are_sent(tmp_path) -> None:
    """As the scaler sends them; series that differ in nothing else are asked for apart."""
    asking = Prometheus()
    plain = Wanted("a", "sum(x)")
    of_tenant = Wanted("b", "sum(x)", tenant="blue", query_parameters=(("dedup", "false"),))
    assert pulled(asking, tmp_path / "x.parquet", plain, of_tenant, since=MIDNIGHT - DAY).series == ("a", "b")
    assert sorted(asking.parameters, key=len) == [{}, {"namespace": "blue", "dedup": "false"}]


def test_ignored_null_values_are_0(tmp_path) -> None:
    """From the first answer to the end of the span, over days without any answer; before it nobody knows."""

    def lost(query: str, count: int) -> httpx.Response | None:
        result = [{"metric": {}, "values": [[MIDNIGHT - 2 * DAY, "5"]]}] if count == 1 else []
        return httpx.Response(200, json={"status": "success", "data": {"resultType": "matrix", "result": result}})

    wanted = Wanted("a", "sum(x)", ignore_null_values=True)
    (one,) = load([pulled(Prometheus(lost), tmp_path / "a.parquet", wanted).path]).series
    assert (one.start, one.end) == (MIDNIGHT - 2 * DAY - 60, MIDNIGHT)
    assert (one.values[0], np.abs(one.values[1:]).max()) == (5, 0)


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """The system refuses to write what goes beyond so many bytes of any file."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("room", [10_000, 20_000], ids=["a part", "the file"])
def test_a_disk_that_takes_no_more(tmp_path, room) -> None:
    """A write that breaks off half-way leaves no draft, what arrived is kept, and the rerun completes it."""
    target, asking = tmp_path / "shop.parquet", Prometheus()
    with full_disk(room), pytest.raises(NotWritten, match=r"shop\.parquet: cannot be written: .*File too large"):
        pulled(asking, target, "a", "b")
    assert not target.exists()
    assert not list(tmp_path.rglob("*.tmp"))
    assert pulled(asking, target, "a", "b").series == ("a", "b")
    assert len(asking.asked) <= (8 if room == 10_000 else 6)
    pulled(Prometheus(), tmp_path / "whole.parquet", "a", "b")
    assert target.read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_a_full_disk(tmp_path, monkeypatch) -> None:
    """No room for a part, or for the file: an error that says so; the file of the last pull stays as it is."""
    target = tmp_path / "shop.parquet"
    pulled(Prometheus(), target, "a")
    before = target.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for place in ("training.data.pull.np.savez", "training.data.pull.pq.ParquetWriter"):
        with monkeypatch.context() as patch:
            patch.setattr(place, full)
            with pytest.raises(NotWritten, match=r"shop\.parquet: cannot be written: No space left on device"):
                pulled(Prometheus(), target, "a", until=MIDNIGHT - DAY)
        assert target.read_bytes() == before
        assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize(
    ("told", "rule"),
    [
        ({"triggers": []}, "triggers: there are none"),
        ({"triggers": [("a", "x"), ("a", "y")]}, "trigger 'a': each needs a name of its own"),
        ({"triggers": [("a", " ")]}, "trigger 'a': query is empty"),
        ({"server": ""}, "trigger 'a': server '': must start with http"),
        ({"server": "http://user:word@p"}, r"trigger 'a': server 'http://\*\*\*@p': must not carry a user"),
        ({"until": SPAN["since"] + 59}, "the span holds no whole step of 60 s"),
        ({"until": 1e11}, "lies in the future"),
        ({"step_seconds": 0}, "step_seconds=0: must be whole"),
    ],
)
def test_what_cannot_be_pulled(tmp_path, told, rule) -> None:
    """No or equal names, empty queries, impossible servers, spans, steps and places: told before anything is asked."""
    asking = Prometheus()
    right = {"triggers": [("a", "x")], "server": "http://p:9090", "target": tmp_path / "a.parquet", **SPAN}
    with pytest.raises(DataError, match=rule):
        pull(**{**right, **told}, transport=asking.transport())
    assert asking.asked == []


def test_a_place_that_cannot_be(tmp_path) -> None:
    """Told before anything is asked."""
    asking = Prometheus()
    with pytest.raises(NotWritten, match=r"/dev/null/shop\.parquet: cannot be written: Not a directory"):
        pulled(asking, Path("/dev/null/shop.parquet"), "a")
    assert asking.asked == []


def scaler_with(*triggers: tuple[str, str, str], server: str = "http://prometheus:9090") -> httpx.MockTransport:
    """The HTTP port of a scaler that watches (namespace, name, query) on that server, without a socket."""
    registry = Registry(TriggerRules(server, ("http://elsewhere",)), 15.0)
    for namespace, name, query in triggers:
        other = {"serverAddress": "http://elsewhere"} if namespace == "elsewhere" else {}
        registry.register(namespace, name, {"query": query, "threshold": "10", **other}, MIDNIGHT)
    facts = HistoryFacts("seasonal@1", MIDNIGHT, None, 600.0, 3600.0, 86400.0, is_backfilled=True)
    app = StatusRoutes(Shown(registry, Telemetry(), lambda: {}, lambda key: facts, lambda: MIDNIGHT)).app()

    async def ask(request: httpx.Request) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
            answer = await client.get(request.url)
        return httpx.Response(answer.status_code, content=answer.content)

    return httpx.MockTransport(lambda request: asyncio.run(ask(request)))


def test_all_that_a_scaler_watches() -> None:
    """Every trigger on every page, with its server; two of one ScaledObject have names of their own."""
    many = [("shop", f"web-{number:03d}", f"sum(web_{number})") for number in range(600)]
    scaler = scaler_with(*many, ("bank", "api", "sum(x)"), ("bank", "api", "sum(y)"))
    found, refused = watched("http://headway:8080/", transport=scaler)
    assert not refused
    assert {(one.name, one.query) for one in found[2:]} == {(f"{space}/{name}", query) for space, name, query in many}
    assert {one.query for one in found[:2]} == {"sum(x)", "sum(y)"}
    assert len({one.name for one in found}) == 602
    assert all(one.name.startswith("bank/api/") for one in found[:2])
    assert {one.server for one in found} == {"http://prometheus:9090"}


def test_a_server_that_the_scaler_hides() -> None:
    """Its triggers are named with what to give instead, the others are pulled; given whole, it is used."""
    server = "http://prometheus/token=abc123"
    scaler = scaler_with(("shop", "web", "x"), ("elsewhere", "api", "y"), server=server)
    for given in ("", "http://prometheus/token-of-another=def456"):
        found, refused = watched("http://headway:8080", given, scaler)
        assert [one.name for one in found] == ["elsewhere/api"]
        assert [str(one) for one in refused] == [
            "scaler: series 'shop/web': the scaler hides a part of its server's address, http://prometheus/token=***: "
            "give the whole of it as --prometheus URL"
        ]
    found, refused = watched("http://headway:8080", server, scaler)
    assert {one.name: one.server for one in found} == {"elsewhere/api": "http://elsewhere", "shop/web": server}
    assert not refused


def test_what_a_scaler_tells_of_its_queries() -> None:
    """How null values count, the tenant and the parameters are taken over; parameters that it hides are told."""
    record = {"namespace": "shop", "name": "web", "trigger": "1", "query": "x", "server": "http://p:9090"}
    more = {"ignore_null_values": True, "tenant": "blue", "query_parameters": [["dedup", "false"]]}
    hidden = {"name": "api", "query_parameters": [["extra", "token=***"]]}
    page = {"plans": [{**record, **more}, {**record, **hidden}], "next": None}
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=page))
    found, refused = watched("http://headway:8080", transport=transport)
    assert found == [Wanted("shop/web", "x", "http://p:9090", True, "blue", (("dedup", "false"),))]
    assert [one.name for one in refused] == ["shop/api"]
    assert "--triggers FILE.yaml" in refused[0].rule


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        (httpx.Response(404), "answers HTTP 404"),
        (httpx.Response(401), "answers HTTP 401: give the file of its read token as --scaler-token-file"),
        (httpx.Response(403), "answers HTTP 403: give a certificate that it trusts as --scaler-client-cert"),
        (httpx.Response(200, text="<html>"), "answers, but not as a scaler does"),
        (httpx.Response(200, json={"plans": [{}], "next": None}), "answers, but not as a scaler does"),
    ],
)
def test_a_port_that_is_no_scaler(answer, rule) -> None:
    """Another server at that address is named as such."""
    with pytest.raises(DataError, match=rule):
        watched("http://other:80", transport=httpx.MockTransport(lambda request: answer))


def test_a_scaler_with_a_read_token_gets_it_with_every_page() -> None:
    """The header is that of the HTTP port."""
    pages = [{"plans": [], "next": "shop/web"}, {"plans": [], "next": None}]
    brought = []

    def answer(request: httpx.Request) -> httpx.Response:
        brought.append(request.headers.get("Authorization"))
        return httpx.Response(200, json=pages[len(brought) - 1])

    watched("http://headway:8080", transport=httpx.MockTransport(answer), headers={"Authorization": "Bearer abc"})
    assert brought == ["Bearer abc"] * 2


def test_a_scaler_that_is_not_there() -> None:
    """A refused connection names the address."""
    with pytest.raises(DataError, match=r"scaler at http://127\.0\.0\.1:9: .*refused"):
        watched("http://127.0.0.1:9")


def test_pulled_gaps_are_rows_without_a_value(tmp_path) -> None:
    """A day that the server does not know is a day of rows without a value, and the series stays one."""

    def lost(query: str, count: int) -> httpx.Response | None:
        empty = {"status": "success", "data": {"resultType": "matrix", "result": []}}
        return httpx.Response(200, json=empty) if count == 2 else None

    found = pulled(Prometheus(lost), tmp_path / "a.parquet", "a")
    frame = pd.read_parquet(found.path)
    assert frame["value"].isna().sum() == 1440
    assert len(frame) == 3 * 1440
    assert list(frame.columns) == ["series", "timestamp", "value", "unit"]


def second_day(first: float, last: float) -> bool:
    return last > MIDNIGHT - 2 * DAY and first <= MIDNIGHT - DAY


REFUSALS = [
    httpx.Response(422, json={"status": "error", "errorType": "execution", "error": "found duplicate series"}),
    httpx.Response(503, json={"status": "error", "errorType": "timeout", "error": "query timed out"}),
    httpx.Response(500, text="corrupt block"),
    httpx.Response(
        200,
        json={
            "status": "success",
            "warnings": ["store-1 is away"],
            "data": {"resultType": "matrix", "result": [{"metric": {}, "values": [[MIDNIGHT - DAY, "1"]]}]},
        },
    ),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=["execution", "timeout", "500", "partial"])
@pytest.mark.parametrize("ignore", [False, True])
def test_a_day_that_the_server_cannot_give_is_a_gap(tmp_path, refusal, ignore) -> None:
    """The other days arrive; the gap has its reason and no value, also where null values are 0."""
    asking = Prometheus()
    asking._fail = lambda query, count: refusal if second_day(*asking.asked[-1][1:]) else None
    found = pulled(asking, tmp_path / "a.parquet", Wanted("a", "sum(x)", ignore_null_values=ignore))
    assert (found.series, found.refused) == (("a",), ())
    assert len(found.notes) == 1
    (one,) = load([found.path]).series
    assert (one.start, one.end) == (SPAN["since"], MIDNIGHT)
    assert np.isnan(one.values).sum() == 1440
    assert np.isnan(one.values[1440:2880]).all()


def test_a_rerun_reports_the_gaps_again_and_asks_for_those_that_may_close(tmp_path) -> None:
    """Another series keeps the parts: a lasting gap is not asked for again, that of an outage is."""
    broken = httpx.Response(401)

    def answers(asking: Prometheus, refusal: httpx.Response) -> Callable[[str, int], httpx.Response | None]:
        def fail(query: str, count: int) -> httpx.Response | None:
            first, last = asking.asked[-1][1:]
            if "broken" in query:
                return broken
            return refusal if first <= MIDNIGHT - 1.5 * DAY <= last else None

        return fail

    for refusal, more in ((REFUSALS[0], 0), (REFUSALS[1], 1)):
        asking, target = Prometheus(), tmp_path / f"{more}.parquet"
        asking._fail = answers(asking, refusal)
        first = pulled(asking, target, "a", "broken")
        asking.asked.clear()
        again = pulled(asking, target, "a", "broken")
        assert again.notes == first.notes
        assert len(first.notes) == 1
        assert any(query == "sum(a)" for query, _, _ in asking.asked) is bool(more)


@pytest.mark.parametrize("page", [{"plans": None, "next": None}, {"plans": [], "next": None}])
def test_a_scaler_that_watches_nothing(page) -> None:
    """Null is an empty list."""
    assert watched("http://headway:8080", transport=httpx.MockTransport(lambda _: httpx.Response(200, json=page))) == (
        [],
        [],
    )
