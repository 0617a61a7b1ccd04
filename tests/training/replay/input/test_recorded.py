"""Recorded demand out of a real Prometheus: what could not be read is not taken for 0, and is named."""

import time

import numpy as np
import pytest

from tests.servers.prometheus import Recorded, prometheus
from training.data.pull import Wanted
from training.replay.input.recorded import of_server
from training.replay.input.scaled_object import read_scaling

TRIGGER = """\
kind: ScaledObject
metadata: {name: web, namespace: shop}
spec:
  scaleTargetRef: {name: web}
  triggers:
    - type: external
      metadata: {scalerAddress: "headway:50051", query: queue, threshold: "10", ignoreNullValues: "true"}
"""


@pytest.mark.server
def test_zero_stands_for_silence_and_not_for_an_error(tmp_path) -> None:
    """With ignoreNullValues an hour without samples is 0; the minutes at which two pods report are unknown."""
    now = time.time() // 60 * 60
    minutes = [now - 60.0 * back for back in range(8 * 60, -1, -1)]
    silent = [at for at in minutes if not now - 3 * 3600 <= at < now - 2 * 3600]
    before, after = ([at for at in silent if (at < now - 5 * 3600) is is_before] for is_before in (True, False))
    series = [
        Recorded("queue", [(at, 5.0) for at in before], {"pod": "old"}),
        Recorded("queue", [(at, 5.0) for at in after], {"pod": "new"}),
    ]
    (tmp_path / "web.yaml").write_text(TRIGGER)
    with prometheus(tmp_path / "prometheus", series) as server:
        scaling = read_scaling(tmp_path / "web.yaml", "", None)
        wanted = Wanted("shop/web", "queue", server.url, ignore_null_values=True)
        source = of_server(wanted, 1, "UTC", scaling=scaling)
    values = source.series.values
    assert 3 <= np.isnan(values).sum() <= 6
    assert 50 <= (values == 0).sum() <= 60
    assert any("no demand is known" in note and "2 series" in note for note in source.notes)
