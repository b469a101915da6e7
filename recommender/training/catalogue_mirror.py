"""A copy of the catalogue that follows its store; each change is read once."""

from __future__ import annotations

import heapq
from collections.abc import Collection

from recommender.stores.protocols import FeatureStore, Item
from recommender.training.snapshot_builder import CatalogueEntry

PAGE = 10_000


class CatalogueMirror:
    """Items as the store has them.

    Attributes
    ----------
    entries
        By id, those that are there.
    withdrawn
        Those that are not available, each with when it last changed, in seconds since the epoch.
    deleted
        Those that were, each with the sequence of its deletion, until they are forgotten.
    sequence
        Up to which changes are in it.
    """

    def __init__(self) -> None:
        self.entries: dict[str, CatalogueEntry] = {}
        self.withdrawn: dict[str, float] = {}
        self.deleted: dict[str, int] = {}
        self.sequence = 0

    async def follow(self, store: FeatureStore) -> None:
        """Take over what has changed."""
        more = True
        while more:
            page = await store.item_changes(self.sequence, PAGE)
            for sequence, item_id, item in page.changes:
                self._take(sequence, item_id, item)
            self.sequence, more = page.last_sequence, page.more

    def _take(self, sequence: int, item_id: str, item: Item | None) -> None:
        self.withdrawn.pop(item_id, None)
        self.deleted.pop(item_id, None)
        if item is None:
            self.entries.pop(item_id, None)
            self.deleted[item_id] = sequence
            return
        self.entries[item_id] = _entry(item)
        if not item.available:
            self.withdrawn[item_id] = item.updated_at

    def newest_deleted(self, most: int) -> list[str]:
        """Items that were deleted last, at most so many."""
        return heapq.nlargest(most, self.deleted, key=self.deleted.__getitem__)

    def deleted_through(self, sequence: int) -> list[str]:
        """Items whose deletion is not newer than a change."""
        return [item_id for item_id, at in self.deleted.items() if at <= sequence]

    def forget(self, item_ids: Collection[str]) -> None:
        """Know no more that items were deleted."""
        for item_id in item_ids:
            self.deleted.pop(item_id, None)

    def has(self, item_id: str, item: Item | None) -> bool:
        """Whether an item is in it as given; None for one that is deleted."""
        return item_id in self.deleted if item is None else self.entries.get(item_id) == _entry(item)


def _entry(item: Item) -> CatalogueEntry:
    """An item of a store as one of a catalogue."""
    return CatalogueEntry(item.item_id, item.features or {}, item.title, item.available)
