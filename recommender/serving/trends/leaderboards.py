"""Leaderboards: what is popular of late, and what is rising, by what was learned and what the log holds since."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from recommender.ids import UNKNOWN
from recommender.schema import LeaderboardName, Popular
from recommender.serving.recommender import Recommender
from recommender.serving.trends.log_tail import LogTail
from recommender.serving.trends.trending import rising

KEPT_BYTES = 32 * 2**20
"""Of counts and of scores, for windows that were asked for lately."""
LONG_RUN = 28
"""The long run is so many windows, of a day four weeks; all that there is where nearly nothing was in them."""


class _Learned(NamedTuple):
    """Learned interactions with each item from one entry of the activity on and before another."""

    first: int
    last: int
    counts: NDArray[np.float64]


class _Board(NamedTuple):
    """Scores, and what they are of: a second, and everything that has been read by then."""

    stamp: tuple[int, int, int]
    scores: NDArray[np.float32]
    """By place in catalogue order."""


class Leaderboards:
    """Items by their interactions in a window that ends now.

    A window that is asked for again costs what entered and left it since, once a second at most; then every answer
    is a choice from scores that are there.

    Parameters
    ----------
    recommender
        Whose catalogue is listed; its snapshot has the learned interactions.
    trail
        Those behind that snapshot. It may grow between calls.
    clock
        Seconds since the epoch.
    """

    def __init__(self, recommender: Recommender, trail: LogTail, clock: Callable[[], float] = time.time) -> None:
        self.recommender, self.trail = recommender, trail
        self._clock = clock
        self._activity = recommender.snapshot.activity
        size = 8 * max(1, recommender.snapshot.n_items)
        most = max(KEPT_BYTES, 4 * size)
        self._learned: LRUCache[float, _Learned] = LRUCache(most, lambda each: max(size, each.counts.nbytes))
        self._boards: LRUCache[tuple[LeaderboardName, float], _Board] = LRUCache(
            most, lambda each: max(size, each.scores.nbytes)
        )
        self._places = np.zeros(0, np.int64)

    def top(
        self, name: LeaderboardName, window_s: float, k: int, filters: Sequence[str] = (), degraded: Sequence[str] = ()
    ) -> Popular:
        """Best items of one board; those without an interaction in the window are not on it.

        Parameters
        ----------
        name
            ``popular``: by interactions in the window; ``trending``: by how surely an item's part in them has grown
            against the long run, see `rising`.
        window_s
            Length. Of what was learned, an edge is where it is to one part in `activity.RESOLUTION`.
        k
            Wanted length.
        filters
            As for a recommendation.
        degraded
            What is said in the answer.
        """
        scores = self._scores(name, window_s)
        n_items, delta = self.recommender.snapshot.n_items, self.recommender.catalogue.delta
        return self.recommender.listed(scores[:n_items], scores[delta.places], k, filters, degraded)

    def _scores(self, name: LeaderboardName, window_s: float) -> NDArray[np.float32]:
        now, catalogue = int(self._clock()), self.recommender.catalogue
        stamp = now, self.trail.offset, catalogue.sequence
        board = self._boards.get((name, window_s))
        if board is None or board.stamp != stamp:
            score = {"popular": self._popular, "trending": self._trending}[name]
            board = self._boards[name, window_s] = _Board(stamp, score(now, window_s))
        return board.scores

    def _popular(self, now: int, window_s: float) -> NDArray[np.float32]:
        counts = self._counts(now, window_s)
        return np.where(counts > 0, counts, -np.inf).astype(np.float32)

    def _trending(self, now: int, window_s: float) -> NDArray[np.float32]:
        counts = self._counts(now, window_s)
        before = self._counts(now, (LONG_RUN + 1) * window_s) - counts
        if before.sum() < counts.sum():
            before = self._counts(now, math.inf) - counts
        return rising(counts, before)

    def _counts(self, now: int, window_s: float) -> NDArray[np.float64]:
        """Interactions with each item in a window, by place in catalogue order."""
        # up to the end of this second: what is of the future does not count before its time
        catalogue, start_s, end_s = self.recommender.catalogue, now - window_s, now + 1.0
        n_items = self.recommender.snapshot.n_items
        counts = np.zeros(n_items + catalogue.delta.n)
        counts[:n_items] = self._learned_between(start_s, end_s, window_s)
        places = self._places_of_trail()
        there = places != UNKNOWN
        np.add.at(counts, places[there], self.trail.counted(start_s, end_s)[there])
        return counts

    def _learned_between(self, start_s: float, end_s: float, window_s: float) -> NDArray[np.float64]:
        first, last = self._activity.since(start_s), self._activity.since(end_s)
        known = self._learned.get(window_s) or _Learned(first, first, np.zeros(self.recommender.snapshot.n_items))
        counts = self._with_entries(known.counts, first, known.first)
        counts = self._with_entries(counts, known.last, last)
        self._learned[window_s] = _Learned(first, last, counts)
        return counts

    def _with_entries(self, counts: NDArray[np.float64], start: int, stop: int) -> NDArray[np.float64]:
        """Counts with entries of the activity; without them where they are given backwards."""
        if start == stop:
            return counts
        entries = self._activity.counted(slice(min(start, stop), max(start, stop)), len(counts))
        return counts + entries if start < stop else counts - entries

    def _places_of_trail(self) -> NDArray[np.int64]:
        """Place in catalogue order of each of the trail's items; -1 for one that is in no catalogue."""
        item_ids, snapshot, rows = self.trail.item_ids, self.recommender.snapshot, self.recommender.catalogue.delta.rows
        new = snapshot.item_ids.indices_of(item_ids[len(self._places) :]).astype(np.int64)
        self._places = np.concatenate([self._places, new])
        places = self._places.copy()
        for index in np.flatnonzero(places == UNKNOWN).tolist():
            row = rows.get(item_ids[index], UNKNOWN)
            places[index] = UNKNOWN if row == UNKNOWN else snapshot.n_items + row
        return places
