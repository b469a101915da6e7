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
from recommender.models.lightfm_recommender import LFMRecommender
from recommender.serving.snapshot import Rows

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
    n_users, n_items = len(model.users.ids), len(model.items.ids)
    there = _without(_lengthened(old, n_users), model.users.ids.indices_of(list(forgotten)))
    users, items = _sorted_pairs(model, interactions)
    # the first of each pair counts, and only those that were not there
    codes, first = np.unique(users * n_items + items, return_index=True)
    owners, known = pairs_of(there, np.unique(users))
    fresh = np.sort(first[~np.isin(codes, owners * n_items + known)])
    users, items = users[fresh], items[fresh]
    # one pass over what was there: it is not sorted again, only moved aside
    indices = np.insert(there.indices, there.indptr[users + 1], items.astype(np.int32))
    added = np.cumsum(np.bincount(users, minlength=n_users))
    return _rows(there.indptr + np.append(0, added), indices)


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


def _lengthened(rows: Rows, n: int) -> Rows:
    """Same rows and empty ones, `n` in all."""
    return _rows(np.pad(rows.indptr, (0, n + 1 - len(rows.indptr)), mode="edge"), rows.indices)


def _without(rows: Rows, emptied: NDArray[np.int32]) -> Rows:
    """Same rows, those of some users empty; -1 is nobody."""
    users = np.unique(emptied[emptied != UNKNOWN])
    if not len(users):
        return rows
    lengths = np.diff(rows.indptr)
    gone = np.zeros(len(lengths), np.bool_)
    gone[users] = True
    indptr = np.append(0, np.cumsum(np.where(gone, 0, lengths)))
    return _rows(indptr, rows.indices[~np.repeat(gone, lengths)])


def _rows(indptr: NDArray[np.int64], indices: NDArray[np.int32]) -> Rows:
    return Rows(indptr, indices, np.zeros(0, np.float32))


def _sorted_pairs(model: LFMRecommender, interactions: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    users = model.users.ids.indices_of(interactions["user_id"])
    items = model.items.ids.indices_of(interactions["item_id"])
    order = _by_user_and_time(users, interactions["timestamp"].to_numpy())
    order = order[(users[order] != UNKNOWN) & (items[order] != UNKNOWN)]
    return users[order].astype(np.int64), items[order].astype(np.int64)


def _by_user_and_time(users: NDArray[np.int32], timestamps: NDArray[np.float64]) -> NDArray[np.int64]:
    """What sorts by user, then by time, then by chance: many logs are sorted by item within a second."""
    # most logs are nearly in order of time, which this sort makes use of, and only ties need chance
    order = np.argsort(timestamps, kind="stable")
    times = timestamps[order]
    same = times[1:] == times[:-1]
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
    chance = np.random.default_rng(0).random(len(tied))
    order[tied] = order[tied[np.argsort(np.append(0, np.cumsum(~same))[tied] + chance, kind="stable")]]
    halves = users[order].astype(np.uint32)
    # numpy sorts 16 bits by counting, and 32 by comparing
    return order[np.lexsort((halves.astype(np.uint16), (halves >> 16).astype(np.uint16)))]
