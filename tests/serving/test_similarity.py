"""Neighbours, with a store in which things have been deleted since the snapshot."""

import asyncio

import pytest

from recommender.schema import UserState
from recommender.serving.catalogue import Catalogue, ItemChange
from recommender.serving.catalogue_sync import catch_up
from recommender.serving.recommender import Recommender
from recommender.serving.similarity import find_similar_items, find_similar_users
from recommender.stores import open_store
from recommender.stores.protocols import Item
from tests.support.known_worlds import LOG_OFFSET, USERS, item_features, shared_snapshot, user_features


@pytest.fixture
def recommender():
    return Recommender(Catalogue(shared_snapshot()))


@pytest.fixture
def store():
    memory = open_store("memory:")
    asyncio.run(memory.advance(LOG_OFFSET, 0))
    return memory


async def delete(store, *user_ids):
    for user_id in user_ids:
        await store.delete_user(user_id)


def like(recommender, store, user_id="u3", k=5):
    return asyncio.run(find_similar_users(recommender, store, user_id, UserState(user_features(user_id)), k))


def test_who_was_deleted_since_makes_room_for_the_next(recommender, store):
    before = like(recommender, store, k=11)
    assert before == recommender.similar_users("u3", UserState(user_features("u3")), 11)
    asyncio.run(delete(store, *(user.user_id for user in before.users[:4])))

    assert like(recommender, store).users == before.users[4:9]
    assert like(recommender, store, k=99).users == before.users[4:]


def test_when_all_were_deleted_nobody_is_left(recommender, store):
    asyncio.run(delete(store, *USERS))

    assert like(recommender, store).users == []


def test_without_a_store_neighbours_come_and_say_what_is_not_known(recommender, tmp_path):
    def away():
        return open_store(f"unix://{tmp_path}/nobody.sock")

    found = like(recommender, away(), k=3)

    assert found.users == like(recommender, open_store("memory:"), k=3).users
    assert found.degraded == ["deletions"]
    recommender.catalogue.apply([ItemChange("i4", item_features("i4"), available=False)], 1)
    assert asyncio.run(find_similar_items(recommender, away(), "i4", 3)) == recommender.similar_items("i4", 3)


def test_a_deleted_item_has_no_neighbours_and_one_that_is_sold_out_has(recommender, store):
    async def ask(item_id):
        await catch_up(recommender.catalogue, store)
        return await find_similar_items(recommender, store, item_id, 3)

    async def scenario():
        await store.put_items([Item("i4", None, item_features("i4"), False, 0.0)])
        sold_out = await ask("i4")
        await store.delete_item("i4")
        return sold_out, await ask("i4")

    sold_out, deleted = asyncio.run(scenario())

    assert len(sold_out.items) == 3
    assert deleted is None
