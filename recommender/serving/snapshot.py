"""Snapshot: an immutable, published set of serving arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from recommender import cases
from recommender.feature_space import Encoded, FeatureSpace, matrix_of
from recommender.ids import UNKNOWN, Arrays, IdTable, TextTable, with_prefix, without_prefix
from recommender.models.fold_in import fold_in, recent_share
from recommender.serving.exclusions import NO_EXCLUSIONS, Exclusions
from recommender.serving.history_weights import NO_HISTORY, HistoryWeights, UserHistory
from recommender.serving.learned_vectors import with_learned_vectors
from recommender.serving.trends.interaction_counts import NO_INTERACTIONS, InteractionCounts
from recommender.vector_search.exact import NO_ROWS
from recommender.vector_search.ivf import Index
from recommender.vector_search.quantization import QuantizedBlock
from recommender.vector_search.row_sums import SparseRows, add_rows


class Table(NamedTuple):
    """Embeddings or representations with their biases."""

    vectors: NDArray[np.float32]
    """Shape (n, d)."""
    biases: NDArray[np.float32]
    """Shape (n,)."""


class Rows(NamedTuple):
    """A CSR matrix as plain arrays, so that it maps without a copy."""

    indptr: NDArray[np.int64]
    """Shape (n + 1,)."""
    indices: NDArray[np.int32]
    """Shape (nnz,)."""
    weights: NDArray[np.float32]
    """Shape (nnz,), or (0,) where only the places count."""

    def row(self, index: int) -> NDArray[np.int32]:
        """Column indices of one row."""
        return self.indices[self.indptr[index] : self.indptr[index + 1]]

    def row_weights(self, index: int) -> NDArray[np.float32]:
        """Weights of one row."""
        return self.weights[self.indptr[index] : self.indptr[index + 1]]


EMPTY_ROWS = Rows(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))
"""No rows at all."""


def without(rows: Rows, others: Rows) -> Rows:
    """Rows without the entries that others have too.

    Parameters
    ----------
    rows, others
        Of the same users, in the same order; of `others` there may be fewer.
    """
    if not len(others.indices):
        return rows
    n_items = int(max(rows.indices.max(initial=0), others.indices.max())) + 1
    owners = np.repeat(np.arange(len(rows.indptr) - 1), np.diff(rows.indptr))
    strangers = np.repeat(np.arange(len(others.indptr) - 1), np.diff(others.indptr))
    kept = ~np.isin(owners * n_items + rows.indices, strangers * n_items + others.indices)
    indptr = np.append(0, np.cumsum(np.bincount(owners[kept], minlength=len(rows.indptr) - 1))).astype(np.int64)
    return Rows(indptr, rows.indices[kept], np.zeros(0, np.float32))


class UserVector(NamedTuple):
    """A user as the snapshot scores them."""

    vector: NDArray[np.float32]
    """float32 of shape (d,)."""
    bias: float
    case_row: int
    """Row of the table of cases, 0 to 3, by what was known beside recent interactions."""
    strategy: str
    """``personalized``, ``features``, ``recent`` or ``popular``."""
    history: UserHistory = NO_HISTORY


@dataclass(frozen=True)
class Snapshot:
    """What a predictor needs and nothing more.

    Items are in catalogue order: the `n_trained_items` with interactions first, in the order of the
    model, then those that only have features. The first `n_known_items` have indicators: all that were
    trained, or none where item indicators are off; so too `user_indicators` may have shape (0, d).

    ``score(u, i) = q_u · p_i + b_u + b_i`` with sums of feature embeddings [1]_; the item side is
    computed once, when the snapshot is built. A known item sums rows of `item_features` and its indicator. Any other
    sums rows of `newcomer_features` and, always, the last of these: what takes the place of an indicator (nothing
    as `build_snapshot` leaves it, what features predict once the snapshot is `to_serving`).

    References
    ----------
    .. [1] M. Kula, Metadata Embeddings for User and Item Cold-start Recommendations, 2015.
    """

    user_ids: IdTable
    user_space: FeatureSpace
    user_features: Table
    user_indicators: Table
    item_ids: IdTable
    n_known_items: int
    n_trained_items: int
    available: NDArray[np.bool_]
    titles: TextTable
    item_space: FeatureSpace
    item_features: Table
    newcomer_features: Table
    item_rows: Rows
    items: Table
    popularity: NDArray[np.float32]
    popularity_weights: NDArray[np.float32]
    seen: Rows
    disliked: Rows
    filter_tokens: IdTable
    filter_rows: Rows
    fold_in_weights: NDArray[np.float32]
    meta: Mapping[str, Any]
    index: Index | None = None
    """Of `items`, where the catalogue is large."""
    codes: QuantizedBlock | None = None
    """Of `items`, where reading them instead pays; a version from before this has none."""
    activity: InteractionCounts = NO_INTERACTIONS
    """When items were interacted with; a version from before this has none."""
    user_rows: Rows = EMPTY_ROWS
    """Features of the users, as they were at the training; a version from before this has none."""
    exclusions: Exclusions = NO_EXCLUSIONS
    """What users know beyond `seen`; a version from before this has none."""
    item_item: Rows = EMPTY_ROWS
    """Item-item matrix: a row for each known item of a history, its columns are items scored. No rows: no such part."""
    low_pass_scale: NDArray[np.float32] = field(default_factory=lambda: EMPTY_ROWS.weights)
    """What an interaction with each known item adds of its low-pass components, shape (n_known_items,) or (0,)."""
    history: HistoryWeights | None = None
    """How much both count; a version from before them has none."""

    @property
    def n_items(self) -> int:
        """Items in the catalogue of this snapshot."""
        return len(self.item_ids)

    @property
    def no_components(self) -> int:
        """Width of a representation."""
        return int(self.items.vectors.shape[1])

    @property
    def log_offset(self) -> int:
        """Offset of the newest interaction that was learned."""
        return int(self.meta["log_offset"])

    def liked(self) -> Rows:
        """What each user has interacted with and not disliked, worked out anew at each call."""
        return without(self.seen, self.disliked)

    def user_index(self, user_id: str | None) -> int:
        """Row of a known user, -1 for anyone else and for one who was forgotten."""
        return self.look_up_user(user_id)[0]

    def learned_items(self, user_id: str | None) -> NDArray[np.int32]:
        """Items that a user had interacted with when the snapshot was trained."""
        return self.look_up_user(user_id)[1]

    def look_up_user(self, user_id: str | None) -> tuple[int, NDArray[np.int32]]:
        """`user_index` and `learned_items` of a user."""
        index = UNKNOWN if user_id is None else self.user_ids.index_of(user_id)
        if index == UNKNOWN:
            return UNKNOWN, NO_ROWS
        seen = self.seen.row(index)
        return (index if len(seen) and len(self.user_indicators.biases) else UNKNOWN), seen

    def liked_items(self, user_index: int) -> NDArray[np.int32]:
        """Of a known user the rows of `liked`, by time; of anyone else none."""
        if user_index == UNKNOWN:
            return np.zeros(0, np.int32)
        seen, disliked = self.seen.row(user_index), self.disliked.row(user_index)
        return seen[~np.isin(seen, disliked)] if len(disliked) else seen

    def history_of(
        self, user_index: int, recent: NDArray[np.int32] = NO_ROWS, disliked: NDArray[np.int32] = NO_ROWS
    ) -> UserHistory:
        """What a known user (-1: anyone else) has chosen, as it counts in scores.

        Parameters
        ----------
        recent, disliked
            Rows of items that were liked, oldest first, and are not learned, and of those that are liked no longer; -1
            for one that is not in the snapshot.
        """
        if self.history is None:
            return NO_HISTORY
        rows = np.concatenate([self.liked_items(user_index), recent])
        rows = rows[(rows >= 0) & (rows < self.n_known_items)]
        if len(disliked):
            rows = rows[~np.isin(rows, disliked)]
        if len(recent):
            _, newest = np.unique(rows[::-1], return_index=True)
            rows = rows[np.sort(len(rows) - 1 - newest)]
        return self.history.of(rows, self.low_pass_scale)

    def user_vector(
        self,
        user_index: int,
        features: Encoded,
        recent: NDArray[np.float32],
        history: UserHistory | None = None,
    ) -> UserVector:
        """Representation of a user by what is known.

        Parameters
        ----------
        user_index
            Row of a known user, -1 otherwise.
        features
            The user's features in `user_space`.
        recent
            Representations of recent items, oldest first, shape (n, d); not what was learned.
        history
            From `history_of`; what was learned of the user when absent.

        Returns
        -------
        The vector; zero for a user of whom nothing is known, whose strategy is ``popular``.
        """
        known, has_features = user_index != UNKNOWN, len(features.columns) > 0
        row = cases.user_row(known=known, has_features=has_features)
        if known:
            features = with_learned_vectors(features, self.user_rows, user_index, self.user_space)
        vector = features.weights @ self.user_features.vectors[features.columns]
        bias = float(features.weights @ self.user_features.biases[features.columns])
        if known:
            vector = vector + self.user_indicators.vectors[user_index]
            bias += float(self.user_indicators.biases[user_index])
        strategy = ("personalized", "features", "personalized", "popular")[row]
        if len(recent):
            folded = np.zeros_like(vector)
            folded[: self.fold_in_weights.shape[1]] = fold_in(self.fold_in_weights, recent)
            share = recent_share(len(recent), known=known, has_features=has_features)
            vector = ((1 - share) * vector + share * folded).astype(np.float32)
            strategy = "recent"
        history = self.history_of(user_index) if history is None else history
        if self.history is not None and self.history.n_low_pass:
            n = self.history.n_low_pass
            vector[-n:] = history.low_pass @ self.items.vectors[history.rows, -n:]
        return UserVector(vector, bias, row, strategy, history)

    def score(self, user: UserVector, items: NDArray[np.int32] | slice = slice(None)) -> NDArray[np.float32]:
        """Scores of items for one user.

        Of a snapshot as it was built they are ``LightFM.predict`` on the same rows, within float32 rounding;
        of one that is `to_serving`, whatever its arrays say.

        Parameters
        ----------
        items
            Catalogue indices in any order, all items when absent.

        Returns
        -------
        float32, one an item.
        """
        vectors, biases = self.items.vectors[items], self.items.biases[items]
        scores = (vectors @ user.vector + biases + np.float32(user.bias)).astype(np.float32, copy=False)
        if len(user.history.rows):
            scores += self.item_item_part(user.history)[items]
        return scores

    def item_item_part(self, history: UserHistory, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """What the item-item matrix adds to the score of each item by a history, float32 of shape (n_items,).

        It is added to `out` where that is given.
        """
        part = np.zeros(self.n_items, np.float32) if out is None else out
        add_rows(SparseRows(*self.item_item), history.rows, history.item_item, part)
        return part

    def represent(self, features: Encoded, item_index: int = UNKNOWN) -> tuple[NDArray[np.float32], float]:
        """Representation and bias of an item with these features: of a known one, or of a newcomer."""
        if 0 <= item_index < self.n_known_items:
            features = with_learned_vectors(features, self.item_rows, item_index, self.item_space)
            vector, bias = self._summed(self.item_features, features)
            own = self.indicator(item_index)
        else:
            vector, bias = self._summed(self.newcomer_features, features)
            own = self.newcomer_features.vectors[-1], float(self.newcomer_features.biases[-1])
        return (vector + own[0]).astype(np.float32, copy=False), bias + own[1]

    def represent_each(
        self, features: Sequence[Encoded], item_indices: NDArray[np.int32]
    ) -> tuple[list[NDArray[np.float32]], list[float]]:
        """`represent` of each item: vectors and biases."""
        known = (item_indices >= 0) & (item_indices < self.n_known_items)
        last = Table(self.newcomer_features.vectors[-1:], self.newcomer_features.biases[-1:])
        new = matrix_of(features, len(self.newcomer_features.biases) - 1)
        vectors = new @ self.newcomer_features.vectors[:-1] + last.vectors
        biases = (new @ self.newcomer_features.biases[:-1] + last.biases).tolist()
        own: list[NDArray[np.float32]] = list(vectors.astype(np.float32, copy=False))
        for place in np.flatnonzero(known).tolist():
            own[place], biases[place] = self.represent(features[place], int(item_indices[place]))
        return own, biases

    def indicator(self, item_index: int) -> tuple[NDArray[np.float32], float]:
        """What a known item has beyond its features: its representation less theirs."""
        columns, weights = self.item_rows.row(item_index), self.item_rows.row_weights(item_index)
        vector = self.items.vectors[item_index] - weights @ self.item_features.vectors[columns]
        return vector, float(self.items.biases[item_index] - weights @ self.item_features.biases[columns])

    @staticmethod
    def _summed(table: Table, features: Encoded) -> tuple[NDArray[np.float32], float]:
        weights, columns = features.weights, features.columns
        return weights @ table.vectors[columns], float(weights @ table.biases[columns])

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Arrays that `from_arrays` takes; with `meta`, the whole snapshot."""
        arrays: dict[str, NDArray[np.generic]] = {
            "available": self.available,
            "popularity": self.popularity,
            "popularity_weights": self.popularity_weights,
            "fold_in_weights": self.fold_in_weights,
            "counts": np.array([self.n_known_items, self.n_trained_items], np.int64),
        }
        for name in _ID_TABLES:
            arrays |= with_prefix(name, getattr(self, name).to_arrays())
        for name in _SPACES:
            arrays |= with_prefix(name, getattr(self, name).to_arrays())
        for name in (*_TABLES, *_ROWS, "activity", "user_rows"):
            arrays |= with_prefix(name, getattr(self, name)._asdict())
        if self.history is not None:
            arrays |= with_prefix("item_item", self.item_item._asdict()) | {"low_pass_scale": self.low_pass_scale}
        arrays |= self.index.to_arrays() if self.index else {}
        arrays |= self.codes.to_arrays() if self.codes else {}
        arrays |= with_prefix("exclusions", self.exclusions.to_arrays())
        return arrays | with_prefix("titles", self.titles.to_arrays())

    def to_meta(self) -> dict[str, Any]:
        """What is not an array, for JSON."""
        own = {name: getattr(self, name).to_meta() for name in (*_SPACES, *(["history"] if self.history else []))}
        return {**{name: value for name, value in self.meta.items() if name != "history"}, **own}

    @classmethod
    def from_arrays(cls, arrays: Arrays, meta: Mapping[str, Any]) -> Self:
        """Snapshot over the same memory as `arrays`, which may be read-only."""
        arrays = _completed(arrays)
        parts: dict[str, Any] = {name: arrays[name] for name in _PLAIN}
        for name in _ID_TABLES:
            parts[name] = IdTable.from_arrays(without_prefix(name, arrays))
        for name in _SPACES:
            parts[name] = FeatureSpace.from_arrays(without_prefix(name, arrays), meta[name])
        for name in _TABLES:
            parts[name] = Table(**without_prefix(name, arrays))  # type: ignore[arg-type]
        for name in _ROWS:
            parts[name] = Rows(**without_prefix(name, arrays))  # type: ignore[arg-type]
        parts["exclusions"] = Exclusions.from_arrays(without_prefix("exclusions", arrays))
        for name, kind in (("user_rows", Rows), ("item_item", Rows), ("activity", InteractionCounts)):
            if own := without_prefix(name, arrays):
                parts[name] = kind(**own)  # type: ignore[arg-type]
        if "low_pass_scale" in arrays:
            parts["low_pass_scale"] = arrays["low_pass_scale"]
            parts["history"] = HistoryWeights.from_meta(meta["history"])
        parts["titles"] = TextTable.from_arrays(without_prefix("titles", arrays))
        parts["index"], parts["codes"] = Index.from_arrays(arrays, meta), QuantizedBlock.from_arrays(arrays)
        n_known, n_trained = arrays["counts"].tolist()
        return cls(**parts, n_known_items=n_known, n_trained_items=n_trained, meta=meta)


def append_zero_row(features: Table) -> Table:
    """The same with a last row of nothing, as `Snapshot.newcomer_features` where nothing is predicted."""
    return Table(np.pad(features.vectors, ((0, 1), (0, 0))), np.pad(features.biases, (0, 1)))


def _completed(arrays: Arrays) -> Arrays:
    """Arrays of a version from before newcomers and dislikes with what says nothing in their place."""
    if "disliked.indptr" in arrays:
        return arrays
    newcomers = append_zero_row(Table(**without_prefix("item_features", arrays)))  # type: ignore[arg-type]
    nothing = Rows(np.zeros_like(arrays["seen.indptr"]), np.zeros(0, np.int32), np.zeros(0, np.float32))
    added = with_prefix("newcomer_features", newcomers._asdict()) | with_prefix("disliked", nothing._asdict())
    return {**arrays, **added}


_PLAIN: Sequence[str] = ("available", "popularity", "popularity_weights", "fold_in_weights")
_ID_TABLES: Sequence[str] = ("user_ids", "item_ids", "filter_tokens")
_SPACES: Sequence[str] = ("user_space", "item_space")
_TABLES: Sequence[str] = (
    "user_features",
    "user_indicators",
    "item_features",
    "newcomer_features",
    "items",
)
_ROWS: Sequence[str] = ("item_rows", "seen", "disliked", "filter_rows")
