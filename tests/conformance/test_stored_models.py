"""The same checks of the index of models over every database."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from scaler.errors import StoreUnavailable
from scaler.models import (
    ALL,
    NO_CHAMPION,
    Champion,
    ChampionChanged,
    Kind,
    ModelDecision,
    ModelIndex,
    ModelRetired,
    ModelVersion,
    NothingToRollBack,
    StillServes,
    UnknownModel,
    VersionTaken,
)
from scaler.store.model_index import open_model_index
from scaler.store.null_models import NullModels
from tests.conformance.conftest import Place

NOW = 1_700_006_400.0
OpenIndex = Callable[..., ModelIndex]


@pytest.fixture
async def opened(place: Place) -> AsyncIterator[OpenIndex]:
    """Opens an index of an installation on the same, at first empty, database."""
    indexes: list[ModelIndex] = []

    def open_again(installation: str = "") -> ModelIndex:
        indexes.append(open_model_index(place.url, None, installation))
        return indexes[-1]

    yield open_again
    for index in indexes:
        await index.close()


def version(number: str = "1", name: str = "own", graph: str = "a", at: float = NOW) -> ModelVersion:
    manifest = {"name": name, "version": number, "graph_sha256": graph * 64, "trained": {"recipe": "mlp"}}
    return ModelVersion(name, number, f"s3://models/{name}@{number}", manifest, at, None, {"ratio": 0.8}, {"on": "web"})


def decided(kind: Kind, model: str = "own@1", scope: str = ALL, at: float = NOW, reason: str = "") -> ModelDecision:
    return ModelDecision(at, kind, model, "a test", reason, scope, figures={"ratio": 0.8})


async def published(index: ModelIndex, *numbers: str) -> None:
    for number in numbers:
        assert await index.publish(version(number), decided(Kind.PUBLISHED, f"own@{number}"))


async def promoted(index: ModelIndex, model: str, expected: str | None, scope: str = ALL, at: float = NOW) -> Champion:
    return await index.promote(scope, model, expected, decided(Kind.PROMOTED, model, scope, at), 3600.0)


async def test_what_was_published_comes_back(opened: OpenIndex) -> None:
    """After a restart, with everything that its card says, the newest first; with its entry in the log."""
    first, newer = version(), version("2", at=NOW + 1)
    index = opened()
    assert await index.publish(first, decided(Kind.PUBLISHED))
    assert await index.publish(newer, decided(Kind.PUBLISHED, "own@2"))
    await index.publish(version(name="other"), decided(Kind.PUBLISHED, "other@1"))
    await index.close()
    assert await opened().versions("own") == [newer, first]
    assert {one.model for one in await opened().versions()} == {"own@1", "own@2", "other@1"}
    assert [one.model for one in await opened().decisions(2)] == ["other@1", "own@2"]
    (entry,) = await opened().decisions(10, model="own@1")
    assert replace(entry, number=0) == decided(Kind.PUBLISHED)


async def test_a_version_never_changes(opened: OpenIndex) -> None:
    """The same graph again is no change, another one is refused; neither is recorded."""
    index = opened()
    await published(index, "1")
    assert not await index.publish(version(at=NOW + 5), decided(Kind.PUBLISHED))
    with pytest.raises(VersionTaken, match="own@1 is published already, with the graph aaaaaaaaaaaa…"):
        await index.publish(version(graph="b"), decided(Kind.PUBLISHED))
    assert await index.versions() == [version()]
    assert len(await index.decisions(10)) == 1


async def test_a_promotion_and_the_way_back(opened: OpenIndex) -> None:
    index = opened()
    await published(index, "1", "2")
    assert await promoted(index, "own@1", None) == Champion(ALL, "own@1", NOW, NO_CHAMPION, NOW + 3600)
    second = await promoted(index, "own@2", "own@1", at=NOW + 9)
    assert await index.champions() == {ALL: second} == {ALL: Champion(ALL, "own@2", NOW + 9, "own@1", NOW + 3609)}
    back = await index.roll_back(second, decided(Kind.ROLLED_BACK, at=NOW + 20))
    assert await index.champions() == {ALL: back} == {ALL: Champion(ALL, "own@1", NOW + 20)}
    newest = (await index.decisions(1))[0]
    assert (newest.kind, newest.model, newest.previous) == (Kind.ROLLED_BACK, "own@1", "own@2")
    assert back is not None
    with pytest.raises(NothingToRollBack, match="own@1 has no predecessor"):
        await index.roll_back(back, decided(Kind.ROLLED_BACK))


async def test_a_roll_back_is_of_the_promotion_that_was_seen(opened: OpenIndex) -> None:
    """The same model, promoted again after a roll-back, has not been judged yet."""
    index = opened()
    await published(index, "1", "2")
    await promoted(index, "own@1", None)
    seen = await promoted(index, "own@2", "own@1", at=NOW + 9)
    await index.roll_back(seen, decided(Kind.ROLLED_BACK, at=NOW + 20))
    again = await promoted(index, "own@2", "own@1", at=NOW + 30)
    with pytest.raises(ChampionChanged, match="own@2 was promoted again meanwhile"):
        await index.roll_back(seen, decided(Kind.ROLLED_BACK, at=NOW + 40))
    assert await index.champions() == {ALL: again}


async def test_a_champion_that_is_assigned_is_on_probation_no_more(opened: OpenIndex) -> None:
    """It stays, with an entry in the log; what it replaced is known still."""
    index = opened()
    await published(index, "1", "2")
    await promoted(index, "own@1", None)
    first = await index.promote(ALL, "own@2", "own@1", decided(Kind.PROMOTED, "own@2"), 3600.0)
    assert first.is_on_probation(NOW + 60)
    kept = await index.promote(ALL, "own@2", "own@2", decided(Kind.ASSIGNED, "own@2", at=NOW + 60), 0.0)
    assert kept == (await index.champions())[ALL]
    assert (kept.model, kept.previous, kept.probation_until) == ("own@2", "own@1", None)
    newest = (await index.decisions(1))[0]
    assert (newest.kind, newest.model) == (Kind.ASSIGNED, "own@2")
    assert await index.promote(ALL, "own@2", "own@2", decided(Kind.ASSIGNED, "own@2"), 0.0) == kept
    assert len(await index.decisions(20)) == 5


async def test_the_first_champion_gives_the_scope_back(opened: OpenIndex) -> None:
    index = opened()
    await published(index, "1")
    champion = await promoted(index, "own@1", None, "shop/web")
    assert await index.roll_back(champion, decided(Kind.ROLLED_BACK, scope="shop/web")) is None
    assert await index.champions() == {}
    with pytest.raises(NothingToRollBack, match="shop/web: there is no champion"):
        await index.roll_back(champion, decided(Kind.ROLLED_BACK, scope="shop/web"))


async def test_who_comes_second_is_told(opened: OpenIndex) -> None:
    """A promotion and a roll-back count only for the champion that whoever decided has seen."""
    index = opened()
    await published(index, "1", "2", "3")
    await promoted(index, "own@1", None)
    before = await index.decisions(10)
    with pytest.raises(ChampionChanged, match="the champion was to be no champion, and is own@1"):
        await promoted(index, "own@2", None)
    with pytest.raises(ChampionChanged) as caught:
        await promoted(index, "own@2", "own@3")
    assert caught.value.found == "own@1"
    with pytest.raises(ChampionChanged):
        await index.roll_back(Champion(ALL, "own@2", NOW), decided(Kind.ROLLED_BACK))
    assert await index.decisions(10) == before
    assert (await promoted(index, "own@1", "own@3")).since == NOW, "it is the champion already"


async def test_scopes_do_not_mix(opened: OpenIndex) -> None:
    index = opened()
    await published(index, "1", "2")
    for scope, model in ((ALL, "own@1"), ("shop", "own@2"), ("shop/web", "own@1")):
        await promoted(index, model, None, scope)
    assert {scope: one.model for scope, one in (await index.champions()).items()} == {
        ALL: "own@1",
        "shop": "own@2",
        "shop/web": "own@1",
    }
    assert [one.model for one in await index.decisions(10, scope="shop")] == ["own@2"]


async def test_what_serves_is_not_retired(opened: OpenIndex) -> None:
    """Neither a champion nor, on probation, its predecessor. What is retired serves nobody again."""
    index = opened()
    await published(index, "1", "2")
    await promoted(index, "own@1", None, "shop")
    with pytest.raises(StillServes, match="own@1 is the champion of shop"):
        await index.retire("own@1", decided(Kind.RETIRED))
    second = await promoted(index, "own@2", "own@1", "shop")
    with pytest.raises(StillServes, match="own@2, on probation, may have to be rolled back to it"):
        await index.retire("own@1", decided(Kind.RETIRED))
    await index.retire("own@1", decided(Kind.RETIRED, at=NOW + 3601))
    await index.retire("own@1", decided(Kind.RETIRED, at=NOW + 3700))
    assert {one.model: one.retired_at for one in await index.versions()} == {"own@1": NOW + 3601, "own@2": None}
    for change in (
        promoted(index, "own@1", "own@2", "shop"),
        index.roll_back(second, decided(Kind.ROLLED_BACK)),
    ):
        with pytest.raises(ModelRetired, match="own@1 is retired"):
            await change


async def test_an_unknown_model_is_refused(opened: OpenIndex) -> None:
    index = opened()
    await published(index, "1")
    with pytest.raises(UnknownModel, match=r"'own@11' was never published: did you mean own@1\?"):
        await promoted(index, "own@11", None)
    with pytest.raises(UnknownModel):
        await index.retire("x@1", decided(Kind.RETIRED))
    assert await index.champions() == {}


async def test_refusals_are_on_record_and_the_log_has_pages(opened: OpenIndex) -> None:
    index = opened()
    for number in range(5):
        await index.refuse(decided(Kind.REFUSED, f"own@{number}", reason="worse on 3 of 4"))
    first = await index.decisions(2)
    assert [one.model for one in first] == ["own@4", "own@3"]
    assert [one.model for one in await index.decisions(9, before=first[-1].number)] == ["own@2", "own@1", "own@0"]
    assert first[0].reason == "worse on 3 of 4"


async def test_a_lease_has_one_holder(opened: OpenIndex) -> None:
    """Its holder renews it; that of a killed one runs out; nobody gives back what another has."""
    one, other = opened(), opened()
    assert await one.lock("retrain", "a", 60.0, NOW)
    assert not await other.lock("retrain", "b", 60.0, NOW + 59)
    assert await other.lock("another", "b", 60.0, NOW)
    assert await one.lock("retrain", "a", 60.0, NOW + 30)
    assert not await other.lock("retrain", "b", 60.0, NOW + 89)
    await other.unlock("retrain", "b")
    assert not await other.lock("retrain", "b", 60.0, NOW + 89)
    assert await other.lock("retrain", "b", 60.0, NOW + 90)
    await other.unlock("retrain", "b")
    assert await one.lock("retrain", "a", 60.0, NOW + 91)


async def test_installations_do_not_mix(opened: OpenIndex) -> None:
    """In one database, neither sees the other's versions, champions, log and leases."""
    one, other = opened("one"), opened("other")
    await published(one, "1")
    await promoted(one, "own@1", None)
    assert await one.lock("retrain", "a", 60.0, NOW)
    assert await other.versions() == [] == await other.decisions(10)
    assert await other.champions() == {}
    with pytest.raises(UnknownModel):
        await promoted(other, "own@1", None)
    assert await other.lock("retrain", "b", 60.0, NOW)
    await other.unlock("retrain", "a")
    assert not await one.lock("retrain", "c", 60.0, NOW)


async def test_a_lost_database_is_reported(place: Place, opened: OpenIndex) -> None:
    index = opened()
    await published(index, "1")
    place.lose()
    try:
        with pytest.raises(StoreUnavailable):
            await index.champions()
    finally:
        place.restore()
    assert (await promoted(index, "own@1", None)).model == "own@1"


async def test_without_database_nothing_can_change() -> None:
    index = NullModels()
    assert await index.versions() == []
    assert await index.champions() == {}
    with pytest.raises(StoreUnavailable, match="set data-dir or database"):
        await promoted(index, "own@1", None)
