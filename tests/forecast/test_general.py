"""The general bundle that ships: its size, its terms, its scores, and that it earns its place."""

from pathlib import Path

import numpy as np

from scaler.bundle import read_bundle
from scaler.forecast.catalog import GENERAL

LARGEST_BYTES = 5_000_000


def test_it_is_small() -> None:
    """A bundle that everybody downloads: at most 5 MB, all files together."""
    assert sum(file.stat().st_size for file in Path(GENERAL).iterdir()) <= LARGEST_BYTES


def test_it_says_what_it_learned_from_and_under_which_terms() -> None:
    """Only from data that may be learned from: every recorded system has its terms."""
    from training.shipped.data import JUDGED_ONLY, SOURCES

    manifest = read_bundle(GENERAL).manifest
    assert all(name in manifest.trained["data"] and name in manifest.data_licence for name in SOURCES)
    assert not any(name in manifest.trained["data"] for name in JUDGED_ONLY)


def test_it_is_the_default_because_it_wins() -> None:
    """On systems not seen, by median, at every window length and with any amount of history."""
    scores = read_bundle(GENERAL).manifest.scores
    medians = [value for name, value in scores.items() if name.endswith(" min: loss")]
    assert len(medians) == 12
    assert max(medians) < 1
    covered = [value for name, value in scores.items() if name.endswith("p90 coverage")]
    assert np.abs(np.array(covered) - 0.9).max() < 0.05
