"""Page sums: what a page of exposures adds to the figures of the ledger, summed up before it is written.

Exposures of a page share days, versions, items and users. Written one by one they touch the same rows over and over.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections import Counter

from recommender.exposures.exposure import Exposure

LATENCY_BOUNDS_S = tuple(0.001 * 2 ** (step / 4) for step in range(64))
"""Upper ends of the buckets that latencies are counted in: a quarter of an octave, from 1 ms to about a minute."""

Arm = tuple[str, str]
"""Experiment and variant."""


class PageSums:
    """Sums over exposures, by what they are counted under in the tables of `ledger_schema`."""

    def __init__(self) -> None:
        self._exposures: Counter[int] = Counter()
        self._empty: Counter[int] = Counter()
        self._degraded: Counter[int] = Counter()
        self._at_positions: Counter[tuple[int, int]] = Counter()
        self._young: Counter[tuple[int, int]] = Counter()
        self._items: set[tuple[int, str]] = set()
        self._trials: Counter[str] = Counter()
        self._tried_at: dict[str, float] = {}
        self._longest: dict[tuple[int, int], int] = {}
        self._latencies: Counter[tuple[str, str, int]] = Counter()
        self._experiment_users: Counter[tuple[str, str, int]] = Counter()

    def add(self, cell: int, unit: int | None, exposure: Exposure, young: set[str]) -> None:
        """Count one exposure.

        Parameters
        ----------
        cell, unit
            What it is counted under; the hash of its user or session, or None.
        exposure
            What was shown.
        young
            Those of its items that are young.
        """
        self._exposures[cell] += 1
        self._empty[cell] += not exposure.items
        self._degraded[cell] += exposure.degraded
        for item in exposure.items:
            place = cell, item.position
            self._at_positions[place] += 1
            if item.item_id in young:
                self._young[place] += 1
            self._items.add((cell, item.item_id))
            if item.propensity is not None:
                self._trials[item.item_id] += 1
                self._tried_at[item.item_id] = exposure.at
        if unit is not None:
            longest = max((item.position for item in exposure.items), default=0)
            self._longest[cell, unit] = max(longest, self._longest.get((cell, unit), 0))
        if exposure.experiment is not None:
            self._add_to_experiment((exposure.experiment, exposure.variant or ""), unit, exposure.latency_s)

    def _add_to_experiment(self, arm: Arm, unit: int | None, latency_s: float | None) -> None:
        if latency_s is not None:
            self._latencies[(*arm, bisect_left(LATENCY_BOUNDS_S, latency_s))] += 1
        if unit is not None:
            self._experiment_users[(*arm, unit)] += 1

    def write(self, database: sqlite3.Connection) -> None:
        """Add the sums to the figures, each row once, in order of its key."""
        shown, young = _by_cell(self._at_positions), _by_cell(self._young)
        database.executemany(
            "UPDATE cells SET exposures = exposures + ?, empty = empty + ?, degraded = degraded + ?, shown = shown + ?,"
            " young = young + ? WHERE cell = ?",
            [
                (n, self._empty[cell], self._degraded[cell], shown[cell], young[cell], cell)
                for cell, n in self._exposures.items()
            ],
        )
        database.executemany(
            "INSERT INTO cell_positions VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " exposures = exposures + excluded.exposures, young = young + excluded.young",
            [(*place, n, self._young[place]) for place, n in sorted(self._at_positions.items())],
        )
        database.executemany("INSERT OR IGNORE INTO cell_items VALUES (?, ?, 0)", sorted(self._items))
        database.executemany(
            "INSERT INTO trials VALUES (?, ?, 0, ?) ON CONFLICT DO UPDATE SET shown = shown + excluded.shown,"
            " at = excluded.at",
            [(item_id, n, self._tried_at[item_id]) for item_id, n in sorted(self._trials.items())],
        )
        database.executemany(
            "INSERT INTO cell_users VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET longest = max(longest, excluded.longest)",
            [(*key, longest) for key, longest in sorted(self._longest.items())],
        )
        database.executemany(
            "INSERT INTO latencies VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET answers = answers + excluded.answers",
            [(*key, n) for key, n in self._latencies.items()],
        )
        database.executemany(
            "INSERT INTO experiment_users VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET exposures = exposures + excluded.exposures",
            [(*key, n) for key, n in sorted(self._experiment_users.items())],
        )


def _by_cell(counted: Counter[tuple[int, int]]) -> Counter[int]:
    found: Counter[int] = Counter()
    for (cell, _), n in counted.items():
        found[cell] += n
    return found
