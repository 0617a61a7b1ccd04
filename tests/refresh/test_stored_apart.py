"""What is set apart stays apart over a restart, and a store that is away only delays that."""

from scaler.errors import StoreUnavailable
from scaler.history.apart import APART_SECONDS, Apart
from scaler.refresh.stored_apart import StoredApart
from scaler.store.null import NullStore
from scaler.testing import ManualClock

NOW = 1_700_000_000.0


class Stored(NullStore):
    """Keeps what is set apart, and fails when it is told to."""

    def __init__(self) -> None:
        self.rows: dict[str, float] = {}
        self.is_down = False
        self.writes = 0
        self.number = 0

    async def identity(self) -> str:
        return str(self.number)

    async def set_apart(self, hashes, now, keep_since):  # type: ignore[no-untyped-def]
        self._answer()
        self.writes += 1
        self.rows = {one: since for one, since in self.rows.items() if since >= keep_since}
        self.rows.update(dict.fromkeys(hashes, now))

    async def apart(self, since: float) -> dict[str, float]:
        self._answer()
        return {one: when for one, when in self.rows.items() if when >= since}

    def _answer(self) -> None:
        if self.is_down:
            raise StoreUnavailable("away")


async def test_a_restart_keeps_what_is_apart() -> None:
    """For a week; then it is forgotten, in the store too."""
    store, clock = Stored(), ManualClock(NOW)
    apart = Apart()
    keeper = StoredApart(apart, store, clock)
    await keeper.write()
    assert store.writes == 0
    apart.add("one", NOW)
    await keeper.write()
    await keeper.write()
    assert store.writes == 1
    again = Apart()
    await StoredApart(again, store, clock).write()
    assert again.holds("one", NOW + 60)
    later = NOW + APART_SECONDS + 60
    apart.add("two", later)
    await StoredApart(apart, store, ManualClock(later)).write()
    assert set(store.rows) == {"two"}


async def test_a_store_that_is_away_is_asked_again() -> None:
    """What was added meanwhile is written when it is back, and what was stored is read then."""
    store, apart = Stored(), Apart()
    store.rows["old"] = NOW
    store.is_down = True
    keeper = StoredApart(apart, store, ManualClock(NOW))
    apart.add("new", NOW)
    await keeper.write()
    assert apart.unsaved()
    store.is_down = False
    await keeper.write()
    assert apart.holds("old", NOW)
    assert set(store.rows) == {"old", "new"}
    assert not apart.unsaved()


async def test_what_a_lost_database_held_is_written_again() -> None:
    """It was stored already, and is gone with its table."""
    store, apart = Stored(), Apart()
    keeper = StoredApart(apart, store, ManualClock(NOW))
    apart.add("one", NOW)
    await keeper.write()
    store.rows, store.number = {}, 1
    await keeper.write()
    await keeper.write()
    assert store.rows == {"one": NOW}
    assert store.writes == 2
