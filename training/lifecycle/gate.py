"""Whether a new model (the challenger) may replace the one that serves (the champion). Pure: figures in, verdict out.

docs/decisions/0034-publishing-gate.md says what the bounds rest on.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

LEAST_UNSERVED = 1e-4
"""share of the demand: less than this is as good as nothing, and no reason to prefer a model"""
MOST_SERIES = 20
"""of which the log of decisions has single figures"""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a challenger must keep. Ratios are to the champion's figure on the same series; below 1 is better."""

    fewest_windows: int = 50
    """judged, over all series"""
    loss: float = 0.98
    """geometric mean over the series: pinball loss of the peak"""
    over_naive: float = 1.0
    """median over the series: the same loss over that of the better naive model"""
    worst_loss: float = 1.25
    """of any series"""
    unserved: float = 0.98
    """median over the replayed series: unserved demand at equal cost"""
    mean_unserved: float = 1.0
    """geometric mean"""
    worst_unserved: float = 2.0
    """of any replayed series"""
    parity: float = 1e-3
    """between model and exported graph, relative"""
    size: float = 8.0
    seconds: float = 3.0
    """of the same windows, on one core"""


BOUNDS = Bounds()


@dataclass(frozen=True, slots=True)
class Replayed:
    """One bundle in a replay: unserved share of the demand, replica-hours, and what a reactive trigger leaves unserved
    at these replica-hours (NaN where no reactive trigger costs as much)."""

    unserved: float
    hours: float
    reactive_unserved: float

    @property
    def u(self) -> float:
        """Unserved demand over that of a reactive trigger of equal cost."""
        if math.isnan(self.reactive_unserved):
            return math.nan
        return max(self.unserved, LEAST_UNSERVED) / max(self.reactive_unserved, LEAST_UNSERVED)


@dataclass(frozen=True, slots=True)
class SeriesFigures:
    """One series. Losses: pinball of the peak of the next minutes, over mean demand."""

    windows: int
    loss: float
    champion_loss: float
    replay: Replayed | None = None
    champion_replay: Replayed | None = None
    note: str = ""
    """why it was not replayed"""


@dataclass(frozen=True, slots=True)
class Measured:
    """The challenger and the champion, side by side.

    over_naive, parity: from the record of the run that trained the challenger, NaN where it does not say.
    incomparable: why losses and replays of both cannot be compared; empty where they can.
    """

    challenger: str
    champion: str
    series: Mapping[str, SeriesFigures]
    over_naive: float
    parity: float
    size_bytes: int
    champion_size_bytes: int
    seconds: float
    champion_seconds: float
    incomparable: str = ""

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Measured":
        """What `dataclasses.asdict` made of one."""
        series = {name: _series_from(one) for name, one in found["series"].items()}
        return cls(**{**found, "series": series})


def _series_from(found: Mapping[str, Any]) -> SeriesFigures:
    replays = {name: found[name] and Replayed(**found[name]) for name in ("replay", "champion_replay")}
    return SeriesFigures(**{**found, **replays})


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a verdict. value: NaN where it could not be computed, which is not ok. key: its name in records."""

    key: str
    name: str
    value: float
    rule: str
    ok: bool

    def __str__(self) -> str:
        value = "unknown" if math.isnan(self.value) else f"{self.value:.3g}"
        return f"{self.name}: {value}, {self.rule}, {'ok' if self.ok else 'not ok'}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The checks in order; `measured` has the figures of every series."""

    measured: Measured
    checks: tuple[Check, ...]
    bounds: Bounds = field(default_factory=Bounds)

    @property
    def passed(self) -> bool:
        return all(check.ok for check in self.checks)

    @property
    def reasons(self) -> tuple[str, ...]:
        """What speaks against the challenger; for one that passed, what it was admitted for."""
        against = tuple(str(check) for check in self.checks if not check.ok)
        return against or tuple(str(check) for check in self.checks if check.key in _DECISIVE)

    @property
    def lines(self) -> list[str]:
        """Each check as a person reads it: whether it holds, its figure and its bound."""
        return [f"{'ok ' if check.ok else 'NO '} {check}" for check in self.checks]

    @property
    def numbers(self) -> dict[str, float]:
        """The figures of the checks for the log of decisions, and the ratios of a few series, the worst first."""
        found = {check.key: check.value for check in self.checks}
        found |= {"series": float(len(self.measured.series)), "replayed": float(len(_unserved_ratios(self.measured)))}
        ratios = (
            ("loss_ratio", _loss_ratios(self.measured)),
            ("unserved_ratio", _unserved_ratios(self.measured)),
        )
        for key, by_series in ratios:
            worst = sorted(by_series, key=lambda name: -by_series[name])[:MOST_SERIES]
            found |= {f"{key} of {name}": by_series[name] for name in worst}
        return {name: value for name, value in found.items() if math.isfinite(value)}

    @property
    def figures(self) -> dict[str, object]:
        """All of it, for JSON; a number that is none is null."""
        return {
            "challenger": self.measured.challenger,
            "champion": self.measured.champion,
            "passed": self.passed,
            "checks": [_finite(asdict(check)) for check in self.checks],
            "bounds": asdict(self.bounds),
            "series": {name: _finite(asdict(one)) for name, one in self.measured.series.items()},
        }


_DECISIVE = ("loss_ratio", "unserved_ratio")


def judge(measured: Measured, bounds: Bounds = BOUNDS) -> Verdict:
    """Every rule, whether an earlier one has failed or not: a decision is recorded with all figures."""
    if measured.incomparable:
        checks = [Check("comparable", "comparable with the champion", math.nan, measured.incomparable, False)]
    else:
        checks = [*_of_losses(measured, bounds), *_of_replays(measured, bounds)]
        seconds = _ratio(measured.seconds, measured.champion_seconds)
        checks.append(_at_most("seconds_ratio", "seconds for the same forecasts, ratio", seconds, bounds.seconds))
    return Verdict(measured, (*checks, *_of_bundle(measured, bounds)), bounds)


def _of_losses(measured: Measured, bounds: Bounds) -> Iterator[Check]:
    ratios, windows = _loss_ratios(measured), sum(one.windows for one in measured.series.values())
    rule = f"at least {bounds.fewest_windows}"
    yield Check("windows", "windows that were judged", windows, rule, windows >= bounds.fewest_windows)
    yield _at_most("loss_ratio", "peak loss, mean ratio", _geometric_mean(ratios), bounds.loss)
    yield _at_most("loss_over_naive", "peak loss over naive, median", measured.over_naive, bounds.over_naive)
    yield _of_worst("worst_loss_ratio", "peak loss", ratios, bounds.worst_loss)


def _of_replays(measured: Measured, bounds: Bounds) -> Iterator[Check]:
    ratios = _unserved_ratios(measured)
    middle = median(ratios.values()) if ratios else math.nan
    yield _at_most("unserved_ratio", "unserved at equal cost, median ratio", middle, bounds.unserved)
    mean = _geometric_mean(ratios)
    yield _at_most("mean_unserved_ratio", "unserved at equal cost, mean ratio", mean, bounds.mean_unserved)
    yield _of_worst("worst_unserved_ratio", "unserved at equal cost", ratios, bounds.worst_unserved)


def _of_bundle(measured: Measured, bounds: Bounds) -> Iterator[Check]:
    yield _at_most("parity", "difference of the graph from its model", measured.parity, bounds.parity)
    size = _ratio(measured.size_bytes, measured.champion_size_bytes)
    yield _at_most("size_ratio", "size, ratio", size, bounds.size)


def _loss_ratios(measured: Measured) -> dict[str, float]:
    return {name: _ratio(one.loss, one.champion_loss) for name, one in measured.series.items()}


def _unserved_ratios(measured: Measured) -> dict[str, float]:
    """Of the series that were replayed, and at whose cost under the champion a reactive trigger can be compared.

    Infinite where that cannot be said of the challenger: it takes far more replica-hours, or far fewer.
    """
    ratios = {
        name: one.replay.u / one.champion_replay.u
        for name, one in measured.series.items()
        if one.replay and one.champion_replay and not math.isnan(one.champion_replay.u)
    }
    return {name: math.inf if math.isnan(ratio) else ratio for name, ratio in ratios.items()}


def _at_most(key: str, name: str, value: float, bound: float) -> Check:
    return Check(key, name, value, f"at most {bound:g}", value <= bound)


def _of_worst(key: str, name: str, ratios: Mapping[str, float], bound: float) -> Check:
    if not ratios:
        return _at_most(key, f"{name}, worst series", math.nan, bound)
    worst = max(ratios, key=lambda name: ratios[name])
    return _at_most(key, f"{name}, worst series ({worst})", ratios[worst], bound)


def _ratio(mine: float, theirs: float) -> float:
    """1 where both are 0, infinite where theirs alone is."""
    if mine == theirs == 0:
        return 1.0
    return mine / theirs if theirs else math.inf


def _geometric_mean(ratios: Mapping[str, float]) -> float:
    """NaN of none."""
    if not ratios:
        return math.nan
    return math.exp(sum(math.log(max(ratio, 1e-9)) for ratio in ratios.values()) / len(ratios))


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
