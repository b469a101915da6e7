"""Bringing a catalogue up to the changes that the store has."""

from __future__ import annotations

from recommender.catalogue import Catalogue, ItemChange
from recommender.stores.base import FeatureStore, Item

PAGE = 1000


async def catch_up(catalogue: Catalogue, store: FeatureStore) -> None:
    """Apply every change since the catalogue's sequence.

    Raises
    ------
    StoreError
        The store does not answer; what had been applied stays.
    """
    more = True
    while more:
        page = await store.item_changes(catalogue.sequence, PAGE)
        changes = [_change(item_id, item) for _, item_id, item in page.changes]
        catalogue.apply(changes, page.last_sequence)
        more = page.more


def _change(item_id: str, item: Item | None) -> ItemChange:
    if item is None:
        return ItemChange(item_id, {}, available=False)
    return ItemChange(item_id, item.features or {}, item.title, item.available)
