"""Worlds with a known answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recommender.dataset import Dataset
from recommender.errors import InvalidDataError

ARGUMENTS: Mapping[str, Callable[[str], Any]] = {
    "kind": str,
    "n_users": int,
    "n_items": int,
    "n_interactions_per_user": int,
    "n_groups": int,
    "noise": float,
    "seed": int,
}
KINDS = ("taste_groups", "checkerboard")
START = 1_700_000_000.0


def make(
    kind: str = "taste_groups",
    n_users: int = 1000,
    n_items: int = 500,
    n_interactions_per_user: int = 20,
    n_groups: int = 4,
    noise: float = 0.1,
    seed: int = 0,
) -> Dataset:
    """Make a world.

    Parameters
    ----------
    kind
        ``taste_groups``: user u and item i belong to the groups u and i modulo `n_groups`, and a user
        interacts with items of their own group, the first ones more often. ``checkerboard``: the same
        with two groups: user u likes item i when u + i is even.
    n_users, n_items, n_interactions_per_user
        Sizes; a repeated pair is kept once, so that users may have a little less.
    n_groups
        Groups of taste.
    noise
        Share of interactions with any item instead.
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
    if min(n_users, n_interactions_per_user, groups) < 1 or n_items < groups or not 0 <= noise <= 1:
        raise InvalidDataError("sizes are at least 1, n_items at least n_groups, and noise is between 0 and 1")
    users, items = _pairs(n_users, n_items, n_interactions_per_user, groups, noise, seed)
    interactions = pd.DataFrame(
        {
            "user_id": np.char.add("u", users.astype(str)),
            "item_id": np.char.add("i", items.astype(str)),
            "weight": np.ones(len(users), np.float32),
            "timestamp": START + np.arange(len(users), dtype=np.float64),
        }
    )
    return Dataset(interactions, _entities("u", "user_id", n_users, groups), _entities("i", "item_id", n_items, groups))


def _pairs(
    n_users: int, n_items: int, each: int, groups: int, noise: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    users = random.permutation(np.repeat(np.arange(n_users), each))
    in_group = -(-(n_items - users % groups) // groups)
    # the square of a uniform number prefers the first items of a group, so that some are popular
    rank = (random.random(len(users)) ** 2 * in_group).astype(np.int64)
    items = rank * groups + users % groups
    stray = random.random(len(users)) < noise
    items[stray] = random.integers(0, n_items, int(stray.sum()))
    pairs = users.astype(np.int64) * n_items + items
    first = np.sort(np.unique(pairs, return_index=True)[1])
    return users[first], items[first]


def _entities(letter: str, name: str, n: int, groups: int) -> pd.DataFrame:
    numbers = np.arange(n)
    group = np.char.add("g", (numbers % groups).astype(str))
    ids = pd.Index(np.char.add(letter, numbers.astype(str)), name=name)
    frame = pd.DataFrame({"group": group, "number": numbers % 100}, index=ids)
    if letter == "i":
        frame["title"] = np.char.add("Item ", numbers.astype(str))
        tags = [[f"g{index}", f"half-{index % 2}"] for index in range(groups)]
        frame["tags"] = [tags[index % groups] for index in range(n)]
    return frame
