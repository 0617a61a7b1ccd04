"""What is said of scores. Pure."""

from scaler.words.wording import share

NOTHING_SCORED = (
    "nothing is scored yet: a forecast is scored when its time has come, an hour is stored when it is over, and "
    "triggers in mode reactive have no forecast"
)
FEWEST_PEAKS, MOST_MISSED, MOST_LOST = 1000, 0.15, 1.1
"""of the alerts HeadwayCoverageBroken and HeadwayForecastOfNoUse"""


def judgement(promised: float, held: float, over_newest: float | None, peaks: float) -> str:
    """Whether somebody has to do something about the forecasts of peaks, as sentences.

    promised, held: shares within the trigger's quantile. over_newest: their loss over that of the newest observation.
    """
    within = f"{share(held)} of the peaks were within their forecast, {share(promised)} are promised"
    if peaks < FEWEST_PEAKS:
        return f"{within}; {peaks:.0f} peaks are too few to judge."
    loss = "" if over_newest is None else f", and the loss is {over_newest:.2f} times that of the newest observation"
    faults = []
    if promised - held > MOST_MISSED:
        faults.append("Plans are too small too often: a model of its own may know this workload better.")
    if over_newest is not None and over_newest > MOST_LOST:
        faults.append("That is worse than no forecast: while it goes on, plans leave the forecast out.")
    return " ".join([f"{within}{loss}.", *(faults or ["There is nothing to do."])])
