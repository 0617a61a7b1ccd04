"""A secret typed into the wrong field is in no event of KEDA, no log line and no page: only its ends are."""

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from scaler.commands.check.keda_client import OurTrigger
from scaler.trigger import TRIGGER_KEYS
from tests.isolation.world import SHOP, Replica, replica, trigger
from tests.servers.prometheus import PrometheusServer

pytestmark = pytest.mark.server

SECRET = "sk-live-4eC39HqLyjWDarjtT1zdp7dcPqRsTuVwXyZ0"
LONGEST_PART = 10
"""characters of it that may be seen together"""


@pytest.fixture(scope="module")
def it(metrics: PrometheusServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    with replica(tmp_path_factory.mktemp("secrets"), metrics.url) as running:
        yield running


def shown_part(text: str) -> str:
    """The longest part of the secret that the text repeats, as far as it is too long; else nothing."""
    windows = (SECRET[start : start + LONGEST_PART] for start in range(len(SECRET) - LONGEST_PART + 1))
    return next((window for window in windows if window in text), "")


def wrong(**metadata: str) -> OurTrigger:
    made = trigger(SHOP, "vector(1)")
    return replace(made, metadata={**made.metadata, **metadata})


IN_A_VALUE = [
    wrong(**{key.name: SECRET})
    for key in TRIGGER_KEYS
    if key.name not in ("query", "namespace", "model")  # these are valid
]
ELSEWHERE = [
    wrong(model=f"{SECRET}?"),
    wrong(namespace=f"{SECRET}%"),
    wrong(query=SECRET + "\x00"),
    wrong(query=f"<{SECRET}>"),
    wrong(**{SECRET: "x"}),
    wrong(unknown=SECRET),
    wrong(**{f"{SECRET}FromEnv": SECRET}),
    wrong(serverAddress=f"https://prometheus.example/{SECRET}/api"),
    wrong(serverAddress=f"https://{SECRET}@prometheus.example"),
    wrong(serverAddress=f"{SECRET}:9090"),
    wrong(queryParameters=f"token={SECRET}"),
    wrong(queryParameters=SECRET),
    wrong(leadTimeFromEnv=SECRET),
]


@pytest.mark.parametrize("faulty", [*IN_A_VALUE, *ELSEWHERE], ids=lambda one: " ".join(one.metadata)[:60])
def test_a_refusal_does_not_repeat_it(it: Replica, faulty: OurTrigger) -> None:
    """What KEDA shows in its event, and what the log has of it."""
    call = it.ask(faulty)
    assert (call.status, shown_part(call.error), shown_part(it.log())) == ("INVALID_ARGUMENT", "", "")


def test_its_author_recognises_it(it: Replica) -> None:
    """The first and the last characters, and how long it is; a short value is repeated whole."""
    assert f"leadTime='sk-l…XyZ0 ({len(SECRET)} characters)'" in it.ask(wrong(leadTime=SECRET)).error
    assert "leadTime='3 minutes'" in it.ask(wrong(leadTime="3 minutes")).error


@pytest.mark.parametrize("query", [SECRET, f'sum({SECRET}")', f"rate({SECRET}[5m]", f"{SECRET.replace('-', '')}(up)"])
def test_the_servers_own_error_does_not_repeat_it(it: Replica, query: str) -> None:
    """Prometheus quotes the query that it cannot read."""
    faulty = wrong(query=query, mode="reactive")
    call = it.until(faulty, lambda call: call.status == "FAILED_PRECONDITION")
    assert "parse error" in call.error
    assert (shown_part(call.error), shown_part(it.log())) == ("", "")


def test_no_page_shows_a_refused_one(it: Replica) -> None:
    """The HTTP port shows queries of triggers that are watched, and nothing of one that is refused."""
    it.ask(wrong(serverAddress=f"https://{SECRET}@prometheus.example", leadTime=SECRET))
    for path in ("/metrics", "/api/v1/triggers?limit=1000", "/api/v1/discovery"):
        assert shown_part(httpx.get(f"http://{it.process.http_address}{path}").text) == ""
