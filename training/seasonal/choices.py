"""Every choice of the seasonal model, in one value."""

from dataclasses import dataclass

from scaler.bundle.signature import Sizes

DAY_SECONDS = 86400


@dataclass(frozen=True)
class SeasonalModel:
    """Sizes and constants. The constants were tried on recorded traces; none is critical to the second digit."""

    step_seconds: int = 60
    steps: int = 1440
    coarse_seconds: int = 900
    coarse_steps: int = 2688
    horizon_steps: int = 120
    levels: tuple[float, ...] = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
    peak_steps: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60, 90, 120)
    minimum_history_steps: int = 60
    anchors: tuple[int, ...] = (1, 2, 3, 5, 10, 15, 30, 60, 120)
    """leads, in steps, at which errors are measured; between them they are interpolated"""
    level_steps: tuple[int, ...] = (1, 2, 5, 15)
    """lengths of the trailing means that the level is mixed from"""
    origin_stride: int = 10
    """steps between two origins; only every third is kept where older than `recent_steps`"""
    recent_steps: int = 480
    restless_steps: int = 60
    """over how many steps the restlessness of a moment is measured"""
    restless_power: float = 0.7
    excess_power: float = 0.4
    day_memory: float = 0.95
    """weight of a past day relative to the day after it"""
    other_kind: float = 0.2
    """weight of a weekday for a weekend, and the other way round"""
    strength_lags: tuple[int, ...] = (2, 8)
    """blocks over which today's changes are compared with the typical day's"""
    fewest_errors: int = 5
    """with fewer errors a lead borrows from the one before it, growing with the square root of the lead"""

    def __post_init__(self) -> None:
        if self.steps % self.origin_stride:
            raise ValueError("steps (T) must be a multiple of origin_stride")
        if self.coarse_steps % self.blocks or self.coarse_steps < 2 * self.blocks:
            raise ValueError("coarse_steps (L) must be whole days, two at least")

    @property
    def sizes(self) -> Sizes:
        return Sizes(self.steps, self.coarse_steps, self.horizon_steps, len(self.levels), len(self.peak_steps))

    @property
    def blocks(self) -> int:
        """B"""
        return DAY_SECONDS // self.coarse_seconds

    @property
    def blocks_ahead(self) -> int:
        """E: the horizon, the block that is not complete yet, and one to interpolate towards"""
        return -(-self.horizon_steps * self.step_seconds // self.coarse_seconds) + 2

    @property
    def past_days(self) -> int:
        """D: days of the long history before the last 24 hours"""
        return self.coarse_steps // self.blocks - 1

    def origin_ages(self, lead: int) -> list[int]:
        """How many steps before now the origins lie whose window of `lead` steps is over."""
        ages = range(self.origin_stride, self.steps - max(self.level_steps), self.origin_stride)
        sparse = 3 * self.origin_stride
        return [age for age in ages if age >= lead and (age <= self.recent_steps or age % sparse == 0)]
