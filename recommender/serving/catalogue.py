"""Catalogue: a snapshot and what changed since, as a small delta of the same shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender import cases
from recommender.feature_space import Encoded, Features, tokens
from recommender.ids import UNKNOWN
from recommender.models.popularity import promised_popularities
from recommender.serving.delta import CatalogueItem, Delta
from recommender.serving.exploration_trials import NO_TRIALS
from recommender.serving.filters import FilterCache
from recommender.serving.snapshot import Snapshot
from recommender.vector_search.cosine import cosines, row_norms

HEADINGS_KEPT = 16_384
"""Headings of rows held as Python objects, 4 MB; everyone is shown much the same items."""


class ItemChange(NamedTuple):
    """An item as it is after a change; one that was deleted is not available and has nothing."""

    item_id: str
    features: Features
    title: str | None = None
    available: bool = True


class PreparedChange(NamedTuple):
    """What a change makes of an item."""

    item: CatalogueItem
    available: bool
    row: int
    """Of the snapshot, -1 for an item that it does not have."""
    words: frozenset[str]
    """Tokens, as a filter writes them."""
    vector: NDArray[np.float32]
    bias: float
    popularity: float


class Catalogue:
    """What can be recommended now.

    Parameters
    ----------
    snapshot
        The published arrays; never changed here.

    Attributes
    ----------
    masked : ndarray of bool, shape (n_items,)
        Rows of the snapshot that are not to be returned: unavailable, deleted, impossible to score, or
        replaced by a row of the delta.
    delta : Delta
        Rows of items that changed since.
    filters : FilterCache
        What filters let through of the snapshot.
    withdrawn : set of str
        Items that a change made unavailable or deleted.
    sequence : int
        The newest change that has been applied, of those that the store counts now.
    trials : ExplorationTrials
        What is known of items that are explored.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.delta = Delta(snapshot.no_components)
        self.filters = FilterCache(snapshot)
        self.withdrawn: set[str] = set()
        self.trials = NO_TRIALS
        self.sequence = int(snapshot.meta["items_sequence"])
        known = np.arange(snapshot.n_items) < snapshot.n_known_items
        self._blocks = cases.item_blocks(known, np.diff(snapshot.item_rows.indptr) > 0)
        self._headings: dict[int, tuple[str, str | None, int]] = {}
        self.masked = ~snapshot.available | (self._blocks == cases.NOTHING_KNOWN)

    def __len__(self) -> int:
        return self.snapshot.n_items + self.delta.n

    def apply(self, changes: Sequence[ItemChange], sequence: int) -> None:
        """Take over changes in their order, up to and including `sequence`."""
        self.take(self.prepare(changes), sequence)

    def prepare(self, changes: Sequence[ItemChange]) -> list[PreparedChange]:
        """What changes make of items, from the snapshot alone: this may run beside anything else."""
        snapshot = self.snapshot
        indices = snapshot.item_ids.indices_of([change.item_id for change in changes])
        encoded = snapshot.item_space.encode_each(change.features for change in changes)
        represented = snapshot.represent_each(encoded, indices)
        learned = (indices >= 0) & (indices < snapshot.n_trained_items)
        popularity = promised_popularities(snapshot.popularity_weights, encoded)
        popularity[learned] = snapshot.popularity[indices[learned]]
        known = (indices >= 0) & (indices < snapshot.n_known_items)
        blocks = cases.item_blocks(known, np.array([len(each.columns) > 0 for each in encoded], np.bool_)).tolist()
        items = [
            CatalogueItem(change.item_id, change.title, *each)
            for change, *each in zip(changes, blocks, encoded, strict=True)
        ]
        words = [frozenset(tokens(change.features)) for change in changes]
        available = [change.available for change in changes]
        parts = items, available, indices.tolist(), words, *represented, popularity.tolist()
        return list(map(PreparedChange, *parts))

    def take(self, changes: Sequence[PreparedChange], sequence: int) -> None:
        """Take over what was prepared for this snapshot, in its order, up to and including `sequence`."""
        for change in changes:
            self._take(change)
        self.sequence = max(self.sequence, sequence)

    def go_back(self, sequence: int) -> None:
        """Take what follows a sequence for changes that are still to come; what was taken over stays."""
        self.sequence = sequence

    def may_return(self, item_id: str) -> bool:
        """Whether nothing is known against returning the item: it is neither deleted nor unavailable."""
        if item_id in self.withdrawn:
            return False
        index = self.snapshot.item_ids.index_of(item_id)
        return item_id in self.delta.rows or index == UNKNOWN or bool(self.snapshot.available[index])

    def returns(self, item_id: str) -> bool:
        """Whether the item is here and may be returned."""
        return self.may_return(item_id) and self.find(item_id) is not None

    def count_available(self) -> int:
        """Items that may be recommended now."""
        return int(np.count_nonzero(~self.masked) + np.count_nonzero(self.delta.live))

    def is_unranked(self, index: int) -> bool:
        """Whether an item is available, and in no ranking because nothing is known of it; by position as for `item`."""
        row = index - self.snapshot.n_items
        if row >= 0:
            item = self.delta.details[row]
            return item.block == cases.NOTHING_KNOWN and item.item_id not in self.withdrawn
        return self._blocks[index] == cases.NOTHING_KNOWN and self.may_return(self.snapshot.item_ids[index])

    def item(self, index: int) -> CatalogueItem:
        """Details by position: rows of the snapshot first, then those of the delta."""
        if index >= self.snapshot.n_items:
            return self.delta.details[index - self.snapshot.n_items]
        features = self.features(index)
        known = index < self.snapshot.n_known_items
        title = self.snapshot.titles[index] or None
        return CatalogueItem(self.snapshot.item_ids[index], title, _block(known, features), features)

    def features(self, index: int) -> Encoded:
        """Learned features by position as for `item`."""
        if index >= self.snapshot.n_items:
            return self.delta.details[index - self.snapshot.n_items].features
        rows = self.snapshot.item_rows
        return Encoded(rows.row(index), rows.row_weights(index), [])

    def having(self, positions: Sequence[int], token: str) -> list[bool]:
        """Whether each item has a token, by position as for `item`."""
        n_items, rows, delta = self.snapshot.n_items, self.filters.having(token), self.delta.having(token)
        wanted = np.array(positions, np.int64)
        places = np.searchsorted(rows, wanted)
        places[places == len(rows)] = 0
        found = (rows[places] == wanted).tolist() if len(rows) else [False] * len(wanted)
        return [
            position - n_items in delta if position >= n_items else old
            for position, old in zip(positions, found, strict=True)
        ]

    def values(self, positions: Sequence[int], name: str) -> list[Sequence[int | str]]:
        """What each item has of a feature, by position as for `item`.

        Values are columns of the snapshot's tokens; one that the snapshot does not have is a token.
        """
        starts, columns = self.filters.values_of(name)
        n_items = self.snapshot.n_items
        return [
            self._delta_values(position - n_items, f"{name}:")
            if position >= n_items
            else columns[starts[position] : starts[position + 1]].tolist()
            for position in positions
        ]

    def _delta_values(self, row: int, prefix: str) -> list[int | str]:
        own = [token for token in self.delta.tokens[row] if token.startswith(prefix)]
        columns = self.snapshot.filter_tokens.indices_of(own).tolist() if own else []
        return [token if column == UNKNOWN else column for token, column in zip(own, columns, strict=True)]

    def headings(self, indices: Sequence[int]) -> list[tuple[str, str | None, int]]:
        """Item id, title and block of the table of cases, by position as for `item`."""
        n_items, kept = self.snapshot.n_items, self._headings
        missing = [index for index in indices if index < n_items and index not in kept]
        if missing:
            if len(kept) + len(missing) > HEADINGS_KEPT:
                kept = self._headings = {index: kept[index] for index in indices if index in kept}
            kept.update(zip(missing, self._read_headings(missing), strict=True))
        return [kept[index] if index < n_items else self.delta.details[index - n_items][:3] for index in indices]

    def positions(self, item_ids: Sequence[str]) -> NDArray[np.int64]:
        """Position of each item as for `item`, int64; -1 for one that the catalogue does not have."""
        positions = self.snapshot.item_ids.indices_of(item_ids).astype(np.int64)
        rows = self.delta.rows
        if rows:
            delta = np.array([rows.get(item_id, UNKNOWN) for item_id in item_ids], np.int64)
            positions = np.where(delta == UNKNOWN, positions, delta + self.snapshot.n_items)
        return positions

    def order_of(self, position: int) -> int:
        """Place in catalogue order, which equal scores keep, by position as for `item`."""
        row = position - self.snapshot.n_items
        return int(self.delta.places[row]) if row >= 0 else position

    def snapshot_rows(self, positions: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
        """Row of the snapshot of the item at each position as for `item`, int64; -1 for one that is only in the delta.

        An item that has changed since has its row still.
        """
        rows, n_items = np.array(positions, np.int64), self.snapshot.n_items
        changed = rows >= n_items
        rows[changed] = self.delta_snapshot_rows[rows[changed] - n_items]
        return rows

    @property
    def delta_snapshot_rows(self) -> NDArray[np.int64]:
        """`snapshot_rows` of each row of the delta."""
        return np.where(self.delta.places < self.snapshot.n_items, self.delta.places, UNKNOWN)

    def ignored(self, index: int) -> list[str]:
        """Names and categories of an item that the model has not learned, by position as for `item`."""
        row = index - self.snapshot.n_items
        return self.delta.details[row].features.ignored if row >= 0 else []

    def find(self, item_id: str) -> CatalogueItem | None:
        """Details of an item, available or not; None for one that the catalogue does not have."""
        row = self.delta.rows.get(item_id)
        if row is not None:
            return self.delta.details[row]
        index = self.snapshot.item_ids.index_of(item_id)
        return None if index == UNKNOWN else self.item(index)

    def positions_of(self, item_ids: Sequence[str]) -> list[int]:
        """Positions of those of some items that may be returned, in their order."""
        snapshot, delta = self.snapshot, self.delta
        found: list[int] = []
        for item_id, index in zip(item_ids, snapshot.item_ids.indices_of(item_ids).tolist(), strict=True):
            row = delta.rows.get(item_id)
            if row is not None and delta.live[row]:
                found.append(snapshot.n_items + row)
            elif row is None and index != UNKNOWN and not self.masked[index]:
                found.append(index)
        return found

    def vectors(self, positions: Sequence[int]) -> NDArray[np.float32]:
        """Representations by position as for `item`, shape (n, d)."""
        return self._gathered(self.snapshot.items.vectors, self.delta.items.vectors, positions)

    def biases(self, positions: Sequence[int]) -> NDArray[np.float32]:
        """Biases by position as for `item`, shape (n,)."""
        return self._gathered(self.snapshot.items.biases, self.delta.items.biases, positions)

    def popularity(self, positions: Sequence[int]) -> NDArray[np.float32]:
        """Baseline by position as for `item`, shape (n,)."""
        return self._gathered(self.snapshot.popularity, self.delta.popularity, positions)

    def cosines(self, vector: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Cosine of each row of the snapshot and of each row of the delta with a vector; -inf where there is none."""
        delta = self.delta.items.vectors
        return cosines(self.snapshot.items.vectors, self._lengths, vector), cosines(delta, row_norms(delta), vector)

    @cached_property
    def _lengths(self) -> NDArray[np.float32]:
        # four bytes an item, taken when the first neighbours are asked for
        return row_norms(self.snapshot.items.vectors)

    def representations(self, item_ids: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of those of `item_ids` that have one, in their order, shape (at most n, d)."""
        vectors = [self._vector(item_id) for item_id in item_ids]
        found = [vector for vector in vectors if vector is not None]
        return np.stack(found) if found else np.zeros((0, self.snapshot.no_components), np.float32)

    def represented(self, item_ids: Sequence[str]) -> list[str]:
        """Those of `item_ids` that `representations` has a vector of."""
        return [item_id for item_id in item_ids if self._vector(item_id) is not None]

    def _gathered(
        self, old: NDArray[np.float32], delta: NDArray[np.float32], positions: Sequence[int]
    ) -> NDArray[np.float32]:
        """Rows of one of two blocks."""
        places, n_items = np.array(positions, np.int64), self.snapshot.n_items
        is_old = places < n_items
        gathered = np.empty((len(places), *old.shape[1:]), np.float32)
        gathered[is_old] = old[places[is_old]]
        gathered[~is_old] = delta[places[~is_old] - n_items]
        return gathered

    def _read_headings(self, rows: Sequence[int]) -> Iterator[tuple[str, str | None, int]]:
        snapshot = self.snapshot
        titles = [title or None for title in snapshot.titles.take(rows)]
        return zip(snapshot.item_ids.ids_of(rows), titles, self._blocks[rows].tolist(), strict=True)

    def _vector(self, item_id: str) -> NDArray[np.float32] | None:
        row = self.delta.rows.get(item_id, UNKNOWN)
        index = row if row != UNKNOWN else self.snapshot.item_ids.index_of(item_id)
        if index == UNKNOWN:
            return None
        block = self.delta.details[row].block if row != UNKNOWN else self._blocks[index]
        table = self.delta.items if row != UNKNOWN else self.snapshot.items
        return None if block == cases.NOTHING_KNOWN else np.asarray(table.vectors[index])

    def _take(self, change: PreparedChange) -> None:
        item, index = change.item, change.row
        if index != UNKNOWN:
            self.masked[index] = True
        if not change.available:
            self.withdrawn.add(item.item_id)
            self.delta.remove(item.item_id)
            return
        self.withdrawn.discard(item.item_id)
        row = self.delta.rows.get(item.item_id, self.delta.n)
        place = index if index != UNKNOWN else self.snapshot.n_items + row
        self.delta.put(item, change.words, (change.vector, change.bias), change.popularity, place)


def _block(known: bool, features: Encoded) -> int:
    return cases.item_block(known=known, has_features=len(features.columns) > 0)
