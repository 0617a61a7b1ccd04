"""Stretches of demand that training does without because the scaler listed them: from a CSV, or from its rows.

They are marked as cleaning marks what it finds itself: the values stay as recorded, and models do not learn from them.
"""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from scaler.anomalies import Anomaly, Kind
from training.data.clean import Cleaned, Finding
from training.errors import DataError

COLUMNS = ("namespace", "name", "trigger", "since", "until", "kind")
"""that a file must have; `headway anomalies --csv` writes them, and others"""


@dataclass(frozen=True, slots=True)
class Interval:
    """[since, until), seconds since the epoch, of the demand of one trigger."""

    namespace: str
    name: str
    trigger: str
    """the hash of its metadata; empty for whichever"""
    since: float
    until: float

    def is_of(self, series: str) -> bool:
        """Whether a series is that trigger's: NAMESPACE/NAME, or NAMESPACE/NAME/TRIGGER where an object has several."""
        owner = f"{self.namespace}/{self.name}"
        return series == owner or (series.startswith(f"{owner}/") and self.trigger in ("", series[len(owner) + 1 :]))


def intervals_of(listed: Iterable[Anomaly]) -> tuple[Interval, ...]:
    """What training does without: anomalies. A level shift is what demand is now, and stays."""
    return tuple(
        Interval(one.namespace, one.name, one.trigger, one.since, one.until)
        for one in listed
        if one.kind is Kind.ANOMALY
    )


def read_intervals(path: Path) -> tuple[Interval, ...]:
    """The same from a CSV as `headway anomalies --csv` writes it. Raises DataError that names line, field and rule."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            missing = [column for column in COLUMNS if column not in (rows.fieldnames or ())]
            if missing:
                raise DataError(
                    f"{path.name}: lacks the column {', '.join(missing)}; headway anomalies --csv writes it"
                )
            found = [_interval(f"{path.name}: line {rows.line_num}", row) for row in rows]
    except OSError as error:
        raise DataError(f"{path.name}: cannot be read: {error.strerror or 'it is no file'}") from None
    except (UnicodeDecodeError, csv.Error):
        raise DataError(f"{path.name}: cannot be read: it is not CSV text in UTF-8") from None
    return tuple(one for one in found if one is not None)


def without(cleaned: Cleaned, intervals: Sequence[Interval]) -> Cleaned:
    """The same with the bins marked that any of the intervals touches; a finding for each that touches a known one."""
    series, mask_S, findings = cleaned.series, cleaned.mask_S.copy(), list(cleaned.report)
    for one in intervals:
        if not one.is_of(series.name):
            continue
        first = max(0, math.floor((one.since - series.start) / series.step_seconds))
        last = min(len(mask_S), math.ceil((one.until - series.start) / series.step_seconds))
        known = int((~np.isnan(series.values[first:last])).sum()) if first < last else 0
        if known:
            mask_S[first:last] |= ~np.isnan(series.values[first:last])
            words = f"listed as an anomaly: {known} {'sample' if known == 1 else 'samples'} left out"
            since, until = (series.start + series.step_seconds * place for place in (first, last))
            findings.append(Finding("listed", since, until, words))
    return replace(cleaned, mask_S=mask_S, report=tuple(sorted(findings, key=lambda finding: finding.since)))


def left_out(before: Sequence[Cleaned], after: Sequence[Cleaned]) -> str:
    """What `without` has done, as a sentence."""
    counts = [int(new.mask_S.sum() - old.mask_S.sum()) for old, new in zip(before, after, strict=True)]
    touched = sum(count > 0 for count in counts)
    return f"kept out of training, as they are listed as anomalies: {sum(counts)} samples of {touched} series"


def _interval(where: str, row: Mapping[str, str | None]) -> Interval | None:
    """None for one that training keeps."""
    texts = {column: (row[column] or "").strip() for column in COLUMNS}
    if texts["kind"] not in set(Kind):
        raise DataError(f"{where}: kind {texts['kind']!r}: must be {' or '.join(Kind)}")
    for column in ("namespace", "name"):
        if not texts[column]:
            raise DataError(f"{where}: {column} '': must not be empty")
    since, until = (_moment(where, column, texts[column]) for column in ("since", "until"))
    if since >= until:
        raise DataError(f"{where}: until {texts['until']!r}: must be later than since {texts['since']!r}")
    if texts["kind"] != Kind.ANOMALY:
        return None
    return Interval(texts["namespace"], texts["name"], texts["trigger"], since, until)


def _moment(where: str, column: str, text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise DataError(f"{where}: {column} {text!r}: must be a moment such as 2026-11-29T02:31:00Z") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
