"""Retention: what of versions, archive and log is kept, and the removal of the rest."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from recommender.errors import RecommenderError
from recommender.storage.archive.archive import Archive
from recommender.storage.registry import Registry, VersionInfo
from recommender.stores.protocols import InteractionLog

logger = logging.getLogger("recommender.training.pipeline")


class Retention:
    """Retention of what trainings leave behind.

    Parameters
    ----------
    registry, archive, log
        What is tidied up.
    keep_versions
        Ready versions to keep for a rollback, and as many rejected ones.
    reconcile
        Makes sure that the log is still the one that was learned from, before anything of it is dropped.

    attributed_through
        Offset of the log behind which something else than a training still reads; nowhere when absent. While the log
        is less than half full, nothing behind it is dropped.

    Attributes
    ----------
    failure
        Why it was not done when it was last tried; None when it was.
    """

    def __init__(
        self,
        registry: Registry,
        archive: Archive,
        log: InteractionLog,
        keep_versions: int,
        reconcile: Callable[[], Awaitable[None]],
        attributed_through: Callable[[], int] | None = None,
    ) -> None:
        self._registry = registry
        self._archive = archive
        self._log = log
        self._keep_versions = keep_versions
        self._reconcile = reconcile
        self._attributed_through = attributed_through
        self.failure: str | None = None

    async def tidy(self) -> None:
        """Drop what no kept version needs: old versions, their segments, the log that all have learned.

        Nothing of what matters depends on it, so that a failure is told, and tried again with the next call.
        """
        steps = (self._prune_versions, self._prune_archive, self._trim_log)
        # each by itself: a bucket in which nothing may be removed is no reason for a log that grows
        failures = [str(error) for step in steps if (error := await _failure_of(step)) is not None]
        self.failure = f"what is not needed any more cannot be removed: {'; '.join(failures)}" if failures else None
        if failures:
            logger.warning("%s; it is tried again", self.failure)

    async def _prune_versions(self) -> None:
        await asyncio.to_thread(self._registry.prune, self._keep_versions)

    async def _prune_archive(self) -> None:
        # one that cannot be read names segments too, and ends this
        versions = await asyncio.to_thread(self._registry.complete_listing)
        # without any, what the archive holds may be all that is left of what was learned
        if versions:
            named = {segment.name for version in versions for segment in version.meta.segments}
            await asyncio.to_thread(self._archive.prune, named)

    async def _trim_log(self) -> None:
        versions = await asyncio.to_thread(self._registry.versions)
        if not any(version.status != "rejected" for version in versions):
            return
        await self._reconcile()
        learned = min(version.meta.log_offset for version in versions if version.status != "rejected")
        await self._log.trim(learned if self._attributed_through is None else min(learned, self._attributed_through()))
        state, room = await self._log.state(), self._log.max_backlog // 2
        if state.length > room:
            # a version far behind, as a pinned one is, learns from the archive what is not in the log; deletions, which
            # it must know of as long as it serves, are not in there; attribution that does not get on goes without
            await self._log.trim(self._learned_through(versions, state.last_offset - room), keep_deletions=True)

    def _learned_through(self, versions: Sequence[VersionInfo], wanted: int) -> int:
        """Offset to trim through, `wanted` or more: one up to which newer versions have all in the archive."""
        newest = sorted(version.meta.log_offset for version in versions[: self._keep_versions])
        # if the very newest turns out to be damaged, the one before it must do
        sure = newest[:-1] or newest
        return next((offset for offset in sure if offset >= wanted), sure[-1])


async def _failure_of(step: Callable[[], Awaitable[None]]) -> RecommenderError | OSError | None:
    try:
        await step()
    except (RecommenderError, OSError) as error:
        return error
    return None
