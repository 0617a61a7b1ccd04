"""`headway savings` against the scaler's real HTTP port over days that the test fills."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import httpx
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from scaler.cli import app
from scaler.commands.savings.reading import PAGE
from scaler.errors import StoreUnavailable
from scaler.registry import Registry
from scaler.savings import SavedDay, SavingsAsked, Side, Sums
from scaler.series import Observation, Outlook
from scaler.settings import load_settings
from scaler.status.reads import Reads
from scaler.status.server import StatusServer
from scaler.telemetry.metrics import Telemetry
from scaler.trigger import TriggerRules

NOW = 1_800_000_000.0
TODAY = int(NOW // 86400)


def saved_day(
    day: int, hours: tuple[float, float], short: tuple[float, float], name: str = "web", mode: str = "predictive"
) -> SavedDay:
    """hours: replica-hours of plan and reactive trigger; short: minutes, in which a tenth of the demand is unserved."""
    sides = [Side(h * 3600, s * 60, s * 60 * 10.0, 20) for h, s in zip(hours, short, strict=True)]
    return SavedDay("shop", name, mode, day, Sums(86400.0, 86400 * 100.0, *sides))


def two_weeks(
    hours: Callable[[int], tuple[float, float]], short: Callable[[int], tuple[float, float]], **more: str
) -> list[SavedDay]:
    return [saved_day(TODAY - 14 + n, hours(n), short(n), **more) for n in range(14)]


def worth_it(**more: str) -> list[SavedDay]:
    """Three minutes a day for three hundredths of the cost."""
    return two_weeks(lambda n: (103 + n, 100 + n), lambda n: (0.5, 3.5 + n % 3), **more)


@dataclass
class Port:
    """The open port, and what the store behind it knows."""

    days: list[SavedDay] = field(default_factory=list)
    address: str = ""
    error: str = ""
    asked: list[SavingsAsked] = field(default_factory=list)
    registry: Registry = field(default_factory=lambda: Registry(TriggerRules("http://prometheus"), 15.0))

    async def read(self, asked: SavingsAsked) -> list[SavedDay]:
        self.asked.append(asked)
        if self.error:
            raise StoreUnavailable(self.error)
        found = [one for one in self.days if asked.hours[0] <= 24 * one.day < asked.hours[1]]
        if asked.one is not None:
            return [one for one in found if (one.namespace, one.name) == asked.one]
        names = sorted({(one.namespace, one.name) for one in found if (one.namespace, one.name) > asked.after})
        return [one for name in names[: asked.limit] for one in found if (one.namespace, one.name) == name]

    async def savings(self, *arguments: str) -> Result:
        command = ["savings", *arguments, "--address", self.address]
        return await asyncio.to_thread(CliRunner().invoke, app, command)


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    port = Port()
    settings = load_settings({"http_address": "127.0.0.1:0"})
    server = StatusServer(
        settings, port.registry, Telemetry(), dict, lambda key: None, lambda: NOW, reads=Reads(savings=port.read)
    )
    port.address = f"127.0.0.1:{await server.start()}"
    yield port
    await server.stop()


def cells(result: Result, row: str) -> list[str]:
    line = next(line for line in result.stdout.splitlines() if line.strip().startswith(row))
    return line.strip()[len(row) :].split()


async def test_both_sides_are_shown_with_interval_money_and_verdict(port: Port) -> None:
    """The figures are the sums of the days; the sentence says what was gained, and for how much."""
    port.days = worth_it()
    result = await port.savings("shop", "web", "--price", "0.05")
    assert result.exit_code == 0, result.output
    assert "shop/web  14 days of demand, 2027-01-01 to 2027-01-14" in result.stdout
    hours, shorts = cells(result, "replica hours"), cells(result, "short minutes")
    assert hours[:4] == ["1,533", "1,491", "+2.8", "%"]
    assert shorts[:3] == ["7", "62", "−55"]
    assert cells(result, "unserved share")[:6] == ["0.003", "%", "0.031", "%", "−0.027", "points"]
    assert cells(result, "cost") == ["76.65", "74.55", "+2.10", "+2.07", "to", "+2.14"]
    assert (
        "In 14 days Headway kept 55 minutes from being short for 2.8 % more replica-hours: "
        "0.76 replica-hours for each minute." in result.stdout
    )


async def test_the_interval_is_that_of_days_drawn_again(port: Port) -> None:
    """Half of the days differ by 2, the others by 6: the mean of 14 drawn days, of which 5 to 95 % lie within."""
    port.days = two_weeks(lambda n: (100.0, 100.0), lambda n: (0.0, 2.0 if n % 2 else 6.0))
    row = cells(await port.savings("shop", "web"), "short minutes")
    low, high = (float(row[at].replace("−", "-")) for at in (3, 5))
    spread = 1.645 * 2 * np.sqrt(14)
    assert low == pytest.approx(-56 - spread, abs=2)
    assert high == pytest.approx(-56 + spread, abs=2)


NOT_WORTH_IT = {
    "chance": (
        lambda n: (100.0, 100.0),
        lambda n: (5.0 + 4 * (n % 2), 5.0 + 4 * ((n + 1) % 2)),
        "Not worth it: in 14 days the workload was short for 98 minutes with the plan and for 98 minutes with the "
        "reactive trigger, and the plan took as many replica-hours; neither differs by more than chance.",
    ),
    "dearer for nothing": (
        lambda n: (110.0, 100.0),
        lambda n: (5.0 + 4 * (n % 2), 5.5 + 4 * ((n + 1) % 2)),
        "Not worth it: in 14 days the workload was short for 98 minutes with the plan and for 105 minutes with the "
        "reactive trigger, which may be chance, and the plan took 10 % more replica-hours.",
    ),
    "worse": (
        lambda n: (95.0, 100.0),
        lambda n: (9.0, 5.0),
        "Not worth it: in 14 days more demand was unserved with the plan, and the plan took 5.0 % fewer replica-hours.",
    ),
    "nothing to gain": (
        lambda n: (104.0, 100.0),
        lambda n: (0.0, 0.1 * (n == 3)),
        "Not worth it: in 14 days the reactive trigger was hardly ever short, and the plan took 4.0 % more "
        "replica-hours.",
    ),
}


@pytest.mark.parametrize("name", NOT_WORTH_IT)
async def test_it_says_when_it_is_not_worth_it(port: Port, name: str) -> None:
    """By the interval: a difference that may be chance is none."""
    hours, short, sentence = NOT_WORTH_IT[name]
    port.days = two_weeks(hours, short)
    assert sentence in " ".join((await port.savings("shop", "web")).stdout.split())


async def test_fewer_replicas_for_the_same_service_are_worth_it(port: Port) -> None:
    port.days = two_weeks(lambda n: (92.0, 100.0), lambda n: (3.0, 3.0))
    sentence = "In 14 days Headway took 8.0 % fewer replica-hours, and served as much of the demand."
    assert sentence in (await port.savings("shop", "web")).stdout


async def test_in_shadow_mode_the_roles_are_named(port: Port) -> None:
    """The reactive side was the answer; the plan would have been."""
    port.days = worth_it(mode="shadow")
    result = await port.savings("shop", "web")
    assert "in shadow mode: the reactive side was the answer" in result.stdout
    assert "plan (not used)" in result.stdout
    assert "with Headway" not in result.stdout
    assert "In 14 days Headway would have kept 55 minutes from being short" in result.stdout


async def test_of_few_days_there_is_no_interval(port: Port) -> None:
    """And no verdict: it says so, with what is known so far."""
    port.days = worth_it()[:2]
    result = await port.savings("shop", "web")
    assert "interval" not in result.stdout
    assert (
        "Too early to say: 2 days of demand, 3 days are needed. In the hours that are over, the workload was short for "
        "1 minute with the plan and for 8 minutes with the reactive trigger, and the plan took 3.0 % more "
        "replica-hours." in result.stdout
    )
    assert result.exit_code == 0


async def test_less_than_a_day_is_written_in_hours(port: Port) -> None:
    sums = Sums(9000.0, 9000 * 100.0, Side(36000.0), Side(36000.0))
    port.days = [SavedDay("shop", "web", "predictive", TODAY, sums)]
    text = (await port.savings("shop", "web")).stdout
    assert "shop/web  2.5 hours of demand, 2027-01-15" in text
    assert "Too early to say: 2.5 hours of demand, 3 days are needed." in text


async def test_all_workloads_page_by_page(port: Port) -> None:
    """Each once, whatever the size of a page."""
    port.days = [one for n in range(2 * PAGE + 3) for one in worth_it(name=f"web-{n:03}")[:4]]
    result = await port.savings("--json")
    found = json.loads(result.stdout)
    assert [one["name"] for one in found["workloads"]] == [f"web-{n:03}" for n in range(2 * PAGE + 3)]
    assert len(port.asked) == 3


async def test_json_has_the_figures_and_the_sentence(port: Port) -> None:
    port.days = worth_it()
    (found,) = json.loads((await port.savings("--json", "--days", "8", "--price", "2")).stdout)["workloads"]
    assert (found["known_days"], found["first"], found["worth"]) == (7, "2027-01-08", True)
    assert found["plan_cost"] == pytest.approx(2 * found["plan"]["replica_hours"])
    assert found["difference"]["short_minutes"]["high"] < 0
    assert found["sentence"].startswith("In 7 days Headway kept")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["shop"], "NAMESPACE 'shop': NAME is missing; give both, or neither for all workloads"),
        (["--days", "0"], "--days=0: must be a whole number from 1 to 366"),
        (["--days", "367"], "--days=367: must be a whole number from 1 to 366"),
        (["--days", "x"], "Invalid value for '--days'"),
        (["--price", "-1"], "--price=-1: must be a number of at least 0"),
        (["--price", "nan"], "--price=nan: must be a number of at least 0"),
    ],
)
async def test_wrong_arguments_are_named(port: Port, arguments: list[str], text: str) -> None:
    """Argument, value and rule, before anything is asked."""
    result = await port.savings(*arguments)
    assert result.exit_code == 2
    assert text in " ".join(result.output.replace("│", " ").split())
    assert not port.asked


async def test_an_unknown_workload_is_named(port: Port) -> None:
    result = await port.savings("shop", "wbe")
    assert result.exit_code == 1
    assert "headway: shop/wbe: no trigger of this name is watched here, and nothing was counted" in result.stderr


async def test_a_watched_workload_of_which_nothing_is_counted_yet(port: Port) -> None:
    port.registry.register("shop", "web", {"query": "sum(x)", "threshold": "5"}, NOW)
    result = await port.savings("shop", "web")
    assert result.exit_code == 1
    assert "nothing is counted yet: an hour is stored when it is over" in result.stderr


async def test_without_a_database_it_says_what_to_set(port: Port) -> None:
    port.error = "nothing is kept: set data-dir or database"
    result = await port.savings()
    assert result.exit_code == 1
    assert "headway: database: nothing is kept: set data-dir or database" in result.stderr


async def test_without_a_scaler_it_says_so() -> None:
    result = await asyncio.to_thread(CliRunner().invoke, app, ["savings", "--address", "127.0.0.1:9"])
    assert result.exit_code == 3
    assert "no scaler at http://127.0.0.1:9" in result.stderr


@pytest.mark.parametrize(
    ("query", "field", "rule"),
    [
        ("days=0", "days", "must be a whole number from 1 to 366"),
        ("limit=501", "limit", "must be a whole number from 1 to 500"),
        ("namespace=shop", "namespace, name", "go together"),
        ("after=shop", "after", "must be NAMESPACE/NAME, the `next` of the page before"),
        ("nmae=web", "nmae", "unknown parameter; known are namespace, name, days, limit, after"),
    ],
)
async def test_wrong_parameters_of_the_path_are_named(port: Port, query: str, field: str, rule: str) -> None:
    async with httpx.AsyncClient(base_url=f"http://{port.address}") as client:
        answer = await client.get(f"/api/v1/savings?{query}")
    assert answer.status_code == 400
    (fault,) = answer.json()["errors"]
    assert (fault["field"], fault["rule"]) == (field, rule)


async def why(port: Port) -> Result:
    """Of a watched trigger in shadow mode."""
    trigger = {"query": "sum(x)", "threshold": "5", "mode": "shadow"}
    key = port.registry.register("shop", "web", trigger, NOW).trigger.key
    port.registry.receive(key, Outlook(NOW, Observation(NOW, 120.0, 130.0, 200.0), None), NOW)
    return await asyncio.to_thread(CliRunner().invoke, app, ["why", "shop", "web", "--address", port.address])


@pytest.mark.parametrize(
    ("days", "advice"),
    [
        (worth_it(mode="shadow"), "enable  In 14 days Headway would have kept 55 minutes from being short for 2.8 %"),
        (
            two_weeks(lambda n: (110.0, 100.0), lambda n: (0.0, 0.0), mode="shadow"),
            "do not enable  Not worth it: in 14 days the reactive trigger was hardly ever short",
        ),
        (worth_it(mode="shadow")[:2], "shadow mode  Too early to say: 2 days of demand, 3 days are needed"),
    ],
)
async def test_why_says_what_switching_on_would_have_done(port: Port, days: list[SavedDay], advice: str) -> None:
    """In the words of a replay; days in which it was switched on do not count."""
    port.days = [*days, *two_weeks(lambda n: (1.0, 900.0), lambda n: (0.0, 900.0))]
    result = await why(port)
    assert advice in result.stdout
    assert result.stdout.count("headway savings shop web has the figures") == 1


@pytest.mark.parametrize("error", ["", "nothing is kept: set data-dir or database"])
async def test_why_says_nothing_of_what_was_not_counted(port: Port, error: str) -> None:
    port.error = error
    result = await why(port)
    assert "shop/web" in result.stdout
    assert "enable" not in result.stdout + result.stderr
    assert "nothing is kept" not in result.stderr
