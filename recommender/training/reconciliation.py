"""Reconciliation: a store that has come back with less than was learned from it, and what it has taken since.

A replica that lagged becomes primary, a dump is restored, somebody says FLUSHALL: the store counts from a lower offset
again, and what it accepts from then on would be taken for learned. Nothing that it acknowledges may be lost so: its
counters are moved on, and entries that have offsets of others get new ones.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from recommender.errors import StoreError
from recommender.storage.archive.archive import Archive
from recommender.storage.archive.segment import Segment
from recommender.storage.registry import VersionInfo
from recommender.stores.protocols import Interaction, LogEntry, Store
from recommender.training.catalogue_mirror import CatalogueMirror
from recommender.training.log_consumer import NOTHING, ConsumedLog, consume

logger = logging.getLogger("recommender.training.pipeline")

PAGE = 1_000
SAME = ("offset", "user_id", "item_id", "timestamp")
"""Columns by which an entry is known again."""
UNSEEN = 1_000_000
"""Changes of items that others may have seen since the last look; their sequence may have gaps."""


class SeenLog(NamedTuple):
    """What a look has seen of the log, by which the next one knows it again."""

    trimmed_through: int
    newest: LogEntry | None


class Reconciliation:
    """Looks whether the store is still the one that was learned from.

    Its counters tell, and where it has taken more since it came back than it had lost, the log itself: what was trimmed
    is there again, or the entry that was the newest is another.

    Parameters
    ----------
    store
        Which is looked at.
    archive
        Of what was learned.
    catalogue
        Of the store's items, as far as it was followed.

    Attributes
    ----------
    resets : int
        How often the store was found to have less than it had had.
    """

    def __init__(self, store: Store, archive: Archive, catalogue: CatalogueMirror) -> None:
        self.resets = 0
        self._store = store
        self._archive = archive
        self._catalogue = catalogue
        self._offset = self._sequence = 0
        self._seen = SeenLog(0, None)
        self._under_way = NOTHING
        """What a training has read that is not a version yet."""
        self._lock = asyncio.Lock()

    async def look(self, versions: Sequence[VersionInfo]) -> None:
        """Look, and put right what the store has taken since it came back.

        Raises
        ------
        StoreError
            The store does not answer.
        CorruptArtifactError
            What was learned cannot be read, to compare it with what the store has.
        """
        async with self._lock:  # a look beside a training must not take what this one does for another reset
            await self._look(versions)

    async def consume(self, after: int) -> ConsumedLog:
        """Read the log for a training, see `log_consumer.consume`; looks know of it until `end_training`.

        Raises
        ------
        StoreError
            The store does not answer, or came back with less while it was read.
        """
        async with self._lock:
            consumed = await consume(self._store, after)
            seen = await self._see()
            if (await self._store.state()).last_offset < consumed.last_offset or await self._is_another_log():
                raise StoreError("the store has come back with less than it had while its log was read")
            self._under_way, self._seen = consumed, seen
            self._offset = max(self._offset, consumed.last_offset)
        return consumed

    def end_training(self) -> None:
        """Let go of what a training has read: it is a version now, or it will be read again."""
        self._under_way = NOTHING

    async def _look(self, versions: Sequence[VersionInfo]) -> None:
        seen, found = await self._see(), await self._store.fetch([])
        learned = max([self._under_way.last_offset, *(version.meta.log_offset for version in versions)])
        offset = max(learned, self._offset)
        sequence = max([self._sequence, *(version.meta.items_sequence for version in versions)])
        # again where it is lost once more meanwhile: what it has then is no measure for the next look
        while found.last_offset < offset or found.items_sequence < sequence or await self._is_another_log():
            self.resets += 1
            logger.error(
                "the store has come back with less than it had (offset %d of %d, change %d of %d); "
                "what it takes from now on is learned",
                *(found.last_offset, offset, found.items_sequence, sequence),
            )
            await self._store.advance(offset, sequence + UNSEEN)
            await self._renumber(learned, versions)
            await self._renew_items(sequence)
            sequence += UNSEEN
            self._seen = SeenLog(0, None)
            seen, found = await self._see(), await self._store.fetch([])
        self._offset, self._sequence, self._seen = found.last_offset, found.items_sequence, seen

    async def _see(self) -> SeenLog:
        state = await self._store.state()
        newest = await self._store.read(state.last_offset - 1, 1)
        return SeenLog(state.trimmed_through, newest[0] if newest else None)

    async def _is_another_log(self) -> bool:
        """Whether the log is not the one that was seen; asked after the next is seen, so that that is of the same."""
        if (await self._store.state()).trimmed_through < self._seen.trimmed_through:
            return True
        known = self._seen.newest
        if known is None:
            return False
        there = await self._store.read(known.offset - 1, 1)
        return bool(there) and there[0].offset == known.offset and there[0] != known

    async def _renumber(self, learned: int, versions: Sequence[VersionInfo]) -> None:
        """Give new offsets to entries that have those of others, which were learned."""
        entries: list[LogEntry] = []
        after = 0
        while page := [entry for entry in await self._store.read(after, PAGE) if entry.offset <= learned]:
            entries += page
            after = page[-1].offset
        if entries:
            segments = list({segment.name: segment for each in versions for segment in each.meta.segments}.values())
            same = await asyncio.to_thread(self._same_through, entries, segments)
            logger.warning("the log has %d new entries with old offsets", sum(e.offset > same for e in entries))
            await self._store.renumber(same, learned)

    def _same_through(self, entries: Sequence[LogEntry], segments: Sequence[Segment]) -> int:
        """Offset up to which entries were learned, or are: what a store came back with is a beginning of its log."""
        first, last = entries[0].offset, entries[-1].offset
        near = [each for each in segments if each.last_offset >= first and each.first_offset <= last]
        read = pd.concat([self._archive.read(near)[list(SAME)], self._under_way.rows[list(SAME)]])
        known = set(read[read["offset"] >= first].itertuples(index=False, name=None))
        return max(
            (
                offset
                for offset, event in entries
                if isinstance(event, Interaction) and (offset, event.user_id, event.item_id, event.timestamp) in known
            ),
            default=first - 1,
        )

    async def _renew_items(self, sequence: int) -> None:
        """Have all items that are not as they were among the changes again."""
        after, more = 0, True
        while more:
            page = await self._store.item_changes(after, PAGE)
            old = [change for change in page.changes if change[0] <= sequence + UNSEEN]
            if changed := [item_id for _, item_id, item in old if not self._catalogue.has(item_id, item)]:
                await self._store.renew_items(changed)
            after, more = page.last_sequence, page.more and len(old) == len(page.changes)
