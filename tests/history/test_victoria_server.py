"""PrometheusSource against a real VictoriaMetrics."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from scaler.errors import AmbiguousDemand, NoDemand, SourceRefused
from scaler.history import observe_all
from scaler.history.prometheus import PrometheusSource
from scaler.trigger import Trigger
from tests.servers.prometheus import Recorded
from tests.servers.victoria import victoria

pytestmark = pytest.mark.server

NOW = 1_700_006_400.0


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    minutes = [NOW - 60.0 * back for back in range(180, -1, -1)]
    series = [Recorded("apps", [(t, app + t % 3600 / 60) for t in minutes], {"app": str(app)}) for app in range(60)]
    with victoria(tmp_path_factory.mktemp("victoria"), series) as url:
        yield url


async def test_observing(address: str) -> None:
    """Long batches, and every kind of failure in its place."""
    source = PrometheusSource()
    trigger = Trigger("shop", "web", "", 10.0, address)
    queries = [f'sum(apps{{app="{app}"}}) + 0 * {"1" * 200} # comment' for app in range(60)]
    failing = {'apps{app="none"}': NoDemand, "apps": AmbiguousDemand, "sum(apps": SourceRefused}
    for _ in range(2):
        answers = await observe_all(
            source, [replace(trigger, query=query) for query in (*queries, *failing, "1 + 2")], NOW
        )
        assert answers[:60] == [float(app) for app in range(60)]
        for answer, kind in zip(answers[60:63], failing.values(), strict=True):
            assert isinstance(answer, kind)
        assert answers[63] == 3.0
    await source.close()


async def test_history(address: str) -> None:
    """Samples at their minutes, and blocks made by subqueries."""
    source = PrometheusSource()
    trigger = Trigger("shop", "web", 'sum(apps{app="0"})', 10.0, address)
    samples = await source.samples(trigger, NOW - 3600, NOW, 60)
    assert samples.values.tolist() == [t % 3600 / 60 for t in samples.times]
    assert len(samples.times) == 61
    blocks = await source.blocks(trigger, NOW - 7200, NOW, 900)
    minutes = [[(s + 60 * k) % 3600 / 60 for k in range(1, 16)] for s in blocks.starts]
    assert blocks.mean.tolist() == pytest.approx([sum(block) / 15 for block in minutes])
    assert blocks.max.tolist() == [max(block) for block in minutes]
    assert len(blocks.starts) == 8
    await source.close()
