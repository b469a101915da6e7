"""Cosine similarity of the users of a snapshot, without a row of memory for each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.serving.snapshot import Snapshot
from recommender.vector_search.cosine import divide_by_lengths, row_norms

USERS_AT_ONCE = 65_536
"""Users whose representations are written out together while their lengths are taken."""


class UserSimilarity:
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
        self._lengths = np.concatenate([np.zeros(0, np.float32), *map(row_norms, self._representations())])

    def cosines(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cosine of each user with a vector, float32 of shape (n_users,); -inf where there is none."""
        indicators = self._snapshot.user_indicators.vectors
        products = self._features @ np.vecdot(self._snapshot.user_features.vectors, vector)
        if len(indicators):
            products += np.vecdot(indicators, vector)
        found = divide_by_lengths(products, self._lengths, vector)
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
