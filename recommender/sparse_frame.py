"""SparseFrame: a sparse matrix whose rows and columns have names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from recommender.errors import InvalidDataError
from recommender.ids import UNKNOWN, IdTable, id_texts


class SparseFrame:
    """Rows, columns and a CSR matrix.

    Stands in for ``sparsity.SparseFrame``, which no longer installs.

    Parameters
    ----------
    rows, columns
        Names, distinct; an `IdTable` is taken as it is, whole numbers and UUIDs become text.
    matrix
        Of shape (len(rows), len(columns)); kept as float32 CSR with int32 indices, sorted, duplicates
        summed. The caller's matrix is never changed.

    Raises
    ------
    InvalidDataError
        A name is repeated, a shape does not fit, or a value is not finite.
    """

    __slots__ = ("columns", "matrix", "rows")

    def __init__(
        self,
        rows: IdTable | Iterable[Hashable],
        columns: IdTable | Iterable[Hashable],
        matrix: sparse.csr_matrix | sparse.sparray | sparse.spmatrix | np.ndarray,
    ) -> None:
        self.rows = _table(rows, "row")
        self.columns = _table(columns, "column")
        self.matrix = _as_csr(matrix)
        if self.matrix.shape != self.shape:
            raise InvalidDataError(f"a matrix of {self.matrix.shape} does not fit {self.shape} rows and columns")

    @classmethod
    def from_pandas(cls, frame: pd.DataFrame) -> SparseFrame:
        """Frame with the index and the columns of `frame`; missing cells are zero."""
        return cls(frame.index.tolist(), frame.columns.tolist(), frame.fillna(0).to_numpy(np.float32))

    @classmethod
    def from_interactions(
        cls,
        user_ids: Sequence[Hashable] | pd.Series[Any],
        item_ids: Sequence[Hashable] | pd.Series[Any],
        weights: Sequence[float] | pd.Series[float] | None = None,
    ) -> SparseFrame:
        """Frame of users by items; one row and column for each that occurs, in order of first occurrence.

        Parameters
        ----------
        user_ids, item_ids
            One pair an interaction. Whole numbers and UUIDs become text.
        weights
            One an interaction, 1 when absent; those of a repeated pair are summed.

        Raises
        ------
        InvalidDataError
            An id is missing or cannot be one.
        """
        (rows, users), (columns, items) = IdTable.coded(user_ids), IdTable.coded(item_ids)
        values = np.ones(len(users), np.float32) if weights is None else np.asarray(weights, np.float32)
        return cls(rows, columns, sparse.csr_matrix((values, (users, items)), (len(rows), len(columns))))

    def counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Stored values of each row and of each column."""
        stored = self.matrix.tocsr()
        return np.diff(stored.indptr).astype(np.int64), np.bincount(stored.indices, minlength=self.shape[1])

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        return len(self.rows), len(self.columns)

    def __repr__(self) -> str:
        return f"<SparseFrame: {self.shape[0]} x {self.shape[1]}, {self.matrix.nnz} stored>"

    def reindex(
        self, rows: IdTable | Sequence[str] | None = None, columns: IdTable | Sequence[str] | None = None
    ) -> SparseFrame:
        """Frame with exactly these rows and columns, in this order; missing ones are zero."""
        wanted_rows = self.rows if rows is None else _table(rows, "row")
        wanted_columns = self.columns if columns is None else _table(columns, "column")
        return SparseFrame(wanted_rows, wanted_columns, self.take(wanted_rows, wanted_columns))

    def take(self, rows: Sequence[str] | IdTable, columns: IdTable) -> sparse.csr_matrix:
        """CSR with a row for each of `rows`, repeats allowed, and the columns of `columns`.

        What this frame does not have is zero; what is not asked for is dropped.
        """
        indices = self.rows.indices_of(rows)
        picked = sparse.vstack([self.matrix, sparse.csr_matrix((1, self.shape[1]), dtype=np.float32)], "csr")
        coo = picked[np.where(indices == UNKNOWN, self.shape[0], indices)].tocoo()
        target = columns.indices_of(self.columns)[coo.col]
        kept = target != UNKNOWN
        shape = (len(rows), len(columns))
        return sparse.csr_matrix((coo.data[kept], (coo.row[kept], target[kept])), shape)


def _table(names: IdTable | Iterable[Hashable], what: str) -> IdTable:
    if isinstance(names, IdTable):
        return names
    listed = id_texts(names)
    table = IdTable.from_ids(listed)
    if len(table) != len(listed):
        [(repeated, _)] = Counter(listed).most_common(1)
        raise InvalidDataError(f"{what} {repeated!r} is there more than once")
    return table


def _as_csr(matrix: sparse.csr_matrix | sparse.sparray | sparse.spmatrix | np.ndarray) -> sparse.csr_matrix:
    # LightFM's Cython takes 32-bit indices and float32 values only
    csr = sparse.csr_matrix(matrix, dtype=np.float32, copy=True)
    csr.sum_duplicates()
    csr.indices, csr.indptr = (
        csr.indices.astype(np.int32, copy=False),
        csr.indptr.astype(np.int32, copy=False),
    )
    if not np.isfinite(csr.data).all():
        raise InvalidDataError("a sparse frame holds a value that is not finite")
    return csr
