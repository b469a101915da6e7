"""Consuming: the log as a table to learn from, with what is wrong in it found and said."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recommender.stores.protocols import Interaction, InteractionLog, LogEntry, LogErased, UnreadableEntry, UserDeleted

logger = logging.getLogger("recommender.training.pipeline")

PAGE = 10_000
WEIGHTS = (1e-6, 1e6)
"""Interaction weights beyond these are learned as these: a float32 holds no 1e300."""


@dataclass(frozen=True)
class ConsumedLog:
    """What was read from the log."""

    rows: pd.DataFrame
    last_offset: int
    deleted: Mapping[str, int]
    poison: int
    gaps: list[tuple[int, int]]
    """First and last offset of what should have been there and was not."""

    def remaining(self) -> pd.DataFrame:
        """Rows that no later deletion took back."""
        erased = self.rows["user_id"].map(self.deleted).astype(np.float64).fillna(-1)
        return self.rows[self.rows["offset"] > erased]


async def consume(store: InteractionLog, after: int) -> ConsumedLog:
    """Everything in the log behind an offset, up to its end as it is now; poison is set aside in the store.

    Raises
    ------
    StoreError
        The store does not answer.
    """
    until = (await store.state()).last_offset
    rows: list[tuple[int, Interaction]] = []
    deleted: dict[str, int] = {}
    poison: list[LogEntry] = []
    gaps: list[tuple[int, int]] = []
    erased: set[int] = set()
    position = after
    while position < until:
        page = await store.read(position, PAGE)
        for entry in page:
            if entry.offset > position + 1:
                gaps.append((position + 1, entry.offset - 1))
            position = entry.offset
            if isinstance(entry.event, UserDeleted):
                deleted[entry.event.user_id] = entry.offset
            elif isinstance(entry.event, LogErased):
                erased.update(entry.event.offsets)
            elif isinstance(entry.event, UnreadableEntry):
                poison.append(entry)
            else:
                rows.append((entry.offset, entry.event))
        if not page:
            gaps.append((position + 1, until))
            position = until
    gaps = [rest for gap in gaps for rest in _lost(gap, erased)]
    if gaps:
        logger.error("the log has lost entries that were acknowledged: %s", gaps)
    if poison:
        logger.error("%d log entries cannot be read; they are set aside with their reason", len(poison))
        await store.set_aside(poison)
    return ConsumedLog(_frame(rows), position, deleted, len(poison), gaps)


def _lost(gap: tuple[int, int], erased: Collection[int]) -> Iterator[tuple[int, int]]:
    """What of a gap was not taken out of the log on purpose."""
    first, last = gap
    for offset in sorted(each for each in erased if first <= each <= last):
        if offset > first:
            yield first, offset - 1
        first = offset + 1
    if first <= last:
        yield first, last


def _frame(rows: Sequence[tuple[int, Interaction]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "offset": pd.Series([offset for offset, _ in rows], dtype="int64"),
            "user_id": [each.user_id for _, each in rows],
            "item_id": [each.item_id for _, each in rows],
            "weight": np.clip([each.weight for _, each in rows], *WEIGHTS).astype(np.float32),
            "timestamp": pd.Series([each.timestamp for _, each in rows], dtype="float64"),
            "event": [each.event for _, each in rows],
        }
    )


NOTHING = ConsumedLog(_frame([]), 0, {}, 0, [])
