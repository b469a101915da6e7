"""Similar: cosine of representations, exactly."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.serving.snapshot import Snapshot

USERS_AT_ONCE = 65_536
"""Users whose representations are written out together while their lengths are taken."""


def lengths_of(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
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
        float32 of shape (n,), from `lengths_of`.
    vector
        float32 of shape (d,).

    Returns
    -------
    float32 of shape (n,); -inf where a length is zero and there is no cosine. Equal rows have equal bits: every
    row is summed in the same order, which a product of matrix and vector would not promise.
    """
    return _over_lengths(np.vecdot(vectors, vector), lengths, vector)


class LearnedUsers:
    """Representations of the users of a snapshot, without a row of memory for each.

    A representation is the sum of the embeddings of a user's features, as they were at the training, and of their
    indicator; its inner product with a vector is a sum of numbers that are computed once a feature. Eight bytes a
    user are kept: lengths, and where features begin.

    Parameters
    ----------
    snapshot
        Whose users; those who were forgotten are like nobody.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._features = _user_features(snapshot)
        self._snapshot = snapshot
        self._forgotten = np.diff(snapshot.seen.indptr) == 0
        self._lengths = np.concatenate([np.zeros(0, np.float32), *map(lengths_of, self._representations())])

    def cosines(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cosine of each user with a vector, float32 of shape (n_users,); -inf where there is none."""
        indicators = self._snapshot.user_indicators.vectors
        products = self._features @ np.vecdot(self._snapshot.user_features.vectors, vector)
        if len(indicators):
            products += np.vecdot(indicators, vector)
        found = _over_lengths(products, self._lengths, vector)
        found[self._forgotten] = -np.inf
        return found

    def _representations(self) -> Iterator[NDArray[np.float32]]:
        indicators = self._snapshot.user_indicators.vectors
        for start in range(0, self._features.shape[0], USERS_AT_ONCE):
            some = slice(start, start + USERS_AT_ONCE)
            vectors = self._features[some] @ self._snapshot.user_features.vectors
            yield vectors + indicators[some] if len(indicators) else vectors


def _user_features(snapshot: Snapshot) -> sparse.csr_matrix:
    shape, rows = (len(snapshot.user_ids), len(snapshot.user_features.biases)), snapshot.user_rows
    if len(rows.indptr) != shape[0] + 1:
        return sparse.csr_matrix(shape, dtype=np.float32)
    return sparse.csr_matrix((rows.weights, rows.indices, rows.indptr), shape, copy=False)


def _over_lengths(
    products: NDArray[np.float32], lengths: NDArray[np.float32], vector: NDArray[np.float32]
) -> NDArray[np.float32]:
    scale = lengths * lengths_of(vector[None, :])
    found = np.full(len(products), -np.inf, np.float32)
    np.divide(products, scale, out=found, where=scale > 0)
    # rounding may carry a cosine a little beyond its bounds
    return np.minimum(found, np.float32(1), out=found)
