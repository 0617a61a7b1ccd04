"""A registry with a few watched triggers, for the tests of the HTTP port."""

import numpy as np

from scaler.registry import Registry
from scaler.series import Forecast, Observation, Outlook
from scaler.trigger import TriggerRules

NOW = 1_800_000_000.0
LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)


def forecast(start: float = NOW - 60) -> Forecast:
    """Two hours of quantiles 10, 20, … 80, the same at every step."""
    quantiles = np.tile(np.arange(10, 90, 10, dtype=np.float32), (120, 1))
    return Forecast(start, 60.0, LEVELS, quantiles, (), None, "seasonal@1")


def filled_registry() -> Registry:
    """shop/web has observation and forecast, shop/new an observation, shop/dead nothing but its source's error."""
    from scaler.errors import SourceUnavailable

    registry = Registry(TriggerRules("http://prometheus:9090"), 15.0)
    keys = {}
    for name in ("web", "new", "dead"):
        metadata = {"query": f"sum({name})", "threshold": "10", "scalerAddress": "headway:50051"}
        keys[name] = registry.register("shop", name, metadata, NOW).trigger.key
    observation = Observation(NOW - 5, 42.5, 50.0, 80.0)
    registry.receive(keys["web"], Outlook(NOW, observation, forecast()), NOW)
    registry.receive(keys["new"], Outlook(NOW, observation, None, "http://u:geheim@p: slow"), NOW)
    registry.fail(keys["dead"], SourceUnavailable("http://prometheus:9090: connection refused"))
    return registry
