"""Confidence intervals of a mean, over seeds and over users."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVEL = 0.95
RESAMPLES = 2000
WEIGHTS_AT_ONCE = 4_000_000
"""Resampled weights held at a time: 32 MB."""


class Interval(NamedTuple):
    """Confidence interval of a mean at 95 %; NaN where it cannot be known."""

    mean: float
    low: float
    high: float

    @property
    def is_known(self) -> bool:
        """Whether there are bounds."""
        return bool(np.isfinite(self.low) and np.isfinite(self.high))


def interval_over_seeds(values: Sequence[float]) -> Interval:
    """Mean over repeated splits and trainings, with Student's interval.

    Parameters
    ----------
    values
        One for each seed. One alone has no bounds; none at all has no mean.

    Notes
    -----
    ``mean ± t_{n-1} s / √n``. Splits of one data set overlap, so that the interval is somewhat narrow: it
    says what another seed would give, not what another data set would.
    """
    known = np.asarray(values, np.float64)
    if not len(known):
        return Interval(np.nan, np.nan, np.nan)
    mean = float(known.mean())
    if len(known) == 1:
        return Interval(mean, np.nan, np.nan)
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(known) - 1) * known.std(ddof=1) / np.sqrt(len(known)))
    return Interval(mean, mean - half, mean + half)


def paired_bootstrap(
    users: NDArray[np.integer], differences: NDArray[np.float64], *, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Mean of paired differences, with the interval of a bootstrap that draws whole users.

    Parameters
    ----------
    users
        (n,) whose difference each is. A user who was judged in several splits is drawn with all of them,
        because these are not independent.
    differences
        (n,) of one metric between two models, judged on the same interactions.
    resamples
        Draws.
    seed
        Of the draws.

    Returns
    -------
    The mean and percentiles of its resampled values [1]_; no bounds for fewer than two users.

    References
    ----------
    .. [1] B. Efron, R. Tibshirani, An introduction to the bootstrap, 1993, chapter 13.
    """
    if not len(differences):
        return Interval(np.nan, np.nan, np.nan)
    mean = float(differences.mean())
    _, codes = np.unique(users, return_inverse=True)
    sums = np.bincount(codes, differences).astype(np.float64)
    counts = np.bincount(codes).astype(np.float64)
    if len(sums) < 2:
        return Interval(mean, np.nan, np.nan)
    low, high = np.quantile(_resampled(sums, counts, resamples, seed), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(mean, float(low), float(high))


def _resampled(
    sums: NDArray[np.float64], counts: NDArray[np.float64], resamples: int, seed: int
) -> NDArray[np.float64]:
    """Means of samples with replacement, of shape (resamples,)."""
    random = np.random.default_rng(seed)
    n = len(sums)
    step = max(1, WEIGHTS_AT_ONCE // n)
    means = [np.zeros(0)]
    for start in range(0, resamples, step):
        drawn = random.integers(0, n, (min(step, resamples - start), n))
        means.append(sums[drawn].sum(1) / counts[drawn].sum(1))
    return np.concatenate(means)
