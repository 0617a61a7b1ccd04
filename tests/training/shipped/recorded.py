"""A small recorded system."""

import numpy as np

from training.data.load import Series

START = 1_700_006_400.0


def series(name: str, days: float = 6, size: float = 10.0, system: str = "clarknet_http_requests_1min") -> Series:
    steps = np.arange(int(days * 96))
    wave = size * (2 + np.sin(steps / 96 * 2 * np.pi)) + size * 0.1 * (steps * 7919 % 13)
    return Series(system, name, "requests", START, 900, wave.astype(np.float32))
