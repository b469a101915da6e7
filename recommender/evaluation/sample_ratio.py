"""Sample-ratio mismatch: whether users are spread over variants as they should be, whenever one looks."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, lgamma, log

CONCENTRATION = 1_000.0
"""Users that the alternative is worth: shares that are somewhat beside the wanted ones."""


def mismatch_p_value(users: Sequence[int], shares: Sequence[float]) -> float:
    """Significance (p value) by a multinomial test that holds at every look [1]_.

    Parameters
    ----------
    users
        Of each variant.
    shares
        Wanted ones, all above 0; they come to 1.

    Notes
    -----
    One over the Bayes factor of a Dirichlet distribution around the wanted shares, of `CONCENTRATION` users, against
    these shares; by Ville's inequality the probability that it ever comes below p is at most p.

    References
    ----------
    .. [1] M. Lindon, A. Malek, Anytime-Valid Inference for Multinomial Count Data, 2022.
    """
    total = sum(users)
    prior = [CONCENTRATION * share for share in shares]
    factor = lgamma(CONCENTRATION) - lgamma(CONCENTRATION + total)
    for n, weight, share in zip(users, prior, shares, strict=True):
        factor += lgamma(weight + n) - lgamma(weight) - n * log(share)
    return min(1.0, exp(min(0.0, -factor)))
