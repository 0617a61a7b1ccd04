"""What a scaler exports of retrainings."""

from pathlib import Path

from scaler.app.retrainings import Retrainings
from scaler.models import Kind, ModelDecision
from scaler.store.model_index import open_model_index
from scaler.store.null_models import NullModels
from scaler.testing import ManualClock

NOW = 1_700_000_000.0


async def test_the_newest_of_each_outcome(tmp_path: Path) -> None:
    """Other decisions do not count; without a database nothing is known."""
    index = open_model_index(None, tmp_path)
    try:
        ended = Retrainings(index, ManualClock(NOW))
        await ended.read()
        assert ended.exported() == {}
        for at, kind in ((1, Kind.RETRAINED), (3, Kind.RETRAINED), (2, Kind.RETRAINING_FAILED), (4, Kind.REFUSED)):
            await index.refuse(ModelDecision(NOW + at, kind, "own@1", "a test"))
        await ended.read()
        assert ended.exported() == {("finished",): NOW + 3, ("failed",): NOW + 2}
    finally:
        await index.close()
    nothing = Retrainings(NullModels(), ManualClock(NOW))
    await nothing.read()
    assert nothing.exported() == {}
