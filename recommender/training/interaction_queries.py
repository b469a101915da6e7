"""Interaction queries: a user's learned history, and pages of interactions that are learned or wait in the log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from cachetools import LRUCache

from recommender.storage.archive import interaction_pages
from recommender.storage.archive.archive import Archive
from recommender.storage.archive.first_interactions import first_timestamps
from recommender.storage.archive.interaction_pages import InteractionPage
from recommender.storage.archive.user_interactions import (
    HistoryCursor,
    HistoryPage,
    Row,
    learned_rows,
    page_of,
    waiting_rows,
)
from recommender.stores.protocols import Store
from recommender.training.base_version import BaseVersions, segments_of
from recommender.training.log_archiver import LogArchiver

USERS_READ = 16
"""Users whose learned interactions are at hand, for whoever turns their pages."""

HistoryRow = tuple[int, str, float, float, str | None]
"""Offset, item, weight, timestamp and event of a learned interaction."""


class InteractionQueries:
    """Answers what users have done, from the archive and the log.

    Parameters
    ----------
    archive, store
        What is read.
    bases
        Where the version is found whose segments are read.
    archiver
        Which knows the version whose segments have what the log has no more.
    reconcile
        Makes sure that the store is still the one that was learned from.
    """

    def __init__(
        self,
        archive: Archive,
        store: Store,
        bases: BaseVersions,
        archiver: LogArchiver,
        reconcile: Callable[[], Awaitable[None]],
    ) -> None:
        self._archive = archive
        self._store = store
        self._bases = bases
        self._archiver = archiver
        self._reconcile = reconcile
        self._read_users: LRUCache[tuple[str | None, str], list[Row]] = LRUCache(USERS_READ)

    async def waiting(self) -> int:
        """Interactions in the log that the base has not learned."""
        base = await self._bases.find()
        return (await self._store.state()).last_offset - (base.meta.log_offset if base else 0)

    async def history(self, user_id: str, after_offset: int) -> list[HistoryRow]:
        """Learned interactions of a user, newest first.

        Parameters
        ----------
        user_id
            Known or not.
        after_offset
            Of the user's deletion: what came before does not count, what was imported (offset 0) only
            where this is 0.
        """
        frame = await asyncio.to_thread(
            self._archive.read_user, segments_of(await self._archiver.source(await self._bases.find())), user_id
        )
        kept = frame[frame["offset"] > after_offset] if after_offset else frame
        newest_first = kept.sort_values("timestamp", ascending=False, kind="stable")
        return [
            (
                row.offset,
                row.item_id,
                row.weight,
                row.timestamp,
                row.event if isinstance(row.event, str) else None,
            )
            for row in newest_first.itertuples()
        ]

    async def user_interactions(self, user_id: str, cursor: str | None, limit: int) -> HistoryPage:
        """Page of a user's interactions, learned or waiting, newest first."""
        at = HistoryCursor.parse(cursor)
        if await self.waiting() < 0:
            await self._reconcile()  # until then what the store says of a deletion is older than what was learned
        # first what waits: what is learned and trimmed meanwhile is then among what was learned
        waiting = await waiting_rows(self._store, user_id, at, limit + 1)
        learned = await self._learned_rows(user_id)
        deleted_at = (await self._store.fetch([user_id])).users[0].deleted_at
        return page_of(user_id, waiting, learned, deleted_at, at, limit)

    async def interactions(self, cursor: str | None, limit: int) -> InteractionPage:
        """A page of all interactions, learned or waiting; see `recommender.storage.archive.interaction_pages`."""
        base = await self._archiver.source(await self._bases.find())
        learned = interaction_pages.LearnedPart(segments_of(base), base.meta.log_offset if base else -1)
        at = interaction_pages.InteractionCursor.parse(cursor)
        return await interaction_pages.page_of(learned, self._archive, self._store, at, limit)

    async def first_seen(self) -> dict[str, float]:
        """Time of the first learned interaction of each item, in seconds since the epoch."""
        base = await self._archiver.source(await self._bases.find())
        return await asyncio.to_thread(first_timestamps, self._archive, segments_of(base))

    async def _learned_rows(self, user_id: str) -> list[Row]:
        """Learned interactions of a user; those of users who are read page by page are read once a version."""
        base = await self._bases.find()
        key = base.version if base else None, user_id
        if key not in self._read_users:
            frame = await asyncio.to_thread(self._archive.read_user, segments_of(base), user_id)
            self._read_users[key] = await asyncio.to_thread(learned_rows, frame)
        return self._read_users[key]
