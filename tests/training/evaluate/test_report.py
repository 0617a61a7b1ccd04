"""The report: complete, without a network, the same each time, never half-written."""

import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tests.training.evaluate.forecasts import TASK, forecast, forecasts, windows
from training.evaluate import report
from training.evaluate.compare import Cost, compare
from training.evaluate.figures import figures
from training.evaluate.skill import Paired

PAIR = Paired("mine", "better naive", 40, 0.8, 0.75, 0.85, 1e-6, 38, 2, 5, 5)


@pytest.fixture(scope="module")
def comparison():
    cut = windows()
    return compare(cut, forecasts(cut), TASK, {name: Cost(1.0, 0.1, 5e5) for name in forecasts(cut)})


@pytest.fixture(scope="module")
def page(comparison) -> str:
    return report.page(comparison)


class Elements(HTMLParser):
    """Ids, addresses to load from, and the text of each cell of the page."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.cells: list[str] = []
        self.open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href"):
                self.addresses.append(value or "")
        self.open = tag == "td"
        if self.open:
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.open:
            self.cells[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self.open = False


def elements(page: str) -> Elements:
    """Of the page without the plotting library, which is the first of its two scripts."""
    before, _, after = page.split("<script>")
    found = Elements()
    found.feed(before + after.rpartition("</script>")[2])
    return found


def test_the_page_says_each_verdict_and_shows_each_picture(comparison, page):
    """Every model's sentence is there, and every figure has its place."""
    found = elements(page)
    for pair in comparison.against_naive:
        assert any(cell.startswith(report.verdict(pair)) for cell in found.cells)
    drawn = figures(comparison)
    assert set(drawn) == {"fans", "skill", "coverage", "leads", "calendar", "costs"}
    assert set(drawn) <= set(found.ids)


def test_the_page_says_what_the_models_rely_on(comparison, page):
    """A row per subject, the most important first, and a column per model with features; without any, no table."""
    shares = {"good": {"slopes": 0.02, "calendar": 0.5}, "middling": {"calendar": -0.003, "slopes": 0.1}, "bad": {}}
    explained = report.page(replace(comparison, importance=shares))
    rows = explained.partition('<table class="importance">')[2].partition("</table>")[0]
    assert re.findall(r"<th>(.*?)</th>", rows) == ["features", "good", "middling"]
    assert re.findall(r"<td>(.*?)</td>", rows) == ["calendar", "+50%", "0%", "slopes", "+2%", "+10%"]
    assert "What the models rely on" not in page


def test_the_page_needs_no_network(page):
    """Nothing is loaded from anywhere: the plotting library is inside."""
    assert elements(page).addresses == ["data:,"]
    assert "plotly.js v" in page
    assert not re.search(r"<script\s|@import|url\(\s*['\"]?http", page.split("<script>")[0] + page.split("<script>")[2])


def test_names_are_text_not_markup():
    """A series or model named like a script stays text, in the tables and in the pictures' data."""
    cut = windows(count=5)
    evil = "</script><script>alert(1)</script>"
    renamed = replace(cut, names=(f"{evil}/x", *cut.names[1:]))
    said = {**forecasts(cut), evil: forecast(cut, 0.1)}
    page = report.page(compare(renamed, said, TASK))
    assert "<script>alert" not in page
    assert evil in elements(page).cells


def test_the_pictures_hold_what_the_tables_say(comparison):
    """Lines by lead are the table's, and a fan shows the window's own quantiles and truth."""
    drawn = figures(comparison)
    table = comparison.leads[comparison.leads["model"] == "good"]
    lines = [trace for trace in drawn["leads"].data if trace.name == "good"]
    assert np.array_equal(lines[1].y, table["pinball"])
    best = comparison.summary["model"][0]
    first = [trace for trace in drawn["fans"].data if trace.xaxis == "x"]
    medians = {trace.meta: trace for trace in first if trace.name == "median"}
    example = comparison.examples[0]
    for model, said in example.answers.items():
        assert np.array_equal(medians[model].y, said.quantiles_NHQ[0, :, 1])
        assert medians[model].visible == (model == best)
    came = [trace for trace in first if trace.name == "recorded"][-1]
    assert np.array_equal(came.y, example.truth_H)


def test_the_scripts_data_is_json(comparison, page):
    """The figures travel as JSON that parses back to all of them."""
    text = page.rpartition("const figures = ")[2].partition(";\nconst dark")[0]
    assert set(json.loads(text)) == set(figures(comparison))


def test_the_csv_has_a_row_per_model_and_series(comparison):
    """The scores survive the way through CSV, next to the skill against each naive model."""
    rows = list(csv.DictReader(io.StringIO(report.csv(comparison))))
    assert len(rows) == len(comparison.models) * comparison.series
    by_key = {(row["model"], row["series"]): row for row in rows}
    for told in comparison.scores.itertuples():
        row = by_key[told.model, told.series]
        assert float(row["peak_loss"]) == pytest.approx(told.peak_loss, rel=1e-5)
    for told in comparison.skill.itertuples():
        row = by_key[told.model, told.series]
        assert float(row["skill_persistence"]) == pytest.approx(told.persistence, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    ("pair", "opening"),
    [
        (PAIR, "Beats the better naive model: 20% less peak loss"),
        (replace(PAIR, median_ratio=1.2, low=1.1, high=1.3, better=2), "Loses to the better naive model: 20% more"),
        (replace(PAIR, p=0.2), "No clear difference"),
        (replace(PAIR, high=1.01), "No clear difference"),
        (replace(PAIR, series=5), "Too few series"),
        (replace(PAIR, series=0, median_ratio=np.nan), "No series"),
        (replace(PAIR, model="persistence"), "A baseline"),
    ],
)
def test_a_verdict_says_no_more_than_the_figures(pair, opening):
    """Better or worse only where interval and test agree on enough series."""
    assert report.verdict(pair).startswith(opening)


def test_a_broken_promise_is_reported(comparison):
    """A quantile that holds far too rarely or too often is named so, whatever the loss."""
    cut = windows()
    said = {**forecasts(cut), "bold": forecast(cut, 0.02, bias=-0.1), "careful": forecast(cut, 0.02, bias=0.1)}
    cells = elements(report.page(compare(cut, said, TASK, examples=0))).cells
    assert any("too bold" in cell for cell in cells)
    assert any("too careful" in cell for cell in cells)


def test_a_report_without_costs_and_examples_is_written(tmp_path):
    """What was not measured is left out, and one series in one system is enough for a page."""
    cut = windows(systems=1, of_each=1)
    report.write_report(compare(cut, forecasts(cut), TASK, examples=0), tmp_path / "deep/r.html", tmp_path / "r.csv")
    found = elements((tmp_path / "deep/r.html").read_text())
    assert {"fans", "costs"}.isdisjoint(found.ids)
    assert any(cell.startswith("Too few series") for cell in found.cells)


def test_a_report_is_written_whole_or_not_at_all(comparison, tmp_path, monkeypatch):
    """A disk that fills up leaves the old report, and no leftovers."""
    html, table = tmp_path / "r.html", tmp_path / "r.csv"
    html.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        report.write_report(comparison, html, table)
    assert html.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]


def test_the_same_comparison_gives_the_same_bytes(comparison, page):
    """No moment, no chance: a page made again is equal."""
    assert report.page(comparison) == page
    assert report.csv(comparison) == report.csv(comparison)
