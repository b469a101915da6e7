"""Low-pass filter: leading singular vectors of the normalised interactions, as vectors of users and items.

``R = D_u^-½ X D_i^-½`` is the interaction matrix with users and items divided by how frequent they are, V its leading
right singular vectors. The score is ``x_u D_i^-½ V Vᵀ D_i^½``: what of a history varies slowly over the graph of users
and items [1]_. It is linear in the history: any history has its vector at once, and what an interaction adds is exact.

References
----------
.. [1] Y. Shen et al., How Powerful is Graph Convolution for Recommendation?, 2021 (GF-CF).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

OVERSAMPLING = 16
ITERATIONS = 4


@dataclass(frozen=True, eq=False, repr=False)
class LowPass:
    """Low-pass filter of histories.

    Parameters
    ----------
    items
        float32 of shape (n_items, n): vectors of items.
    shares
        float32 of shape (n_items,): how much of its vector an interaction with an item adds to the user's.
    """

    items: NDArray[np.float32]
    shares: NDArray[np.float32]

    def users(self, histories: sparse.csr_matrix) -> NDArray[np.float32]:
        """Vectors of users by their histories, float32 of shape (n_users, n)."""
        own: NDArray[np.float32] = histories @ (self.items * self.shares[:, None])
        return own.astype(np.float32, copy=False)


def fit_low_pass(interactions: sparse.csr_matrix, n: int, seed: int = 0) -> LowPass:
    """Low-pass filter of the interactions.

    Parameters
    ----------
    interactions
        Users by items: how much each counts.
    n
        Components; fewer come of a matrix that is smaller.
    seed
        Of the random directions from which they are found.

    Returns
    -------
    Vectors of the n slowest components. An item without interactions has a vector and a share of zeros.

    Notes
    -----
    Randomised subspace iteration [1]_: O(ITERATIONS · n · nnz), no matrix of n_items x n_items.

    References
    ----------
    .. [1] N. Halko, P. Martinsson, J. Tropp, Finding structure with randomness, 2011.
    """
    plain = sparse.csr_matrix(interactions, dtype=np.float32)
    users, items = (_inverse_roots(abs(plain).sum(axis=axis)) for axis in (1, 0))
    normalised = sparse.csr_matrix(sparse.diags_array(users) @ plain @ sparse.diags_array(items), dtype=np.float32)
    vectors = _right_singular_vectors(normalised, min(n, *plain.shape), seed)
    roots = np.divide(1, items, where=items > 0, out=np.zeros_like(items))
    return LowPass(vectors * roots[:, None], items**2)


def _inverse_roots(sums: NDArray[np.float32]) -> NDArray[np.float32]:
    flat = np.asarray(sums, np.float32).ravel()
    roots: NDArray[np.float32] = np.divide(1, np.sqrt(flat), where=flat > 0, out=np.zeros_like(flat))
    return roots


def _right_singular_vectors(matrix: sparse.csr_matrix, n: int, seed: int) -> NDArray[np.float32]:
    width = min(n + OVERSAMPLING, *matrix.shape)
    directions = np.random.default_rng(seed).standard_normal((matrix.shape[1], width)).astype(np.float32)
    transposed = matrix.T.tocsr()
    for _ in range(ITERATIONS):
        directions = np.linalg.qr(transposed @ (matrix @ directions))[0]
    projected = matrix @ directions
    _, rotation = np.linalg.eigh(projected.T @ projected)  # rising
    return np.ascontiguousarray(directions @ rotation[:, : -n - 1 : -1])
