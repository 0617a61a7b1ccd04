"""PrometheusSource against servers that answer rubbish, errors, slowly or not at all."""

import asyncio
import json
import math
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs

import httpx
import pytest
import trustme
from structlog.testing import capture_logs

from scaler.errors import AmbiguousDemand, NoDemand, SettingsError, SourceRefused, SourceUnavailable
from scaler.history import observe_all
from scaler.history.connection import Limits
from scaler.history.credentials import ServerAccess, access_for
from scaler.history.prometheus import PrometheusSource
from scaler.history.queries import TAG
from scaler.trigger import Trigger

AT = 1_700_000_000.0
TRIGGER = Trigger("shop", "web", "up", 10.0, "http://prometheus:9090", key="a")
QUICK = Limits(observe_seconds=5, attempts=2, open_seconds=60)


def vector(*values: float) -> dict[str, object]:
    """A successful instant answer; each value with the tag of its position."""
    result = [{"metric": {TAG: str(tag)}, "value": [AT, str(value)]} for tag, value in enumerate(values)]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def together(query: str) -> list[tuple[str, str]]:
    """The queries in a joint one, with their tags; of another, itself without a tag."""
    return re.findall(rf'label_replace\(\((.*?)\n\), "{TAG}", "(\d+)"', query) or [(query, "")]


def numbered(
    query: str, number: Callable[[str], float] = lambda one: float(re.sub(r"\D", "", one) or 0), at: float = AT
) -> dict[str, object]:
    """What a sound server answers to a query alone or to several: the number in the text of each."""
    result = [{"metric": {TAG: tag} if tag else {}, "value": [at, str(number(one))]} for one, tag in together(query)]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def answering(*responses: httpx.Response | Exception, seen: list[httpx.Request] | None = None) -> httpx.MockTransport:
    """Answers the requests in turn, and the last response for ever."""
    left = list(responses)

    def handle(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request)
        response = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(response, Exception):
            raise response
        return httpx.Response(response.status_code, headers=response.headers, content=response.content)

    return httpx.MockTransport(handle)


async def observe(*responses: httpx.Response | Exception, trigger: Trigger = TRIGGER) -> object:
    source = PrometheusSource(limits=QUICK, transport=answering(*responses))
    (answer,) = await observe_all(source, [trigger], AT)
    await source.close()
    return answer


@pytest.mark.parametrize(
    ("response", "kind", "words"),
    [
        (httpx.Response(200, text="<html><body>Please log in " + 100 * "x"), SourceUnavailable, "<html><body>Please"),
        (httpx.Response(200, content=b"\xff\xfe\x00"), SourceUnavailable, "not with Prometheus's JSON"),
        (httpx.Response(200, json=[1, 2]), SourceUnavailable, "not with Prometheus's JSON"),
        (httpx.Response(200, json={"status": "success"}), SourceUnavailable, "another shape"),
        (httpx.Response(200, text='{"status": "suc'), SourceUnavailable, "not with Prometheus's JSON"),
        (httpx.Response(401, text="Unauthorized"), SourceRefused, "HTTP 401: Unauthorized"),
        (httpx.Response(404, text="404 page not found"), SourceRefused, "HTTP 404"),
        (httpx.Response(302, headers={"location": "http://else"}), SourceRefused, "redirect"),
        (httpx.Response(502, text="<h1>Bad gateway</h1>"), SourceUnavailable, "HTTP 502: <h1>Bad gateway"),
        (httpx.Response(429, text="slow down"), SourceUnavailable, "slow down"),
        (httpx.Response(422, json={"status": "error", "error": "too many samples"}), SourceRefused, "too many samples"),
        (
            httpx.Response(503, json={"status": "error", "errorType": "timeout", "error": "query timed out in x"}),
            SourceUnavailable,
            "query timed out in x",
        ),
        (httpx.ConnectError("All connection attempts failed"), SourceUnavailable, "no connection"),
        (httpx.RemoteProtocolError("Server disconnected"), SourceUnavailable, "closed before the answer"),
        (
            httpx.Response(200, json={"status": "success", "data": {"resultType": "vector", "result": "x"}}),
            SourceUnavailable,
            "another shape",
        ),
        (
            httpx.Response(200, json={"status": "success", "data": {"resultType": "vector", "result": [{}]}}),
            SourceUnavailable,
            "another shape",
        ),
        (
            httpx.Response(
                200, json={"status": "success", "data": {"resultType": "vector", "result": [{"histogram": [1, {}]}]}}
            ),
            AmbiguousDemand,
            "native histogram",
        ),
        (httpx.Response(200, text="[" * 60_000), SourceUnavailable, "not with Prometheus's JSON"),
        (httpx.DecodingError("incorrect header check"), SourceUnavailable, "cannot be decompressed"),
        (
            httpx.Response(200, text=json.dumps(vector(1)).replace('"1"', "1" + 400 * "0")),
            SourceUnavailable,
            "another shape",
        ),
        (httpx.Response(400, text='{"status": "error", "error": "bad \\ud800"}'), SourceRefused, r"bad \?"),
        (httpx.Response(200, json=vector()), NoDemand, "unknown, not 0"),
        (httpx.Response(200, json=vector(1, 2, 3)), AmbiguousDemand, r"3 series, .*, …; it must return one"),
    ],
)
async def test_answers_are_told_apart(response: httpx.Response, kind: type[Exception], words: str) -> None:
    """Each says whose fault it is in the server's own words, and never at length."""
    answer = await observe(response)
    assert isinstance(answer, kind)
    assert re.search(words, str(answer))
    assert len(str(answer)) < 250


PARTIAL = {"warnings": ["store-1:10901: rpc error: code = Unavailable desc = connection refused"]}


@pytest.mark.parametrize(
    "remarks",
    [
        PARTIAL,
        {"isPartial": True},
        {"warnings": ["PromQL info: metric might not be a counter", "No StoreAPIs matched for this query"]},
        {"warnings": "1 of 3 replicas answered"},
    ],
)
async def test_a_partial_answer_is_unknown_not_low(remarks: dict[str, object]) -> None:
    """A store that did not answer makes the sum too low: no observation, and no history."""
    partial = httpx.Response(200, json={**vector(1), **remarks})
    answer = await observe(partial)
    assert isinstance(answer, SourceUnavailable)
    assert "may be partial" in str(answer)
    source = PrometheusSource(limits=QUICK, transport=answering(partial))
    with pytest.raises(SourceUnavailable, match="may be partial"):
        await source.samples(TRIGGER, AT - 600, AT, 60)
    await source.close()


@pytest.mark.parametrize(
    "remarks",
    [
        {"infos": ["PromQL info: metric might not be a counter, name does not end in _total"]},
        {"warnings": ["PromQL warning: quantile value should be between 0 and 1, got 1.5"]},
        {"warnings": None, "infos": None, "isPartial": False},
        {"warnings": []},
    ],
)
async def test_remarks_on_the_query_leave_the_answer_whole(remarks: dict[str, object]) -> None:
    """Annotations are about the query's text: the data is complete."""
    assert await observe(httpx.Response(200, json={**vector(7), **remarks})) == 7.0


async def test_null_is_an_empty_answer() -> None:
    """Go writes an empty list as null."""
    answer = await observe(httpx.Response(200, json=_document("vector", None)))
    assert isinstance(answer, NoDemand)
    assert answer.__traceback__ is None  # it would hold the round's frames, which hold the answer
    source = PrometheusSource(limits=QUICK, transport=answering(httpx.Response(200, json=_document("matrix", None))))
    assert not len((await source.samples(TRIGGER, AT - 600, AT, 60)).times)
    await source.close()


def _document(kind: str, result: object) -> dict[str, object]:
    return {"status": "success", "data": {"resultType": kind, "result": result}}


@pytest.mark.parametrize(
    "document",
    [
        {"status": "success", "data": None},
        {"status": "success", "data": {"resultType": "vector"}},
        *(_document("vector", result) for result in ("", 0, False, {}, [None])),
        *(_document(kind, []) for kind in ("", "table", "Vector")),
    ],
)
async def test_what_is_no_vector_is_not_an_empty_one(document: dict[str, object]) -> None:
    """Nothing is 0 only where the server has said that there is nothing."""
    for ignores in (False, True):
        answer = await observe(httpx.Response(200, json=document), trigger=replace(TRIGGER, ignore_null_values=ignores))
        assert isinstance(answer, SourceUnavailable)


@pytest.mark.parametrize("kind", ["vector", "scalar", "string", ""])
async def test_history_is_a_matrix(kind: str) -> None:
    """Whatever else comes for a range is an error, not an empty history."""
    source = PrometheusSource(limits=QUICK, transport=answering(httpx.Response(200, json=_document(kind, []))))
    for asked in (source.samples, source.blocks):
        with pytest.raises(SourceUnavailable):
            await asked(replace(TRIGGER, ignore_null_values=True), AT - 3600, AT, 900)
    await source.close()


async def test_null_labels_and_values_are_empty_ones() -> None:
    """A series without labels, and one without samples."""
    one = {"metric": None, "value": [AT, "3"]}
    document = {"status": "success", "data": {"resultType": "vector", "result": [one]}}
    assert await observe(httpx.Response(200, json=document)) == 3.0
    document = {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": None, "values": None}]}}
    source = PrometheusSource(limits=QUICK, transport=answering(httpx.Response(200, json=document)))
    assert not len((await source.samples(TRIGGER, AT - 600, AT, 60)).times)
    await source.close()


async def test_a_histogram_beside_null_values_is_still_one() -> None:
    """A null float list is no reason to read a histogram as nothing."""
    one = {"metric": {}, "values": None, "histograms": [[AT, {}]]}
    document = {"status": "success", "data": {"resultType": "matrix", "result": [one]}}
    source = PrometheusSource(limits=QUICK, transport=answering(httpx.Response(200, json=document)))
    with pytest.raises(AmbiguousDemand, match="histogram"):
        await source.samples(TRIGGER, AT - 600, AT, 60)
    await source.close()


async def test_a_time_before_all_stores_is_empty() -> None:
    """Thanos warns there; a workload younger than its history window is no outage."""
    nothing = {"status": "success", "data": {"resultType": "matrix", "result": []}}
    answer = httpx.Response(200, json={**nothing, "warnings": 2 * ["No StoreAPIs matched for this query"]})
    source = PrometheusSource(limits=QUICK, transport=answering(answer))
    samples = await source.samples(TRIGGER, AT - 600, AT, 60)
    assert (len(samples.times), samples.gaps) == (0, ())
    await source.close()


@pytest.mark.parametrize("away", [-301.0, 301.0, 1e300, -math.inf])
async def test_an_answer_for_another_time_is_not_fresh(away: float) -> None:
    """A cache may keep an answer; what it gives is no observation of the moment that was asked for."""
    found = {"metric": {}, "value": [AT + away, "5"]}
    answer = await observe(httpx.Response(200, content=json.dumps(_document("vector", [found]))))
    assert isinstance(answer, SourceUnavailable)
    assert "maxStaleness is 300 s" in str(answer)


@pytest.mark.parametrize("moment", [AT - 299, AT + 299, str(AT), None, "now"])
async def test_an_answer_may_be_for_a_moment_nearby(moment: object) -> None:
    """Servers may round the moment, or give none that can be read."""
    found = {"metric": {}, "value": [moment, "5"]}
    assert await observe(httpx.Response(200, json=_document("vector", [found]))) == 5


async def test_a_query_with_a_partial_answer_does_not_disturb_the_others() -> None:
    """It is found by halves and asked alone; where all answers are partial the server is not stormed."""
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        form = parse_qs(request.content.decode())
        query, at = form["query"][0], float(form["time"][0])
        asked.append(query)
        warnings = ["store-1 is away"] if spoiled in query else []
        return httpx.Response(200, json={**numbered(query, at=at), "warnings": warnings})

    source = PrometheusSource(limits=QUICK, transport=httpx.MockTransport(handle))
    triggers = [replace(TRIGGER, query=f"app_{i}_") for i in range(50)]
    spoiled = "none"
    await observe_all(source, triggers, AT)
    spoiled = "app_17_"
    for _ in range(2):
        asked.clear()
        answers = await observe_all(source, triggers, AT)
        assert [i for i, answer in enumerate(answers) if isinstance(answer, SourceUnavailable)] == [17]
    assert len(asked) == 2
    spoiled = "app_"
    for _ in range(10):
        asked.clear()
        assert all("may be partial" in str(answer) for answer in await observe_all(source, triggers, AT))
        assert len(asked) < 70
    assert source.reachable(TRIGGER), "a server that answers is asked on"
    spoiled = "none"
    for later in (3600, 3615):
        asked.clear()
        assert not any(
            isinstance(answer, SourceUnavailable) for answer in await observe_all(source, triggers, AT + later)
        )
    assert len(asked) < 5


async def test_zeros_are_not_put_into_a_gap() -> None:
    """Where null values count as 0, minutes that the server could not answer do not."""

    def handle(request: httpx.Request) -> httpx.Response:
        form = dict(httpx.QueryParams(request.content.decode()))
        first, last = float(form["start"]), float(form["end"])
        if first <= AT - 300 <= last:
            return httpx.Response(422, json={"status": "error", "errorType": "execution", "error": "duplicates"})
        values = [[at, "5"] for at in (AT - 600, AT) if first <= at <= last]
        result = [{"metric": {}, "values": values}] if values else []
        return httpx.Response(200, json={"status": "success", "data": {"resultType": "matrix", "result": result}})

    source = PrometheusSource(limits=QUICK, transport=httpx.MockTransport(handle))
    samples = await source.samples(replace(TRIGGER, ignore_null_values=True), AT - 600, AT, 60)
    assert [gap.first for gap in samples.gaps] == [AT - 300]
    assert AT - 300 not in samples.times
    assert samples.values.tolist() == [5.0, *[0.0] * 8, 5.0]
    await source.close()


async def test_a_short_trouble_is_tried_again() -> None:
    """A lost connection and a 503 in passing are not noticed."""
    busy = httpx.Response(503, text="busy")
    assert await observe(busy, httpx.Response(200, json=vector(5))) == 5.0
    assert await observe(httpx.ReadError("reset"), httpx.Response(200, json=vector(5))) == 5.0


async def test_tries_are_not_logged_one_by_one() -> None:
    """The refresh tells of an outage once; a line per try would bury it."""
    with capture_logs() as logged:
        assert isinstance(await observe(httpx.ReadError("reset")), SourceUnavailable)
    assert logged == []


async def test_a_wrong_query_is_asked_once() -> None:
    """Asking again would not help."""
    seen: list[httpx.Request] = []
    refused = httpx.Response(400, json={"status": "error", "error": "parse error"})
    source = PrometheusSource(transport=answering(refused, seen=seen))
    await observe_all(source, [TRIGGER], AT)
    assert len(seen) == 1


async def test_an_endless_answer_is_not_read() -> None:
    """Reading stops at the limit, and the text says why."""
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 10_000
            yield b" " * 10_000

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=endless()))
    [answer] = await observe_all(PrometheusSource(transport=transport), [TRIGGER], AT)
    assert isinstance(answer, SourceRefused)
    assert "larger than 64 KiB" in str(answer)
    assert read <= 80_000


async def test_an_answer_in_tiny_pieces_is_no_fault_of_the_query() -> None:
    """No aggregation would make them larger."""

    async def tiny() -> AsyncIterator[bytes]:
        while True:
            yield b" "

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=tiny()))
    [answer] = await observe_all(PrometheusSource(transport=transport), [TRIGGER], AT)
    assert isinstance(answer, SourceRefused)
    assert "pieces" in str(answer)
    assert "sum()" not in str(answer)


async def test_a_range_may_be_longer_than_a_number() -> None:
    """A backfill reads what would be far too much for one number, and no more than its own limit."""
    samples = [[AT + 60 * n, "1234.5678"] for n in range(10_000)]
    document = {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "values": samples}]}}
    source = PrometheusSource(transport=answering(httpx.Response(200, json=document)))
    assert len((await source.samples(TRIGGER, AT, AT + 599_940, 60)).values) == 10_000


async def test_what_the_trigger_adds_goes_into_the_url() -> None:
    """`namespace` and queryParameters as in KEDA's prometheus scaler; the query goes as a form, with its moment."""
    seen: list[httpx.Request] = []
    source = PrometheusSource(transport=answering(httpx.Response(200, json=vector(1)), seen=seen))
    await observe_all(source, [replace(TRIGGER, tenant="team-a", query_parameters=(("dedup", "true"),))], AT)
    assert str(seen[0].url) == "http://prometheus:9090/api/v1/query?namespace=team-a&dedup=true"
    form = parse_qs(seen[0].content.decode())
    assert form == {"query": ["up"], "time": ["1700000000.000"], "timeout": ["4500ms"]}


async def test_triggers_with_other_parameters_do_not_share_a_request() -> None:
    """A tenant's parameters never reach another tenant's query."""
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=numbered(parse_qs(request.content.decode())["query"][0]))

    source = PrometheusSource(transport=httpx.MockTransport(handle))
    triggers = [replace(TRIGGER, query=f"app_{i}", tenant=tenant) for i, tenant in enumerate(("a", "a", "b", "b", ""))]
    for _ in range(2):
        seen.clear()
        assert await observe_all(source, triggers, AT) == [*range(5)]
    assert sorted(request.url.params.get("namespace", "") for request in seen) == ["", "a", "b"]


async def test_credentials_are_the_operators_and_never_in_a_text(tmp_path: Path) -> None:
    """Chosen by the server's address, read again when the file changes, absent from errors and representations."""
    token = tmp_path / "token"
    token.write_text("first-secret\n")
    access = ServerAccess(
        "http://prom*:9090", bearer_token_file=token, tenant="ops", headers=(("X-Key", "header-secret"),)
    )
    seen: list[httpx.Request] = []
    source = PrometheusSource([access], transport=answering(httpx.Response(401, text="no"), seen=seen))
    (error,) = await observe_all(source, [TRIGGER], AT)
    token.write_text("second-secret-longer\n")
    await observe_all(source, [TRIGGER], AT)
    await observe_all(source, [replace(TRIGGER, server_address="http://elsewhere:9090")], AT)
    assert [r.headers.get("authorization") for r in seen] == [
        "Bearer first-secret",
        "Bearer second-secret-longer",
        None,
    ]
    assert seen[0].headers["x-scope-orgid"] == "ops"
    assert seen[0].headers["x-key"] == "header-secret"
    assert "secret" not in f"{error!r} {access!r}"
    token.unlink()
    (unread,) = await observe_all(PrometheusSource([access], transport=answering(httpx.Response(200))), [TRIGGER], AT)
    assert isinstance(unread, SourceUnavailable)
    assert "No such file" in str(unread)


async def test_basic_authentication_and_get(tmp_path: Path) -> None:
    """User and password from a file; GET for proxies that allow nothing else."""
    password = tmp_path / "password"
    password.write_text("pw")
    access = ServerAccess("*", username="me", password_file=password, method="GET")
    seen: list[httpx.Request] = []
    source = PrometheusSource([access], transport=answering(httpx.Response(200, json=vector(1)), seen=seen))
    assert await observe_all(source, [TRIGGER], AT) == [1.0]
    assert seen[0].headers["authorization"] == "Basic bWU6cHc="
    assert seen[0].method == "GET"
    assert seen[0].url.params["query"] == "up"


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"pattern": "prometheus:9090"}, "http://HOST"),
        ({"pattern": "*", "username": "me"}, "go together"),
        ({"pattern": "*", "key_file": Path("key")}, "needs certificate_file"),
        ({"pattern": "*", "method": "PUT"}, "POST or GET"),
    ],
)
def test_impossible_access_is_refused(fields: dict[str, object], rule: str) -> None:
    """At start, naming the pattern and the rule."""
    with pytest.raises(SettingsError, match=rule):
        ServerAccess(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "address", ["http://prometheus@evil:9090", "http://evil/http://prometheus:9090", "http://prometheus.evil:9090"]
)
def test_credentials_stay_away_from_lookalikes(address: str) -> None:
    """An address that only looks like the operator's server gets none."""
    mine = ServerAccess("http://prom*:9090", tenant="ops")
    assert access_for(address, [mine]).tenant == ""


async def test_a_batch_that_is_too_much_becomes_smaller() -> None:
    """Where no query is at fault, requests shrink to what the server takes."""
    sizes: list[int] = []

    def handle(request: httpx.Request) -> httpx.Response:
        query = parse_qs(request.content.decode())["query"][0]
        sizes.append(len(together(query)))
        if sizes[-1] > most:
            return httpx.Response(422, json={"status": "error", "error": "too many samples"})
        return httpx.Response(200, json=numbered(query))

    source = PrometheusSource(transport=httpx.MockTransport(handle))
    triggers = [replace(TRIGGER, query=f"app_{i}") for i in range(40)]
    most = 100
    assert await observe_all(source, triggers, AT) == [*range(40)]
    most = 10
    assert await observe_all(source, triggers, AT) == [*range(40)]
    sizes.clear()
    assert await observe_all(source, triggers, AT) == [*range(40)]
    assert max(sizes) <= 10
    assert len(sizes) == 4


@asynccontextmanager
async def server(answer: Callable[[str], Awaitable[bytes | None]]) -> AsyncIterator[str]:
    """The address of a real HTTP server; `answer` gets the query and gives the body, or None to hang up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(re.search(rb"content-length: (\d+)", head.lower())[1])  # type: ignore[index]
                body = await answer(parse_qs((await reader.readexactly(length)).decode())["query"][0])
                if body is None:
                    break
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()


async def test_slow_queries_disturb_their_neighbours_once() -> None:
    """They are asked alone from then on, and after pauses; as the server answers others, its circuit stays closed."""

    slow = False

    async def answer(query: str) -> bytes:
        if slow and "slow" in query:
            await asyncio.sleep(30)
        return json.dumps(numbered(query)).encode()

    async with server(answer) as address:
        source = PrometheusSource(limits=replace(QUICK, observe_seconds=2.5, failures_to_open=2))
        triggers = [replace(TRIGGER, query=q, server_address=address) for q in ("a", "b", "slow1", "slow2", "slow3")]
        await observe_all(source, triggers, AT)
        slow = True
        first = await observe_all(source, triggers, AT)
        assert all(isinstance(answer, SourceUnavailable) for answer in first)
        for words in ("within 2.5 s", "did not answer this query in time; it is asked again in"):
            a, b, *slow = await observe_all(source, triggers, AT)
            assert not any(isinstance(answer, Exception) for answer in (a, b))
            assert all(words in str(answer) for answer in slow)
        assert source.reachable(triggers[0])
        await source.close()


async def test_a_server_that_hangs_up_opens_its_circuit_alone() -> None:
    """After a few failures in a row it is left alone, while another server is asked as ever."""

    async def hang_up(_: str) -> None:
        return None

    async def answer(query: str) -> bytes:
        return json.dumps(vector(*range(max(1, query.count(TAG))))).encode()

    async with server(hang_up) as broken, server(answer) as sound:
        source = PrometheusSource(limits=QUICK)
        here, there = (replace(TRIGGER, server_address=address) for address in (broken, sound))
        for _ in range(5):
            failed, fine = await observe_all(source, [here, there], AT)
            assert isinstance(failed, SourceUnavailable)
            assert fine == 0.0
        assert not source.reachable(here)
        assert source.reachable(there)
        await source.close()


async def test_backfills_do_not_hold_up_observing() -> None:
    """Range queries take at most half of a server's places."""
    release = asyncio.Event()

    async def answer(query: str) -> bytes:
        if "long" in query:
            await release.wait()
        return json.dumps(vector(1)).encode()

    async with server(answer) as address:
        source = PrometheusSource(limits=replace(QUICK, concurrency=4))
        trigger = replace(TRIGGER, server_address=address)
        backfills = [
            asyncio.create_task(source.samples(replace(trigger, query="long"), AT, AT + 60, 60)) for _ in range(20)
        ]
        await asyncio.sleep(0.05)
        assert await observe_all(source, [trigger], AT) == [1.0]
        release.set()
        await asyncio.gather(*backfills, return_exceptions=True)
        await source.close()


async def test_a_server_that_refuses_everything_is_not_stormed() -> None:
    """Splitting stops at a limit, and nobody is shown the text about another's query."""
    seen: list[httpx.Request] = []
    refusal = {"status": "error", "error": "parse error in somebody's secret query"}
    refuses = False

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        query = parse_qs(request.content.decode())["query"][0]
        return httpx.Response(400, json=refusal) if refuses else httpx.Response(200, json=numbered(query))

    source = PrometheusSource(transport=httpx.MockTransport(handle))
    triggers = [replace(TRIGGER, query=f"app_{i}") for i in range(5000)]
    await observe_all(source, triggers, AT)
    refuses = True
    seen.clear()
    answers = await observe_all(source, triggers, AT)
    assert len(seen) < 1000
    apart = [str(answer) for answer in answers if isinstance(answer, SourceUnavailable)]
    assert len(apart) > 3000
    assert not any("secret" in text for text in apart)


async def test_certificates_are_shown_and_replaced_without_a_restart(tmp_path: Path) -> None:
    """mTLS with an authority of the operator's; a half-written pair leaves the last good one."""
    authority = trustme.CA()
    shown: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        shown.append(writer.get_extra_info("peercert")["subjectAltName"][0][1])
        body = json.dumps(vector(1)).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(context)
    certificate, key, ca = (tmp_path / name for name in ("tls.crt", "tls.key", "ca.crt"))
    authority.cert_pem.write_to_path(ca)

    def write(name: str) -> None:
        pair = authority.issue_cert(name)
        pair.cert_chain_pems[0].write_to_path(certificate)
        pair.private_key_pem.write_to_path(key)

    write("first")
    listening = await asyncio.start_server(serve, "localhost", 0, ssl=context)
    address = f"https://localhost:{listening.sockets[0].getsockname()[1]}"
    trigger = replace(TRIGGER, server_address=address)
    source = PrometheusSource([ServerAccess("*", certificate_file=certificate, key_file=key, ca_file=ca)], QUICK)
    assert await observe_all(source, [trigger], AT) == [1.0]
    write("second")
    assert await observe_all(source, [trigger], AT) == [1.0]
    authority.issue_cert("third").cert_chain_pems[0].write_to_path(certificate)
    assert await observe_all(source, [trigger], AT) == [1.0]
    assert shown == ["first", "second", "second"]
    (untrusted,) = await observe_all(PrometheusSource((), QUICK), [trigger], AT)
    assert "its certificate is not trusted" in str(untrusted)
    listening.close()


async def test_a_server_that_never_answers_opens_its_circuit() -> None:
    """Nobody was answered meanwhile, so it is not the query that is slow."""

    async def hang(_: str) -> bytes:
        await asyncio.sleep(30)
        return b""

    async with server(hang) as address:
        source = PrometheusSource(limits=replace(QUICK, observe_seconds=0.1, failures_to_open=2))
        trigger = replace(TRIGGER, server_address=address)
        for _ in range(2):
            assert source.reachable(trigger)
            await observe_all(source, [trigger], AT)
        assert not source.reachable(trigger)
        await source.close()
