"""Cosine similarity of vectors, exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def row_norms(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Length of each row, float32 of shape (n,)."""
    lengths: NDArray[np.float32] = np.sqrt(np.vecdot(vectors, vectors))
    return lengths


def cosines(
    vectors: NDArray[np.float32], lengths: NDArray[np.float32], vector: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Cosine of each row with a vector.

    Parameters
    ----------
    vectors
        float32 of shape (n, d).
    lengths
        float32 of shape (n,), from `row_norms`.
    vector
        float32 of shape (d,).

    Returns
    -------
    float32 of shape (n,); -inf where a length is zero and there is no cosine. Equal rows have equal bits: every
    row is summed in the same order, which a product of matrix and vector would not promise.
    """
    return divide_by_lengths(np.vecdot(vectors, vector), lengths, vector)


def divide_by_lengths(
    products: NDArray[np.float32], lengths: NDArray[np.float32], vector: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Cosines from inner products: each divided by the norms of its row and of the vector, -inf where one is zero."""
    scale = lengths * row_norms(vector[None, :])
    found = np.full(len(products), -np.inf, np.float32)
    np.divide(products, scale, out=found, where=scale > 0)
    # rounding may carry a cosine a little beyond its bounds
    return np.minimum(found, np.float32(1), out=found)
