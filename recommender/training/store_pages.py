"""Pages of the store: what is put, got and listed, a thousand records at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import TypeVar

from recommender.stores.protocols import FeatureMap, FeatureStore, User

AT_ONCE = 1_000
"""Records of a page."""

T = TypeVar("T")


def pages_of(records: Iterable[T]) -> Iterable[list[T]]:
    """Records in their order, in lists of `AT_ONCE`; the last may be shorter."""
    page: list[T] = []
    for record in records:
        page.append(record)
        if len(page) == AT_ONCE:
            yield page
            page = []
    if page:
        yield page


async def users_of(store: FeatureStore) -> AsyncIterator[User]:
    """Every user of the store."""
    cursor: str | None = None
    while True:
        users, cursor = await store.list_users(cursor, AT_ONCE)
        for user in users:
            yield user
        if cursor is None:
            return


async def features_of(store: FeatureStore, user_ids: Sequence[str]) -> dict[str, FeatureMap]:
    """Features of those users that the store knows."""
    features: dict[str, FeatureMap] = {}
    for page in pages_of(user_ids):
        users = await store.get_users(page)
        features |= {user.user_id: user.features or {} for user in users if user}
    return features
