"""Delta: items put or changed since the snapshot, as rows of the same shape."""

from __future__ import annotations

from collections.abc import Set
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender import cases
from recommender.feature_space import Encoded
from recommender.serving.snapshot import Table


class CatalogueItem(NamedTuple):
    """An item that can be returned."""

    item_id: str
    title: str | None
    block: int
    """Block of the table of cases, 0 to 3."""
    features: Encoded


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
