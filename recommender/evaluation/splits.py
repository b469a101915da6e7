"""Train-test splits of interactions: random, by time, last of each user, cold items, cold users.

Ties in time are broken by seeded chance: many logs are sorted by item within a second, and then a tie
broken by row or by id decides more than the model does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recommender.errors import InvalidRequestError

Split = tuple[pd.DataFrame, pd.DataFrame]
"""Training and test interactions, each in the order of the source."""


def random_split(interactions: pd.DataFrame, test_share: float, seed: int = 0) -> Split:
    """Hold out a random share of the interactions."""
    chance = np.random.default_rng(seed).permutation(len(interactions))
    return _apart(interactions, chance < _count(test_share, len(interactions)))


def global_time_split(interactions: pd.DataFrame, test_share: float, seed: int = 0) -> Split:
    """Hold out the newest share of all interactions, as if learning had stopped at one moment."""
    order = np.lexsort((_chance(len(interactions), seed), interactions["timestamp"].to_numpy()))
    held_out = np.zeros(len(interactions), np.bool_)
    held_out[order[len(order) - _count(test_share, len(order)) :]] = True
    return _apart(interactions, held_out)


def last_by_time_split(
    interactions: pd.DataFrame, test_share: float | None = None, seed: int = 0, *, n_last: int | None = None
) -> Split:
    """Hold out the newest interactions of each user.

    Parameters
    ----------
    interactions
        ``user_id`` and ``timestamp``, and whatever else is to be kept.
    test_share
        Share of each user's interactions, rounded down: a user with few loses none.
    seed
        Breaks ties in time.
    n_last
        How many instead; each user keeps at least one to learn from.

    Raises
    ------
    InvalidRequestError
        Both or neither of `test_share` and `n_last` are given, or one of them cannot be.
    """
    users, counts = _counted(interactions["user_id"])
    if (test_share is None) == (n_last is None):
        raise InvalidRequestError("give either test_share or n_last")
    if n_last is None:
        # the small addition keeps 0.29 of 100 at 29, which floating point has a little below
        taken = np.floor(counts * _share(test_share or 0.0) + 1e-9).astype(np.int64)
    elif n_last < 1:
        raise InvalidRequestError(f"n_last is {n_last}; it is at least 1")
    else:
        taken = np.minimum(n_last, counts - 1)
    order = np.lexsort((_chance(len(interactions), seed), interactions["timestamp"].to_numpy(), users))
    ends = np.cumsum(counts)[users[order]]
    held_out = np.zeros(len(interactions), np.bool_)
    held_out[order] = np.arange(len(order)) >= ends - taken[users[order]]
    return _apart(interactions, held_out)


def cold_items_split(interactions: pd.DataFrame, test_share: float, seed: int = 0) -> Split:
    """Hold out all interactions of a random share of the items: nobody learns from those."""
    return _cold(interactions, "item_id", test_share, seed)


def cold_users_split(interactions: pd.DataFrame, test_share: float, seed: int = 0) -> Split:
    """Hold out all interactions of a random share of the users: nothing is learned of those."""
    return _cold(interactions, "user_id", test_share, seed)


SPLITS: Mapping[str, Callable[[pd.DataFrame, float, int], Split]] = {
    "random": random_split,
    "last": last_by_time_split,
    "global": global_time_split,
    "cold-items": cold_items_split,
    "cold-users": cold_users_split,
}
"""By the name that the command line has for them."""


def split_pairs(name: str, interactions: pd.DataFrame, test_share: float, seed: int = 0) -> Split:
    """Split of the pairs of a user and an item, by a name of `SPLITS`.

    A pair that is there again and again is one pair, held out as a whole and judged once: split by rows, it would be
    learned and held out, and nobody is recommended what they have. Its time is the first. What repeats a pair after
    the first held-out one, by time, is neither learned from nor judged.
    """
    users, items = (pd.factorize(interactions[column])[0].astype(np.int64) for column in ("user_id", "item_id"))
    pairs = users * (items.max(initial=0) + 1) + items
    in_time = np.argsort(interactions["timestamp"].to_numpy(), kind="stable")
    is_first = np.zeros(len(pairs), np.bool_)
    is_first[in_time[np.unique(pairs[in_time], return_index=True)[1]]] = True
    firsts = interactions[is_first].set_axis(np.flatnonzero(is_first), axis="index")
    held_out = np.zeros(len(pairs), np.bool_)
    held_out[SPLITS[name](firsts, test_share, seed)[1].index] = True
    kept = ~np.isin(pairs, pairs[held_out])
    if name in ("last", "global"):
        by = users if name == "last" else np.zeros_like(users)
        kept &= is_first | (interactions["timestamp"].to_numpy() < _earliest(interactions, held_out, by))
    return interactions[kept], interactions[held_out]


def _earliest(
    interactions: pd.DataFrame, held_out: NDArray[np.bool_], groups: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Time of the first held-out row in the group of each row."""
    earliest = np.full(groups.max(initial=0) + 1, np.inf)
    np.minimum.at(earliest, groups[held_out], interactions["timestamp"].to_numpy()[held_out])
    found: NDArray[np.float64] = earliest[groups]
    return found


def _cold(interactions: pd.DataFrame, column: str, test_share: float, seed: int) -> Split:
    entities, counts = _counted(interactions[column])
    chance = np.random.default_rng(seed).permutation(len(counts))
    return _apart(interactions, (chance < _count(test_share, len(counts)))[entities])


def _counted(ids: pd.Series[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number of each row's id, in order of first appearance, and rows of each number."""
    codes = pd.factorize(ids)[0].astype(np.int64)
    return codes, np.bincount(codes).astype(np.int64)


def _count(share: float, n: int) -> int:
    return round(_share(share) * n)


def _share(share: float) -> float:
    if not 0 <= share <= 1:
        raise InvalidRequestError(f"test_share is {share}; it is between 0 and 1")
    return share


def _chance(n: int, seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).random(n)


def _apart(interactions: pd.DataFrame, held_out: NDArray[np.bool_]) -> Split:
    return interactions[~held_out], interactions[held_out]
