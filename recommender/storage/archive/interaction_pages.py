"""Pages of all interactions: the learned ones from the archive, then those that wait in the log.

A page is read from what the base version names now, never from what it named when the first page was asked for: a
user who is erased in between is not in the pages behind. The cursor says what is done in terms that trainings do not
change: offsets up to one, and of those up to another the users up to one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import pandas as pd

from recommender.errors import InvalidRequestError
from recommender.rounding import shortest
from recommender.storage.archive.archive import Archive
from recommender.storage.archive.segment import Segment
from recommender.stores.protocols import Interaction, Store

CURSOR = r"[0-9]{1,12}\.[0-9]{1,12}\.[0-9]{1,9}\.([0-9a-f]{2}){0,256}"
USERS_AT_ONCE = 200
"""Users whose deletions are asked for in one round trip of the hot path."""


class StoredInteraction(msgspec.Struct, frozen=True, omit_defaults=True):
    """An interaction as it is kept; without its ``event_id``, which is forgotten after a while."""

    user_id: str
    item_id: str
    weight: float
    timestamp: float
    event: str | None = None


class InteractionPage(msgspec.Struct, frozen=True):
    """Interactions, each user's in the order in which they came; the last page has no cursor.

    A page may be shorter than asked for.
    """

    interactions: list[StoredInteraction]
    next_cursor: str | None


class InteractionCursor(NamedTuple):
    """Cursor of the listing of all interactions."""

    low: int = -1
    """Offsets up to this are done; imported interactions have 0."""
    high: int = -1
    """Offsets behind `low` and up to this are being done, user by user; -1 when none are."""
    user_id: str = ""
    """Users before this one are done, of those offsets."""
    done: int = 0
    """And so many of this one's."""

    def cursor(self) -> str:
        """Text that `parse` reads."""
        return f"{self.low + 1}.{self.high + 1}.{self.done}.{self.user_id.encode().hex()}"

    @classmethod
    def parse(cls, cursor: str | None) -> InteractionCursor:
        """Place that a cursor stands for.

        Raises
        ------
        InvalidRequestError
            It is none that was given out.
        """
        if cursor is None:
            return cls()
        if not re.fullmatch(CURSOR, cursor):
            raise InvalidRequestError("cursor is not a next_cursor of the page before")
        low, high, done, user_id = cursor.split(".")
        return cls(int(low) - 1, int(high) - 1, bytes.fromhex(user_id).decode(errors="replace"), int(done))


Row = tuple[int, StoredInteraction]
"""With its offset."""


class LearnedPart(NamedTuple):
    """Segments of a version, and the offset up to which they go."""

    segments: Sequence[Segment]
    log_offset: int


async def page_of(
    learned: LearnedPart, archive: Archive, store: Store, at: InteractionCursor, limit: int
) -> InteractionPage:
    """A page of at most `limit` interactions from a place on.

    Raises
    ------
    CorruptArtifactError
        A segment is missing or not what was written.
    StoreError
        The store does not answer.
    """
    found: list[Row] = []
    while len(found) < limit and at.low < learned.log_offset:
        rows, at = await asyncio.to_thread(_learned_page, learned, archive, at, limit - len(found))
        found += rows
    following: InteractionCursor | None = at
    if len(found) < limit:
        rows, following = await _waiting_page(store, at, limit - len(found))
        found += rows
    return InteractionPage(await _without_erased(store, found), following and following.cursor())


def _learned_page(
    learned: LearnedPart, archive: Archive, at: InteractionCursor, limit: int
) -> tuple[list[Row], InteractionCursor]:
    """Rows of one segment, and where to go on."""
    behind = [segment for segment in learned.segments if segment.last_offset > at.low]
    segment = min(behind, key=lambda each: each.last_offset, default=None)
    if segment is None:
        return [], InteractionCursor(learned.log_offset)
    high = at.high if at.high > at.low else segment.last_offset
    if segment.first_offset > high:
        # what was there when the last page was read has been erased since
        return [], InteractionCursor(high)
    rows = _rows(archive.read_from(segment, (at.low, high), at.user_id, at.done, limit))
    if len(rows) < limit:
        return rows, InteractionCursor(high)
    last = rows[-1][1].user_id
    done = sum(row.user_id == last for _, row in rows) + (at.done if last == at.user_id else 0)
    return rows, InteractionCursor(at.low, high, last, done)


def _rows(frame: pd.DataFrame) -> list[Row]:
    weights = shortest(frame["weight"].to_numpy(np.float32))
    events = [event if isinstance(event, str) else None for event in frame["event"].tolist()]
    columns = frame["user_id"].tolist(), frame["item_id"].tolist(), weights, frame["timestamp"].tolist(), events
    return [
        (offset, StoredInteraction(*row))
        for offset, row in zip(frame["offset"].tolist(), zip(*columns, strict=True), strict=True)
    ]


async def _waiting_page(store: Store, at: InteractionCursor, limit: int) -> tuple[list[Row], InteractionCursor | None]:
    """Entries of the log, and where to go on; None at its end."""
    entries = await store.read(max(0, at.low), limit)
    found = [(entry.offset, entry.event) for entry in entries if isinstance(entry.event, Interaction)]
    rows = [
        (offset, StoredInteraction(each.user_id, each.item_id, each.weight, each.timestamp, each.event))
        for offset, each in found
    ]
    return rows, InteractionCursor(entries[-1].offset) if len(entries) == limit else None


async def _without_erased(store: Store, rows: list[Row]) -> list[StoredInteraction]:
    """Rows that no deletion, learned or not, took back."""
    users = list(dict.fromkeys(row.user_id for _, row in rows))
    deleted: dict[str, int] = {}
    for start in range(0, len(users), USERS_AT_ONCE):
        some = users[start : start + USERS_AT_ONCE]
        states = (await store.fetch(some)).users
        deleted |= {user_id: state.deleted_at for user_id, state in zip(some, states, strict=True) if state.deleted_at}
    return [row for offset, row in rows if offset > deleted.get(row.user_id, -1)]
