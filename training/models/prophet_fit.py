"""Prophet fitted to single series, and its parameters. Axes: see prophet_graph.py."""

import logging
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import Any, Literal

import joblib
import numpy as np
import pandas as pd

from training.data.load import Series, local_seconds
from training.errors import ModelError
from training.models.empirical import Values, over
from training.models.prophet_graph import Components, Holidays, Integers
from training.progress import Progress
from training.task import DAY_SECONDS, WEEK_SECONDS

YEAR_SECONDS = 31_557_600
"""like Prophet's: 365.25 days"""
PERIODS = {"daily": DAY_SECONDS, "weekly": WEEK_SECONDS, "yearly": YEAR_SECONDS}
INTERRUPTED = "the fit was interrupted before its turn"
LEAST_NOISE = 1e-3
"""of the scale: the least noise, also of a series that never moved"""
FEWEST_DAYS = 2
FEWEST_ROWS = 96
YEARLY_DAYS = 730
"""from this length of record on, there are yearly waves, and each holiday has an effect of its own"""
ANY_HOLIDAY = "any holiday"
DELIMITER = "_delim_"
"""separates the name of a season from the number of a column, in Prophet"""


@dataclass(frozen=True)
class Choices:
    """Options of Prophet's fit; otherwise Prophet's defaults."""

    fit_seconds: int = 900
    """demand is averaged to this step first: a fit at 5 minutes takes six times as long and is no better"""
    daily_order: int = 10
    weekly_order: int = 10
    """from two weeks of record on"""
    yearly_order: int = 10
    """from two years of record on"""
    mode: Literal["additive", "multiplicative"] = "multiplicative"
    growth: Literal["linear", "flat"] = "linear"
    changepoints: int = 25
    changepoint_scale: float = 0.05
    """how readily the trend changes"""
    changepoint_range: float = 0.8
    """trends may change in this first share of the record"""
    seasonality_scale: float = 10.0
    """how far the waves may be from zero: smaller is smoother"""
    country: str = ""
    """whose public holidays: ISO code of a country or of a part of it (DE, DE-BY); none if empty

    All holidays have one effect in common below two years of record: few have come twice before that.
    """
    holiday_scale: float = 10.0
    """how far the effects of holidays may be from zero"""
    days_around: tuple[int, int] = (0, 0)
    """days before and after a holiday that have effects of their own"""
    years_ahead: int = 5
    """for how many years after the record holidays are known"""

    def __post_init__(self) -> None:
        if self.mode not in ("additive", "multiplicative"):
            raise ModelError(f"mode is {self.mode!r}: must be additive or multiplicative")
        if self.days_around[0] < 0 or self.days_around[1] < 0:
            raise ModelError("days_around must not be negative")


@dataclass(frozen=True)
class Fit:
    """The parameters of one series: `waves` by (period, order), `effects` by kind of holiday."""

    scale: float
    start: int
    span: float
    slope: float
    offset: float
    changes: Values
    changed_at: Values
    waves: Mapping[tuple[str, int], tuple[float, float]]
    effects: Mapping[str, float]
    noise: float


def fit_components(
    series: Sequence[Series], until: Sequence[float], choices: Choices, seed: int, jobs: int, progress: Progress
) -> tuple[Components, dict[str, str]]:
    """(components, why a series has none by system/name). Each series is used up to its `until`.

    After an interrupt no further fit starts; finished and running fits are kept, KeyboardInterrupt is raised if there
    are none. Raises ModelError if no series could be fitted, or the country's holidays are unknown.
    """
    calendar = holidays_of(series, choices)
    fits: list[Fit | str] = []
    interrupted = False

    def work() -> Iterator[Any]:
        for one, end in zip(series, until, strict=True):
            if interrupted:
                return
            yield joblib.delayed(_fit_or_reason)(one, end, choices, calendar, seed)

    resource_tracker.ensure_running()  # otherwise joblib starts it, which in Python 3.11 unblocks Ctrl-C
    with _no_ctrl_c():
        results = iter(joblib.Parallel(n_jobs=jobs, return_as="generator", pre_dispatch="n_jobs")(work()))
    while (fit := _next(results)) is not None:
        fits.append(fit)
        if interrupted:
            continue
        try:
            progress(f"prophet: {len(fits)} of {len(series)} series", len(fits) / len(series))
        except KeyboardInterrupt:
            interrupted = True
    fits += [INTERRUPTED] * (len(series) - len(fits))
    failed = {f"{s.system}/{s.name}": fit for s, fit in zip(series, fits, strict=True) if isinstance(fit, str)}
    if len(failed) == len(series):
        if interrupted:
            raise KeyboardInterrupt
        name, reason = next(iter(failed.items()), ("", "there are none"))
        raise ModelError(f"no series could be fitted; series {name!r}: {reason}")
    return _components([None if isinstance(fit, str) else fit for fit in fits], choices, calendar), failed


def _next(results: Iterator[Fit | str]) -> Fit | str | None:
    with _no_ctrl_c():
        return next(results, None)


@contextmanager
def _no_ctrl_c() -> Iterator[None]:
    """Blocks Ctrl-C here and in processes started within, as a terminal sends it to all of them.

    Prophet's optimiser is such a process. If killed, it would count as a failed fit and be retried more slowly.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def frame_of(series: Series, until: float, choices: Choices) -> pd.DataFrame:
    """The data for Prophet: local times `ds` and demand `y` averaged over `fit_seconds`, without gaps."""
    per = max(1, choices.fit_seconds // series.step_seconds)
    seen = min(len(series.values), max(0, int((until - series.start) // series.step_seconds)))
    groups = seen // per
    values = series.values[seen - groups * per : seen].reshape(groups, per).astype(np.float64)
    known = ~np.isnan(values)
    demand = over(np.where(known, values, 0.0).sum(axis=1), known.sum(axis=1))
    # a bin stands for the moment at its end
    first = series.start + series.step_seconds * (seen - groups * per + (per + 1) / 2)
    moments = first + per * series.step_seconds * np.arange(groups, dtype=np.float64)
    local = pd.to_datetime(local_seconds(moments, series.timezone), unit="s")
    return pd.DataFrame({"ds": local, "y": demand})[known.any(axis=1)]


def holidays_of(series: Sequence[Series], choices: Choices) -> pd.DataFrame | None:
    """Prophet's table of holidays: those of the country, from the first series' first year on."""
    if not choices.country or not series:
        return None
    first, last = min(s.start for s in series), max(s.end for s in series)
    years = range(pd.Timestamp(first, unit="s").year - 1, pd.Timestamp(last, unit="s").year + choices.years_ahead + 1)
    found = public_holidays(choices.country, years)
    before, after = choices.days_around
    found = found.sort_values(["ds", "holiday"]).drop_duplicates(ignore_index=True)
    return found.assign(lower_window=-before, upper_window=after)


def public_holidays(country: str, years: Sequence[int]) -> pd.DataFrame:
    """Days `ds` and their `holiday`. Raises ModelError for a country, or a part of it, without known holidays."""
    from prophet.make_holidays import make_holidays_df

    nation, _, part = country.partition("-")
    try:
        return make_holidays_df(list(years), nation, part or None)
    except (AttributeError, KeyError, NotImplementedError) as error:
        raise ModelError(f"country {country!r}: no holidays are known for it; write it as DE or DE-BY") from error


def _fit_or_reason(series: Series, until: float, choices: Choices, calendar: Any, seed: int) -> Fit | str:
    rows = frame_of(series, until, choices)
    days = (rows["ds"].iloc[-1] - rows["ds"].iloc[0]).total_seconds() / DAY_SECONDS if len(rows) else 0.0
    if days < FEWEST_DAYS or len(rows) < FEWEST_ROWS:
        return f"spans {days:.1f} days with {len(rows)} values; Prophet needs {FEWEST_DAYS} days and {FEWEST_ROWS}"
    try:
        return _taken_out(fitted_prophet(rows, choices, calendar, seed))
    except (RuntimeError, ValueError, np.linalg.LinAlgError):
        return "Prophet's optimizer found no fit"


def fitted_prophet(rows: pd.DataFrame, choices: Choices, calendar: Any, seed: int) -> Any:
    """A prophet.Prophet fitted to `rows` (ds, y)."""
    for name in ("cmdstanpy", "prophet", "prophet.models"):
        logging.getLogger(name).disabled = True  # a failed fit raises
    from prophet import Prophet

    days = (rows["ds"].iloc[-1] - rows["ds"].iloc[0]).total_seconds() / DAY_SECONDS
    model = Prophet(
        growth=choices.growth,
        changepoint_prior_scale=choices.changepoint_scale,
        n_changepoints=choices.changepoints,
        changepoint_range=choices.changepoint_range,
        daily_seasonality=choices.daily_order,
        weekly_seasonality=choices.weekly_order if days >= 14 else False,
        yearly_seasonality=choices.yearly_order if days >= YEARLY_DAYS else False,
        seasonality_mode=choices.mode,
        holidays=_within(calendar, rows, each=days >= YEARLY_DAYS),
        seasonality_prior_scale=choices.seasonality_scale,
        holidays_prior_scale=choices.holiday_scale,
        uncertainty_samples=0,
    )
    return model.fit(rows, seed=seed)


def _within(calendar: pd.DataFrame | None, rows: pd.DataFrame, each: bool) -> pd.DataFrame | None:
    """The kinds of holidays within the record; for others nothing can be learned. All are of one kind unless `each`."""
    if calendar is None:
        return None
    if not each:
        calendar = calendar.drop_duplicates("ds", ignore_index=True).assign(holiday=ANY_HOLIDAY)
    first, last = rows["ds"].iloc[0].normalize(), rows["ds"].iloc[-1].normalize()
    seen = calendar[(calendar["ds"] >= first) & (calendar["ds"] <= last)]["holiday"]
    kept = calendar[calendar["holiday"].isin(seen)].copy()
    return kept if len(kept) else None


def _taken_out(model: Any) -> Fit:
    columns = model.make_all_seasonality_features(model.history)[0].columns
    beta = dict(zip(columns, model.params["beta"][0], strict=True))
    waves = {
        (name, turn): (beta[f"{name}{DELIMITER}{2 * turn - 1}"], beta[f"{name}{DELIMITER}{2 * turn}"])
        for name, about in model.seasonalities.items()
        for turn in range(1, about["fourier_order"] + 1)
    }
    of_waves = {f"{name}{DELIMITER}{i}" for name, turn in waves for i in (2 * turn - 1, 2 * turn)}
    moves = float(model.growth != "flat")
    return Fit(
        scale=float(model.y_scale),
        start=int(model.start.value // 10**9),
        span=float(model.t_scale.total_seconds()),
        slope=float(model.params["k"][0, 0]) * moves,
        offset=float(model.params["m"][0, 0]),
        changes=np.asarray(model.params["delta"][0], np.float64) * moves,
        changed_at=np.asarray(model.changepoints_t, np.float64),
        waves=waves,
        effects={name: float(value) for name, value in beta.items() if name not in of_waves and name != "zeros"},
        noise=max(LEAST_NOISE, float(model.params["sigma_obs"][0, 0])),
    )


def _components(fits: Sequence[Fit | None], choices: Choices, calendar: pd.DataFrame | None) -> Components:
    good = [fit for fit in fits if fit is not None]
    waves = list(dict.fromkeys(wave for name in PERIODS for fit in good for wave in fit.waves if wave[0] == name))
    holidays = _holidays(sorted({kind for fit in good for kind in fit.effects}), calendar, choices)
    most = max(len(fit.changes) for fit in good)

    def column(of: Callable[[Fit], float], otherwise: float = 0.0) -> Any:
        return np.array([otherwise if fit is None else of(fit) for fit in fits])

    def table(of: Callable[[Fit], Sequence[float] | Values], size: int) -> Values:
        rows = [[] if fit is None else list(of(fit)) for fit in fits]
        return np.array([np.pad(row, (0, size - len(row))) for row in rows], np.float64).reshape(len(fits), size)

    return Components(
        period_F=np.array([PERIODS[name] for name, _ in waves], np.int64),
        order_F=np.array([turn for _, turn in waves], np.int64),
        holidays=holidays,
        fitted_S=np.array([fit is not None for fit in fits]),
        scale_S=column(lambda fit: fit.scale),
        start_S=column(lambda fit: fit.start).astype(np.int64),
        span_S=column(lambda fit: fit.span, 1.0),
        slope_S=column(lambda fit: fit.slope),
        offset_S=column(lambda fit: fit.offset),
        change_SC=table(lambda fit: fit.changes, most),
        changed_at_SC=table(lambda fit: fit.changed_at, most),
        sine_SF=table(lambda fit: [fit.waves.get(wave, (0.0, 0.0))[0] for wave in waves], len(waves)),
        cosine_SF=table(lambda fit: [fit.waves.get(wave, (0.0, 0.0))[1] for wave in waves], len(waves)),
        holiday_SO=table(lambda fit: [fit.effects.get(kind, 0.0) for kind in holidays.kinds], len(holidays.kinds)),
        multiplicative_S=np.full(len(fits), float(choices.mode == "multiplicative")),
        noise_S=column(lambda fit: fit.noise),
    )


def _holidays(kinds: Sequence[str], calendar: pd.DataFrame | None, choices: Choices) -> Holidays:
    """`kinds` are Prophet's names of effects: the holiday, and how many days before or after it."""
    days: list[Integers] = []
    for kind in kinds:
        name, _, offset = kind.rpartition(DELIMITER)
        assert calendar is not None
        moments = (
            calendar["ds"][(calendar["holiday"] == name) | (name == ANY_HOLIDAY)]
            .astype("datetime64[s]")
            .astype(np.int64)
            .to_numpy()
        )
        days.append(np.unique(moments // DAY_SECONDS) + int(offset))
    sizes = [len(of_kind) for of_kind in days]
    day_E = np.concatenate([*days, np.empty(0, np.int64)]).astype(np.int64)
    return Holidays(day_E, np.repeat(np.arange(len(kinds)), sizes).astype(np.int64), tuple(kinds))
