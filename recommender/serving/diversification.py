"""Diversity: trading a little relevance for items that are less alike. Arrays in, arrays out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SMALLEST_POOL, POOL_SHARE = 100, 4
"""How many of the best are considered: so many at least, and so many for each wanted one."""

_ROUNDING = 1e-6


def pool_size(k: int) -> int:
    """How many of the best items are considered for a list of `k`."""
    return max(SMALLEST_POOL, POOL_SHARE * k)


def diversify(scores: NDArray[np.float32], vectors: NDArray[np.float32], k: int, diversity: float) -> NDArray[np.int64]:
    """Choose from a pool by maximal marginal relevance [1]_.

    Parameters
    ----------
    scores
        float32 of shape (n,), falling: the best of all items.
    vectors
        float32 of shape (n, d): their representations.
    k
        Wanted length.
    diversity
        0 to 1: weight of not being like what was chosen before, against being relevant.

    Returns
    -------
    int64, at most `k` distinct positions in the pool in the order of choice. The first is always the best;
    equals go to the higher score.

    Notes
    -----
    Each next item maximises ``(1 - diversity) · relevance(i) - diversity · max over chosen j of cos(i, j)``, where
    relevance is the score, brought to 0 to 1 over the pool. A representation without length is like nothing.
    O(k · n · d).

    References
    ----------
    .. [1] J. Carbonell, J. Goldstein, The Use of MMR, Diversity-Based Reranking for Reordering Documents and
       Producing Summaries, 1998.
    """
    n = len(scores)
    relevance = (1 - diversity) * _from_zero_to_one(scores)
    directions = _directions(vectors)
    alike, worth = np.full(n, -np.inf, np.float32), np.empty(n, np.float32)
    weight = np.float32(-diversity)
    chosen = np.zeros(min(k, n), np.int64)
    for place in range(len(chosen)):
        if place:
            np.maximum(alike, directions @ directions[chosen[place - 1]], out=alike)
            np.multiply(alike, weight, out=worth)
            np.add(relevance, worth, out=worth)
            chosen[place] = np.argmax(worth)
        relevance[chosen[place]] = -np.inf
    return chosen


def _from_zero_to_one(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    if not len(scores):
        return scores
    low, high = scores.min(), scores.max()
    # a difference that is only rounding says nothing, and would be stretched to everything
    if high - low <= _ROUNDING * max(abs(low), abs(high)):
        return np.zeros_like(scores)
    relevance: NDArray[np.float32] = (scores - low) / (high - low)
    return relevance


def _directions(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The vectors at length 1; those without length stay zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions: NDArray[np.float32] = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return directions
