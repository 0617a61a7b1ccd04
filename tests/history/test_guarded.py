"""A source behind the guard fails with a DependencyError, whatever it raises itself."""

import pytest
from structlog.testing import capture_logs

from scaler.errors import DependencyError, NoDemand, SourceRefused, SourceUnavailable
from scaler.history import observe_all
from scaler.history.guarded import guarded
from scaler.testing import FixedSource
from scaler.trigger import Trigger

TRIGGERS = [Trigger("shop", name, "up", 10.0, "http://prometheus:9090", key=name) for name in "ab"]


def failing(error: Exception) -> FixedSource:
    def demand(trigger: Trigger, at: float) -> float:
        raise error

    return FixedSource(demand)


@pytest.mark.parametrize("error", [ValueError("s3cret"), ImportError("s3cret"), KeyError("s3cret")])
async def test_every_exception_becomes_an_error_of_the_source(error: Exception) -> None:
    """One error per trigger; the log has the stack once; the foreign text is nowhere."""
    source = guarded(failing(error))
    with capture_logs() as logged:
        found = await observe_all(source, TRIGGERS, 0.0)
        with pytest.raises(SourceUnavailable):
            await source.samples(TRIGGERS[0], 0.0, 60.0, 60.0)
        with pytest.raises(SourceUnavailable):
            await source.blocks(TRIGGERS[0], 0.0, 3600.0, 3600.0)
    assert [type(one) for one in found] == [SourceUnavailable, SourceUnavailable]
    assert len(logged) == 1
    assert "testing.py" in logged[0]["stack"]
    assert "s3cret" not in f"{found} {logged}"


@pytest.mark.parametrize("error", [NoDemand("nothing"), SourceRefused("no access")])
async def test_the_sources_own_errors_stay(error: DependencyError) -> None:
    """With their kind and words."""
    with pytest.raises(type(error), match=str(error)):
        await guarded(failing(error)).samples(TRIGGERS[0], 0.0, 60.0, 60.0)
    assert await observe_all(guarded(FixedSource(lambda *_: error)), TRIGGERS, 0.0) == [error, error]


def test_nothing_is_guarded_twice() -> None:
    """The guard of a guard is the guard."""
    source = guarded(FixedSource(lambda *_: 1.0))
    assert guarded(source) is source
