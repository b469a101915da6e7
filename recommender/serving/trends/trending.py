"""Trending: which items have a larger part in what happens now than they had before. Arrays in, arrays out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy


def rising(now: NDArray[np.float64], before: NDArray[np.float64]) -> NDArray[np.float32]:
    """How surely each item's part has grown.

    Parameters
    ----------
    now, before
        Interactions with each item in a window, and in the long run before it, shape (n,).

    Returns
    -------
    float32 of shape (n,): the root of the log-likelihood ratio [1]_; -inf for items whose part has not grown.
    Above 2 it is seldom chance.

    Notes
    -----
    Of the table of an item and all others, in the window and before, ``G² = 2 Σ O ln(O / E)``, where E is what to
    expect were the parts the same. So what rises for all, as a site does in the evening, is no trend; a few
    interactions with an item that had none are one, and less so than many. One interaction is added to the long run
    and spread over the items: where nothing was before, the most frequent come first. O(n).

    References
    ----------
    .. [1] T. Dunning, Accurate Methods for the Statistics of Surprise and Coincidence, 1993.
    """
    found = np.full(len(now), -np.inf, np.float32)
    there = np.flatnonzero(now)
    a, b = now[there], before[there] + 1 / max(len(now), 1)
    all_now, all_before = now.sum(), before.sum() + 1
    grown = a * all_before > b * all_now
    a, b = a[grown], b[grown]
    observed = np.stack([a, all_now - a, b, all_before - b])
    shares = (a + b) / (all_now + all_before)
    expected = np.stack([shares * all_now, (1 - shares) * all_now, shares * all_before, (1 - shares) * all_before])
    ratio = 2 * (xlogy(observed, observed) - xlogy(observed, expected)).sum(axis=0)
    found[there[grown]] = np.sqrt(np.maximum(ratio, 0))
    return found
