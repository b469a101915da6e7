"""Activity: when items were interacted with, as counts whose times grow coarser with age."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recommender.ids import UNKNOWN, IdTable

RESOLUTION = 128
"""A time is known to one part in so many of its age, and never better than to a second."""

END_OF_TIME_S = 2.0**32
"""In the year 2106."""


class InteractionCounts(NamedTuple):
    """Counts of interactions by time and item."""

    times: NDArray[np.uint32]
    """Seconds since the epoch, rounded down as `rounded` does, rising, shape (n,)."""
    items: NDArray[np.int32]
    """Shape (n,)."""
    counts: NDArray[np.uint32]
    """Shape (n,)."""

    def since(self, start_s: float) -> int:
        """First entry that is not older than a time."""
        return int(np.searchsorted(self.times, start_s))

    def counted(self, entries: slice, n_items: int) -> NDArray[np.float64]:
        """Interactions with each item among some entries, shape (n_items,)."""
        counts: NDArray[np.float64] = np.bincount(self.items[entries], self.counts[entries], n_items).astype(np.float64)
        return counts


NO_INTERACTIONS = InteractionCounts(np.zeros(0, np.uint32), np.zeros(0, np.int32), np.zeros(0, np.uint32))


def count_interactions(items: IdTable, interactions: pd.DataFrame, now: float) -> InteractionCounts:
    """Activity as it looks at a moment: at most one entry an interaction, a few thousand for an item of many.

    Parameters
    ----------
    items
        Those that count, by the index that they have in the answer.
    interactions
        ``item_id``, ``timestamp`` and ``weight``. Those without a time, or with one that no count will reach, and
        those that do not speak for an item are left out. Those of the future stand there until their time has come.
    now
        Seconds since the epoch.
    """
    places, times = items.indices_of(interactions["item_id"]), interactions["timestamp"].to_numpy(np.float64)
    reached = np.isfinite(times) & (times < END_OF_TIME_S)
    kept = (places != UNKNOWN) & reached & (interactions["weight"].to_numpy() > 0)
    seconds = rounded(np.maximum(times[kept], 0).astype(np.int64), now)
    # time in the upper half of a number, item in the lower: one sort for both
    keys, counts = np.unique(seconds << 32 | places[kept], return_counts=True)
    return InteractionCounts(
        (keys >> 32).astype(np.uint32), keys.astype(np.uint32).view(np.int32), counts.astype(np.uint32)
    )


def together(old: InteractionCounts, new: InteractionCounts) -> InteractionCounts:
    """Both; older entries stay as fine as they are."""
    if not len(new.times):
        return old
    # two runs that are sorted already: this only merges them
    order = np.argsort(np.concatenate([old.times, new.times]), kind="stable")
    return InteractionCounts(*(np.concatenate(each)[order] for each in zip(old, new, strict=True)))


def rounded(times: NDArray[np.int64], now: float) -> NDArray[np.int64]:
    """Times rounded down, each to the largest power of two of seconds that is at most its age over `RESOLUTION`."""
    ages = np.maximum((int(now) - times) // RESOLUTION, 1)
    bits = np.frexp(ages.astype(np.float64))[1] - 1
    coarse: NDArray[np.int64] = times >> bits << bits
    return coarse
