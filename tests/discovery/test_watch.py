"""Discovery against a stand-in for the Kubernetes API, over real HTTP."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
import trustme

from scaler.clock import SystemClock
from scaler.discovery import api as api_module
from scaler.discovery.api import MOST_EVENT_BYTES, ScopedApi, open_client
from scaler.discovery.known import KnownObjects
from scaler.discovery.place import ApiServer, api_server
from scaler.discovery.service import Discovery
from scaler.discovery.watch import Pauses, ScopeWatch
from scaler.registry import ListedBy, Registry
from scaler.settings import load_settings
from scaler.telemetry.metrics import Telemetry
from scaler.testing import ManualClock
from scaler.trigger import TriggerRules
from tests.servers.certificates import plain_certificates, verify_as_python_3_13
from tests.servers.kubernetes import KubernetesApi, kubernetes_api, scaled_object
from tests.servers.process import until_async

QUICK = Pauses(first=0.02, longest=0.1, denied=0.2)


@pytest.fixture
def api() -> Iterator[KubernetesApi]:
    with kubernetes_api() as running:
        yield running


class Watching:
    """One process that discovers, with a watch per scope."""

    def __init__(self, server: ApiServer, *scopes: str, pauses: Pauses = QUICK) -> None:
        self.registry = Registry(TriggerRules(allowed_servers=("*",)), 15.0)
        self.telemetry = Telemetry()
        self.known = KnownObjects(self.registry, self.telemetry, ())
        self.client = open_client(server)
        self.watches = [
            ScopeWatch(
                scope, ScopedApi(self.client, server.url, scope), self.known, SystemClock(), self.telemetry, pauses
            )
            for scope in scopes
        ]

    @property
    def names(self) -> set[str]:
        """What is listed now."""
        return {one.trigger.name for one in self.registry if one.listed_by is ListedBy.ANNOTATION}

    def up(self, scope: str) -> float | None:
        return self.telemetry.registry.get_sample_value("headway_discovery_up", {"scope": scope})


@asynccontextmanager
async def watching(url: str, *scopes: str, pauses: Pauses = QUICK, **files: Path) -> AsyncIterator[Watching]:
    it = Watching(ApiServer(url, files.get("token_file"), files.get("ca_file")), *(scopes or ("shop",)), pauses=pauses)
    tasks = [asyncio.create_task(watch.run()) for watch in it.watches]
    try:
        yield it
        assert not any(task.done() for task in tasks), "a watch has ended"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await it.client.close()


async def test_objects_come_change_and_go(api: KubernetesApi) -> None:
    """What is there at the start, and every later change, reaches the registry within moments."""
    api.put(scaled_object("web"))
    api.put(scaled_object("plain", annotations={}))
    async with watching(api.url) as it:
        await until_async(lambda: it.names == {"web"})
        api.put(scaled_object("api"))
        await until_async(lambda: it.names == {"web", "api"})
        api.put(scaled_object("web", threshold="7"))
        await until_async(lambda: [one.trigger.threshold for one in it.registry if one.listed_by] == [100.0, 7.0])
        api.put(scaled_object("api", annotations={}))
        await until_async(lambda: it.names == {"web"})
        api.delete("shop", "web")
        await until_async(lambda: not it.names)
        assert len(list(it.registry)) == 3, "nothing is forgotten before the next refresh"
        assert len(it.registry.forget_silent(0.0, 3600.0)) == 3


async def test_one_namespace_or_all(api: KubernetesApi) -> None:
    """A scope of one namespace sees no other; `*` sees all."""
    api.put(scaled_object("web"))
    api.put(scaled_object("blog", namespace="blog"))
    async with watching(api.url, "shop") as one, watching(api.url, "*") as all_of_them:
        await until_async(lambda: all_of_them.names == {"web", "blog"})
        await until_async(lambda: one.names == {"web"})
        api.put(scaled_object("blog2", namespace="blog"))
        await until_async(lambda: all_of_them.names == {"web", "blog", "blog2"})
        assert one.names == {"web"}


async def test_long_lists_come_in_pages(api: KubernetesApi) -> None:
    """`continue` is followed to the last page, and nothing is dropped before it."""
    api.page_size = 3
    for number in range(10):
        api.put(scaled_object(f"web{number}"))
    async with watching(api.url) as it:
        await until_async(lambda: len(it.names) == 10)
        assert [one.parameters.get("continue") for one in api.asked("list")] == [None, "3", "6", "9"]


async def test_a_list_that_expires_between_pages_begins_again(api: KubernetesApi) -> None:
    """410 for a `continue`: from the first page, at once."""
    api.page_size = 2
    api.expire_next_pages(1)
    for number in range(4):
        api.put(scaled_object(f"web{number}"))
    async with watching(api.url) as it:
        await until_async(lambda: len(it.names) == 4)
    assert [one.parameters.get("continue") for one in api.asked("list")] == [None, "2", None, "2"]


async def test_a_broken_watch_goes_on_where_it_was(api: KubernetesApi) -> None:
    """Without a second list, from the version of the last event; what happened meanwhile arrives."""
    async with watching(api.url) as it:
        await until_async(lambda: api.asked("watch"))
        api.put(scaled_object("web"))
        await until_async(lambda: it.names == {"web"})
        api.break_watches()
        api.put(scaled_object("api"))
        await until_async(lambda: it.names == {"web", "api"})
    assert len(api.asked("list")) == 1
    assert len(api.asked("watch")) == 2


async def test_a_bookmark_moves_the_version_on(api: KubernetesApi) -> None:
    """So that a watch after a quiet hour still has a version that the server knows."""
    async with watching(api.url) as it:
        await until_async(lambda: api.asked("watch"))
        version = api.bookmark()
        await until_async(lambda: it.watches[0]._version == str(version))
        api.break_watches()
        await until_async(lambda: len(api.asked("watch")) == 2)
    assert api.asked("watch")[1].parameters["resourceVersion"] == str(version)
    assert all(one.parameters["allowWatchBookmarks"] == "true" for one in api.asked("watch"))


@pytest.mark.parametrize("as_event", [False, True], ids=["as a status", "as an event"])
async def test_a_forgotten_version_lists_again_and_forgets_nothing(api: KubernetesApi, as_event: bool) -> None:
    """410 Gone: everything is listed again; what was deleted meanwhile goes, and all else stays throughout."""
    api.gone_as_event = as_event
    api.put(scaled_object("web"))
    api.put(scaled_object("old"))
    async with watching(api.url) as it:
        await until_async(lambda: it.names == {"web", "old"})
        [web] = [one for one in it.registry if one.trigger.name == "web"]
        api.stop()
        api.delete("shop", "old")
        api.put(scaled_object("new"))
        api.forget_past()
        assert it.names == {"web", "old"}
        api.start()
        await until_async(lambda: it.names == {"web", "new"})
        assert web.listed_by is ListedBy.ANNOTATION
        assert web in list(it.registry), "it was never registered anew"


async def test_an_outage_keeps_what_is_known(api: KubernetesApi) -> None:
    """Objects stay listed, `discovery_up` is 0, the log has the reason once; then it goes on."""
    api.put(scaled_object("web"))
    with structlog.testing.capture_logs() as logs:
        async with watching(api.url) as it:
            await until_async(lambda: it.up("shop") == 1.0)
            api.stop()
            await until_async(lambda: it.up("shop") == 0.0)
            await asyncio.sleep(0.5)
            assert it.names == {"web"}
            assert "refused" in it.watches[0].state.error
            api.start()
            api.put(scaled_object("api"))
            await until_async(lambda: it.names == {"web", "api"})
            assert it.up("shop") == 1.0
    events = [one["event"] for one in logs if one["event"].startswith("discovery_")]
    assert events == ["discovery_unavailable", "discovery_back"]


async def test_a_missing_permission_is_named_and_disturbs_no_other(api: KubernetesApi) -> None:
    """Verb, resource and namespace are named; other namespaces are watched; it is tried again slowly."""
    started = time.monotonic()
    api.denied = {("list", "shop"), ("watch", "mail")}
    for namespace in ("shop", "blog", "mail"):
        api.put(scaled_object("web", namespace=namespace))
    with structlog.testing.capture_logs() as logs:
        async with watching(api.url, "shop", "blog", "mail") as it:
            await until_async(lambda: it.up("blog") == 1.0 and len(api.asked("list")) >= 3)
            await until_async(lambda: len([one for one in logs if one["event"] == "discovery_unavailable"]) == 2)
            assert it.known.watched == 2, "what could be listed counts, though it cannot be watched"
            asked = len([one for one in api.requests if one.namespace == "shop"])
            assert asked <= 1 + (time.monotonic() - started) / (QUICK.denied / 2), "slowly, unlike other failures"
            api.denied = set()
            await until_async(lambda: it.known.watched == 3)
    texts = {one["scope"]: one["error"] for one in logs if one["event"] == "discovery_unavailable"}
    assert "may not list scaledobjects.keda.sh in namespace shop" in texts["shop"]
    assert "may not watch scaledobjects.keda.sh in namespace mail" in texts["mail"]
    assert "secret-of-the-server" not in str(texts)


async def test_a_cluster_without_keda(api: KubernetesApi) -> None:
    """404: KEDA is not installed."""
    api.failing = 404
    async with watching(api.url) as it:
        await until_async(lambda: "KEDA is not installed" in it.watches[0].state.error)
        api.failing = 0
        api.put(scaled_object("web"))
        await until_async(lambda: it.names == {"web"})


async def test_a_rotated_token_is_read_again(api: KubernetesApi, tmp_path: Path) -> None:
    """The kubelet replaces the file; the old token then gets 401."""
    file = tmp_path / "token"
    file.write_text("first\n")
    api.token = "first"
    api.put(scaled_object("web"))
    async with watching(api.url, token_file=file) as it:
        await until_async(lambda: it.names == {"web"} and api.asked("watch"))
        api.token = "second"
        api.break_watches()
        await until_async(lambda: any(one.status == 401 for one in api.requests))
        assert it.names == {"web"}
        file.write_text("second\n")
        api.put(scaled_object("api"))
        await until_async(lambda: it.names == {"web", "api"})
    assert {one.token for one in api.requests} == {"first", "second"}


async def test_tls_with_the_cluster_s_own_authority(tmp_path: Path) -> None:
    """The CA file is trusted, and no other authority."""
    authority, stranger = trustme.CA(), trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    good, bad = tmp_path / "ca.crt", tmp_path / "other.crt"
    authority.cert_pem.write_to_path(str(good))
    stranger.cert_pem.write_to_path(str(bad))
    with kubernetes_api(context) as api:
        api.put(scaled_object("web"))
        async with watching(api.url, ca_file=good) as it, watching(api.url, ca_file=bad) as wrong:
            await until_async(lambda: it.names == {"web"})
            await until_async(lambda: "not trusted" in wrong.watches[0].state.error)
            assert not wrong.names


async def test_certificates_of_a_cluster_may_be_plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.13 verifies strictly by default, and refuses what some clusters use."""
    verify_as_python_3_13(monkeypatch)
    ca_file, context = plain_certificates(tmp_path)
    with kubernetes_api(context) as api:
        api.put(scaled_object("web"))
        async with watching(api.url, ca_file=ca_file) as it:
            await until_async(lambda: it.names == {"web"})


UNREADABLE = {
    "no JSON": b"<html>\n",
    "no object": b"[1]\n",
    "no type": b'{"object": {}}\n',
    "no metadata": b'{"type": "ADDED", "object": {}}\n',
    "no version": b'{"type": "ADDED", "object": {"metadata": {}}}\n',
    "endless": b'{"type": "' + b"x" * (MOST_EVENT_BYTES + 1),
    "nested": b"[" * 100_000 + b"\n",
}


@pytest.mark.parametrize("line", UNREADABLE.values(), ids=UNREADABLE)
async def test_an_unreadable_event_lists_again(api: KubernetesApi, line: bytes) -> None:
    """An event may have been missed, so everything is listed; nothing that is known is dropped."""
    api.put(scaled_object("web"))
    async with watching(api.url) as it:
        await until_async(lambda: api.asked("watch") and it.names == {"web"})
        api.send(line)
        await until_async(lambda: len(api.asked("list")) == 2)
        api.put(scaled_object("api"))
        await until_async(lambda: it.names == {"web", "api"})


async def test_an_event_in_pieces_and_blank_lines(api: KubernetesApi) -> None:
    """Lines may arrive slowly, in pieces, and with nothing between them."""
    async with watching(api.url) as it:
        await until_async(lambda: api.asked("watch"))
        scaled = scaled_object("web")
        scaled["metadata"]["resourceVersion"] = "900"
        text = b"\n" + json.dumps({"type": "ADDED", "object": scaled}).encode() + b"\n\n"
        for start in range(0, len(text), 100):
            api.send(text[start : start + 100])
            await asyncio.sleep(0.02)
        await until_async(lambda: it.names == {"web"})
    assert len(api.asked("list")) == 1


async def test_an_unknown_kind_of_event_is_passed_over(api: KubernetesApi) -> None:
    async with watching(api.url) as it:
        await until_async(lambda: api.asked("watch"))
        api.send(b'{"type": "NEW_IN_2030", "object": {"metadata": {"resourceVersion": "900"}}}\n')
        api.put(scaled_object("web"))
        await until_async(lambda: it.names == {"web"})


async def test_a_server_that_fails_is_asked_less_and_less(api: KubernetesApi) -> None:
    """500 again and again: the pauses grow, so half a second sees a handful of requests."""
    api.failing = 500
    async with watching(api.url) as it:
        await asyncio.sleep(1.0)
        assert 2 <= len(api.requests) <= 30
        assert it.watches[0].state.error == (
            "the Kubernetes API answered HTTP 500: scaledobjects.keda.sh: secret-of-the-server 500"
        )


async def test_a_server_that_hangs_is_given_up(api: KubernetesApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page has an end, however slowly it comes."""
    monkeypatch.setattr(api_module, "PAGE_SECONDS", 0.2)
    api.hangs = True
    async with watching(api.url) as it:
        await until_async(lambda: "a page took longer than 0.2 s" in it.watches[0].state.error)
        api.hangs = False
        api.put(scaled_object("web"))
        await until_async(lambda: it.names == {"web"})


@pytest.mark.parametrize("tried", [False, True])
async def test_readiness_waits_for_the_first_lists_but_not_for_ever(tried: bool) -> None:
    """Until every scope has tried, or ten seconds."""
    clock = ManualClock(1000.0)
    settings = load_settings({"discover_namespaces": ["shop", "blog"], "kubernetes_api": "http://127.0.0.1:9"})
    registry = Registry(TriggerRules(), 15.0)
    discovery = Discovery(settings, api_server(settings, {}), registry, clock, Telemetry())
    for watch in discovery.watches():
        assert discovery.is_waiting()
        watch.has_tried = tried
    if not tried:
        await clock.advance(10.0)
    assert not discovery.is_waiting()
    await discovery.close()


async def test_a_proxy_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """As everywhere in Headway; it is an error of the scope and ends nothing."""
    monkeypatch.setenv("http_proxy", "socks5://proxy:1080")
    async with watching("http://kubernetes.example") as it:
        await until_async(lambda: "http_proxy of the environment names a proxy" in it.watches[0].state.error)


async def test_a_token_that_is_not_there_is_named(api: KubernetesApi, tmp_path: Path) -> None:
    """Without sending a request."""
    async with watching(api.url, token_file=tmp_path / "token") as it:
        await until_async(lambda: f"credentials file {tmp_path / 'token'} cannot be read" in it.watches[0].state.error)
    assert api.requests == []


def test_pauses_grow_to_a_minute() -> None:
    """1 s, 2 s, 4 s … 60 s; a missing permission is tried once a minute."""
    pauses = Pauses()
    assert [pauses.after(failures, is_denied=False) for failures in (1, 2, 3, 7, 1000)] == [1, 2, 4, 60, 60]
    assert pauses.after(1, is_denied=True) == 60


@pytest.mark.parametrize("cleanly", [False, True], ids=["cut off", "ended"])
async def test_a_watch_that_always_ends_at_once_is_no_busy_loop(api: KubernetesApi, cleanly: bool) -> None:
    """Some proxies end streams at once."""
    api.ends_watches = cleanly
    async with watching(api.url) as it:
        for _ in range(40):
            api.break_watches()
            await asyncio.sleep(0.02)
        assert 2 <= len(api.asked("watch")) < 35
        api.ends_watches = False
        api.put(scaled_object("web"))
        await until_async(lambda: it.names == {"web"})
    assert len(api.asked("list")) == 1


async def test_large_objects_of_one_namespace_keep_no_other_from_being_listed(
    api: KubernetesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that is too large comes again with fewer objects, down to one at a time."""
    monkeypatch.setattr(api_module, "MOST_PAGE_BYTES", 100_000)
    for number in range(15):
        api.put(scaled_object(f"huge{number}", "noisy", annotations={"note": "x" * 60_000}))
    api.put(scaled_object("web"))
    async with watching(api.url, "*") as it:
        await until_async(lambda: it.names == {"web"})
    assert [one.parameters["limit"] for one in api.asked("list")][:4] == ["100", "10", "1", "100"]


async def test_a_list_that_comes_back_to_the_same_page_is_given_up(api: KubernetesApi) -> None:
    """A proxy that answers from a cache must not be asked without an end."""
    api.page_size = 1
    api.page_starts_at = 0
    for number in range(3):
        api.put(scaled_object(f"web{number}"))
    async with watching(api.url) as it:
        await until_async(lambda: "the same page" in it.watches[0].state.error)
        assert len(api.asked("list")) < 10
        api.page_starts_at = None
        await until_async(lambda: len(it.names) == 3)


async def test_a_list_in_pages_drops_nothing_before_its_end(api: KubernetesApi) -> None:
    """Listed again, objects of later pages stay throughout."""
    for number in range(6):
        api.put(scaled_object(f"web{number}"))
    with structlog.testing.capture_logs() as logs:
        async with watching(api.url) as it:
            await until_async(lambda: len(it.names) == 6 and api.asked("watch"))
            api.page_size = 2
            api.stop()
            api.forget_past()
            api.start()
            await until_async(lambda: len(api.asked("list")) == 4)
            await until_async(lambda: len([one for one in api.asked("watch") if one.status == 200]) == 2)
    assert [one["name"] for one in logs if one["event"] == "discovered_gone"] == []


async def test_others_run_between_the_events_of_a_burst(api: KubernetesApi) -> None:
    """Hundreds of small events arrive in one piece, and KEDA's calls wait for whatever reads them at once."""
    events = [
        {"type": "MODIFIED", "object": scaled_object("web", query=f"sum(demand{number % 2})")} for number in range(500)
    ]
    for number, event in enumerate(events):
        event["object"]["metadata"]["resourceVersion"] = str(1000 + number)
    async with watching(api.url) as it:
        await until_async(lambda: bool(api.asked("watch")))
        seen = it.known.see
        turns, calls, others = 0, 0, []

        def see(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            others.append(turns)
            return seen(*arguments)

        it.known.see = see  # type: ignore[method-assign]
        api.send(b"".join(json.dumps(event).encode() + b"\n" for event in events))
        async with asyncio.timeout(20):
            while calls < len(events):
                turns += 1
                await asyncio.sleep(0)
    assert len(set(others)) >= len(events) - 1
