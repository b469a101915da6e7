"""Neighbours who are still there: what a snapshot found, against what the store has deleted since."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from recommender.errors import StoreError
from recommender.schema import SimilarItems, SimilarUser, SimilarUsers, UserState
from recommender.serving.recommender import Recommender
from recommender.stores.protocols import FeatureStore

FETCHED_AT_ONCE = 32
"""Users, as many as in a micro-batch."""


async def find_similar_items(
    recommender: Recommender, store: FeatureStore, item_id: str, k: int, filters: Sequence[str] = ()
) -> SimilarItems | None:
    """`Recommender.similar_items`; None also for an item that was deleted.

    The neighbours of one that is only not available are shown: that is when someone asks for others like it.
    """
    if not recommender.catalogue.may_return(item_id) and not await _is_stored(store, item_id):
        return None
    return recommender.similar_items(item_id, k, filters)


async def find_similar_users(
    recommender: Recommender,
    store: FeatureStore,
    user_id: str,
    state: UserState,
    k: int,
    degraded: Sequence[str] = (),
) -> SimilarUsers | None:
    """`Recommender.similar_users` without those who were deleted since the snapshot.

    A store that does not answer is said in ``degraded``: as ``deletions``, those since the snapshot are not known.
    """
    asked = k
    while True:
        found = recommender.similar_users(user_id, state, asked)
        if found is None:
            return None
        try:
            left = await _not_deleted(store, found.users, recommender.snapshot.log_offset)
        except StoreError:
            return replace(found, users=found.users[:k], degraded=[*degraded, "deletions"])
        if len(left) >= k or len(found.users) < asked:
            return replace(found, users=left[:k], degraded=list(degraded))
        asked *= 2


async def _is_stored(store: FeatureStore, item_id: str) -> bool:
    """Whether an item has a record, as one that is not available has; taken for granted where nobody answers."""
    try:
        return (await store.get_items([item_id])) != [None]
    except StoreError:
        return True


async def _not_deleted(store: FeatureStore, users: Sequence[SimilarUser], log_offset: int) -> list[SimilarUser]:
    states: list[UserState] = []
    for start in range(0, len(users), FETCHED_AT_ONCE):
        # few at a time: a fetch has the deadline of a request, and brings what each has done of late
        some = users[start : start + FETCHED_AT_ONCE]
        states += (await store.fetch([user.user_id for user in some])).users
    return [user for user, state in zip(users, states, strict=True) if state.deleted_at <= log_offset]
