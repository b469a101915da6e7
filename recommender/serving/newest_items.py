"""Latest: what was put into the catalogue last."""

from __future__ import annotations

from collections.abc import Sequence

from recommender.feature_space import tokens
from recommender.schema import Latest, LatestItem
from recommender.serving.filters import Filter
from recommender.stores.protocols import FeatureStore, Item

LOOKED_AT = 10_000
"""How many of the newest items are looked at, at most, for those that a filter lets through."""
PAGE = 1_000


async def latest(store: FeatureStore, k: int, filters: Sequence[str] = ()) -> Latest:
    """Available items by the time of their last change, newest first.

    Parameters
    ----------
    store
        Where the items are.
    k
        Wanted length. Fewer come back when no more are among the newest `LOOKED_AT`.
    filters
        As for a recommendation.

    Raises
    ------
    InvalidRequestError
        A filter is malformed.
    StoreError
        The store does not answer.
    """
    wanted, found, before = Filter.parse(filters), list[LatestItem](), None
    for _ in range(0, LOOKED_AT, PAGE):
        page = await store.newest_items(before, PAGE if filters or before else k)
        items = [item for _, _, item in page if item is not None and item.available]
        found += [LatestItem(item.item_id, item.title, item.updated_at) for item in _let_through(items, wanted)]
        if len(found) >= k or not page:
            break
        before = page[-1][0]
    return Latest(found[:k])


def _let_through(items: Sequence[Item], wanted: Filter) -> list[Item]:
    words = [frozenset(tokens(item.features or {})) for item in items]
    kept = wanted.among(len(items), lambda token: {row for row, own in enumerate(words) if token in own})
    return [item for item, own in zip(items, kept.tolist(), strict=True) if own]
