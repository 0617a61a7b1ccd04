"""A comparison as one page that needs no network, and as a table of figures per series.

The page: a verdict on each model first, then forecasts of real days, coverage, and where the loss comes from.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import isnan
from pathlib import Path

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from scaler.files import appearing
from training.evaluate.cases import NAIVE
from training.evaluate.compare import STRONGLY_SEASONAL, Comparison
from training.evaluate.figures import figures, span
from training.evaluate.skill import BETTER_NAIVE, Paired

TEMPLATE = "report.html"
FEWEST_SERIES = 6
"""with fewer, no outcome of the signed rank test is below 5 %"""
SIGNIFICANT = 0.05
MAPE_LEADS = (900, 3600, 7200, 86_400)
COVERAGE_TOLERANCE = 0.05
SCORES = ("WQL", "MASE", "RMSE", "MAPE", "R²", "mean rank")


def write_report(comparison: Comparison, path_html: Path, path_csv: Path) -> None:
    """Write the page, and the scores of each model on each series as CSV, each in whole or not at all.

    The same comparison gives the same bytes.
    """
    _write(path_html, page(comparison))
    _write(path_csv, csv(comparison))


def page(comparison: Comparison) -> str:
    """The page as HTML, scripts and pictures included."""
    here = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=here, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    drawn = {name: json.loads(figure.to_json()) for name, figure in figures(comparison).items()}
    return environment.get_template(TEMPLATE).render(
        comparison=comparison,
        judged_by=f"the peak in the first {span(comparison.deciding_seconds)}",
        level=f"{comparison.judging.level:.0%}",
        first=_day(comparison.first),
        last=_day(comparison.last),
        step=span(comparison.task.grid.step_seconds),
        horizon=span(comparison.task.grid.step_seconds * comparison.task.horizon_steps),
        rows=list(_rows(comparison)),
        heads=SCORES,
        answers=_answers(comparison),
        models=list(comparison.summary["model"]),
        matrix=_matrix(comparison),
        importance=_importance(comparison),
        seasonal=_seasonal(comparison),
        seasonal_series=_strongly_seasonal(comparison),
        strongly_seasonal=STRONGLY_SEASONAL,
        figures=drawn,
        figures_json=json.dumps(drawn, sort_keys=True).replace("<", "\\u003c"),
        plotly=get_plotlyjs().replace("</script", "<\\/script"),
    )


def csv(comparison: Comparison) -> str:
    """The scores of each model on each series, with the skill against each naive model."""
    rivals = {rival: f"skill_{rival.replace(' ', '_').replace('-', '_')}" for rival in (*NAIVE, BETTER_NAIVE)}
    table = comparison.scores.merge(comparison.skill.rename(columns=rivals), on=["model", "series"], how="left")
    return str(table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def verdict(pair: Paired) -> str:
    """The verdict on a model against the better naive model, as a sentence."""
    if pair.model in NAIVE:
        return "A baseline: one of the two that the others must beat."
    if not pair.series:
        return "No series has a score of it and of the naive models."
    interval = "" if isnan(pair.low) else f" (95% interval {_change(pair.low)} to {_change(pair.high)})"
    found = f"{_change(pair.median_ratio)} peak loss in the median{interval}"
    counted = f"better on {pair.better} of {pair.series} series, in {pair.systems_better} of {pair.systems} systems"
    if pair.series < FEWEST_SERIES:
        return f"Too few series for a verdict: {found}, {counted}."
    opening = {"better": "Beats", "worse": "Loses to", "unclear": "No clear difference from"}[_outcome(pair)]
    return f"{opening} the better naive model: {found}, {counted}, {_p(pair.p)}."


@dataclass(frozen=True, slots=True)
class Row:
    """One model in the summary, formatted."""

    model: str
    outcome: str
    """better, worse, unclear or baseline"""
    verdict: str
    peak_loss: str
    change: str
    better: str
    peak_loss_at_level: str
    coverage: str
    peak_coverage: str
    promise_kept: bool
    scores: tuple[str, ...]
    """what `SCORES` heads"""
    costs: tuple[str, str, str]


def _rows(comparison: Comparison) -> Iterator[Row]:
    pairs = {pair.model: pair for pair in comparison.against_naive}
    for row in comparison.summary.itertuples():
        pair = pairs[row.model]
        promise = _broken_promise(row.peak_coverage, comparison.judging.level)
        yield Row(
            model=row.model,
            outcome=_outcome(pair),
            verdict=f"{verdict(pair)} {promise}".rstrip(),
            peak_loss=_known(row.peak_loss, ".2%"),
            change=_percent(pair.median_ratio - 1),
            better=f"{pair.better} of {pair.series}",
            peak_loss_at_level=_known(row.peak_loss_at_level, ".2%"),
            coverage=_known(row.coverage, ".1%"),
            peak_coverage=_known(row.peak_coverage, ".1%"),
            promise_kept=not promise,
            scores=(
                _known(row.wql, ".3f"),
                _known(row.mase, ".2f"),
                _known(row.rmse, ".1%"),
                _known(row.mape, ".1%"),
                _known(row.r2, ".2f"),
                _known(row.mean_rank, ".1f"),
            ),
            costs=(_seconds(row.fit_seconds), _seconds(row.inference_seconds), _bytes(row.size_bytes)),
        )


def _broken_promise(realised: float, level: float) -> str:
    """A sentence if the realised coverage of the peak clearly differs from the nominal one."""
    if isnan(realised) or abs(realised - level) <= COVERAGE_TOLERANCE:
        return ""
    judgement = "too bold" if realised < level else "too careful"
    return f"Its {level:.0%} quantile of the peak held {realised:.0%} of the time: {judgement}."


def _outcome(pair: Paired) -> str:
    if pair.model in NAIVE:
        return "baseline"
    return _told_apart(pair)


def _told_apart(pair: Paired) -> str:
    """better or worse if both the test and the interval agree; else unclear."""
    if pair.series < FEWEST_SERIES or pair.p >= SIGNIFICANT or pair.low <= 1 <= pair.high:
        return "unclear"
    return "better" if pair.median_ratio < 1 else "worse"


def _matrix(comparison: Comparison) -> list[list[tuple[str, str, str]]]:
    """Each model (row) against each other (column): change of the loss, outcome, hint; best first."""
    models = list(comparison.summary["model"])
    pairs = {(pair.model, pair.against): pair for pair in comparison.pairs}
    return [[_cell(pairs.get((one, other))) for other in models] for one in models]


def _cell(pair: Paired | None) -> tuple[str, str, str]:
    if pair is None:
        return "", "self", ""
    interval = f"{_percent(pair.low - 1)} to {_percent(pair.high - 1)}"
    hint = f"{interval}, better on {pair.better} of {pair.series} series, {_p(pair.p)}"
    return _percent(pair.median_ratio - 1), _told_apart(pair), hint


def _answers(comparison: Comparison) -> list[str]:
    """The share of windows that models answer, for those that do not answer all."""
    by_share: dict[str, list[str]] = {}
    for model, share in comparison.answered.items():
        if share < 1:
            by_share.setdefault(f"{share:.1%}", []).append(model)
    return [f"{', '.join(models)}: {share}" for share, models in by_share.items()]


def _importance(comparison: Comparison) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """The models with features, best first, and a row of shares per subject, the most important first."""
    models = [str(model) for model in comparison.summary["model"] if comparison.importance.get(model)]
    table = pd.DataFrame({model: dict(comparison.importance[model]) for model in models})
    table = table.loc[table.mean(axis=1).sort_values(ascending=False, kind="stable").index] if models else table
    return models, [(str(subject), [_percent(share) for share in row]) for subject, row in table.iterrows()]


def _seasonal(comparison: Comparison) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """MAPE by lead on the strongly seasonal series: the leads, and a row per model."""
    table = comparison.seasonal_leads
    leads = [lead for lead in MAPE_LEADS if lead in set(table["lead_seconds"])]
    found = []
    for model in comparison.summary["model"]:
        mine = table[table["model"] == model].set_index("lead_seconds")["mape"]
        found.append((str(model), [_known(mine.get(lead, np.nan), ".1%") for lead in leads]))
    return [span(lead) for lead in leads], found


def _strongly_seasonal(comparison: Comparison) -> int:
    scores = comparison.scores
    return int(scores.loc[scores["daily_r2"] > STRONGLY_SEASONAL, "series"].nunique())


def _percent(share: float) -> str:
    if isnan(share):
        return "–"
    text = f"{share:+.0%}".replace("-", "−")
    return "0%" if text in ("+0%", "−0%") else text


def _change(ratio: float) -> str:
    return f"{abs(ratio - 1):.0%} {'less' if ratio <= 1 else 'more'}"


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _known(value: float, form: str) -> str:
    return "–" if isnan(value) else format(value, form)


def _seconds(seconds: float) -> str:
    if isnan(seconds):
        return "–"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.3g} s"


def _bytes(size: float) -> str:
    return "–" if isnan(size) else f"{size / 1e6:.2f} MB" if size >= 1e5 else f"{size / 1e3:.0f} kB"


def _day(moment: float) -> str:
    return f"{pd.Timestamp(moment, unit='s'):%d %b %Y}"


def _write(path: Path, text: str) -> None:
    with appearing(path) as draft:
        draft.write_text(text, encoding="utf-8")
