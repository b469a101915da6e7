"""Bringing a catalogue up to the changes that the store has."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext

from recommender.serving.catalogue import Catalogue, ItemChange, PreparedChange
from recommender.stores.protocols import FeatureStore, Item, ItemChanges

PAGE = 1000
AT_ONCE = 100
"""Changes taken over without a pause: some 2 ms."""
READ_AGAIN = 5_000
"""The newest changes that are read once more from a store that was lost, 0.2 s: more than it accepts before the trainer
looks at it, which has the others among the changes again."""

LOOK_EVERY_S = 0.01
"""While there is much to apply: what a request waits for may be there long before the end of it."""

Changing = AbstractAsyncContextManager[object]


async def catch_up(catalogue: Catalogue, store: FeatureStore, changing: Changing | None = None) -> None:
    """Apply every change since the catalogue's sequence, with pauses for whatever else the event loop has to do.

    A store whose own sequence is lower was emptied, or is an older copy of itself: its newest changes are applied, from
    the first one where there are at most `READ_AGAIN`.

    Parameters
    ----------
    changing
        Held while the catalogue changes, as against a thread that reads it.

    Raises
    ------
    StoreError
        The store does not answer; what had been applied stays.
    """
    more = True
    while more:
        page = await store.item_changes(catalogue.sequence, PAGE)
        if page.newest < catalogue.sequence:
            catalogue.go_back(max(0, page.newest - READ_AGAIN))
            continue
        prepared = await _prepared(catalogue, [_change(item_id, item) for _, item_id, item in page.changes])
        await _take(catalogue, prepared, page, changing or nullcontext())
        more = page.more


async def _prepared(catalogue: Catalogue, changes: Sequence[ItemChange]) -> list[PreparedChange]:
    if len(changes) <= AT_ONCE:
        return catalogue.prepare(changes)
    return await asyncio.to_thread(catalogue.prepare, changes)


async def _take(
    catalogue: Catalogue, prepared: Sequence[PreparedChange], page: ItemChanges, changing: Changing
) -> None:
    for start in range(0, len(prepared), AT_ONCE):
        some = prepared[start : start + AT_ONCE]
        async with changing:
            catalogue.take(some, page.changes[start + len(some) - 1][0])
        await asyncio.sleep(0)
    catalogue.take([], page.last_sequence)


def _change(item_id: str, item: Item | None) -> ItemChange:
    if item is None:
        return ItemChange(item_id, {}, available=False)
    return ItemChange(item_id, item.features or {}, item.title, item.available)


class CatalogueFollower:
    """Keeps one catalogue at the changes of a store, for as many as wait for them.

    Parameters
    ----------
    catalogue
        What is kept.
    store
        Where the changes are.
    changing
        Held while the catalogue changes.
    """

    def __init__(self, catalogue: Catalogue, store: FeatureStore, changing: Changing) -> None:
        self._catalogue, self._store, self._changing = catalogue, store, changing
        self._running: asyncio.Task[None] | None = None

    async def follow(self) -> None:
        """Apply every change that there is; who stops waiting stops nobody else's.

        Raises
        ------
        StoreError
            The store does not answer; what had been applied stays.
        """
        await asyncio.shield(self._started())

    async def reach(self, sequence: int, within_s: float) -> bool:
        """Whether the catalogue has all changes up to one, as soon as it has them or when the time is over.

        It has them also where the store has been lost since, which counts from a lower sequence again, when all that
        the store has now were applied.

        Parameters
        ----------
        sequence
            Of the store, as the request found it; 0 where it found none.
        within_s
            Seconds to wait for.

        Raises
        ------
        StoreError
            The store does not answer.
        """
        loop = asyncio.get_running_loop()
        deadline, earlier = loop.time() + within_s, self._running
        lost = await self._is_ahead_of_store(sequence)
        while lost or self._catalogue.sequence < sequence:
            left_s = deadline - loop.time()
            if left_s <= 0:
                return False
            running = self._started()
            await asyncio.wait({running}, timeout=min(left_s, LOOK_EVERY_S))
            if running.done():
                running.result()
                if running is not earlier:  # which may have read before the change, or before the loss
                    return True
        return True

    async def _is_ahead_of_store(self, found: int) -> bool:
        """Whether the store was lost; mostly who found a lower sequence has only been overtaken by others."""
        taken = self._catalogue.sequence
        return 0 < found < taken and (await self._store.fetch([])).items_sequence < taken

    def _started(self) -> asyncio.Task[None]:
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(catch_up(self._catalogue, self._store, self._changing))
        return self._running
