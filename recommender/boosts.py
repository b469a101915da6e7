"""Boosts: what a request adds to the scores of items that have a feature."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from recommender.errors import InvalidRequestError

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
    return checked_boosts(found)


def checked_boosts(amounts: Mapping[str, float]) -> Boosts:
    """Boosts by token.

    Raises
    ------
    InvalidRequestError
        A token is not ``name:value``, or an amount not finite.
    """
    for token, amount in amounts.items():
        name, colon, _ = token.partition(":")
        if not name or not colon or not math.isfinite(amount):
            raise InvalidRequestError("a boost is name:value and a finite amount, as in genres:Comedy:0.5")
    return tuple(amounts.items())


def added(boosts: Boosts, biases: NDArray[np.float32], having: Callable[[str], Iterable[int]]) -> NDArray[np.float32]:
    """Biases of a block with what the boosts add, as a new array.

    Parameters
    ----------
    boosts
        What is added.
    biases
        float32 of shape (n,).
    having
        Distinct rows of the items that have a token.
    """
    boosted = biases.copy()
    for token, amount in boosts:
        boosted[np.fromiter(having(token), np.int64)] += np.float32(amount)
    return boosted


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
