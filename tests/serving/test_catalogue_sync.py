"""Following the changes of a store, while others want the event loop."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest

from recommender.errors import StoreUnavailableError
from recommender.serving.catalogue import Catalogue
from recommender.serving.catalogue_sync import AT_ONCE, READ_AGAIN, CatalogueFollower, catch_up
from recommender.stores import MemoryStore
from recommender.stores.protocols import Fetched, Item, ItemChanges
from tests.support.known_worlds import item_features, shared_snapshot


def items(n: int) -> list[Item]:
    return [Item(f"n{number}", None, item_features(f"i{number}"), True, 0.0) for number in range(n)]


class Gone(MemoryStore):
    async def item_changes(self, after: int, limit: int) -> ItemChanges:  # noqa: ARG002 (of the protocol)
        raise StoreUnavailableError("the store does not answer")


def test_others_have_their_turns_while_many_changes_are_taken_over():
    async def run() -> tuple[Catalogue, list[int]]:
        store, catalogue, seen = MemoryStore(), Catalogue(shared_snapshot()), []
        await store.put_items(items(3000))

        async def light() -> None:
            while True:
                seen.append(catalogue.delta.n)
                await asyncio.sleep(0)

        task = asyncio.create_task(light())
        await catch_up(catalogue, store)
        task.cancel()
        return catalogue, seen

    catalogue, seen = asyncio.run(run())

    assert (catalogue.delta.n, catalogue.sequence) == (3000, 3000)
    assert max(later - earlier for earlier, later in pairwise(seen)) <= AT_ONCE


def test_a_request_waits_for_its_own_change_and_not_for_all_that_come_behind():
    async def run() -> tuple[bool, int, int]:
        store, catalogue = MemoryStore(), Catalogue(shared_snapshot())
        await store.put_items(items(20_000))
        follower = CatalogueFollower(catalogue, store, asyncio.Lock())
        reached = await follower.reach(500, 60)
        at_once = catalogue.sequence
        await follower.follow()
        return reached, at_once, catalogue.sequence

    reached, at_once, at_last = asyncio.run(run())

    assert reached
    assert 500 <= at_once < 20_000
    assert at_last == 20_000


def test_a_request_waits_no_longer_than_it_may_and_the_changes_go_on():
    async def run() -> tuple[bool, bool, int]:
        store, catalogue, changing = MemoryStore(), Catalogue(shared_snapshot()), asyncio.Lock()
        await store.put_items(items(10))
        follower = CatalogueFollower(catalogue, store, changing)
        async with changing:  # as by a piece of a heavy call
            late = await follower.reach(10, 0.05)
            untouched = catalogue.delta.n
        return late, await follower.reach(10, 60), untouched

    assert asyncio.run(run()) == (False, True, 0)


def test_who_stops_waiting_stops_nobody_else():
    async def run() -> int:
        store, catalogue = MemoryStore(), Catalogue(shared_snapshot())
        await store.put_items(items(2000))
        follower = CatalogueFollower(catalogue, store, asyncio.Lock())
        gone, stays = asyncio.create_task(follower.follow()), asyncio.create_task(follower.follow())
        await asyncio.sleep(0)
        gone.cancel()
        await stays
        return catalogue.sequence

    assert asyncio.run(run()) == 2000


def test_what_is_there_already_is_not_waited_for_and_a_silent_store_is_told_of():
    async def run() -> bool:
        follower = CatalogueFollower(Catalogue(shared_snapshot()), Gone(), asyncio.Lock())
        with pytest.raises(StoreUnavailableError):
            await follower.reach(1, 60)
        return await follower.reach(0, 0)

    assert asyncio.run(run())


def test_nobody_waits_for_changes_that_a_lost_store_only_counts():
    async def run() -> tuple[bool, int]:
        store, catalogue = MemoryStore(), Catalogue(shared_snapshot())
        await store.put_items(items(3))
        await store.advance(0, 1_000_003)  # as the trainer does after a loss
        follower = CatalogueFollower(catalogue, store, asyncio.Lock())
        return await follower.reach((await store.fetch([])).items_sequence, 30), catalogue.delta.n

    assert asyncio.run(run()) == (True, 3)


async def lost(store: MemoryStore, n: int) -> MemoryStore:
    """A store with what another had first, as a copy of it from before."""
    copy = MemoryStore()
    await copy.put_items([item for _, _, item in (await store.item_changes(0, n)).changes if item] if n else [])
    return copy


class Replaced(MemoryStore):
    """A store in whose place there may be another, as when it is emptied or fails over."""

    now: MemoryStore | None = None

    async def item_changes(self, after: int, limit: int) -> ItemChanges:
        return await (self.now.item_changes(after, limit) if self.now else super().item_changes(after, limit))

    async def fetch(self, user_ids: Sequence[str]) -> Fetched:
        return await (self.now.fetch(user_ids) if self.now else super().fetch(user_ids))


@pytest.mark.parametrize("kept", [0, 5], ids=["emptied", "an older copy"])
def test_what_a_lost_store_accepts_acts_in_the_next_answer_before_the_trainer_looks(kept):
    async def run() -> tuple[list[bool], list[bool], int, int]:
        store, catalogue = Replaced(), Catalogue(shared_snapshot())
        await store.put_items(items(10))
        follower = CatalogueFollower(catalogue, store, asyncio.Lock())
        await follower.follow()
        before = [catalogue.returns(item_id) for item_id in ("n0", "i1", "i2")]
        store.now = await lost(store, kept)
        await store.now.put_items([Item("n0", None, item_features("i0"), False, 0.0), Item("i1", None, {}, False, 0.0)])
        await store.now.delete_item("i2", without_record=True)
        sequence = (await store.fetch([])).items_sequence
        assert await follower.reach(sequence, 60)
        after = [catalogue.returns(item_id) for item_id in ("n0", "i1", "i2")]
        return before, after, sequence, catalogue.sequence

    before, after, sequence, reached = asyncio.run(run())

    assert before == [True] * 3
    assert after == [False] * 3
    assert (reached, sequence) == (kept + 3, kept + 3)


def test_a_request_that_began_before_the_store_was_lost_waits_for_nothing_that_is_gone():
    async def run() -> tuple[bool, int]:
        store, catalogue = Replaced(), Catalogue(shared_snapshot())
        await store.put_items(items(10))
        found = (await store.fetch([])).items_sequence
        store.now = MemoryStore()
        await store.now.put_items(items(2))
        return await CatalogueFollower(catalogue, store, asyncio.Lock()).reach(found, 3600), catalogue.sequence

    assert asyncio.run(run()) == (True, 2)


def test_of_a_large_store_that_was_lost_only_the_newest_changes_are_read_again():
    async def run() -> tuple[int, int]:
        store, catalogue = Replaced(), Catalogue(shared_snapshot())
        await store.put_items(items(READ_AGAIN + 20))
        catalogue.apply([], READ_AGAIN + 20)  # as of a version that has them
        store.now = await lost(store, READ_AGAIN + 10)
        await catch_up(catalogue, store)
        return catalogue.delta.n, catalogue.sequence

    assert asyncio.run(run()) == (READ_AGAIN, READ_AGAIN + 10)


def test_whoever_was_only_overtaken_reads_nothing_again():
    async def run() -> int:
        store, catalogue = MemoryStore(), Catalogue(shared_snapshot())
        await store.put_items(items(10))
        catalogue.apply([], 10)
        assert await CatalogueFollower(catalogue, store, asyncio.Lock()).reach(7, 60)
        return catalogue.delta.n

    assert asyncio.run(run()) == 0
