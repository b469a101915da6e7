"""Recency weights: how much each interaction of a history counts in a score that is linear in the history.

The newest counts in full, one that is `half_life` interactions older half. A score that is linear in the history needs
no new fit for it; which half-life, if any, does best depends on the data and on what is asked: who listens through
albums is told by the last of them, who rates all films they know is not. So it is learned on held-out interactions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.models.mixture import ndcg_of, sure_gain
from recommender.serving.snapshot import Rows

HALF_LIVES = (400.0, 200.0, 100.0, 50.0, 25.0, 12.0, 6.0, 3.0)
"""What is tried, in interactions; the first that is worse than the one before it ends the search."""


def recency_weights(indptr: NDArray[np.int64], half_life: float | None) -> NDArray[np.float32]:
    """Recency weight of each interaction.

    Parameters
    ----------
    indptr
        Where each user's history begins; inside, the oldest is first.
    half_life
        Interactions after which one counts half; None: all count in full.

    Returns
    -------
    float32 of shape (n_interactions,), above 0 and at most 1.
    """
    lengths = np.diff(indptr)
    ages = np.repeat(indptr[1:] - 1, lengths) - np.arange(lengths.sum())
    if half_life is None:
        return np.ones(len(ages), np.float32)
    # rows that are summed stay numbers: what is far older counts nothing measurable
    return np.exp2(-np.minimum(ages / half_life, 100)).astype(np.float32)


def weighted_histories(histories: Rows, n_items: int, half_life: float | None) -> sparse.csr_matrix:
    """Users by items: recency weights of histories that are in order of time."""
    shape = (len(histories.indptr) - 1, n_items)
    weights = recency_weights(histories.indptr, half_life)
    return sparse.csr_matrix((weights, histories.indices, histories.indptr), shape, copy=True)


def learn_half_life(
    score: Callable[[sparse.csr_matrix], NDArray[np.float32]],
    histories: Rows,
    held_out: sparse.csr_matrix,
    *,
    k: int = 10,
    most: int = 2000,
) -> float | None:
    """Learn the half-life that does best, from long to short.

    Parameters
    ----------
    score
        Gives the scores of users by their weighted histories.
    histories
        Items of each user in order of time: what the model was fitted on.
    held_out
        Users by items: what is to be found. It has to be held out as what will be asked: what came later where the next
        interactions are to be foretold.
    k, most
        As for `learn_mixture`.

    Returns
    -------
    Interactions; None where no half-life gains more than one standard error over counting all in full.
    """
    n_items = held_out.shape[1]

    def judged(half_life: float | None) -> NDArray[np.float64]:
        weighted = weighted_histories(histories, n_items, half_life)
        return ndcg_of(lambda users: score(weighted[users]), weighted, held_out, k=k, most=most)

    whole = best = judged(None)
    found: float | None = None
    for half_life in HALF_LIVES:
        now = judged(half_life)
        if len(now) == 0 or now.mean() < best.mean():
            break
        found, best = half_life, now
    return found if sure_gain(best - whole) > 0 else None
