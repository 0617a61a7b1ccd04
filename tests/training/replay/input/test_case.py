"""From recorded demand to what is judged: what is taken, what is left out and told, what is refused and why."""

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scaler.bundle import read_bundle
from scaler.commands import Usage
from scaler.files import appearing
from scaler.forecast.catalog import SEASONAL
from scaler.forecast.onnx_forecaster import open_later
from scaler.plan.hpa import Hpa
from tests.training.recording import write_values
from training.data.load import DAY_SECONDS, Series
from training.errors import DataError
from training.files import why_not
from training.replay.input.case import (
    ReplayOptions,
    case_of,
    default_cache,
    open_forecaster,
    require_served,
    window_seconds,
)
from training.replay.input.demand_checks import of_query
from training.replay.input.recorded import Source, of_file
from training.replay.simulation.scenario import Span
from training.replay.simulation.start_up import Constant, StartUp, start_up
from training.replay.verdict.judge import ReplayCase, parts

MONDAY = 1_767_571_200.0
"""2026-01-05 00:00 UTC"""
MINUTES = 1440
FORECASTER = open_later(read_bundle(SEASONAL), "seasonal")
SEASONAL_NEEDS = 3600.0


def wave(days: float, size: float = 1000.0) -> np.ndarray:
    """Minutes of a noisy daily wave from `size` / 2 to 3 / 2 `size`."""
    minute = np.arange(round(days * MINUTES))
    noise = np.random.default_rng(4).normal(0, 0.02 * size, len(minute))
    return size * (1 + 0.5 * np.sin(2 * np.pi * minute / MINUTES)) + noise


def source(values: Iterable[float], query: str = "", step: int = 60, unit: str = "req/s", name: str = "web") -> Source:
    series = Series("shop", name, unit, MONDAY, step, np.asarray(values, np.float32))
    return Source(series, query)


def options(threshold: float | None = 100.0, starts: StartUp = Constant(90.0), **others: object) -> ReplayOptions:  # noqa: B008
    return replace(ReplayOptions(starts, threshold), **others)


def case(found: Source, wanted: ReplayOptions | None = None) -> ReplayCase:
    return case_of(found, wanted or options(), FORECASTER)


def told(one: ReplayCase) -> str:
    return "\n".join(one.notes)


def test_a_model_that_knows_the_record_is_reported() -> None:
    """Judged on what it has learned from, it looks better than it is."""
    known = source(wave(12))
    known = replace(known, series=replace(known.series, system="clarknet_http_requests_1min"))
    flattered = case_of(known, options(days=4, capacity=120.0), open_forecaster(None))
    assert told(flattered) == (
        "general@1 was trained on clarknet_http_requests_1min: its results on this record are optimistic"
    )
    assert told(case_of(source(wave(12)), options(days=4, capacity=120.0), open_forecaster(None))) == ""


def test_the_newest_days_are_replayed() -> None:
    """Those asked for, at the end of what is known; what lies before is history, and enough of it is not spoken of."""
    one = case(source([*wave(12), np.nan, np.nan]), options(days=4, capacity=120.0))
    assert one.span == Span(MONDAY + 8 * DAY_SECONDS, MONDAY + 12 * DAY_SECONDS)
    assert one.notes == ()
    assert one.excluded == ()


def test_an_assumed_capacity_is_reported() -> None:
    """It decides what counts as short."""
    assert "one replica is assumed to carry no more than the threshold, 100" in told(case(source(wave(12))))


def test_a_short_record_is_replayed_from_where_forecasts_can_begin() -> None:
    """An hour of history comes first, and both shortages are told."""
    one = case(source(wave(3)))
    assert one.span == Span(MONDAY + SEASONAL_NEEDS, MONDAY + 3 * DAY_SECONDS)
    assert "3.0 days are replayed: the record has no more of the 14 requested" in told(one)
    assert "1.0 h of history precede the replayed days" in told(one)


@pytest.mark.parametrize("days", [0.5, 2.0])
def test_too_short_a_record(days: float) -> None:
    """Two days and an hour are needed; the message has both what is and what is needed."""
    with pytest.raises(DataError, match=rf"'web': has {days} days of history; 2 days .* are needed, and 1.0 h before"):
        case(source(wave(days)))


def test_just_enough_of_a_record() -> None:
    """Two days and an hour."""
    assert case(source(wave(2 + 1 / 24))).span.days == 2


def test_what_the_record_lacks_is_excluded_and_listed() -> None:
    """A whole day and an afternoon are missing: the rest is replayed, and the notes name both."""
    values = wave(12)
    values[9 * MINUTES : 10 * MINUTES] = np.nan
    values[11 * MINUTES + 720 : 11 * MINUTES + 900] = np.nan
    one = case(source(values), options(days=4))
    tuesday, thursday = MONDAY + 9 * DAY_SECONDS, MONDAY + 11 * DAY_SECONDS + 720 * 60
    assert one.excluded == (Span(tuesday, tuesday + DAY_SECONDS), Span(thursday, thursday + 180 * 60))
    assert "27.0 h of the replayed days are not on record and do not count, in 2 stretches" in told(one)
    assert "whole days without a record: 2026-01-14" in told(one)


def test_too_little_on_record() -> None:
    """A gap may be long, but two days must be left."""
    values = wave(12)
    values[10 * MINUTES - 120 : 12 * MINUTES - 60] = np.nan
    with pytest.raises(DataError, match=r"of the days to replay, 2026-01-13 00:00 to .*, 1.9 are on record; one to"):
        case(source(values), options(days=4))


def test_halves_are_of_what_is_on_record() -> None:
    """A workload that was paused for a week and came back for a day: both halves have three and a half days."""
    values = wave(21)
    values[13 * MINUTES : 20 * MINUTES] = np.nan
    one = case(source(values))
    first, rest = parts(one.span, one.excluded)
    assert first == Span(MONDAY + 7 * DAY_SECONDS, MONDAY + 10.5 * DAY_SECONDS)
    assert rest == Span(first.end, MONDAY + 21 * DAY_SECONDS)
    late = Span(one.span.begin, one.span.end)
    assert parts(late, (Span(late.begin, late.begin + 7 * DAY_SECONDS),))[0].days == 10.5


def test_a_dead_end_of_the_record_is_no_part_of_it() -> None:
    """The replayed days end with the last known value."""
    assert case(source([*wave(12), *[np.nan] * 3 * MINUTES])).span.end == MONDAY + 12 * DAY_SECONDS


@pytest.mark.parametrize(
    ("threshold", "others", "words"),
    [
        (2000.0, {}, r"threshold=2000: is not below the largest demand .*, 15\d\d: one replica would always be enough"),
        (0.5, {}, r"threshold=0.5: the largest demand .* needs 3\d\d\d replicas; more than 1000 need --max"),
        (
            10.0,
            {"most": 100},
            r"threshold=10: .* needs 1\d\d replicas, and for \d+\.\d% of the time .* the 100 allowed",
        ),
        (None, {}, "--threshold: is required"),
        (100.0, {"least": 5, "most": 3}, "--max 3: must not be below --min 5"),
        (100.0, {"least": 5, "most": 5}, "--max 5: with --min 5 there is nothing to scale"),
        (
            100.0,
            {"capacity": 1e9},
            r"capacity=1e\+09: is not below the largest demand .*: one replica would always serve",
        ),
        (100.0, {"capacity": 0.1}, r"capacity=0.1: the largest demand of .*, needs 15\d\d\d replicas"),
    ],
)
def test_thresholds_that_tell_nothing(threshold: float | None, others: dict[str, int], words: str) -> None:
    """Too large, too small, or beyond what is allowed: with the number of replicas that would follow."""
    with pytest.raises((DataError, Usage), match=words):
        case(source(wave(3)), options(threshold, **others))


def test_many_replicas_are_believed_where_they_are_allowed() -> None:
    """--max says that somebody means it."""
    assert case(source(wave(3)), options(0.5, most=4000)).setting.hpa.max_replicas == 4000


def test_a_rare_peak_beyond_the_allowed_replicas_is_reported() -> None:
    """It is what happens to the workload today; it is replayed."""
    values = wave(12)
    values[-100:-90] = 3000
    one = case(source(values), options(100.0, most=20))
    assert "needs 30 replicas, more than the 20 allowed" in told(one)
    assert "anomaly" in told(one)


def test_replicas_that_are_always_there_are_reported() -> None:
    """Nothing can be gained where the minimum carries the peak."""
    assert "and 30 always run" in told(case(source(wave(3)), options(100.0, least=30, most=40)))


def test_demand_that_never_changes_in_the_replayed_days() -> None:
    """However it was before."""
    with pytest.raises(DataError, match="'web': is constant at 800 in the replayed days"):
        case(source([*wave(2), *[800.0] * 4 * MINUTES]), options(days=3))


def test_a_step_too_coarse_to_judge() -> None:
    """A value an hour says nothing of minutes; five minutes are told."""
    with pytest.raises(DataError, match="its step of 3600 s is coarser than 900 s"):
        case(source(wave(10)[::60], step=3600))
    assert "a step of 300 s: what happens within it is not replayed" in told(case(source(wave(10)[::5], step=300)))


@pytest.mark.parametrize("text", ["2h", "lognormal:1h,0.6", "bimodal:40s,7190s,0.2", "7171s"])
def test_pods_slower_than_forecasts_reach(text: str) -> None:
    """What nearly all pods need and two syncs must lie within the horizon."""
    with pytest.raises(
        Usage, match=r"--start-up .*: with two syncs of the HPA this is a lead time of 7\d\d\d s; .* reach 7200"
    ):
        case(source(wave(3)), options(starts=start_up(text)))
    assert case(source(wave(3)), options(starts=Constant(7170.0))).setting.start_up.usual == 7170


NOT_DEMAND = {
    "avg(rate(container_cpu_usage_seconds_total{pod=~'web.*'}[2m]))": "avg",
    "sum(rate(container_cpu_usage_seconds_total[2m])) / sum(kube_pod_container_resource_limits{a='cpu'})": "limits",
    "sum(rate(http_requests_total[2m])) / count(up{job='web'})": "count",
    "sum by (app) (rate(http_requests_total[1m])) / on (app) kube_deployment_status_replicas": "replicas",
    "node_cpu_utilisation:avg1m": "utilisation",
    "100 * aws_elb_cpu_utilization_average": "utilization",
    "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))": "quantile",
    "queue_busy_percent": "percent",
    "max(worker_busy_ratio)": "worker_busy_ratio",
    "1 - avg(rate(node_cpu_seconds_total{mode='idle'}[5m]))": "avg",
    "100 - (avg by (instance) (rate(node_cpu_seconds_total{mode='idle'}[5m])) * 100)": "avg",
    "max(rate(container_cpu_usage_seconds_total{pod=~'web.*'}[2m]))": "max",
    "sum(kube_deployment_status_replicas_ready{deployment='web'})": "kube_deployment_status_replicas_ready",
    "sum(rate(http_request_duration_seconds_sum[2m])) / sum(rate(http_request_duration_seconds_count[2m]))": "a mean",
    "sum(rate(http_requests_total[2m])) / (sum(up{job='web'}))": "'up'",
}
DEMAND = (
    "sum(rate(http_requests_total{path='/utilization', pod=~'percent.*'}[2m]))",
    "sum(rate(http_requests_total{percentile='95'}[2m]))",
    "sum by (utilization_class) (rate(http_requests_total[2m]))",
    "sum(rate(http_requests_total[2m])) * 60 / 5",
    "sum(rate(http_request_duration_seconds_count[2m]))",
    "sum(rate(container_cpu_usage_seconds_total[2m]))",
    "max(rabbitmq_queue_messages) # avg(cpu) / limits",
    "avg_over_time(queue_length[1m])",
    "sum(increase(jobs_total[1m]))",
    "sum(rate(percent_encoded_urls_total[1m]))",
    "sum(rate(replicas_uploaded_total[1m]))",
    "max(uploads_pending)",
    "sum(rate(a[1m])) / 2 + sum(rate(limit_x[1m]))",
)


@pytest.mark.parametrize("query", NOT_DEMAND)
def test_queries_that_are_no_demand(query: str) -> None:
    """Each is refused with the word that gives it away, what the rule is, and the flag that insists."""
    with pytest.raises(
        DataError, match=r"does not look like demand: .*must not depend on the number of replicas.*--accept-as-demand"
    ) as no:
        case(source(wave(3), query=query))
    assert NOT_DEMAND[query] in str(no.value)
    assert "this may not be demand" in told(case(source(wave(3), query=query), options(accept_as_demand=True)))


@pytest.mark.parametrize("query", DEMAND)
def test_queries_that_are_demand(query: str) -> None:
    """Labels, strings, comments and plain numbers give rise to no doubt."""
    assert list(of_query(query)) == []


@pytest.mark.parametrize(
    "query",
    [
        "avg(rate(http_requests_total[2m]))",
        "sum(bytes_total) / sum(rate(chunks_total[1m]))",
        "scalar(rate(busy_cores[2m])) * kube_deployment_status_replicas",
    ],
)
def test_queries_that_may_be_demand_are_replayed_with_a_note(query: str) -> None:
    """A mean may be that of one series, a quotient an amount."""
    assert "this may not be demand" in told(case(source(wave(3), query=query)))


def held(target: float) -> np.ndarray:
    """What an autoscaler makes of a utilisation."""
    return np.clip(np.random.default_rng(2).normal(target, 0.08 * target, 4 * MINUTES), 0, 100)


def pressing(bound: float) -> np.ndarray:
    return np.clip(1.1 * bound * wave(4) / 1500, 0, bound)


@pytest.mark.parametrize(
    ("values", "threshold", "words"),
    [
        (held(60.0), 60.0, "no value is above 100 and the threshold is 60, .* it is held near the threshold"),
        (held(60.0) / 100, 0.6, "no value is above 1 and the threshold is 0.6"),
        (pressing(100.0), 70.0, "of the time it is at its limit"),
    ],
)
def test_values_of_a_utilisation(values: np.ndarray, threshold: float, words: str) -> None:
    """A share is known by its limit, and by what holds it where it is."""
    with pytest.raises(DataError, match=words):
        case(source(values), options(threshold))
    assert "this may not be demand" in told(case(source(values), options(threshold, accept_as_demand=True)))


def test_small_demand_is_demand() -> None:
    """Half a core, or sixty requests: with a threshold that makes replicas of it there is no doubt, else a note."""
    assert "may not be demand" not in told(case(source(wave(3, 0.6)), options(0.1)))
    assert "may not be demand" in told(case(source(wave(3, 60.0)), options(50.0)))
    assert "may not be demand" not in told(case(source(wave(3, 60.0)), options(10.0)))


def test_a_half_without_demand() -> None:
    """Nothing can be searched on it, or judged."""
    values = wave(4)
    values[2 * MINUTES :] = 0
    with pytest.raises(DataError, match="'web': is 0 throughout the part to judge on, 2026-01-07 00:30 to "):
        case(source(values))


def test_windows_that_cannot_be() -> None:
    with pytest.raises(Usage, match=r"--query: \[99999999999999999y\] is not a duration"):
        window_seconds("rate(x[99999999999999999y])")


def test_names_of_a_utilisation() -> None:
    """A file has no query; the series and its unit speak."""
    with pytest.raises(DataError, match=r"series='ec2_cpu_utilization_1': 'utilization' names a share"):
        case(source(wave(3), name="ec2_cpu_utilization_1"))
    with pytest.raises(DataError, match=r"unit='%': '%' names a share"):
        case(source(wave(3), unit="%"))
    with pytest.raises(DataError, match=r"unit='ms': is a unit of time"):
        case(source(wave(3), unit="ms"))
    with pytest.raises(DataError, match=r"unit='pods': 'pods' counts the replicas themselves"):
        case(source(wave(3), unit="pods"))
    assert "'latency' names a duration" in told(case(source(wave(3), name="http_latency")))


def test_a_utilisation_beyond_its_bound() -> None:
    """Relative to requests it goes beyond 100; what is held near the threshold is told."""
    values = np.append(held(60.0), 130.0)
    notes = told(case(source(values), options(60.0)))
    assert "% of the time it is near the threshold, like a utilisation that an autoscaler controls" in notes


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        ("sum(rate(a[2m]))", 120),
        ("sum(rate(a[1m])) + sum(rate(b[1m30s]))", 90),
        ("max_over_time(q[5m:15s])", 300),
        ('sum(rate(a{path="[30d]"}[2m]))', 120),
        ("sum(rate(a[120]))", 120),
        ("q", 60),
    ],
)
def test_what_a_metric_server_says_is_as_old_as_the_query_makes_it(query: str, seconds: float) -> None:
    """The window of rate() delays what a trigger sees."""
    assert window_seconds(query) == seconds
    assert case(source(wave(3), query=query)).setting.observing.window_seconds == seconds


def test_defaults_of_a_workload_of_which_nothing_is_known() -> None:
    """A replica carries the threshold, one at least, as many as it takes."""
    setting = case(source(wave(3))).setting
    assert (setting.capacity, setting.scales_to_zero, setting.max_queue_wait_seconds) == (100.0, False, 30.0)
    assert setting.hpa == Hpa(min_replicas=1, max_replicas=100_000)
    assert case(source(wave(3)), options(least=0)).setting.scales_to_zero


def test_a_threshold_above_what_a_replica_carries_is_reported() -> None:
    """Today's trigger then overloads its replicas on purpose."""
    assert "today's threshold, 100, is above what a replica carries, 80" in told(
        case(source(wave(3)), options(capacity=80.0))
    )


def recording(folder: Path) -> Path:
    """Series to take and series to refuse."""
    values = wave(3)[::5]
    return write_values(
        folder / "shop.csv",
        web=values,
        api=2 * values,
        counter=np.cumsum(values),
        still=np.full(len(values), 7.0),
        nothing=np.full(len(values), np.nan),
        negative=-values,
    )


def test_a_series_of_a_file(tmp_path: Path) -> None:
    """By its name, in the zone asked for."""
    found = of_file(recording(tmp_path), "api", "Europe/Berlin").series
    assert (found.name, found.timezone, found.step_seconds) == ("api", "Europe/Berlin", 300)


def test_the_only_series_needs_no_name(tmp_path: Path) -> None:
    """Where there are several, they are named."""
    alone = write_values(tmp_path / "one.csv", web=wave(3)[::5])
    assert of_file(alone, "", "UTC").series.name == "web"
    with pytest.raises(Usage, match=r"--series: which of the 6 in shop.csv\? 'web', 'api', .* and 1 more"):
        of_file(recording(tmp_path), "", "UTC")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wep", r"--series 'wep': is not in shop.csv; did you mean 'web'\?"),
        ("zzz", r"--series 'zzz': is not in shop.csv; there are 'web', 'api', "),
        ("counter", "series 'counter': rises 863 times and never falls: a raw counter"),
        ("still", "series 'still': is constant"),
        ("nothing", "series 'nothing': has no value at all"),
        ("negative", "series 'negative': row 1 .* value -.*: demand must be from 0"),
    ],
)
def test_series_that_cannot_be_used(tmp_path: Path, name: str, words: str) -> None:
    """Each with its rule; an unknown one with the nearest that is there."""
    with pytest.raises(DataError, match=words):
        of_file(recording(tmp_path), name, "UTC")


def test_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    """The flag is named, and what differs."""
    with pytest.raises(Usage, match=r"--bundle .*: bundle .* refused"):
        open_forecaster(tmp_path)


def test_a_bundle_that_was_fitted_to_other_series() -> None:
    """Both are named."""
    bundle = read_bundle(SEASONAL)
    other = open_later(
        replace(bundle, manifest=bundle.manifest.model_copy(update={"series": ("north/shop",)})), "other"
    )
    with pytest.raises(Usage, match=r"--bundle: .* was fitted to 'north/shop', not to '.*/web'"):
        require_served(other, source(wave(3)).series)


def test_without_a_bundle_the_general_one_forecasts() -> None:
    """As for a trigger that names none."""
    assert open_forecaster(None).manifest.name == "general"


def test_the_cache_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the XDG specification has it: a relative path counts as none."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_cache() == Path("/somewhere/headway/replay")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_cache() == Path.home() / ".cache/headway/replay"


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    """With its folders; after a failure nothing is left, and what was there before is untouched."""
    path = tmp_path / "a" / "b" / "one.csv"
    with appearing(path) as draft:
        draft.write_text("new")
        assert not path.parent.exists()
        assert draft.suffix == ".csv"
    assert path.read_text() == "new"
    with pytest.raises(KeyboardInterrupt):
        _interrupted(path)
    assert path.read_text() == "new"
    assert [one.name for one in tmp_path.rglob("*")] == ["a", "b", "one.csv"]


def _interrupted(path: Path) -> None:
    with appearing(path) as draft:
        draft.write_text("half")
        raise KeyboardInterrupt


def test_places_where_no_file_can_be(tmp_path: Path) -> None:
    """Known before any work is done."""
    (tmp_path / "file").touch()
    assert why_not(tmp_path / "new" / "one.csv") == ""
    assert why_not(tmp_path / "file" / "one.csv") == f"{tmp_path / 'file'} is not a folder"
    assert why_not(tmp_path) == "is a folder"
    os.mkfifo(tmp_path / "pipe")
    assert why_not(tmp_path / "pipe") == "is not a regular file and would be replaced by one"


def test_a_link_stays_one(tmp_path: Path) -> None:
    """What it points to is replaced."""
    (tmp_path / "here").symlink_to(tmp_path / "there")
    with appearing(tmp_path / "here") as draft:
        draft.write_text("new")
    assert (tmp_path / "here").is_symlink()
    assert (tmp_path / "there").read_text() == "new"


def test_coarse_targets_are_reported() -> None:
    """Where thousandths are a large part of the threshold."""
    assert "KEDA rounds targets to thousandths" in told(case(source(wave(3, 0.1)), options(0.01)))
    assert "KEDA rounds targets to thousandths" in told(case(source(wave(3, 1.0)), options(0.099)))
    assert "KEDA rounds targets to thousandths" not in told(case(source(wave(3, 1.0)), options(0.1)))


def test_the_server_that_was_asked_is_that_of_the_trigger() -> None:
    """A file has none."""
    one = case(replace(source(wave(5), "sum(x)"), server="http://mimir"))
    assert one.today is not None
    assert (one.today.server_address, one.today.query) == ("http://mimir", "sum(x)")
    assert case(source(wave(5))).today is None
