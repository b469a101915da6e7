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

LOOK_EVERY_S = 0.01
"""While there is much to apply: what a request waits for may be there long before the end of it."""

Changing = AbstractAsyncContextManager[object]


async def catch_up(catalogue: Catalogue, store: FeatureStore, changing: Changing | None = None) -> None:
    """Apply every change since the catalogue's sequence, with pauses for whatever else the event loop has to do.

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

        Raises
        ------
        StoreError
            The store does not answer.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        while self._catalogue.sequence < sequence:
            left_s = deadline - loop.time()
            if left_s <= 0:
                return False
            running = self._started()
            await asyncio.wait({running}, timeout=min(left_s, LOOK_EVERY_S))
            if running.done():
                running.result()
        return True

    def _started(self) -> asyncio.Task[None]:
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(catch_up(self._catalogue, self._store, self._changing))
        return self._running
