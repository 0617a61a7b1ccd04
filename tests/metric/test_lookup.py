"""What a request is looked up by, and what that keeps alive."""

import weakref

from scaler.metric.lookup import Lookup, scaled_object
from scaler.registry import Registry
from scaler.trigger import TriggerRules
from tests.metric.port import scaled_object as reference

NOW = 1_700_000_000.0


def test_a_request_that_was_seen_keeps_no_forgotten_trigger() -> None:
    """Thousands of expired triggers would stay in memory; a call for one registers it again."""
    registry = Registry(TriggerRules("http://prometheus:9090"), 15.0)
    lookup = Lookup(registry, scaled_object)
    request = reference().SerializeToString()
    held = weakref.ref(lookup.register(request, NOW))
    assert lookup.known(request, NOW) is held()
    registry.forget_silent(NOW + 10_000, 3600)
    assert held() is None
    assert lookup.known(request, NOW + 10_000) is None
    assert lookup.register(request, NOW + 10_000).trigger.name == "shop"


def test_only_what_makes_the_trigger_is_kept_of_its_metadata() -> None:
    """KEDA's own keys may be as large as a request."""
    registry = Registry(TriggerRules("http://prometheus:9090"), 15.0)
    large = reference(scalerAddress="x" * 10_000, metricName="y" * 10_000).SerializeToString()
    assert set(Lookup(registry, scaled_object).register(large, NOW).metadata) == {"query", "threshold"}
