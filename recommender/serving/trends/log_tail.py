"""Trail: what the log holds behind a snapshot, in memory, to count what has just happened."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recommender.models.feedback import Feedback
from recommender.stores.protocols import Interaction, InteractionLog, LogEntry, UserDeleted

PAGE = 1_000
ENTRY = np.dtype([("offset", np.int64), ("time", np.float64), ("user", np.int64), ("item", np.int32)])


class LogTail:
    """Items and times of the interactions behind an offset, 28 bytes each.

    Those that do not speak for an item are left out, and so are those of users who were deleted later.

    Parameters
    ----------
    after
        Offset that it begins behind.
    feedback
        How interactions are read; all are likings when absent.

    Attributes
    ----------
    offset : int
        The newest entry that is in it.
    item_ids : list of str
        Distinct items, in the order in which they came.
    """

    def __init__(self, after: int, feedback: Feedback | None = None) -> None:
        self.after = self.offset = after
        self.item_ids: list[str] = []
        self._codes: dict[str, int] = {}
        self._feedback = feedback or Feedback()
        self._rows, self._n = np.zeros(64, ENTRY), 0

    def add(self, entries: Sequence[LogEntry]) -> None:
        """Take over entries of the log, in their order."""
        fresh: list[tuple[int, float, int, int]] = []
        for offset, event in entries:
            if isinstance(event, Interaction):
                if self._feedback.is_liking(event.weight, event.event):
                    # the user only to find them again when they are deleted
                    fresh.append((offset, event.timestamp, hash(event.user_id), self._code(event.item_id)))
            elif isinstance(event, UserDeleted):
                self._append(fresh)
                self._keep(self.rows["user"] != hash(event.user_id))
                fresh = []
        self._append(fresh)
        self.offset = max(self.offset, entries[-1].offset) if entries else self.offset

    @property
    def rows(self) -> NDArray[np.void]:
        """Entries, each an `ENTRY`; its item is a place in `item_ids`."""
        return self._rows[: self._n]

    def behind(self, offset: int) -> LogTail:
        """Trail behind another offset, with what of that is in this one: nothing, where it is an earlier one."""
        other = LogTail(offset, self._feedback)
        if self.after <= offset <= self.offset:
            other.offset, other.item_ids, other._codes = self.offset, self.item_ids.copy(), self._codes.copy()
            other._rows, other._n = self.rows, self._n
            other._keep(self.rows["offset"] > offset)
        return other

    def counted(self, start_s: float, end_s: float) -> NDArray[np.int64]:
        """Interactions with each of `item_ids` since a time and before another."""
        times = self.rows["time"]
        return np.bincount(self.rows["item"][(times >= start_s) & (times < end_s)], minlength=len(self.item_ids))

    def _code(self, item_id: str) -> int:
        code = self._codes.get(item_id)
        if code is None:
            code = self._codes[item_id] = len(self.item_ids)
            self.item_ids.append(item_id)
        return code

    def _append(self, fresh: Sequence[tuple[int, float, int, int]]) -> None:
        n = self._n + len(fresh)
        if n > len(self._rows):
            self._rows = np.concatenate([self.rows, np.zeros(n, ENTRY)])
        self._rows[self._n : n] = fresh
        self._n = n

    def _keep(self, kept: NDArray[np.bool_]) -> None:
        self._rows = self.rows[kept]
        self._n = len(self._rows)


async def follow(trail: LogTail, log: InteractionLog) -> None:
    """Bring a trail up to the end of the log.

    Raises
    ------
    StoreError
        The store does not answer; what had been read stays.
    """
    while True:
        page = await log.read(trail.offset, PAGE)
        trail.add(page)
        if len(page) < PAGE:
            return
