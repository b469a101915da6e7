"""Catalogue: a snapshot and what changed since, as a small fresh block of the same shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender import cases
from recommender.feature_space import Encoded, Features, tokens
from recommender.ids import UNKNOWN
from recommender.models.popularity import promised_popularities
from recommender.serving.filters import FilterCache
from recommender.serving.snapshot import Snapshot, Table
from recommender.vector_search.cosine import cosines, row_norms

HEADINGS_KEPT = 16_384
"""Headings of rows held as Python objects, 4 MB; everyone is shown much the same items."""


class ItemChange(NamedTuple):
    """An item as it is after a change; one that was deleted is not available and has nothing."""

    item_id: str
    features: Features
    title: str | None = None
    available: bool = True


class CatalogueItem(NamedTuple):
    """An item that can be returned."""

    item_id: str
    title: str | None
    block: int
    """Block of the table of cases, 0 to 3."""
    features: Encoded


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


class Delta:
    """Items put since the snapshot: rows that grow by doubling, and a dictionary of where each is."""

    def __init__(self, no_components: int) -> None:
        self.n = 0
        self.rows: dict[str, int] = {}
        self.details: list[CatalogueItem] = []
        self.tokens: list[frozenset[str]] = []
        self._postings: dict[str, set[int]] = {}
        self._vectors = np.zeros((8, no_components), np.float32)
        self._biases = np.zeros(8, np.float32)
        self._popularity = np.zeros(8, np.float32)
        self._places = np.zeros(8, np.int64)
        self._live = np.zeros(8, np.bool_)
        self._order: NDArray[np.int32] | None = None

    @property
    def items(self) -> Table:
        """Representations and biases."""
        return Table(self._vectors[: self.n], self._biases[: self.n])

    @property
    def popularity(self) -> NDArray[np.float32]:
        """Baseline of each row."""
        return self._popularity[: self.n]

    @property
    def places(self) -> NDArray[np.int64]:
        """Place of each row in catalogue order: that of the snapshot for an item that was there."""
        return self._places[: self.n]

    @property
    def live(self) -> NDArray[np.bool_]:
        """Which rows may be returned."""
        return self._live[: self.n]

    def put(
        self,
        item: CatalogueItem,
        words: frozenset[str],
        represented: tuple[NDArray[np.float32], float],
        popularity: float,
        place: int,
    ) -> None:
        """Write the row of an item, its own if it has one; one of which nothing is known is not live."""
        row = self.rows.get(item.item_id)
        if row is None:
            row = self._append(item, words)
        if self._order is None or row >= len(self._order) or self._places[row] != place:
            self._order = None
        self._post(row, words)
        self.details[row], self.tokens[row] = item, words
        self._vectors[row], self._biases[row] = represented
        self._popularity[row], self._places[row] = popularity, place
        self._live[row] = item.block != cases.NOTHING_KNOWN

    def remove(self, item_id: str) -> None:
        """Never return this item; its row stays for when it comes back."""
        row = self.rows.get(item_id)
        if row is not None:
            self._live[row] = False

    @property
    def order(self) -> NDArray[np.int32]:
        """Rows in catalogue order."""
        if self._order is None:
            self._order = np.argsort(self.places, kind="stable").astype(np.int32)
        return self._order

    def having(self, token: str) -> Set[int]:
        """Rows of the items that have a token, live or not."""
        return self._postings.get(token, frozenset())

    def _post(self, row: int, words: frozenset[str]) -> None:
        for token in self.tokens[row] - words:
            self._postings[token].discard(row)
            if not self._postings[token]:
                del self._postings[token]
        for token in words:
            self._postings.setdefault(token, set()).add(row)

    def _append(self, item: CatalogueItem, words: frozenset[str]) -> int:
        row = self.rows[item.item_id] = self.n
        self.details.append(item)
        self.tokens.append(words)
        self.n += 1
        if self.n > len(self._live):
            for name in ("_vectors", "_biases", "_popularity", "_places", "_live"):
                old = getattr(self, name)
                setattr(self, name, np.concatenate([old, np.zeros_like(old)]))
        return row


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
        replaced by a fresh row.
    fresh : FreshBlock
        Rows of items that changed since.
    filters : FilterCache
        What filters let through of the snapshot.
    withdrawn : set of str
        Items that a change made unavailable or deleted.
    sequence : int
        The newest change that has been applied.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.fresh = Delta(snapshot.no_components)
        self.filters = FilterCache(snapshot)
        self.withdrawn: set[str] = set()
        self.sequence = int(snapshot.meta["items_sequence"])
        known = np.arange(snapshot.n_items) < snapshot.n_known_items
        self._blocks = cases.item_blocks(known, np.diff(snapshot.item_rows.indptr) > 0)
        self._headings: dict[int, tuple[str, str | None, int]] = {}
        self.masked = ~snapshot.available | (self._blocks == cases.NOTHING_KNOWN)

    def __len__(self) -> int:
        return self.snapshot.n_items + self.fresh.n

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

    def may_return(self, item_id: str) -> bool:
        """Whether nothing is known against returning the item: it is neither deleted nor unavailable."""
        if item_id in self.withdrawn:
            return False
        index = self.snapshot.item_ids.index_of(item_id)
        return item_id in self.fresh.rows or index == UNKNOWN or bool(self.snapshot.available[index])

    def item(self, index: int) -> CatalogueItem:
        """Details by position: rows of the snapshot first, then fresh ones."""
        if index >= self.snapshot.n_items:
            return self.fresh.details[index - self.snapshot.n_items]
        features = self.features(index)
        known = index < self.snapshot.n_known_items
        title = self.snapshot.titles[index] or None
        return CatalogueItem(self.snapshot.item_ids[index], title, _block(known, features), features)

    def features(self, index: int) -> Encoded:
        """Learned features by position as for `item`."""
        if index >= self.snapshot.n_items:
            return self.fresh.details[index - self.snapshot.n_items].features
        rows = self.snapshot.item_rows
        return Encoded(rows.row(index), rows.row_weights(index), [])

    def having(self, positions: Sequence[int], token: str) -> list[bool]:
        """Whether each item has a token, by position as for `item`."""
        n_items, rows, fresh = self.snapshot.n_items, self.filters.having(token), self.fresh.having(token)
        wanted = np.array(positions, np.int64)
        places = np.searchsorted(rows, wanted)
        places[places == len(rows)] = 0
        found = (rows[places] == wanted).tolist() if len(rows) else [False] * len(wanted)
        return [
            position - n_items in fresh if position >= n_items else old
            for position, old in zip(positions, found, strict=True)
        ]

    def headings(self, indices: Sequence[int]) -> list[tuple[str, str | None, int]]:
        """Item id, title and block of the table of cases, by position as for `item`."""
        n_items, kept = self.snapshot.n_items, self._headings
        missing = [index for index in indices if index < n_items and index not in kept]
        if missing:
            if len(kept) + len(missing) > HEADINGS_KEPT:
                kept = self._headings = {index: kept[index] for index in indices if index in kept}
            kept.update(zip(missing, self._read_headings(missing), strict=True))
        return [kept[index] if index < n_items else self.fresh.details[index - n_items][:3] for index in indices]

    def positions(self, item_ids: Sequence[str]) -> NDArray[np.int64]:
        """Position of each item as for `item`, int64; -1 for one that the catalogue does not have."""
        positions = self.snapshot.item_ids.indices_of(item_ids).astype(np.int64)
        rows = self.fresh.rows
        if rows:
            fresh = np.array([rows.get(item_id, UNKNOWN) for item_id in item_ids], np.int64)
            positions = np.where(fresh == UNKNOWN, positions, fresh + self.snapshot.n_items)
        return positions

    def ignored(self, index: int) -> list[str]:
        """Names and categories of an item that the model has not learned, by position as for `item`."""
        row = index - self.snapshot.n_items
        return self.fresh.details[row].features.ignored if row >= 0 else []

    def find(self, item_id: str) -> CatalogueItem | None:
        """Details of an item, available or not; None for one that the catalogue does not have."""
        row = self.fresh.rows.get(item_id)
        if row is not None:
            return self.fresh.details[row]
        index = self.snapshot.item_ids.index_of(item_id)
        return None if index == UNKNOWN else self.item(index)

    def vectors(self, positions: Sequence[int]) -> NDArray[np.float32]:
        """Representations by position as for `item`, shape (n, d)."""
        return self._gathered(self.snapshot.items.vectors, self.fresh.items.vectors, positions)

    def biases(self, positions: Sequence[int]) -> NDArray[np.float32]:
        """Biases by position as for `item`, shape (n,)."""
        return self._gathered(self.snapshot.items.biases, self.fresh.items.biases, positions)

    def popularity(self, positions: Sequence[int]) -> NDArray[np.float32]:
        """Baseline by position as for `item`, shape (n,)."""
        return self._gathered(self.snapshot.popularity, self.fresh.popularity, positions)

    def cosines(self, vector: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Cosine of each row of the snapshot and of each fresh one with a vector; -inf where there is none."""
        fresh = self.fresh.items.vectors
        return cosines(self.snapshot.items.vectors, self._lengths, vector), cosines(fresh, row_norms(fresh), vector)

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
        self, old: NDArray[np.float32], fresh: NDArray[np.float32], positions: Sequence[int]
    ) -> NDArray[np.float32]:
        """Rows of one of two blocks."""
        places, n_items = np.array(positions, np.int64), self.snapshot.n_items
        is_old = places < n_items
        gathered = np.empty((len(places), *old.shape[1:]), np.float32)
        gathered[is_old] = old[places[is_old]]
        gathered[~is_old] = fresh[places[~is_old] - n_items]
        return gathered

    def _read_headings(self, rows: Sequence[int]) -> Iterator[tuple[str, str | None, int]]:
        snapshot = self.snapshot
        titles = [title or None for title in snapshot.titles.take(rows)]
        return zip(snapshot.item_ids.ids_of(rows), titles, self._blocks[rows].tolist(), strict=True)

    def _vector(self, item_id: str) -> NDArray[np.float32] | None:
        row = self.fresh.rows.get(item_id, UNKNOWN)
        index = row if row != UNKNOWN else self.snapshot.item_ids.index_of(item_id)
        if index == UNKNOWN:
            return None
        block = self.fresh.details[row].block if row != UNKNOWN else self._blocks[index]
        table = self.fresh.items if row != UNKNOWN else self.snapshot.items
        return None if block == cases.NOTHING_KNOWN else np.asarray(table.vectors[index])

    def _take(self, change: PreparedChange) -> None:
        item, index = change.item, change.row
        if index != UNKNOWN:
            self.masked[index] = True
        if not change.available:
            self.withdrawn.add(item.item_id)
            self.fresh.remove(item.item_id)
            return
        self.withdrawn.discard(item.item_id)
        row = self.fresh.rows.get(item.item_id, self.fresh.n)
        place = index if index != UNKNOWN else self.snapshot.n_items + row
        self.fresh.put(item, change.words, (change.vector, change.bias), change.popularity, place)


def _block(known: bool, features: Encoded) -> int:
    return cases.item_block(known=known, has_features=len(features.columns) > 0)
