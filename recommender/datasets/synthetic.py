"""Synthetic worlds: random data sets whose best answers are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recommender.datasets.dataset import Dataset
from recommender.errors import InvalidDataError

ARGUMENTS: Mapping[str, Callable[[str], str | int | float]] = {
    "kind": str,
    "n_users": int,
    "n_items": int,
    "n_interactions_per_user": int,
    "n_groups": int,
    "noise": float,
    "seed": int,
}
"""Arguments of `make`, and how each is read from text."""

KINDS = ("taste_groups", "checkerboard")
START_S = 1_700_000_000.0


def make(
    kind: str = "taste_groups",
    n_users: int = 1000,
    n_items: int = 500,
    n_interactions_per_user: int = 20,
    n_groups: int = 4,
    noise: float = 0.0,
    seed: int = 0,
) -> Dataset:
    """Make a world in which everybody likes the items of their own group.

    Users are ``u0``, ``u1``, … and items ``i0``, ``i1``, …. Both have the features ``group`` (``g0`` …),
    ``number`` (0 to 99, says nothing of taste) and ``tags`` (a list; its first member is the group).

    Parameters
    ----------
    kind
        ``taste_groups``: user u is of group u modulo `n_groups`, and item i of group i modulo `n_groups`.
        ``checkerboard``: the same with two groups, whatever `n_groups` is: user u likes item i if and only
        if u + i is even.
    n_users, n_items
        Sizes.
    n_interactions_per_user
        Draws of each user. The first items of a group are drawn more often, so that some are popular; a
        pair drawn again counts once, so that a user has a little less.
    n_groups
        Groups of taste.
    noise
        Share of the interactions with an item of any group instead.
    seed
        Of the random draws.

    Raises
    ------
    InvalidDataError
        A size is not positive, a kind unknown, the noise not a share.
    """
    if kind not in KINDS:
        raise InvalidDataError(f"kind is {kind!r}; there are {', '.join(KINDS)}")
    groups = 2 if kind == "checkerboard" else n_groups
    if min(n_users, n_interactions_per_user, groups) < 1 or n_items < groups or not 0 <= noise <= 1 or seed < 0:
        raise InvalidDataError(
            "sizes are at least 1, n_items at least n_groups, noise is between 0 and 1 and seed not negative"
        )
    users, items = _pairs(n_users, n_items, n_interactions_per_user, groups, noise, seed)
    user_ids, item_ids = _labels("u", n_users), _labels("i", n_items)
    interactions = pd.DataFrame(
        {
            "user_id": user_ids.take(users),
            "item_id": item_ids.take(items),
            "weight": np.ones(len(users), np.float32),
            "timestamp": START_S + np.arange(len(users), dtype=np.float64),
        }
    )
    return Dataset(
        interactions,
        _entities(user_ids.rename("user_id"), groups),
        _entities(item_ids.rename("item_id"), groups).assign(title=_labels("Item ", n_items)),
    )


def _pairs(
    n_users: int, n_items: int, each: int, groups: int, noise: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Users and items of the interactions, no pair twice, in random order."""
    random = np.random.default_rng(seed)
    users = random.permutation(np.repeat(np.arange(n_users), each))
    in_group = -(-(n_items - users % groups) // groups)
    # the square of a uniform number prefers the first items of a group
    rank = (random.random(len(users)) ** 2 * in_group).astype(np.int64)
    items = rank * groups + users % groups
    stray = random.random(len(users)) < noise
    items[stray] = random.integers(0, n_items, int(stray.sum()))
    first = np.sort(np.unique(users * n_items + items, return_index=True)[1])
    return users[first], items[first]


def _entities(ids: pd.Index[str], groups: int) -> pd.DataFrame:
    numbers = np.arange(len(ids))
    group = numbers % groups
    tags = np.empty(groups, object)
    tags[:] = [[f"g{each}", f"half-{each % 2}"] for each in range(groups)]
    return pd.DataFrame(
        {"group": _labels("g", groups).take(group), "number": numbers % 100, "tags": tags[group]}, index=ids
    )


def _labels(prefix: str, n: int) -> pd.Index[str]:
    return pd.Index([f"{prefix}{number}" for number in range(n)], dtype=str)
