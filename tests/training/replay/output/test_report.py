"""What a person sees of a replay: complete, true to the figures, without a network, the same each time."""

import io
import json
import math
import re
from collections.abc import Iterator
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import yaml
from rich.console import Console

from scaler.discovery.annotated import Annotated, read_annotated
from scaler.forecast.catalog import SEASONAL
from scaler.forecast.onnx_forecaster import load_forecaster
from scaler.manifest import read_object
from scaler.plan.hpa import Hpa
from scaler.trigger import Mode, PolicyName, TriggerRules, parse_trigger
from training.data.load import Series
from training.replay.input.case import UNBOUNDED
from training.replay.output import report, wording
from training.replay.output.figures import figures
from training.replay.output.figures.days import day_figure
from training.replay.output.figures.pareto import gap, pareto
from training.replay.output.report import page, summary, write_report
from training.replay.output.table import print_judged
from training.replay.policies.headway import trigger_of
from training.replay.simulation.demand import Demand
from training.replay.simulation.forecasts import Issues, forecasts_of
from training.replay.simulation.loop import Run
from training.replay.simulation.scenario import Scenario, Setting, Span
from training.replay.simulation.start_up import Constant
from training.replay.verdict.candidates import HeadwayEntry, OracleEntry, ReactiveEntry, RivalEntry, run_all
from training.replay.verdict.judge import (
    DEFAULT,
    ORACLE,
    TODAY,
    TUNED,
    TUNED_REACTIVE,
    Against,
    Judged,
    ReplayCase,
    Verdict,
    compared_with_front,
    gap_closed,
    verdict_of,
)  # fmt: skip
from training.replay.verdict.pareto import Interval, front_of
from training.replay.verdict.score import Days, Price

DAY = 86_400
MONDAY = 1_774_821_600.0
"""2026-03-30T00:00 in Berlin"""
QUERY = 'sum(rate(http_requests_total{app="web"}[1m]))'
UNKNOWN = Interval(math.nan, math.nan, math.nan, 0.0)


@pytest.fixture(scope="module")
def judged() -> Judged:
    """Three judged days after one of history, each with a rise at nine that takes two minutes too long for pods."""
    minute = np.arange(4 * 1440)
    values = 160 + 60 * np.sin(2 * np.pi * minute / 1440) + np.random.default_rng(1).normal(0, 6, len(minute))
    hour = minute % 1440 / 60
    values[(hour >= 9) & (hour < 11)] += 140
    values[2 * 1440 + 30 : 2 * 1440 + 60] = np.nan
    demand = Demand(Series("shop", "web", "req/s", MONDAY, 60, values.astype(np.float32), "Europe/Berlin"))
    case = ReplayCase(demand, Setting(8.0, 10.0, Constant(120.0)), Span(MONDAY + DAY, demand.end), QUERY)
    return judged_of(case, Scenario(demand, case.setting, case.span))


@pytest.fixture(scope="module")
def elements(judged: Judged) -> "Elements":
    return Elements(page(judged))


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of what is written: drawing takes most of the time."""
    monkeypatch.setattr(report, "figures", lambda judged: {})


def judged_of(case: ReplayCase, scenario: Scenario) -> Judged:
    """As `judge` makes it, from a few runs and without a search."""
    forecaster = load_forecaster(SEASONAL)
    issues = Issues(case.span, 900.0, 3600.0)
    forecasts = forecasts_of(case.demand, forecaster, case.setting.observing, issues)
    default = trigger_of(case.setting, case.query, "Europe/Berlin")
    tuned = replace(default, quantile=0.95, threshold=9.0, policy=PolicyName.CONSERVATIVE)
    entries = [
        ReactiveEntry(8.0, TODAY),
        HeadwayEntry(default, DEFAULT),
        HeadwayEntry(tuned, TUNED),
        ReactiveEntry(7.0, TUNED_REACTIVE),
        OracleEntry(ORACLE),
        RivalEntry("hourly plan"),
    ]
    ran = {one.entry.name: one for one in run_all(scenario, forecasts, entries, case.price)}
    front = (ran[TODAY], ran[TUNED_REACTIVE])
    against = {name: compared_with_front(ran[name].scores, [one.scores for one in front]) for name in (DEFAULT, TUNED)}
    verdict, why = verdict_of(ran, against, case)
    closed = gap_closed(against[DEFAULT].unserved, ran[DEFAULT].scores, ran[ORACLE].scores)
    headway = (ran[DEFAULT], ran[TUNED])
    searched = Span(MONDAY, MONDAY + DAY)
    return Judged(
        case, scenario, searched, forecaster.model, verdict, why, default, ran, front, headway, against, closed
    )


def said(judged: Judged, verdict: Verdict) -> Judged:
    """The same with this verdict."""
    name = TUNED if verdict is Verdict.WITH_SETTINGS else DEFAULT
    entry = judged.ran[name].entry
    assert isinstance(entry, HeadwayEntry)
    return replace(judged, verdict=verdict, trigger=entry.trigger)


def with_days(judged: Judged, today: list[float], mine: list[float]) -> Judged:
    """The same with so much unserved on each day, of a demand of 100."""
    names = {TODAY: today, wording.recommended(judged): mine}
    ran = dict(judged.ran)
    for name, unserved in names.items():
        one = np.ones(len(unserved))
        days = Days(one, np.array(unserved), 100 * one, one, one)
        ran[name] = replace(ran[name], scores=replace(ran[name].scores, by_day=days))
    return replace(judged, ran=ran)


def within(judged: Judged, begin_days: float, end_days: float) -> Judged:
    """The same with the judged period cut."""
    begin, end = (round((days - 1) * 5760) for days in (begin_days, end_days))
    scenario = Scenario(
        judged.case.demand, judged.case.setting, Span(MONDAY + begin_days * DAY, MONDAY + end_days * DAY)
    )

    def cut(run: Run) -> Run:
        arrays = {field.name: getattr(run, field.name)[begin:end] for field in fields(run) if field.name.endswith("_K")}
        return replace(run, **arrays)

    return replace(
        judged, scenario=scenario, ran={name: replace(one, run=cut(one.run)) for name, one in judged.ran.items()}
    )


class Elements(HTMLParser):
    """Addresses to load from, texts by tag, ids, and rows of cells with their classes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.addresses: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.rows: list[list[tuple[str, str]]] = []
        self.open: list[str] = []
        before, _, after = text.split("<script>", 2)
        self.feed(before + after.partition("</script>")[2])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids.add(given.get("id", ""))
        self.addresses += [given[name] for name in ("src", "href") if name in given]
        if tag in ("h1", "li", "pre", "dd"):
            self.texts.setdefault(tag, []).append("")
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append(("", given.get("class", "")))
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if not self.open:
            return
        if self.open[-1] == "td":
            text, kind = self.rows[-1][-1]
            self.rows[-1][-1] = (text + data, kind)
        else:
            self.texts[self.open[-1]][-1] += data


def test_the_same_replay_gives_the_same_bytes(judged: Judged, tmp_path: Path) -> None:
    """Two pages are equal, and nothing else is left next to them."""
    for name in ("one.html", "two.html"):
        write_report(judged, tmp_path / "deep" / name)
    one, two = ((tmp_path / "deep" / name).read_bytes() for name in ("one.html", "two.html"))
    assert one == two
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["one.html", "two.html"]
    assert len(one) < 5.6e6


def test_the_page_needs_no_network_and_has_a_place_for_every_picture(judged: Judged, elements: "Elements") -> None:
    """Nothing is loaded from anywhere, and each figure finds its element."""
    assert elements.addresses == ["data:,"]
    drawn = set(figures(judged))
    assert {"pareto", "daily", "day-best", "closer-worst", "equal-cost", "equal-service"} <= drawn <= elements.ids


@pytest.mark.usefixtures("without_pictures")
@pytest.mark.parametrize("verdict", list(Verdict))
def test_the_page_says_verdict_why_and_trigger(judged: Judged, verdict: Verdict) -> None:
    """Each verdict in large words, with its reasons, and shadow mode only where it is no."""
    one = replace(said(judged, verdict), why=("first <b>reason</b>", "second"))
    found = Elements(page(one))
    assert found.texts["h1"][0].lower() == verdict.value
    assert found.texts["li"][:2] == ["First <b>reason</b>.", "Second."]
    assert found.texts["pre"] == [wording.trigger_yaml(one)]
    assert ("shadow" in found.texts["pre"][0]) == (verdict is Verdict.DO_NOT)


def test_the_table_has_the_figures_of_the_scores(judged: Judged, elements: "Elements") -> None:
    """Every policy with its own figures; best is marked wherever none is lower, never at the oracle."""
    rows = {re.split(r"threshold", row[0][0])[0].strip(): row[1:] for row in elements.rows if row}
    assert len(rows) == len(judged.ran)
    for name, ran in judged.ran.items():
        cells = next(row for shown, row in rows.items() if shown in (name, f"d{name}"))
        texts = [text for text, _ in cells]
        assert texts[0] == f"{ran.scores.replica_hours:,.0f}"
        assert texts[2] == wording.share(ran.scores.unserved_share)
        assert texts[7] == f"{ran.scores.wrong_size_share:.0%}"
        others = [one.scores.replica_hours for one in judged.ran.values() if one.entry.name != ORACLE]
        assert name != ORACLE or "best" not in dict(cells).values()
        assert (cells[0][1] == "best") == (name != ORACLE and ran.scores.replica_hours == min(others))


@pytest.mark.parametrize(
    ("now", "before", "told"),
    [
        *((88, 100, "−12%"), (1.001, 1, "+0.1%"), (100, 100, "±0%"), (2, 1000, "−99.8%"), (0.01, 1000, "−99.9%")),
        *((0, 1000, "−100%"), (0, 0, "±0%"), (1, 0, "–")),
    ],
)
def test_changes_have_few_digits(now: float, before: float, told: str) -> None:
    """Only what leaves nothing is a hundred per cent less."""
    assert wording.change(now, before) == told


@pytest.mark.usefixtures("without_pictures")
def test_big_numbers_compare_the_recommended_with_today(judged: Judged) -> None:
    """Cost instead of replica-hours where there is a price; their change is told with its sign."""
    priced = replace(judged, case=replace(judged.case, price=Price(0.5)))
    for one, field, head in ((judged, "replica_hours", "replica-hours"), (priced, "money", "cost")):
        today, mine = (getattr(one.ran[name].scores, field) for name in (TODAY, wording.recommended(one)))
        card = re.search(
            rf'class="name">{head}</div>\s*<div class="big"><span>(\S+)</span> <span[^>]*>([^<]*)', page(one)
        )
        assert card is not None
        assert card[1] == wording.count(mine)
        assert card[2] == wording.change(mine, today)


def test_best_typical_and_worst_day_are_those_of_the_difference_to_today(judged: Judged) -> None:
    """By what the recommended trigger saved that day, not by what either left."""
    days = wording.days(with_days(judged, [9.0, 30.0, 20.0], [8.0, 25.0, 1.0]))
    assert {day.kind: day.index for day in days} == {"best": 2, "typical": 1, "worst": 0}
    for day in days:
        assert (day.begin, day.end) == (5760 * day.index, 5760 * (day.index + 1))
        assert day.begin <= day.closer[0] < day.closer[1] <= day.end


def test_a_day_that_is_mostly_not_judged_is_not_shown(judged: Judged) -> None:
    """A few hours of a day do not stand for it; without a whole day, there is still one."""
    cut = within(judged, 1.5, 4)
    days = wording.days(with_days(cut, [50.0, 2.0, 3.0], [0.0, 1.0, 1.0]))
    assert {day.kind: day.index for day in days} == {"best": 2, "worst": 1}
    only = wording.days(with_days(within(judged, 1.5, 1.9), [1.0], [0.0]))
    assert [day.kind for day in only] == ["typical"]


def test_the_closer_look_is_where_most_was_unserved(judged: Judged) -> None:
    """The rise at nine is what each day's hardest hour is about."""
    for day in wording.days(judged):
        nine = day.begin + 9 * 240
        assert day.closer[0] < nine < day.closer[1]


def test_no_shortage_is_thinned_away(judged: Judged) -> None:
    """What is filled is as large as what was unserved, and even a shortage of one tick has a shape and a mark."""
    name = wording.recommended(judged)
    run = judged.ran[name].run
    day = wording.days(judged)[0]
    alone = day.begin + 3000
    capacity_K, unserved_K = run.capacity_K.copy(), run.unserved_K.copy()
    capacity_K[alone - 5 : alone + 6] = judged.scenario.demand_K[alone - 5 : alone + 6] + 50
    unserved_K[alone - 5 : alone + 6] = 0
    capacity_K[alone], unserved_K[alone] = judged.scenario.demand_K[alone] - 4, 60
    run = replace(run, capacity_K=capacity_K, unserved_K=unserved_K)
    changed = replace(judged, ran={**judged.ran, name: replace(judged.ran[name], run=run)})
    figure = day_figure(changed, (day.begin, day.end), 4)
    filled, marks = (trace for trace in figure.data if trace.meta == "short-headway")
    shapes = list(closed(filled.x, filled.y))
    cut = slice(day.begin, day.end)
    areas = [area(x, y) for x, y in shapes]
    assert sum(areas) == pytest.approx(unserved_K[cut].sum(), rel=1e-3)
    assert any(found == pytest.approx(60, rel=1e-3) for found in areas)
    assert len(list(closed(marks.x, marks.y))) == len(shapes) == len(wording.runs_of(unserved_K[cut] > 0))
    assert filled.line.width >= 1
    assert marks.line.width >= 1


def closed(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The shapes between the gaps, in seconds from the first."""
    ends = np.flatnonzero(np.isnan(x))
    for begin, end in zip([0, *(ends[:-1] + 1)], ends, strict=True):
        yield (x[begin:end] - x[0]) / 1000, y[begin:end].astype(np.float64)


def area(x: np.ndarray, y: np.ndarray) -> float:
    return float(abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2)


def test_step_lines_lose_nothing(judged: Judged) -> None:
    """At every tick the drawn capacity is that of the run."""
    day = wording.days(judged)[0]
    figure = day_figure(judged, (day.begin, day.end), 4)
    first = next(trace for trace in figure.data if trace.meta == "demand").x[0]
    for role, name in (("today", TODAY), ("headway", wording.recommended(judged)), ("oracle", ORACLE)):
        trace = next(trace for trace in figure.data if trace.meta == role)
        at = first + 15_000 * np.arange(day.end - day.begin)
        drawn = trace.y[np.searchsorted(trace.x, at, side="right") - 1]
        assert drawn == pytest.approx(judged.ran[name].run.capacity_K[day.begin : day.end], rel=1e-6)


def test_days_are_drawn_in_local_time(judged: Judged) -> None:
    """A day begins at midnight in Berlin, and what is not on record is no demand."""
    day = next(day for day in wording.days(judged) if day.index == 1)
    trace = next(trace for trace in day_figure(judged, (day.begin, day.end), 4).data if trace.meta == "demand")
    assert str(np.datetime64(int(trace.x[0]), "ms")).startswith("2026-04-01T00:00:07")
    assert wording.day_text(judged.scenario, 1) == "Wed 01 Apr 2026"
    assert trace.y[np.searchsorted(trace.x, trace.x[0] + 45 * 60_000, side="right") - 1] == 0


def test_the_gap_ends_on_the_front_and_at_the_recommended_trigger(judged: Judged) -> None:
    """Nothing is drawn beyond the front."""
    found = gap(judged)
    front = front_of([one.scores for one in judged.reactive_front])
    mine = judged.ran[wording.recommended(judged)].scores
    assert found.cost == mine.replica_hours
    assert found.front_unserved == pytest.approx(front.unserved_at(mine.replica_hours), nan_ok=True)
    alone = replace(judged, reactive_front=(), ran={**judged.ran, TUNED_REACTIVE: judged.ran[TODAY]})
    assert math.isnan(gap(alone).front_cost)
    assert not [trace for trace in pareto(alone).data if trace.meta in ("gap", "gap-label")]


def test_labels_of_neighbours_stand_apart(judged: Judged) -> None:
    """Two triggers of nearly the same cost and service have their names on different sides."""
    near = replace(judged.ran[TUNED].scores, replica_hours=judged.ran[DEFAULT].scores.replica_hours * 1.001)
    near = replace(near, unserved_share=judged.ran[DEFAULT].scores.unserved_share)
    close = replace(judged, ran={**judged.ran, TUNED: replace(judged.ran[TUNED], scores=near)})
    for places in pareto(close).layout.meta.values():
        assert places[DEFAULT] != places[TUNED]


def test_json_has_every_figure_and_no_nan(judged: Judged) -> None:
    """What unknown, as is null; the rest are the figures of the scores."""
    unknown = replace(judged, gap_closed=math.nan, against={DEFAULT: Against(UNKNOWN, UNKNOWN)})
    told = json.loads(json.dumps(summary(unknown), allow_nan=False))
    assert told["gap_closed"] is None
    assert told["against_reactive"]["headway"]["saved"] == {"value": None, "low": None, "high": None, "known": 0.0}
    assert told["verdict"] == judged.verdict.value
    assert told["judged"] == {"begin": MONDAY + DAY, "end": MONDAY + 4 * DAY, "days": 3.0}
    assert set(told["policies"]) == {"today", "headway", "headway_tuned", "reactive_tuned", "oracle", "hourly_plan"}
    today = judged.ran[TODAY].scores
    assert told["policies"]["today"]["unserved_share"] == today.unserved_share
    assert told["policies"]["today"]["short_minutes_per_week"] == today.short_minutes_per_week
    assert [day["date"] for day in told["by_day"]] == ["2026-03-31", "2026-04-01", "2026-04-02"]
    assert sum(day["today_short_minutes"] for day in told["by_day"]) == pytest.approx(today.short_minutes)


@pytest.mark.parametrize(("verdict", "recommended"), [(Verdict.ENABLE, "headway"), (Verdict.DO_NOT, None)])
def test_json_recommends_what_the_verdict_does(judged: Judged, verdict: Verdict, recommended: str | None) -> None:
    """Nothing where it is no; what was compared is told all the same."""
    told = summary(replace(judged, verdict=verdict))
    assert (told["recommended"], told["compared"]) == (recommended, "headway")


def test_the_docs_name_every_key_of_the_json(judged: Judged) -> None:
    """In their order; of what has keys of its own, those too."""
    text = (Path(__file__).parents[4] / "docs" / "replay.md").read_text()
    section = text.partition("## JSON")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:3] for line in section.splitlines() if line.startswith("| `")]
    told = summary(judged)
    assert [key for keys, _ in rows for key in re.findall(r"`(\w+)`", keys)] == list(told)
    inner = {*told["policies"]["today"], *told["by_day"][0], *told["assumed"], *told["judged"]}
    inner |= {*told["against_reactive"]["headway"], *told["against_reactive"]["headway"]["saved"]}
    assert inner <= set(re.findall(r"`(\w+)`", section))


def test_the_page_stands_where_nothing_can_be_compared(judged: Judged) -> None:
    """Unknown intervals, nothing unserved at all, and a single day are said, not drawn wrongly."""
    one = with_days(within(judged, 1, 2), [0.0], [0.0])
    for name, ran in one.ran.items():
        perfect = replace(ran.scores, unserved_share=0.0, delay_p99=0.0, scale_events=0)
        one.ran[name] = replace(ran, scores=perfect)
    one = replace(one, gap_closed=math.nan, against={name: Against(UNKNOWN, UNKNOWN) for name in (DEFAULT, TUNED)})
    text = page(one)
    assert text.count("unknown, as") == 4
    assert "to perfect foresight" not in text
    assert "to perfect foresight" in page(judged)


def test_the_trigger_can_be_pasted(judged: Judged) -> None:
    """KEDA's block, strings only; the scaler reads the very trigger that was judged from it."""
    awkward = replace(said(judged, Verdict.WITH_SETTINGS))
    trigger = replace(
        awkward.trigger,
        query='sum(rate(x{a="b\\\\c"}[1m]))\n  # größer',
        server_address="http://prom:9090",
    )
    (block,) = yaml.safe_load(wording.trigger_yaml(replace(awkward, trigger=trigger)))
    assert block["type"] == "external"
    assert all(isinstance(value, str) for value in block["metadata"].values())
    told = parse_trigger("replay", "replay", block["metadata"], TriggerRules(allowed_servers=("*",)))
    assert replace(told, key=trigger.key) == trigger


@pytest.mark.usefixtures("without_pictures")
@pytest.mark.parametrize("verdict", [Verdict.WITH_SETTINGS, Verdict.DO_NOT])
def test_an_annotated_object_gets_annotations(judged: Judged, verdict: Verdict) -> None:
    """Terminal and page show what discovery reads as the trigger that was judged, and no external trigger."""
    one = said(replace(judged, case=replace(judged.case, is_annotated=True)), verdict)
    found = yaml.safe_load(wording.to_paste(one))
    entry = {"query": one.trigger.query, "threshold": "8", "serverAddress": "http://prom:9090"}
    scaled = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "web", "namespace": "shop", **found["metadata"]},
        "spec": {"scaleTargetRef": {"name": "web"}, "triggers": [{"type": "prometheus", "metadata": entry}]},
    }
    read = read_annotated(read_object(scaled), TriggerRules(allowed_servers=("*",)))
    assert isinstance(read, Annotated), read
    mode = Mode.SHADOW if verdict is Verdict.DO_NOT else Mode.PREDICTIVE
    ours = (one.trigger.lead_time_seconds, one.trigger.quantile, one.trigger.timezone, mode)
    assert (read.trigger.lead_time_seconds, read.trigger.quantile, read.trigger.timezone, read.trigger.mode) == ours
    assert f'threshold: "{wording.number(one.trigger.threshold)}"' in wording.to_paste(one)
    out = io.StringIO()
    print_judged(one, Console(file=out, width=100), Path("replay.html"))
    assert wording.to_paste(one) in out.getvalue()
    assert "external" not in out.getvalue()
    assert wording.FLOOR[:40] not in " ".join(out.getvalue().split())
    assert Elements(page(one)).texts["pre"] == [wording.to_paste(one)]


def test_what_cannot_be_seen_is_escaped(judged: Judged) -> None:
    """A name from a file may hold anything, and stands in the query that is to be filled in."""
    odd = "<fill in: \x7f\x1b[31m\x85\u2028 größer>"
    (block,) = yaml.safe_load(wording.trigger_yaml(replace(judged, trigger=replace(judged.trigger, query=odd))))
    assert block["metadata"]["query"] == odd
    series = replace(judged.case.demand.series, name="a\x1b[31m")
    one = replace(judged, case=replace(judged.case, demand=Demand(series)))
    assert wording.title(one) == "a\N{REPLACEMENT CHARACTER}[31m"


def test_only_what_differs_from_the_defaults_is_written(judged: Judged) -> None:
    """Neither defaults nor a server that the replay made up; in shadow mode where the verdict is no."""
    metadata = wording.trigger_metadata(said(judged, Verdict.ENABLE))
    assert list(metadata) == ["scalerAddress", "query", "threshold", "leadTime", "timezone"]
    assert metadata["threshold"] == "8"
    assert metadata["leadTime"] == "150s"
    moved = replace(judged, case=replace(judged.case, scaler_address="headway.mine.svc:1"))
    assert wording.trigger_metadata(said(moved, Verdict.ENABLE)) == {**metadata, "scalerAddress": "headway.mine.svc:1"}
    shadow = wording.trigger_metadata(said(judged, Verdict.DO_NOT))
    assert shadow == {**metadata, "mode": Mode.SHADOW.value}


@pytest.mark.parametrize("width", [80, 100])
def test_the_terminal_answers_in_its_width(judged: Judged, width: int) -> None:
    """Plain text where nobody looks; each policy on a line of its own, nothing wider than the terminal."""
    out = io.StringIO()
    one = replace(judged, case=replace(judged.case, price=Price(0.04), notes=("a [note]",)))
    print_judged(one, Console(file=out, width=width), Path("replay.html"))
    text = out.getvalue()
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert "\x1b" not in text
    assert lines[1].startswith(judged.verdict.value.upper())
    for name, ran in judged.ran.items():
        assert any(re.match(rf"[→ ]+ {name} .*{wording.share(ran.scores.unserved_share)}", line) for line in lines), (
            name
        )
    assert "…" not in text
    assert wording.trigger_yaml(one) in text
    assert "a [note]" in text
    assert "replay.html" in text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0%"),
        (0.25, "25%"),
        (0.0131, "1.3%"),
        (0.00042, "0.042%"),
        (1e-6, "0.0001%"),
        (3e-7, "<0.0001%"),
        (math.nan, "–"),
    ],
)
def test_small_shares_keep_two_digits(value: float, expected: str) -> None:
    """Shares of the demand are distinguished however small they are."""
    assert wording.share(value) == expected


@pytest.mark.usefixtures("without_pictures")
def test_no_bound_is_no_number(judged: Judged) -> None:
    """What stands for no bound is not shown as one."""
    setting = judged.case.setting
    free = replace(judged, case=replace(judged.case, setting=replace(setting, hpa=Hpa(max_replicas=UNBOUNDED))))
    assert "1 without an upper bound" in page(free)
    assert f"1 to {setting.hpa.max_replicas:,}" in page(judged)
