"""The seasonal quantile model as an ONNX graph. It has no learned parameters.

The rule: *demand stays where it is, moves as it did at this time on days like today, and the error is as large as the
errors of this rule during the last day.*

    day.py      typical day   mean of the past days, more of those that looked like today, are recent, and of its kind
                              (weekday or weekend), each scaled to today
                strength      how much of today's changes the typical day explains, 0 to 1: no season, no drift
                path          the typical day between its blocks, times the strength: where the season takes demand
    spread.py   level         demand without its path: the mix of trailing means that served this series best
                errors        the same rule at moments of the last day, against recorded demand: of steps and of window
                peaks
    model.py    quantiles     level + path + quantiles of the errors, scaled by how restless this time is

Past errors of the same rule as spread is split conformal prediction (Vovk, Gammerman, Shafer, "Algorithmic Learning in
a Random World", 2005). Their origins lie multiples of ten steps before now, so that jobs run by a crontab fall on the
same place of the past windows as they do ahead.

Axes: N series, T fine steps, D past days, B blocks of a day, E blocks ahead, A anchor leads, S origins, Q levels.
"""

from training.seasonal.choices import SeasonalModel
from training.seasonal.model import build

__all__ = ["SeasonalModel", "build"]
