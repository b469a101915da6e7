"""Exact top-k: arrays in, arrays out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def top_k(scores: NDArray[np.float32], k: int) -> NDArray[np.int32]:
    """Indices of the `k` best scores.

    Parameters
    ----------
    scores
        float32 of shape (n,); ``-inf`` stands for an item that is not to be returned.
    k
        Wanted length, at least 0.

    Returns
    -------
    int32, at most `k`, by falling score; equal scores by rising index.

    Notes
    -----
    O(n + k log k): a partition finds the k-th score, and of those equal to it the first indices win.
    """
    n = len(scores)
    if k == 0:
        return np.zeros(0, np.int32)
    if k < n:
        bound = -np.partition(-scores, k - 1)[k - 1]
        above = np.flatnonzero(scores > bound)
        at_bound = np.flatnonzero(scores == bound)[: k - len(above)]
        chosen = np.concatenate([above, at_bound])
    else:
        chosen = np.arange(n)
    chosen = chosen[scores[chosen] > -np.inf].astype(np.int32)
    best: NDArray[np.int32] = chosen[np.lexsort((chosen, -scores[chosen]))]
    return best


def merged_top_k(scores: NDArray[np.float32], places: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Positions of the `k` best among candidates of several blocks.

    Parameters
    ----------
    scores
        float32 of shape (n,).
    places
        int64 of shape (n,): each candidate's place in the catalogue, which decides between equal scores.
    """
    return np.lexsort((places, -scores))[:k]
