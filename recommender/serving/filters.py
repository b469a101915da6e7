"""Filters: which items may be in an answer, by what the catalogue says of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from recommender.errors import InvalidRequestError
from recommender.feature_space import clean_token
from recommender.ids import UNKNOWN
from recommender.serving.snapshot import Snapshot

LISTED_BELOW = 1 / 8
"""Share of the rows below which a filter's rows are scored from a list: jumping costs more than passing by."""
KEPT_FEATURES = 16
"""Features whose values are remembered by row."""
KEPT_BYTES = 32 * 2**20
"""What a catalogue remembers of the filters it was asked for."""


@dataclass(frozen=True)
class Filter:
    """A conjunction of clauses.

    Parameters
    ----------
    required
        By name, the tokens of which an item must have at least one.
    forbidden
        Tokens of which an item must have none.
    """

    required: dict[str, list[str]]
    forbidden: list[str]

    @classmethod
    def parse(cls, clauses: Sequence[str]) -> Filter:
        """Read ``genres:Comedy`` (must hold) and ``-genres:Horror`` (must not).

        Several names must all hold; of one name given several times, one value must.

        Raises
        ------
        InvalidRequestError
            A clause is not ``name:value``.
        """
        required: dict[str, list[str]] = {}
        forbidden: list[str] = []
        for clause in clauses:
            name, colon, _ = clause.removeprefix("-").partition(":")
            if not colon or not name:
                raise InvalidRequestError("a filter is name:value or -name:value, as in genres:Comedy")
            token = clean_token(clause.removeprefix("-"))
            if clause.startswith("-"):
                forbidden.append(token)
            else:
                required.setdefault(name, []).append(token)
        return cls(required, forbidden)

    def rows(self, snapshot: Snapshot) -> NDArray[np.bool_]:
        """Which rows of the snapshot it lets through, bool of shape (n_items,)."""
        kept = np.ones(snapshot.n_items, np.bool_)
        for clauses in self.required.values():
            kept &= _any_of(snapshot, clauses)
        if self.forbidden:
            kept &= ~_any_of(snapshot, self.forbidden)
        return kept

    def among(self, n: int, having: Callable[[str], Collection[int]]) -> NDArray[np.bool_]:
        """Which of the first `n` rows of a block it lets through, when it is known which have a token."""
        kept = np.ones(n, np.bool_)
        for clauses in self.required.values():
            kept &= _marked(n, clauses, having)
        return kept & ~_marked(n, self.forbidden, having)


class Kept(NamedTuple):
    """Rows of a snapshot that a filter lets through, worked out once."""

    rows: NDArray[np.bool_]
    """Shape (n_items,)."""
    listed: NDArray[np.int32] | None
    """The same, rising, where they are few; None where they are many."""
    filter: Filter
    """What lets them through."""


class FilterCache:
    """Filters of a snapshot and what they let through, those that were asked for lately.

    Parameters
    ----------
    snapshot
        Never changes, and so what is remembered is never wrong.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._lock = Lock()
        self._values: LRUCache[str, tuple[NDArray[np.int64], NDArray[np.int32]]] = LRUCache(KEPT_FEATURES)
        self._kept: LRUCache[frozenset[str], Kept] = LRUCache(max(KEPT_BYTES, _size_of_one(snapshot)), _size)

    def having(self, token: str) -> NDArray[np.int32]:
        """Rows of the items that have a token, rising; in versions from before 2026 one may be there twice."""
        column = self._snapshot.filter_tokens.index_of(token)
        return np.zeros(0, np.int32) if column == UNKNOWN else self._snapshot.filter_rows.row(column)

    def values_of(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Tokens of a feature by row of the snapshot: where those of each row begin, and their columns.

        Returns
        -------
        int64 of shape (n_items + 1,) and int32 of shape (n,), columns of the snapshot's tokens. Made once a feature.
        """
        with self._lock:
            found = self._values.get(name)
        if found is None:
            found = _values_by_row(self._snapshot, name)
            with self._lock:
                self._values[name] = found
        return found

    def kept(self, clauses: Sequence[str]) -> Kept:
        """Rows that `Filter.parse` of these lets through."""
        key = frozenset(clauses)
        with self._lock:  # light and heavy requests are answered in two threads
            found = self._kept.get(key)
        if found is None:
            wanted = Filter.parse(clauses)
            found = _kept(wanted, wanted.rows(self._snapshot))
            with self._lock:
                self._kept[key] = found
        return found


def _values_by_row(snapshot: Snapshot, name: str) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    columns = [column for column, token in enumerate(snapshot.filter_tokens) if token.startswith(f"{name}:")]
    each = [np.unique(snapshot.filter_rows.row(column)) for column in columns]
    rows = np.concatenate([np.zeros(0, np.int32), *each])
    order = np.argsort(rows, kind="stable")
    of_rows = np.repeat(np.array(columns, np.int32), [len(own) for own in each])
    starts = np.append(0, np.cumsum(np.bincount(rows, minlength=snapshot.n_items)))
    return starts.astype(np.int64), of_rows[order]


def _kept(wanted: Filter, rows: NDArray[np.bool_]) -> Kept:
    rows.flags.writeable = False  # many requests share it
    few = np.count_nonzero(rows) < LISTED_BELOW * len(rows)
    return Kept(rows, np.flatnonzero(rows).astype(np.int32) if few else None, wanted)


def _size(kept: Kept) -> int:
    return kept.rows.nbytes + (0 if kept.listed is None else kept.listed.nbytes)


def _size_of_one(snapshot: Snapshot) -> int:
    return 2 * snapshot.n_items  # a byte a row, and a list of at most an eighth of them at four


def _marked(n: int, tokens: Sequence[str], having: Callable[[str], Collection[int]]) -> NDArray[np.bool_]:
    marked = np.zeros(n, np.bool_)
    for rows in map(having, tokens):
        marked[np.fromiter(rows, np.int64, len(rows))] = True
    return marked


def _any_of(snapshot: Snapshot, tokens: Sequence[str]) -> NDArray[np.bool_]:
    found = np.zeros(snapshot.n_items, np.bool_)
    for token in tokens:
        column = snapshot.filter_tokens.index_of(token)
        if column != UNKNOWN:
            found[snapshot.filter_rows.row(column)] = True
    return found
