"""Loading a catalogue: the users and items of a data set into an empty store."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pandas as pd

from recommender.datasets.dataset import Dataset, feature_records, withdrawn
from recommender.stores.protocols import FeatureStore, Item, User
from recommender.training.store_pages import pages_of


async def load_catalogue(store: FeatureStore, dataset: Dataset) -> None:
    """Put all users and items of a data set into a store, as of now."""
    now = time.time()
    users = (User(user_id, features, now) for user_id, features in feature_records(dataset.users))
    for page in pages_of(users):
        await store.put_users(page)
    for items in pages_of(_items(dataset, now)):
        await store.put_items(items)


def _items(dataset: Dataset, now: float) -> Iterable[Item]:
    titles = dataset.items["title"] if "title" in dataset.items else pd.Series(dtype=str)
    unavailable = withdrawn(dataset.items)
    for item_id, features in feature_records(dataset.items):
        title = titles.get(item_id)
        yield Item(item_id, title if isinstance(title, str) else None, features, item_id not in unavailable, now)
