"""A side of the model: its users or its items, their features and the columns of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.ids import UNKNOWN, IdTable
from recommender.sparse_frame import SparseFrame


@dataclass(frozen=True)
class Entities:
    """Users or items as a model knows them. Growing makes a new one; no column ever moves.

    Parameters
    ----------
    has_indicators
        Whether every known id has a column of its own.
    ids
        Known ids: those with interactions.
    names
        Learned features: those that a known id has.
    feature_columns
        int32 of shape (len(names),): the row of each feature in LightFM's embedding table.
    indicator_columns
        int32 of shape (len(ids),), or (0,) without indicators: the same for each id.
    features
        CSR of shape (len(ids), len(names)): what was last said of each id.
    regressed
        int32: places in `names` of features whose embeddings are set by regression and stay as they are in training,
        see `recommender.models.vector_regression`.
    """

    has_indicators: bool
    ids: IdTable
    names: IdTable
    feature_columns: NDArray[np.int32]
    indicator_columns: NDArray[np.int32]
    features: sparse.csr_matrix
    regressed: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))

    @classmethod
    def empty(cls, *, has_indicators: bool) -> Entities:
        """Side that knows nobody."""
        none = np.zeros(0, np.int32)
        return cls(has_indicators, IdTable.from_ids(), IdTable.from_ids(), none, none, _zeros(0, 0))

    @property
    def n_columns(self) -> int:
        """Rows of the embedding table."""
        return len(self.feature_columns) + len(self.indicator_columns)

    def grown(self, ids: Sequence[str], frame: SparseFrame | None) -> Entities:
        """Side that knows `ids` too, with the rows of `frame` in place of what was said before."""
        all_ids = self.ids.extended(ids)
        names = self.names if frame is None else self.names.extended(_used_names(all_ids, frame))
        n_features, n_indicators = len(names) - len(self.names), len(all_ids) - len(self.ids)
        if not self.has_indicators:
            n_indicators = 0
        first = self.n_columns
        new = np.arange(first, first + n_features + n_indicators, dtype=np.int32)
        return replace(
            self,
            ids=all_ids,
            names=names,
            feature_columns=np.concatenate([self.feature_columns, new[:n_features]]),
            indicator_columns=np.concatenate([self.indicator_columns, new[n_features:]]),
            features=_updated(self.features, all_ids, names, frame),
        )

    def cleared(self, indices: NDArray[np.int32]) -> Entities:
        """Side on which nothing is said of some ids."""
        kept = np.ones(len(self.ids), np.float32)
        kept[indices] = 0
        features = sparse.diags(kept, format="csr") @ self.features
        features.eliminate_zeros()
        return replace(self, features=features.astype(np.float32))

    def rows(self) -> sparse.csr_matrix:
        """What represents each known id: one row for each, of shape (len(ids), n_columns)."""
        return self._placed(self.features, np.arange(len(self.ids), dtype=np.int32))

    def training_rows(self) -> sparse.csr_matrix:
        """The same without what stays as it is in training."""
        if not len(self.regressed):
            return self.rows()
        trained = np.ones(len(self.names), np.float32)
        trained[self.regressed] = 0
        features = sparse.csr_matrix(self.features @ sparse.diags(trained), dtype=np.float32)
        return self._placed(features, np.arange(len(self.ids), dtype=np.int32))

    def encode(self, ids: Sequence[str], frame: SparseFrame | None) -> sparse.csr_matrix:
        """One row for each of `ids`: its indicator if it is known, its features if `frame` has them."""
        features = _zeros(len(ids), len(self.names)) if frame is None else frame.take(ids, self.names)
        return self._placed(features, self.known(ids))

    def known(self, ids: Sequence[str]) -> NDArray[np.int32]:
        """Index of each id that has an indicator, -1 for the others."""
        indices = self.ids.indices_of(ids)
        return indices if self.has_indicators else np.full_like(indices, UNKNOWN)

    def _placed(self, features: sparse.csr_matrix, indices: NDArray[np.int32]) -> sparse.csr_matrix:
        coo = features.tocoo()
        shape = (features.shape[0], self.n_columns)
        columns = self.feature_columns[coo.col] if coo.nnz else np.zeros(0, np.int32)
        placed = sparse.csr_matrix((coo.data, (coo.row, columns)), shape, dtype=np.float32)
        placed.eliminate_zeros()  # a weight of zero says nothing, stored or not
        if not self.has_indicators:
            return placed
        rows = np.flatnonzero(indices != UNKNOWN)
        ones = np.ones(len(rows), np.float32)
        return placed + sparse.csr_matrix((ones, (rows, self.indicator_columns[indices[rows]])), shape)


def _used_names(ids: IdTable, frame: SparseFrame) -> list[str]:
    """Columns of `frame` that a known id has; only these will be trained."""
    known = ids.indices_of(frame.rows) != UNKNOWN
    rows = frame.matrix[np.flatnonzero(known)]
    return frame.columns.ids_of(np.unique(rows.indices[rows.data != 0]))


def _updated(features: sparse.csr_matrix, ids: IdTable, names: IdTable, frame: SparseFrame | None) -> sparse.csr_matrix:
    old = sparse.csr_matrix((features.data, features.indices, features.indptr), (features.shape[0], len(names)))
    grown = sparse.vstack([old, _zeros(len(ids) - features.shape[0], len(names))], "csr")
    if frame is None:
        return grown
    target = ids.indices_of(frame.rows)
    source = np.flatnonzero(target != UNKNOWN)
    kept = np.ones(len(ids), np.float32)
    kept[target[source]] = 0
    moves = sparse.csr_matrix((np.ones(len(source), np.float32), (target[source], source)), (len(ids), frame.shape[0]))
    updated = sparse.diags(kept) @ grown + moves @ frame.take(frame.rows, names)
    updated.eliminate_zeros()
    return updated.astype(np.float32)


def _zeros(n_rows: int, n_columns: int) -> sparse.csr_matrix:
    return sparse.csr_matrix((n_rows, n_columns), dtype=np.float32)
