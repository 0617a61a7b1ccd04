"""An index of models with a life in it, for the tests of its paths and pages."""

from collections.abc import Callable

from scaler.models import ALL, Kind, ModelDecision, ModelIndex, ModelVersion
from tests.status.registry import NOW

DAY = 86_400.0
FIGURES = {"loss_ratio": 0.87, "unserved_ratio": 0.91, "loss_ratio of shop/web": 0.95, "series": 17.0}


def version(number: str, name: str = "own", days: float = 3) -> ModelVersion:
    """A version that was published some days ago."""
    manifest = {
        "name": name,
        "version": number,
        "graph_sha256": number * 64,
        "step_seconds": 60,
        "steps": 240,
        "horizon_steps": 120,
        "levels": [0.1, 0.5, 0.9],
        "trained": {"recipe": "mlp"},
        "scores": {"mape": 0.0712},
        "data_licence": "Apache-2.0",
    }
    notes = {"recipe": "mlp", "triggers": '["shop/web"]'}
    return ModelVersion(name, number, f"s3://models/{name}@{number}", manifest, NOW - days * DAY, None, FIGURES, notes)


async def fill(index: ModelIndex) -> None:
    """own@1 was replaced by own@2, which is on probation; own@3 was refused; other@1 serves shop/web, and old@1 is
    retired."""

    def entry(kind: Kind, model: str, days: float, reason: str = "", scope: str = ALL) -> ModelDecision:
        figures = FIGURES if kind in (Kind.PUBLISHED, Kind.REFUSED) else {}
        return ModelDecision(NOW - days * DAY, kind, model, "retrain", reason, scope, figures=figures)

    for one in (version("1", "old", 9), version("1", "own", 5), version("1", "other", 4), version("2", "own", 0.5)):
        await index.publish(one, ModelDecision(one.published_at, Kind.PUBLISHED, one.model, "retrain", figures=FIGURES))
    await index.retire("old@1", entry(Kind.RETIRED, "old@1", 8, "superseded"))
    await index.promote(ALL, "own@1", None, entry(Kind.PROMOTED, "own@1", 5), 0)
    await index.promote("shop/web", "other@1", None, entry(Kind.ASSIGNED, "other@1", 4, scope="shop/web"), 0)
    await index.refuse(entry(Kind.REFUSED, "own@3", 2, "peak loss, mean ratio: 1.2, at most 0.98, not ok"))
    await index.promote(ALL, "own@2", "own@1", entry(Kind.PROMOTED, "own@2", 0.5, "<b>newer</b>"), DAY)
    await index.refuse(entry(Kind.RETRAINED, "", 0.5, "published own@2, now on probation; because: asked for"))
    await index.refuse(entry(Kind.RETRAINING_FAILED, "", 0.1, "no trigger has any history"))


def opened_later(open_index: Callable[[], ModelIndex]) -> Callable[[], ModelIndex]:
    """The index, opened by the first call: an engine of asyncio belongs to its loop."""
    found: list[ModelIndex] = []

    def models() -> ModelIndex:
        if not found:
            found.append(open_index())
        return found[0]

    return models
