"""How good forecasts turn out: each is noted when it is issued, and scored when its time has come.

    pending.py   forecasts whose time has not come, a ring for each lead
    losses.py    what a forecast that has come due adds to the sums
    hours.py     sums of the hour under way, for the store
    scores.py    sums by day and what they say: coverage, losses, skill over naive forecasts
    leads.py     what those of many triggers say together, by lead

Joined with the history in `scaler/refresh/scoring.py`. Pure numpy: no clock, no I/O.
"""

from scaler.scoring.scores import BucketScores, Scores

__all__ = ["BucketScores", "Scores"]
