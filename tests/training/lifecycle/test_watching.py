"""Which triggers a retraining learns from, and how well they are forecast now."""

from scaler.scored import SUMS, ScoredHour
from scaler.store import WatchedRecord
from scaler.store.sql_scores import scores_beside
from scaler.store.sql_store import open_store
from scaler.trigger import TriggerRules
from training.lifecycle.watching import chosen, live_skill, of_records, unknown

NOW = 1_700_000_000.0
RULES = TriggerRules("http://prometheus")


def record(name: str, query: str = "sum(up)", called: float = NOW, **more: str) -> WatchedRecord:
    namespace, _, workload = name.partition("/")
    metadata = {"query": query, "threshold": "20", "leadTime": "3m", **more}
    return WatchedRecord(f"{name}/{query}", namespace, workload, metadata, called)


def test_the_triggers_of_the_store() -> None:
    """With threshold and lead time; what an edit left behind is not among them, and a faulty one is named."""
    old = record("shop/web", "sum(old)", NOW - 7200)
    found, refused = of_records(
        [old, record("shop/web"), record("pay/two", "a"), record("pay/two", "b"), record("pay/bad", threshold="x")],
        RULES,
    )
    names = [one.wanted.name for one in found]
    assert names[2] == "shop/web"
    assert all(name.startswith("pay/two/") for name in names[:2])
    assert (found[2].wanted.query, found[2].scaling.threshold, found[2].scaling.lead_seconds) == (
        "sum(up)",
        20.0,
        180.0,
    )
    assert "threshold" in refused["pay/bad"]
    assert [one.wanted.name for one in chosen(found, ["shop"])] == ["shop/web"]
    assert len(chosen(found, ["pay/two", "shop/web"])) == 3
    assert unknown(found, ["shop", "pay/tw", "sho"]) == ["pay/tw", "sho"]


async def test_live_skill(tmp_path) -> None:
    """Loss over that of the newest observation, of the peak; a trigger without scores is missing."""
    found, _ = of_records([record("shop/web"), record("shop/new")], RULES)
    store = open_store(None, tmp_path)
    try:
        scores = scores_beside(store)
        web = next(one for one in found if one.wanted.name == "shop/web")
        sums = tuple({"forecasts": 60.0, "pinball": 3.0, "pinball_of_newest": 4.0}.get(name, 0.0) for name in SUMS)
        await scores.save([ScoredHour(web.owner, "peak", 0.9, int(NOW // 3600) - 2, "a", 60, sums)])
        assert await live_skill(scores, found, NOW) == {"shop/web": 0.75}
    finally:
        await store.close()
