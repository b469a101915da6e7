"""History components: what users of an item have in common with each other, beside what LightFM learned.

LightFM's factors are learned by sampling, one pair at a time. What all pairs say together is a linear model of
items by items, ``score(u, i) = Σ_{j in history} B_ji``; EASE [1]_ solves it in closed form with a matrix of
n_items x n_items. Its leading components hold what carries to pairs that were not seen, and they are
factors like any others: they stand behind LightFM's in the same vectors, and serving does not know of them.

A user's are the sum of those of their items, divided by the square root of how many they are (k), times
``k / (k + TRUSTED_LENGTH)``: in time, what comes after a few clicks is said better by LightFM's fold-in, what else
somebody likes who has a long history by all of it. A session that is not learned yet brings none, for the same reason:
``benchmarks.learning.fold_in`` shows it.

References
----------
.. [1] H. Steck, Embarrassingly Shallow Autoencoders for Sparse Data, 2019.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.models.fold_in import share_of_each
from recommender.serving.snapshot import Rows, Table

PENALTY = 400.0
"""What a component counts is λ / (λ + PENALTY), with λ the squared singular value."""
OVERSAMPLING = 8
ITERATIONS = 6
MOST_MEASURED = 500
"""Users, and items, on which scales are measured."""


def components(pairs: sparse.csr_matrix, n: int, seed: int = 0) -> NDArray[np.float32]:
    """Leading components of the items by ridge regression on the pairs.

    Parameters
    ----------
    pairs
        Users by items, 1 for each interaction.
    n
        How many; fewer come of a matrix that is smaller.
    seed
        Of the random directions from which they are found.

    Returns
    -------
    float32 of shape (n_items, at most n), ``V sqrt(S² / (S² + PENALTY))``: the product of two rows is what
    one item says of the other.

    Notes
    -----
    Randomised subspace iteration [1]_: O(ITERATIONS · n · nnz), no matrix of n_items x n_items.

    References
    ----------
    .. [1] N. Halko, P. Martinsson, J. Tropp, Finding structure with randomness, 2011.
    """
    n = min(n, *pairs.shape)
    width = min(n + OVERSAMPLING, *pairs.shape)
    directions = np.random.default_rng(seed).standard_normal((pairs.shape[1], width)).astype(np.float32)
    for _ in range(ITERATIONS):
        directions = np.linalg.qr(pairs.T @ (pairs @ directions))[0]
    projected = pairs @ directions
    squares, rotation = np.linalg.eigh(projected.T @ projected)  # rising
    leading = slice(None, -n - 1, -1)
    kept = np.maximum(squares[leading], 0)
    found: NDArray[np.float32] = (directions @ rotation[:, leading]) * np.sqrt(kept / (kept + PENALTY))
    return found.astype(np.float32, copy=False)


def of_histories(items: NDArray[np.float32], histories: Rows) -> NDArray[np.float32]:
    """Components of users by all items of their histories, float32 of shape (n_users, n)."""
    shares = share_of_each(np.diff(histories.indptr))
    own: NDArray[np.float32] = (_pairs(histories, len(items)) @ items) * shares[:, None]
    return own.astype(np.float32, copy=False)


def scaled_components(
    histories: Rows, users: NDArray[np.float32], items: Table, n: int, weight: float
) -> NDArray[np.float32]:
    """`components`, scaled so that they spread the scores of a user `weight` times as far as the factors do.

    Parameters
    ----------
    histories
        Items of each user; the items are the first of `items`.
    users, items
        Factors of users, shape (n_users, d), and of items with their biases.
    n
        How many components.
    weight
        Share of the spread, which is the standard deviation over the items.
    """
    n_items = len(items.biases)
    found = components(_pairs(histories, n_items), n)
    rows = _evenly(np.flatnonzero(np.diff(histories.indptr)))
    columns = _evenly(np.arange(n_items))
    learned = users[rows] @ items.vectors[columns].T + items.biases[columns]
    linear = of_histories(found, histories)[rows] @ found[columns].T
    spread = float(linear.std(axis=1).mean()) if linear.size else 0.0
    if not spread:
        return found
    return found * np.float32(np.sqrt(weight * float(learned.std(axis=1).mean()) / spread))


def _pairs(histories: Rows, n_items: int) -> sparse.csr_matrix:
    ones = np.ones(len(histories.indices), np.float32)
    return sparse.csr_matrix((ones, histories.indices, histories.indptr), (len(histories.indptr) - 1, n_items))


def _evenly(places: NDArray[np.int64]) -> NDArray[np.int64]:
    step = max(1, len(places) // MOST_MEASURED)
    return places[::step]
