"""The readiness report: why there is no forecast yet, in sentences."""

from dataclasses import replace

import pytest

from scaler.series import HistoryFacts
from scaler.status.report import readiness_report
from scaler.trigger import Mode, Trigger
from scaler.words.wording import span

TRIGGER = Trigger("shop", "web", "up", 10.0, "http://p")
GOOD = HistoryFacts("seasonal@1", 1000.0, 990.0, 86400.0, 3600.0, 86400.0, is_backfilled=True)


def test_nothing_is_missing_once_there_is_a_forecast():
    """With a forecast the report is ready and says so."""
    report = readiness_report(TRIGGER, GOOD)
    assert (report.ready, report.missing, report.when) == (True, (), "now")


def test_too_little_history():
    """It says how much there is, how much is needed, and when it will be there."""
    report = readiness_report(TRIGGER, replace(GOOD, forecast_at=None, covered_seconds=600.0))
    assert report.missing == ("10 min of history are there, at least 1 h needed by seasonal@1",)
    assert report.when.startswith("in 50 min")
    assert report.meanwhile == "KEDA gets the newest observation, as from a reactive trigger"


def test_backfill_under_way():
    """While the history is being fetched nothing is predicted from what is there so far."""
    report = readiness_report(TRIGGER, replace(GOOD, forecast_at=None, is_backfilled=False, covered_seconds=0.0))
    assert report.missing[0] == "the history has not been fetched yet"
    assert report.when == "within seconds: the history is being fetched"


def test_source_in_trouble():
    """The error of the source is repeated, and what KEDA gets is named."""
    facts = replace(GOOD, forecast_at=None, observed_at=None, error="http://p: connection refused")
    report = readiness_report(TRIGGER, facts)
    assert report.missing == ("no observation yet: http://p: connection refused",)
    assert "source answers again" in report.when
    assert report.meanwhile.startswith("KEDA gets UNAVAILABLE")


@pytest.mark.parametrize(
    ("is_backfilled", "when"),
    [
        (True, "45 min after the source answers again (Headway retries at every refresh): it has no older samples"),
        (False, "soon after the source answers again (Headway retries at every refresh) "
                "if it has 45 min more of the past, else later"),
    ],
)  # fmt: skip
def test_source_in_trouble_with_too_little_history(is_backfilled, when):
    """An answer alone does not bring the forecast: the history that is then missing is reported, too."""
    facts = replace(GOOD, forecast_at=None, covered_seconds=900.0, is_backfilled=is_backfilled, error="http://p: away")
    assert readiness_report(TRIGGER, facts).when == when


def test_what_somebody_must_mend_is_not_said_to_pass():
    """The status that KEDA gets is named, and a bad query stays bad."""
    facts = replace(GOOD, forecast_at=None, observed_at=None, error="http://p: parse error")
    report = readiness_report(TRIGGER, facts, "FAILED_PRECONDITION")
    assert "is fixed" in report.when
    assert report.meanwhile.startswith("KEDA gets FAILED_PRECONDITION")


def test_reactive_mode_never_has_a_forecast():
    """For a reactive trigger the report says that it wants none."""
    report = readiness_report(replace(TRIGGER, mode=Mode.REACTIVE), GOOD)
    assert report.missing == ("mode is reactive: no forecast is made for this trigger",)


def test_trigger_of_another_replica():
    """A replica that does not refresh the trigger says where to look."""
    report = readiness_report(TRIGGER, None)
    assert not report.ready
    assert "another replica" in report.missing[0]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.6, "1 min"), (90, "1 min 30 s"), (3600, "1 h"), (12_000, "3 h 20 min"), (90_000, "1 d 1 h")],
)
def test_spans_have_two_units(seconds, text):
    """A span of time as one would say it."""
    assert span(seconds) == text
