"""Boosts: what a request adds to the scores of items that have a feature."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from recommender.errors import InvalidRequestError
from recommender.feature_space import clean_token

MOST = 3.4e38
"""What the amounts of a request may come to together, whatever their signs: beyond it a float32 score is no number."""
Boosts = tuple[tuple[str, float], ...]
"""Tokens, as a filter writes them, and what each adds."""


def parse_boosts(clauses: Sequence[str]) -> Boosts:
    """Read ``genres:Comedy:0.5``; a value may contain colons, what comes behind the last is the amount.

    Amounts of a feature that is named repeatedly add up.

    Raises
    ------
    InvalidRequestError
        A clause is not ``name:value:amount``.
    """
    found: dict[str, float] = {}
    for clause in clauses:
        token, _, amount = clause.rpartition(":")
        found[token] = found.get(token, 0.0) + _number(amount)
    return check_boosts(found)


def check_boosts(amounts: Mapping[str, float]) -> Boosts:
    """Boosts by token.

    Raises
    ------
    InvalidRequestError
        A token is not ``name:value``, an amount is not finite, or they are more than float32 scores hold.
    """
    for token, amount in amounts.items():
        name, colon, _ = token.partition(":")
        if not name or not colon or not math.isfinite(amount):
            raise InvalidRequestError("a boost is name:value and a finite amount, as in genres:Comedy:0.5")
    if sum(map(abs, amounts.values())) > MOST:
        largest = max(amounts, key=lambda token: abs(amounts[token]))
        raise InvalidRequestError(
            f"the boost of {largest} is {amounts[largest]:g}; all of them together are at most {MOST:g}"
        )
    return tuple((clean_token(token), amount) for token, amount in amounts.items())


def added(boosts: Boosts, biases: NDArray[np.float32], having: Callable[[str], Collection[int]]) -> NDArray[np.float32]:
    """Biases of a block with what the boosts add, as a new array.

    Parameters
    ----------
    boosts
        What is added.
    biases
        float32 of shape (n,).
    having
        Rows of the items that have a token; one that is there twice gets the amount once.
    """
    boosted = biases.copy()
    for token, amount in boosts:
        rows = having(token)
        if not isinstance(rows, np.ndarray):
            rows = np.fromiter(rows, np.int64, len(rows))
        boosted[rows] += np.float32(amount)
    return boosted


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
