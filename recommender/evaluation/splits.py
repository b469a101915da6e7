"""Splits of interactions into those to learn from and those to be judged by.

Ties in time are broken by seeded chance: many logs are sorted by item within a second, and then a tie
broken by row or by id decides more than the model does.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Split = tuple[pd.DataFrame, pd.DataFrame]
"""Training and test interactions, each in the order of the source."""


def random_split(interactions: pd.DataFrame, test_share: float, seed: int = 0) -> Split:
    """Hold out a random share of the interactions."""
    chance = np.random.default_rng(seed).permutation(len(interactions))
    return _apart(interactions, chance < round(test_share * len(interactions)))


def global_time_split(interactions: pd.DataFrame, test_share: float, seed: int = 0) -> Split:
    """Hold out the newest share of all interactions."""
    order = np.lexsort((_chance(len(interactions), seed), interactions["timestamp"].to_numpy()))
    held_out = np.zeros(len(interactions), np.bool_)
    held_out[order[len(order) - round(test_share * len(order)) :]] = True
    return _apart(interactions, held_out)


def last_by_time_split(interactions: pd.DataFrame, test_share: float, seed: int = 0) -> Split:
    """Hold out the newest share of each user's interactions, rounded down."""
    users = pd.factorize(interactions["user_id"])[0]
    order = np.lexsort((_chance(len(interactions), seed), interactions["timestamp"].to_numpy(), users))
    counts = np.bincount(users)
    ends = np.cumsum(counts)[users[order]]
    kept = np.floor(counts * test_share)[users[order]]
    held_out = np.zeros(len(interactions), np.bool_)
    held_out[order] = np.arange(len(order)) >= ends - kept
    return _apart(interactions, held_out)


def _chance(n: int, seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).random(n)


def _apart(interactions: pd.DataFrame, held_out: NDArray[np.bool_]) -> Split:
    return interactions[~held_out], interactions[held_out]
