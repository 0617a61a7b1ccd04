"""The card of a model: what its entry in the index says of it, as sections of rows. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from scaler.models import NO_CHAMPION, Champion, Kind, ModelDecision, ModelVersion, scope_name

Row = tuple[str, str]

VERBS: Mapping[Kind, str] = {
    Kind.PUBLISHED: "published",
    Kind.REFUSED: "refused",
    Kind.PROMOTED: "promoted",
    Kind.ASSIGNED: "assigned",
    Kind.ROLLED_BACK: "rolled back to",
    Kind.RETIRED: "retired",
    Kind.RETRAINING_ASKED: "retraining asked for",
    Kind.RETRAINING_BEGAN: "retraining began",
    Kind.RETRAINED: "retrained",
    Kind.RETRAINING_FAILED: "retraining failed",
}

FIGURES: Mapping[str, str] = {
    "windows": "windows that were judged",
    "loss_ratio": "peak loss over the champion's, mean of the series",
    "worst_loss_ratio": "peak loss over the champion's, worst series",
    "loss_over_naive": "peak loss over that of the naive model, median of the series",
    "unserved_ratio": "unserved demand at equal cost over the champion's, median of the replayed series",
    "mean_unserved_ratio": "unserved demand at equal cost over the champion's, mean of the replayed series",
    "worst_unserved_ratio": "unserved demand at equal cost over the champion's, worst replayed series",
    "seconds_ratio": "CPU time over the champion's",
    "size_ratio": "size over the champion's",
    "parity": "largest difference between the graph and its model",
    "series": "series that were judged",
    "replayed": "series that were replayed",
}
"""the gate's figures, as people read them"""


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Card:
    model: str
    sections: tuple[Section, ...]

    def markdown(self) -> str:
        """The card as a page."""
        lines = [f"# {self.model}"]
        for section in self.sections:
            lines += ["", f"## {section.title}", "", "| | |", "| --- | --- |"]
            lines += [f"| {_cell(name)} | {_cell(value)} |" for name, value in section.rows]
        return "\n".join(lines) + "\n"


def card_of(
    version: ModelVersion, champions: Mapping[str, Champion], decisions: Sequence[ModelDecision], now: float
) -> Card:
    """The card. decisions: those that concern this version, the newest first."""
    sections = (
        Section("What it is", tuple(_what(version, champions, now))),
        Section("How and on what it was trained", tuple(_trained(version))),
        Section("Scores of its training", tuple(_numbers(version.manifest.get("scores", {})))),
        Section("Figures with which it was let in", tuple(_numbers(version.figures))),
        Section("Decisions", tuple((moment(one.at), told(one)) for one in decisions)),
    )
    return Card(version.model, tuple(section for section in sections if section.rows))


def told(decision: ModelDecision) -> str:
    """The decision as a sentence."""
    changes = decision.kind in _OF_SCOPES
    scope = f" for {scope_name(decision.scope)}" if changes else ""
    before = {None: "", NO_CHAMPION: ", where there was no champion" * changes}.get(
        decision.previous, f", {'in place of' if changes else 'compared with'} {decision.previous}"
    )
    done = " ".join(filter(None, (VERBS[decision.kind], decision.model or "no champion" * changes)))
    figures = ", ".join(f"{name} {number(value)}" for name, value in sorted(decision.figures.items()))
    why = "; ".join(filter(None, (decision.reason, figures)))
    return f"{done}{scope}{before}, by {decision.by}{': ' + why if why else ''}"


_OF_SCOPES = (Kind.PROMOTED, Kind.ASSIGNED, Kind.ROLLED_BACK)


def figure_words(key: str) -> str:
    """What a figure is; its key where that is not known."""
    kind, of, series = key.partition(" of ")
    if of:
        return f"{FIGURES[kind].partition(',')[0]}, {series}" if kind in FIGURES else key
    return FIGURES.get(key, key)


def serves(model: str, champions: Mapping[str, Champion], now: float) -> list[str]:
    """Which scopes the version serves, as people read them."""
    return [
        scope_name(scope) + (f" (on probation until {moment(one.probation_until or 0)})" * one.is_on_probation(now))
        for scope, one in sorted(champions.items())
        if one.model == model
    ]


def moment(at: float) -> str:
    """The moment to the minute, in UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def number(value: float) -> str:
    """Four digits are enough to compare."""
    return f"{value:.4g}"


def _what(version: ModelVersion, champions: Mapping[str, Champion], now: float) -> Iterator[Row]:
    manifest = version.manifest
    yield "bundle", version.place
    yield "published", moment(version.published_at)
    if version.retired_at is not None:
        yield "retired", moment(version.retired_at)
    yield "champion of", ", ".join(serves(version.model, champions, now)) or "nothing"
    step = manifest.get("step_seconds", 0)
    if step:
        reads = manifest.get("coarse_seconds", 0) * manifest.get("coarse_steps", 0) or step * manifest.get("steps", 0)
        yield "reads", f"a step of {_span(step)}, {_span(reads)} back"
        yield "forecasts", f"{_span(step * manifest.get('horizon_steps', 0))} ahead"
    if levels := manifest.get("levels"):
        yield "quantiles", ", ".join(f"{level:g}" for level in levels)
    series = manifest.get("series", ())
    yield "serves", f"only {len(series)} triggers, for which it was fitted" if series else "every trigger"
    yield "graph", f"SHA-256 {version.graph}"


def _trained(version: ModelVersion) -> Iterator[Row]:
    trained: Any = version.manifest.get("trained", {})
    yield from ((str(name), str(value)) for name, value in trained.items())
    yield from version.notes.items()
    yield "licence of the data", str(version.manifest.get("data_licence") or "not stated")


def _numbers(values: Mapping[str, Any]) -> Iterator[Row]:
    yield from (
        (name, number(value) if isinstance(value, int | float) else str(value)) for name, value in values.items()
    )


def _span(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:g} seconds"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
