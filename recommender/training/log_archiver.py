"""Log archiver: moves what waits in the log into segments of the archive, and erases what was deleted."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from recommender.errors import RecommenderError
from recommender.storage.archive.archive import Archive
from recommender.storage.archive.segment import Segment
from recommender.storage.registry import Registry, VersionInfo
from recommender.stores.protocols import Store
from recommender.training.base_version import Begun, segments_of
from recommender.training.log_consumer import ConsumedLog
from recommender.training.reconciliation import Reconciliation

logger = logging.getLogger("recommender.training.pipeline")


class LogArchiver:
    """Archives what a training consumes.

    Parameters
    ----------
    registry
        Of the versions, which name the segments that are kept.
    archive
        Where segments are written.
    store
        With the log.
    reconciliation
        Which is to know what a training has read.
    """

    def __init__(self, registry: Registry, archive: Archive, store: Store, reconciliation: Reconciliation) -> None:
        self._registry = registry
        self._archive = archive
        self._store = store
        self._reconciliation = reconciliation

    async def consumed(self, begun: Begun) -> tuple[list[Segment], ConsumedLog]:
        """Segments with all that happened, and what of it the base has not learned."""
        source = await self.source(begun.base)
        consumed = await self._reconciliation.consume(source.meta.log_offset if source else 0)
        segments = await self._archived(source, consumed)
        if begun.base is None or source is None or source.version == begun.base.version:
            return segments, consumed
        behind = begun.base.meta.log_offset
        rows = await asyncio.to_thread(self._archive.read, segments)
        known = set(rows["user_id"][rows["offset"] <= behind].unique())
        # the log entries of their deletion are gone, and so is all that they did before
        deleted = {user: behind for user in begun.learned_users() if user not in known}
        return segments, replace(consumed, rows=rows[rows["offset"] > behind], deleted={**deleted, **consumed.deleted})

    async def source(self, base: VersionInfo | None) -> VersionInfo | None:
        """Version whose segments have all that is not in the log any more: the base, unless it is far behind."""
        trimmed = (await self._store.state()).trimmed_through
        if base is None or base.meta.log_offset >= trimmed:
            return base
        versions = [base, *await asyncio.to_thread(self._registry.versions)]
        return max(versions, key=lambda each: each.meta.log_offset)

    async def _archived(self, base: VersionInfo | None, consumed: ConsumedLog) -> list[Segment]:
        """Segments with what was consumed, without what was deleted."""
        segments = segments_of(base)
        rows = consumed.remaining()
        if len(rows):
            first, last = int(rows["offset"].iloc[0]), int(rows["offset"].iloc[-1])
            added = await asyncio.to_thread(self._archive.append, rows, first_offset=first, last_offset=last)
            segments = [*segments, added]
        if consumed.deleted:
            segments = await asyncio.to_thread(self._archive.erase, segments, consumed.deleted)
        return await asyncio.to_thread(self._archive.compact_newest, segments)

    async def settle(self) -> None:
        """Remove segments that this training wrote and no version names; a failure is told, it loses nothing."""
        try:
            await asyncio.to_thread(self._settle_segments)
        except (RecommenderError, OSError) as error:
            logger.warning("segments of a training that came to nothing stay until the next is tidied up: %s", error)

    def _settle_segments(self) -> None:
        # also after a failure: what was published may be there although no answer came
        versions = self._registry.versions(anew=True)
        self._archive.settle({segment.name for version in versions for segment in version.meta.segments})
