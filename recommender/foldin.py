"""Fold-in: a user's vector from what they just interacted with.

The mean of the representations of k items is mapped to a user vector by ridge regression. The map is
learned on the first k interactions in time of users whose vectors were trained, as new users arrive,
and it knows k: with one click it stays near the mean user, with twenty it trusts the clicks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PREFIX_LENGTHS = (1, 2, 3, 5, 8, 13, 20, 32, 50)
"""Numbers of interactions at which the map is learned."""

LONGEST = PREFIX_LENGTHS[-1]
"""How many of a user's newest interactions are folded in."""

PENALTY = 1.0
MOST_USERS = 20_000
"""A map of 2 (d + 1) x d numbers does not get better with more users than this."""


def learn_fold_in(
    representations: NDArray[np.float32],
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    targets: NDArray[np.float32],
    seed: int = 0,
) -> NDArray[np.float32]:
    """Ridge map from prefixes of interactions to trained user vectors.

    Parameters
    ----------
    representations
        Items, shape (n_items, d).
    indptr, indices
        Each user's items **in order of time**, as a CSR without values, shapes (n_users + 1,) and (nnz,).
    targets
        Trained user vectors, shape (n_users, d).
    seed
        Which users are sampled when there are more than `MOST_USERS`.

    Returns
    -------
    float32 of shape (2 (d + 1), d), for `fold_in`.
    """
    d = representations.shape[1]
    size = 2 * (d + 1)
    gram, moment = np.eye(size) * PENALTY, np.zeros((size, d))
    for length in PREFIX_LENGTHS:
        users = _users_with(indptr, length, seed)
        if not len(users):
            continue
        items = indices[indptr[users][:, None] + np.arange(length)]  # (n_users, length)
        inputs = _inputs(representations[items].mean(axis=1), length).astype(np.float64)
        gram += inputs.T @ inputs
        moment += inputs.T @ targets[users]
    return np.linalg.solve(gram, moment).astype(np.float32)


def fold_in(weights: NDArray[np.float32], representations: NDArray[np.float32]) -> NDArray[np.float32]:
    """User vector from the representations of recent items.

    Parameters
    ----------
    weights
        What `learn_fold_in` gave.
    representations
        Of the items, oldest first, shape (k, d) with k >= 1; the newest `LONGEST` count.

    Returns
    -------
    float32 of shape (d,).
    """
    recent = representations[-LONGEST:]
    folded: NDArray[np.float32] = _inputs(recent.mean(axis=0)[None, :], len(recent))[0] @ weights
    return folded


def blend(
    trained: NDArray[np.float32], folded: NDArray[np.float32], n_recent: int, n_learned: int
) -> NDArray[np.float32]:
    """Vector of a user who has both trained rows and recent interactions.

    Each counts by the number of interactions behind it; features alone count as `FEATURES_COUNT`.
    """
    share = n_recent / (n_recent + max(n_learned, FEATURES_COUNT))
    return ((1 - share) * trained + share * folded).astype(np.float32)


FEATURES_COUNT = 2
"""How many interactions a user's features are worth."""


def _inputs(means: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """Rows [1, m, s, s m] with s = 1 / sqrt(k), shape (n, 2 (d + 1))."""
    base = np.concatenate([np.ones((len(means), 1), np.float32), means], axis=1)
    return np.concatenate([base, base / np.float32(np.sqrt(length))], axis=1)


def _users_with(indptr: NDArray[np.int64], length: int, seed: int) -> NDArray[np.int64]:
    users = np.flatnonzero(np.diff(indptr) >= length)
    if len(users) <= MOST_USERS:
        return users
    return np.random.default_rng(seed).choice(users, MOST_USERS, replace=False)
