"""Fold-in: a user's vector from the items of their history, learned or not, newest first in weight.

The decayed mean of the representations of k items is mapped to a user vector by ridge regression. The map is
learned on the first k interactions in time of users whose vectors were trained, as new users arrive,
and it knows k: with one click it stays near the mean user, with twenty it trusts the clicks. Decay and shares
were chosen on MovieLens-100k.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

PREFIX_LENGTHS = (1, 2, 3, 5, 8, 13, 20, 32, 50)
"""Numbers of interactions at which the map is learned."""

LONGEST = PREFIX_LENGTHS[-1]
"""How many of a user's newest interactions are folded in."""

DECAY = np.float32(0.9)
"""What an interaction counts against the next one."""

PENALTY = 1.0
MOST_USERS = 20_000
"""A map of 2 (d + 1) x d numbers does not get better with more users than this."""

_WEIGHTS = DECAY ** np.arange(LONGEST - 1, -1, -1, dtype=np.float32)


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
        # a sparse product, because the representations of all these items would be hundreds of MB
        ends = np.arange(0, items.size + 1, length)
        shares = sparse.csr_matrix(
            (np.tile(_shares(length), len(users)), items.ravel(), ends), (len(users), len(representations))
        )
        means = shares @ representations
        inputs = _inputs(means, length).astype(np.float64)
        gram += inputs.T @ inputs
        moment += inputs.T @ targets[users]
    return np.linalg.solve(gram, moment).astype(np.float32)


def fold_in(weights: NDArray[np.float32], representations: NDArray[np.float32]) -> NDArray[np.float32]:
    """User vector from the representations of items of their history.

    Parameters
    ----------
    weights
        What `learn_fold_in` gave; with n history components, n more columns.
    representations
        Of the items, oldest first, shape (k, d + n) with k >= 1; the newest `LONGEST` count.

    Returns
    -------
    float32 of shape (d + n,). The n other components are those of the map's first row, whatever the items.
    """
    newest = representations[-LONGEST:]
    d = mapped_width(weights)
    mean = _shares(len(newest)) @ newest[:, :d]
    folded: NDArray[np.float32] = _inputs(mean[None, :], len(newest))[0] @ weights
    return folded


def fold_in_contributions(weights: NDArray[np.float32], representations: NDArray[np.float32]) -> NDArray[np.float32]:
    """What each of some items adds to `fold_in` of them, float32 of shape (k, d + n); nothing, one too old to count.

    With what an empty history has, the same for everyone who has so many items, they add up to it.
    """
    newest = representations[-LONGEST:]
    parts, d = np.zeros_like(representations), mapped_width(weights)
    if not len(newest):
        return parts
    scale = 1 / np.sqrt(np.float32(len(newest)))
    mapped = weights[1 : d + 1] + scale * weights[d + 2 :]  # of m and of s m in the inputs
    parts[-LONGEST:, : weights.shape[1]] = (_shares(len(newest))[:, None] * newest[:, :d]) @ mapped
    return parts


def mapped_width(weights: NDArray[np.float32]) -> int:
    """How many components of a representation a map takes, those of LightFM."""
    return len(weights) // 2 - 1


def with_history_components(weights: NDArray[np.float32], mean: NDArray[np.float32]) -> NDArray[np.float32]:
    """Map that also gives history components: those of the mean user, ``-mean`` where rows have theirs less it."""
    more = np.zeros((len(weights), len(mean)), np.float32)
    more[0] = -mean
    return np.concatenate([weights, more], axis=1)


def fold_in_rows(
    weights: NDArray[np.float32],
    representations: NDArray[np.float32],
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
) -> NDArray[np.float32]:
    """`fold_in` for the histories of many users; what comes for an empty one means nothing.

    Parameters
    ----------
    weights, representations, indptr, indices
        As for `learn_fold_in`.

    Returns
    -------
    float32 of shape (n_users, d).
    """
    lengths = np.minimum(np.diff(indptr), LONGEST)
    ends = np.repeat(indptr[1:], lengths)
    rows = np.concatenate([[0], np.cumsum(lengths)])
    ages = np.repeat(rows[1:], lengths) - 1 - np.arange(rows[-1])
    decayed = DECAY ** ages.astype(np.float32)
    chosen = sparse.csr_matrix((decayed, indices[ends - 1 - ages], rows), (len(lengths), len(representations)))
    d, counts = mapped_width(weights), np.maximum(lengths, 1)[:, None]
    sums = chosen @ representations[:, :d]
    means = sums / np.maximum(np.asarray(chosen.sum(axis=1)), np.finfo(np.float32).tiny)
    return (_inputs(means, counts) @ weights).astype(np.float32, copy=False)


def history_share(n_learned: NDArray[np.int64]) -> NDArray[np.float32]:
    """Share of the folded history in the vector of a user with a trained row.

    A row that was trained on few interactions says little: the share goes from 1 for none down to
    `LEAST_SHARE` for very many, at `LEARNED_COUNT` it is halfway.
    """
    return (1 - (1 - LEAST_SHARE) * n_learned / (n_learned + LEARNED_COUNT)).astype(np.float32)


def recent_share(n_recent: int, *, known: bool, has_features: bool) -> float:
    """Share of recent interactions, folded in, in the vector of a user of whom something else is known."""
    others = KNOWN_COUNT if known else FEATURES_COUNT if has_features else 0
    return n_recent / (n_recent + others)


LEARNED_COUNT = 10
LEAST_SHARE = 0.4
"""What is newest says more of what comes next than of what else a user likes: both have to be served."""
KNOWN_COUNT = 2
"""How many recent interactions a known user's vector is worth: what is new says most."""
FEATURES_COUNT = 0.5
"""How many a user's features are worth."""


def _shares(length: int) -> NDArray[np.float32]:
    """Weights of the newest interactions, oldest first; they add up to 1."""
    weights = _WEIGHTS[-length:]
    shares: NDArray[np.float32] = weights / weights.sum()
    return shares


def _inputs(means: NDArray[np.float32], lengths: int | NDArray[np.int64]) -> NDArray[np.float32]:
    """Rows [1, m, s, s m] with s = 1 / sqrt(k), shape (n, 2 (d + 1))."""
    base = np.concatenate([np.ones((len(means), 1), np.float32), means], axis=1)
    return np.concatenate([base, base / np.sqrt(lengths).astype(np.float32)], axis=1)


def _users_with(indptr: NDArray[np.int64], length: int, seed: int) -> NDArray[np.int64]:
    users = np.flatnonzero(np.diff(indptr) >= length)
    if len(users) <= MOST_USERS:
        return users
    return np.random.default_rng(seed).choice(users, MOST_USERS, replace=False)


TRUSTED_LENGTH = 100.0
"""Length of a history at which its components count half. Chosen on MovieLens-100k, on random and on time splits."""


def share_of_each(lengths: NDArray[np.int64]) -> NDArray[np.float64]:
    """What each item of a history of this length counts in it."""
    shares: NDArray[np.float64] = np.sqrt(lengths) / (lengths + TRUSTED_LENGTH)
    return shares
