"""The parts in which a pull keeps what has arrived, until all of it has: one file for each query and day of minutes."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scaler.files import appearing
from scaler.series import Floats, Gap, Samples

STEPS_PER_PART = 1440


class Stored(NamedTuple):
    """What a part holds: the numbers of the known bins [B], their demand [B], and what could not be read."""

    bins: NDArray[np.int64]
    values: Floats
    gaps: tuple[Gap, ...]


NOTHING = Stored(np.empty(0, np.int64), np.empty(0, np.float32), ())


@dataclass(frozen=True, slots=True)
class Part:
    """Bins [first, end) of one query, and their file. A bin's demand is the sample at its end."""

    path: Path
    first: int
    end: int
    step_seconds: int

    @property
    def span(self) -> tuple[float, float]:
        """The first and the last moment to ask for."""
        return (self.first + 1) * self.step_seconds, self.end * self.step_seconds

    @property
    def is_complete(self) -> bool:
        """Whether it has arrived, and asking again would give no more."""
        return self.path.exists() and not any(gap.may_close for gap in self.load().gaps)

    def save(self, samples: Samples) -> None:
        bins = np.rint(samples.times / self.step_seconds).astype(np.int64) - 1
        gaps = [[gap.first, gap.last, gap.why, gap.may_close] for gap in samples.gaps]
        with appearing(self.path) as draft, draft.open("wb") as file:
            np.savez(file, bins=bins, values=samples.values, gaps=np.array(json.dumps(gaps)))

    def load(self) -> Stored:
        """Nothing where it has not arrived."""
        if not self.path.exists():
            return NOTHING
        with np.load(self.path) as stored:
            gaps = tuple(Gap(*gap) for gap in json.loads(str(stored["gaps"])))
            return Stored(stored["bins"], stored["values"], gaps)


def parts_of(asked: Sequence[Any], folder: Path, step_seconds: int, bins: range) -> list[Part]:
    """The parts of one query, which `asked` identifies.

    They begin at multiples of their size, so that a later pull of a longer span finds them again.
    """
    key = hashlib.sha256(json.dumps([*asked, step_seconds, "gaps"]).encode()).hexdigest()[:16]
    borders = [bins.start, *range((bins.start // STEPS_PER_PART + 1) * STEPS_PER_PART, bins.stop, STEPS_PER_PART)]
    return [
        Part(folder / f"{key}-{first}-{end}.npz", first, end, step_seconds)
        for first, end in zip(borders, [*borders[1:], bins.stop], strict=True)
    ]
