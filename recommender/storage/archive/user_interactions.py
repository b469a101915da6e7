"""Pages of a user's interactions, newest first: those that wait in the log and the learned ones in one list.

A page begins behind a time and an offset, which stay what they are when an interaction is learned, or when another
one comes: so no page repeats or leaves out one that was there when the first page was asked for.
"""

from __future__ import annotations

import bisect
import math
import re
import struct
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import pandas as pd

from recommender.errors import InvalidRequestError
from recommender.rounding import shortest
from recommender.stores.protocols import FeatureStore, Interaction

CURSOR = r"[0-9]{1,15}\.[0-9]{1,9}\.[0-9a-f]{16}"


class HistoryEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """An interaction of a user."""

    item_id: str
    weight: float
    timestamp: float
    event: str | None = None


class HistoryPage(msgspec.Struct, frozen=True):
    """Interactions of a user, newest first by time; the last page has no cursor."""

    user_id: str
    interactions: list[HistoryEntry]
    next_cursor: str | None


class HistoryCursor(NamedTuple):
    """Cursor of a user's history: the page begins behind this time and offset."""

    time: float
    """Seconds since the epoch; what has no time comes last, and counts as of -inf."""
    offset: int
    """0 for what was imported: of those with the same time, `done` are done."""
    done: int = 0

    def cursor(self) -> str:
        """Text that `parse` reads."""
        return f"{self.offset}.{self.done}.{struct.pack('>d', self.time).hex()}"

    @classmethod
    def parse(cls, cursor: str | None) -> HistoryCursor | None:
        """Place that a cursor stands for; None for the beginning.

        Raises
        ------
        InvalidRequestError
            It is none that was given out.
        """
        if cursor is None:
            return None
        if not re.fullmatch(CURSOR, cursor):
            raise InvalidRequestError("cursor is not a next_cursor of the page before")
        offset, done, time = cursor.split(".")
        (seconds,) = struct.unpack(">d", bytes.fromhex(time))
        if math.isnan(seconds):
            raise InvalidRequestError("cursor is not a next_cursor of the page before")
        return cls(seconds, int(offset), int(done))


class Row(NamedTuple):
    """An interaction with the time and offset that it is sorted by."""

    time: float
    offset: int
    entry: HistoryEntry


def learned_rows(frame: pd.DataFrame) -> list[Row]:
    """Learned interactions of one user, as the archive has them, newest first."""
    weights = shortest(frame["weight"].to_numpy(np.float32))
    events = [event if isinstance(event, str) else None for event in frame["event"].tolist()]
    columns = frame["item_id"].tolist(), weights, frame["timestamp"].tolist(), events
    entries = [HistoryEntry(*row) for row in zip(*columns, strict=True)]
    rows = [
        Row(_time(entry.timestamp), offset, entry)
        for offset, entry in zip(frame["offset"].tolist(), entries, strict=True)
    ]
    return sorted(rows, key=_age)


async def waiting_rows(store: FeatureStore, user_id: str, at: HistoryCursor | None, limit: int) -> list[Row]:
    """Interactions of a user that are in the log, learned or not, newest first, from a place on.

    Raises
    ------
    StoreError
        The store does not answer.
    """
    before = None if at is None else (at.time, at.offset)
    entries = await store.waiting(user_id, before, limit)
    found = [(offset, event) for offset, event in entries if isinstance(event, Interaction)]
    return [
        Row(_time(each.timestamp), offset, HistoryEntry(each.item_id, each.weight, each.timestamp, each.event))
        for offset, each in found
    ]


def page_of(
    user_id: str, waiting: Sequence[Row], learned: Sequence[Row], deleted_at: int, at: HistoryCursor | None, limit: int
) -> HistoryPage:
    """A page of at most `limit` interactions.

    Parameters
    ----------
    user_id
        Whose.
    waiting
        From the place on, at least one more than `limit` where there are so many. One that was learned meanwhile may
        be among `learned`, too.
    learned
        All of them, newest first.
    deleted_at
        Offset at which the user was deleted; 0 for never. What came before does not count.
    at
        Where the page begins; None for the beginning.
    limit
        Length of the page.
    """
    kept = [row for row in learned if row.offset > deleted_at] if deleted_at else learned
    start = _start(kept, at)
    there = {row.offset for row in waiting}
    behind = [row for row in kept[start : start + limit + 1 + len(there)] if row.offset not in there]
    rows = sorted([*(row for row in waiting if row.offset > deleted_at), *behind], key=_age)
    page = rows[:limit]
    following = _behind(page, at) if len(rows) > limit else None
    return HistoryPage(user_id, [row.entry for row in page], following and following.cursor())


def _start(rows: Sequence[Row], at: HistoryCursor | None) -> int:
    if at is None:
        return 0
    age = -at.time, -at.offset
    return bisect.bisect_right(rows, age, key=_age) if at.offset else bisect.bisect_left(rows, age, key=_age) + at.done


def _behind(page: Sequence[Row], at: HistoryCursor | None) -> HistoryCursor:
    last = page[-1]
    if last.offset:
        return HistoryCursor(last.time, last.offset)
    alike = sum(row[:2] == last[:2] for row in page)
    before = at.done if at is not None and at[:2] == last[:2] else 0
    return HistoryCursor(last.time, 0, before + alike)


def _age(row: Row) -> tuple[float, int]:
    """What sorts the newest first."""
    return -row.time, -row.offset


def _time(timestamp: float) -> float:
    return -math.inf if math.isnan(timestamp) else timestamp
