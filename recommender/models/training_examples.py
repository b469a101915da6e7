"""Training examples: interactions and their weights as the matrices that LightFM's losses are to see."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.errors import InvalidDataError
from recommender.sparse_frame import SparseFrame


def aligned_weights(interactions: SparseFrame, sample_weight: SparseFrame | None) -> NDArray[np.float32] | None:
    """Weight of each stored interaction, in their order, shape (n_stored,); None where none were passed.

    Raises
    ------
    InvalidDataError
        `sample_weight` has other rows or columns.
    """
    if sample_weight is None:
        return None
    same = list(sample_weight.rows) == list(interactions.rows) and list(sample_weight.columns) == list(
        interactions.columns
    )
    if not same:
        raise InvalidDataError("sample_weight must have the rows and columns of interactions, in the same order")
    stored = interactions.matrix.tocoo()
    if not stored.nnz:
        return np.zeros(0, np.float32)
    return np.asarray(sample_weight.matrix[stored.row, stored.col], np.float32).ravel()


def examples_of(
    loss: str, matrix: sparse.coo_matrix, weights: sparse.coo_matrix | None
) -> tuple[sparse.coo_matrix, sparse.coo_matrix | None]:
    """What LightFM is to see: some losses would take what is no interaction for one, or for its contrary."""
    if loss not in ("logistic", "warp-kos"):
        return matrix, weights
    kept = matrix.data != 0 if loss == "logistic" else matrix.data > 0
    places = (matrix.row[kept], matrix.col[kept])
    seen = sparse.coo_matrix((matrix.data[kept], places), matrix.shape)
    return seen, None if weights is None else sparse.coo_matrix((weights.data[kept], places), matrix.shape)


def with_values(matrix: sparse.coo_matrix, values: NDArray[np.float32]) -> sparse.coo_matrix:
    """Matrix with other values at the places of one."""
    return sparse.coo_matrix((values, (matrix.row, matrix.col)), matrix.shape)


def stacked(first: sparse.coo_matrix, second: sparse.coo_matrix) -> sparse.coo_matrix:
    """Entries of both; a pair may be there twice."""
    names = ("data", "row", "col")
    values, rows, columns = (np.concatenate([getattr(first, name), getattr(second, name)]) for name in names)
    return sparse.coo_matrix((values, (rows, columns)), first.shape)
