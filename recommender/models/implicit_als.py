"""Implicit ALS: matrix factorisation of all pairs, liked ones at a higher confidence, as vectors that histories sum up.

Alternating least squares [1]_ gives the vector of a user as the solution of an equation in their history. With the
equation of the mean user instead of their own it is a sum over the history, ``x_u = M Σ_j y_j`` with
``M = (YᵀY + C Yᵀ P Y + λ I)⁻¹``, C the confidence and P the shares of users that items have; and with ``M = L Lᵀ`` the
items alone have vectors, ``y L``, of both sides. Where we measured it, these recommend as well as the full solution.

References
----------
.. [1] Y. Hu, Y. Koren, C. Volinsky, Collaborative Filtering for Implicit Feedback Datasets, 2008. Each equation is
   improved by a few conjugate gradients: G. Takács, I. Pilászy, D. Tikk, Applications of the Conjugate Gradient Method
   for Implicit Feedback Collaborative Filtering, 2011.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.models.low_pass import LowPass
from recommender.vector_search.kernel import compiled

ITERATIONS = 10
STEPS = 3
"""Conjugate gradients of each equation."""
_BLOCK = 512
"""Rows that a thread solves at a time."""


@dataclass(frozen=True)
class ImplicitALSSettings:
    """Settings of implicit ALS.

    Parameters
    ----------
    components
        Length of the vectors, n.
    confidence
        How much more a pair that is there counts than one that is not, C.
    penalty
        λ.
    """

    components: int = 64
    confidence: float = 10.0
    penalty: float = 50.0


def fit_implicit_als(
    interactions: sparse.csr_matrix, settings: ImplicitALSSettings, seed: int = 0, num_threads: int = 1
) -> LowPass:
    """Vectors of items by implicit ALS.

    Parameters
    ----------
    interactions
        Users by items; what is above 0 is there.
    settings
        Fewer components come of a matrix that is smaller.
    seed
        Of the vectors that are begun with.
    num_threads
        How many solve equations; the result does not depend on it.

    Returns
    -------
    float32 vectors of items, and shares of 1; an item without interactions has zeros.

    Notes
    -----
    O(ITERATIONS · STEPS · (nnz · n + (n_users + n_items) · n²)).
    """
    by_user = sparse.csr_matrix(interactions, dtype=np.float32)
    by_item = by_user.T.tocsr()
    width = min(settings.components, *by_user.shape)
    chance = np.random.default_rng(seed)
    users, items = (
        np.ascontiguousarray(0.01 * chance.standard_normal((size, width)), np.float32) for size in by_user.shape
    )
    with ThreadPoolExecutor(max(1, num_threads)) as pool:
        for _ in range(ITERATIONS):
            _improve(pool, by_user, items, users, settings)
            _improve(pool, by_item, users, items, settings)
    frequencies = np.diff(by_item.indptr)
    items[frequencies == 0] = 0
    popular = (items * (frequencies / max(1, by_user.shape[0]))[:, None]).astype(np.float64)
    equation = items.T.astype(np.float64) @ items + settings.confidence * popular.T @ items
    equation[np.diag_indices(width)] += settings.penalty
    root = np.linalg.cholesky(np.linalg.inv(equation))
    return LowPass((items @ root).astype(np.float32), (frequencies > 0).astype(np.float32))


def _improve(
    pool: ThreadPoolExecutor,
    rows: sparse.csr_matrix,
    others: NDArray[np.float32],
    own: NDArray[np.float32],
    settings: ImplicitALSSettings,
) -> None:
    """Improve the vectors of one side by those of the other."""
    gram = others.T @ others + np.float32(settings.penalty) * np.eye(others.shape[1], dtype=np.float32)
    indptr, indices = rows.indptr.astype(np.int64), rows.indices.astype(np.int32)
    how, starts = (gram, np.float32(settings.confidence)), range(0, len(own), _BLOCK)
    list(pool.map(lambda at: _solve(indptr, indices, others, *how, at, min(len(own), at + _BLOCK), own), starts))


@compiled
def _multiply(gram, confidence, others, liked, vector, product):  # type: ignore[no-untyped-def]
    """Write ``(gram + C Σ y yᵀ) vector``."""
    np.dot(gram, vector, product)
    for place in range(len(liked)):
        other = others[liked[place]]
        amount = confidence * np.dot(other, vector)
        for column in range(len(product)):
            product[column] += amount * other[column]


@compiled
def _descend(gram, confidence, others, liked, own, residual, direction, product):  # type: ignore[no-untyped-def]
    """Conjugate gradients for ``(gram + C Σ y yᵀ) own = (1 + C) Σ y``, from where it is."""
    _multiply(gram, confidence, others, liked, own, product)
    residual[:] = -product
    for place in range(len(liked)):
        other = others[liked[place]]
        for column in range(len(own)):
            residual[column] += (np.float32(1) + confidence) * other[column]
    direction[:] = residual
    square = np.dot(residual, residual)
    for _ in range(STEPS):
        if square < np.float32(1e-20):
            return
        _multiply(gram, confidence, others, liked, direction, product)
        step = square / np.dot(direction, product)
        for column in range(len(own)):
            own[column] += step * direction[column]
            residual[column] -= step * product[column]
        before, square = square, np.dot(residual, residual)
        for column in range(len(own)):
            direction[column] = residual[column] + square / before * direction[column]


@compiled
def _solve(indptr, indices, others, gram, confidence, first, end, own):  # type: ignore[no-untyped-def]
    """Improve some rows; one without interactions becomes zero."""
    width = own.shape[1]
    residual, direction, product = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    for row in range(first, end):
        liked = indices[indptr[row] : indptr[row + 1]]
        if len(liked):
            _descend(gram, confidence, others, liked, own[row], residual, direction, product)
        else:
            own[row, :] = 0
