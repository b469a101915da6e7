"""Histories: what each user has interacted with, as rows that grow with the model.

Users and items are numbered as the model numbers them, which never changes: a history of one version is the
beginning of that of the next.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recommender.ids import UNKNOWN
from recommender.model import LFMRecommender
from recommender.snapshot import Rows

NO_HISTORIES = Rows(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))


def histories(model: LFMRecommender, interactions: pd.DataFrame) -> Rows:
    """Items of each known user in order of time, each once; ties in time are broken by chance."""
    return extended(NO_HISTORIES, model, interactions)


def extended(old: Rows, model: LFMRecommender, interactions: pd.DataFrame, forgotten: Collection[str] = ()) -> Rows:
    """Histories with newer interactions behind the older ones; an item that was there keeps its place.

    Parameters
    ----------
    old
        Of the users that the model had, in its order.
    model
        Grown by `interactions`.
    interactions
        ``user_id``, ``item_id``, ``timestamp``. Those with an item that the model does not know are left out.
    forgotten
        Users whose old rows are dropped.
    """
    users, items = _sorted_pairs(model, interactions)
    n_users, n_items = len(model.users.ids), len(model.items.ids)
    lengths = np.zeros(n_users, np.int64)
    lengths[: len(old.indptr) - 1] = np.diff(old.indptr)
    owners = np.repeat(np.arange(n_users), lengths)
    kept = ~np.isin(owners, model.users.ids.indices_of(list(forgotten)))
    owners, there = owners[kept], old.indices[kept]
    touched = np.isin(owners, users)
    known = owners[touched] * n_items + there[touched]
    # the first of each pair counts, and only those that were not there
    codes, first = np.unique(users * n_items + items, return_index=True)
    fresh = np.sort(first[~np.isin(codes, known)])
    owners, indices = np.concatenate([owners, users[fresh]]), np.concatenate([there, items[fresh]])
    order = np.argsort(owners, kind="stable")
    indptr = np.zeros(n_users + 1, np.int64)
    np.cumsum(np.bincount(owners, minlength=n_users), out=indptr[1:])
    return Rows(indptr, indices[order].astype(np.int32), np.zeros(0, np.float32))


def pairs_of(rows: Rows, users: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """User and item index of every pair in the histories of some users."""
    lengths = rows.indptr[users + 1] - rows.indptr[users]
    inside = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.repeat(users, lengths), rows.indices[np.repeat(rows.indptr[users], lengths) + inside]


def sampled(rows: Rows, n: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """User and item index of `n` pairs at random, or of all when there are fewer; each at most once."""
    chance = np.random.default_rng(seed)
    places = np.sort(chance.choice(len(rows.indices), min(n, len(rows.indices)), replace=False, shuffle=False))
    return np.searchsorted(rows.indptr, places, side="right") - 1, rows.indices[places]


def _sorted_pairs(model: LFMRecommender, interactions: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    users = model.users.ids.indices_of(interactions["user_id"].tolist())
    items = model.items.ids.indices_of(interactions["item_id"].tolist())
    # ties in time are broken by chance: many logs are sorted by item within a second
    chance = np.random.default_rng(0).random(len(users))
    order = np.lexsort((chance, interactions["timestamp"].to_numpy(), users))
    order = order[(users[order] != UNKNOWN) & (items[order] != UNKNOWN)]
    return users[order].astype(np.int64), items[order].astype(np.int64)
