"""The table of everything that Headway exports about itself: FIGURES.

Exported names, labels and units are defined only in its two parts; docs/telemetry.md is generated from it. `metric`
never means any of this: the metric is what KEDA reads.
"""

from scaler.telemetry.figure import Figure
from scaler.telemetry.process_figures import PROCESS_FIGURES, TRIGGERS_BY_RUNG
from scaler.telemetry.trigger_figures import TRIGGER_FIGURES

FIGURES: tuple[Figure, ...] = (*TRIGGER_FIGURES, TRIGGERS_BY_RUNG, *PROCESS_FIGURES)
