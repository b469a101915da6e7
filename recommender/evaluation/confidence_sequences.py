"""Confidence sequences: intervals that hold at every look, so that an experiment may be read whenever one likes.

An interval of a fixed sample is right 95 times in 100 when it is looked at once; looked at every day until it excludes
zero, it does so sooner or later by chance. A confidence sequence pays for all looks in advance.
"""

from __future__ import annotations

from functools import lru_cache
from math import inf, log, sqrt
from statistics import NormalDist
from typing import NamedTuple

from recommender.evaluation.experiment_counts import VariantCounts

_NORMAL = NormalDist()
ALPHA = 0.05
"""Probability that any look at an experiment is misled, at most."""


class Estimate(NamedTuple):
    """A figure with its standard error and its interval."""

    value: float
    error: float
    low: float
    high: float


def boundary(growth: float, alpha: float = ALPHA) -> float:
    """How many standard errors a confidence sequence is wide to either side.

    Parameters
    ----------
    growth
        How many times as much has been seen as at the first look that counts, at least 1.
    alpha
        Probability that any of the looks from then on is outside.

    Notes
    -----
    ``sqrt(a² + log(growth))`` with ``2 (1 - Φ(a) + a φ(a)) = alpha``: the crossing probability of a Brownian motion
    from time 1 to infinity is exactly alpha [1]_, and that of means with estimated variances tends to it [2]_, Theorem
    2.5 of which takes users one by one. Here information is ``1 / error²``, in which estimates of repeated measures
    have independent increments too.

    References
    ----------
    .. [1] H. Robbins, Statistical Methods Related to the Law of the Iterated Logarithm, 1970.
    .. [2] I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy, A. Ramdas, Time-uniform central limit theory and
       asymptotic confidence sequences, 2021.
    """
    return sqrt(_first(alpha) ** 2 + log(max(1.0, growth)))


def hit_rate(counts: VariantCounts) -> Estimate:
    """Hits an exposure, with a standard error whose unit is the user; the interval is not set.

    Notes
    -----
    The delta method for a ratio of two sums over users: ``error² = Σ (h - r n)² / (Σ n)²``, of which the sums that
    `VariantCounts` has are enough. A user's exposures may depend on one another as they will.
    """
    if not counts.exposures:
        return Estimate(0.0, inf, -inf, inf)
    rate = counts.hits / counts.exposures
    residuals = counts.hits_squared - 2 * rate * counts.products + rate * rate * counts.exposures_squared
    # where nobody has hit, or everybody always, it is still not known to less than one hit
    return Estimate(rate, sqrt(max(residuals, 1.0)) / counts.exposures, -inf, inf)


def share(part: int, whole: int) -> Estimate:
    """Share of answers, which count one by one; the interval is not set."""
    if not whole:
        return Estimate(0.0, inf, -inf, inf)
    rate = (part + 0.5) / (whole + 1)
    return Estimate(part / whole, sqrt(rate * (1 - rate) / whole), -inf, inf)


def difference(one: Estimate, other: Estimate) -> Estimate:
    """How much higher the first of two independent figures is; the interval is not set."""
    return Estimate(one.value - other.value, sqrt(one.error**2 + other.error**2), -inf, inf)


def with_interval(estimate: Estimate, growth: float, alpha: float = ALPHA) -> Estimate:
    """An estimate with the interval of a confidence sequence, which is infinite where `growth` is below 1."""
    if growth < 1 or estimate.error == inf:
        return estimate._replace(low=-inf, high=inf)
    wide = boundary(growth, alpha) * estimate.error
    return estimate._replace(low=estimate.value - wide, high=estimate.value + wide)


def exposures_needed(rate: float, change: float, min_exposures: int, alpha: float = ALPHA) -> int:
    """Exposures of each of two variants at which a change is beyond doubt in four of five experiments, or more.

    Parameters
    ----------
    rate
        Of the control, in (0, 1); users who return make it more by their design effect.
    change
        Relative, as 0.1 for a tenth more or less.
    min_exposures
        Of each variant, at which looks begin to count.
    alpha
        As for `boundary`.
    """
    power_z = 0.8416
    other = rate * (1 + change)
    variance = rate * (1 - rate) + other * (1 - other)
    n = float(min_exposures)
    for _ in range(50):
        n = max(min_exposures, variance * ((boundary(n / min_exposures, alpha) + power_z) / (rate * change)) ** 2)
    return int(n) + 1


@lru_cache(maxsize=64)
def _first(alpha: float) -> float:
    """The `a` of `boundary`."""
    low, high = 0.0, 12.0
    for _ in range(60):
        a = (low + high) / 2
        is_above = 2 * (1 - _NORMAL.cdf(a) + a * _NORMAL.pdf(a)) > alpha
        low, high = (a, high) if is_above else (low, a)
    return high
