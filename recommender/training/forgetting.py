"""Retention by age: which interactions, users and items a full training forgets, so that what is kept has a bound.

Who and what is forgotten is a stranger from then on, and may come back as anybody new does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

DAY_S = 86_400.0


@dataclass(frozen=True)
class ForgetSettings:
    """Days after which a full training forgets; None: it never does.

    Parameters
    ----------
    users_idle_days
        Without an interaction of a user. Their interactions are forgotten; their features too, where these have not
        changed for as long.
    items_gone_days
        Since an item was made unavailable; where the catalogue has no word of it, since the last interaction with it.
    interactions_older_than_days
        Of an interaction's timestamp.
    """

    users_idle_days: float | None = None
    items_gone_days: float | None = None
    interactions_older_than_days: float | None = None


@dataclass(frozen=True)
class StoredRecords:
    """When users and items of the store last changed, in seconds since the epoch.

    Parameters
    ----------
    users
        All of them.
    withdrawn
        Items that are not available.
    items
        Ids of all items.
    deleted
        Ids of items that were deleted.
    """

    users: Mapping[str, float] = field(default_factory=dict)
    withdrawn: Mapping[str, float] = field(default_factory=dict)
    items: Collection[str] = ()
    deleted: Collection[str] = ()


@dataclass(frozen=True)
class Remembered:
    """What a full training keeps, and what is to leave the store.

    Parameters
    ----------
    interactions
        Those that are kept.
    users, items
        Records that are forgotten, by when they last changed.
    """

    interactions: pd.DataFrame
    users: Mapping[str, float] = field(default_factory=dict)
    items: Mapping[str, float] = field(default_factory=dict)


def remember(interactions: pd.DataFrame, records: StoredRecords, settings: ForgetSettings, now: float) -> Remembered:
    """Keep what is not to be forgotten.

    Parameters
    ----------
    interactions
        ``user_id``, ``item_id``, ``timestamp``. One without a time never grows old, and its user is never idle.
    records
        What the store has.
    settings
        When to forget.
    now
        Seconds since the epoch.
    """
    timestamps = interactions["timestamp"].to_numpy()
    ids = interactions["item_id"]
    forgotten = ids.isin(list(records.deleted)).to_numpy(np.bool_, copy=True)
    users: dict[str, float] = {}
    items: dict[str, float] = {}
    if settings.interactions_older_than_days is not None:
        forgotten |= timestamps < now - settings.interactions_older_than_days * DAY_S
    if settings.users_idle_days is not None:
        before = now - settings.users_idle_days * DAY_S
        active, idle = _split_by_newest(interactions["user_id"], timestamps, before)
        users = _unchanged_since(records.users, before, active)
        forgotten |= idle
    if settings.items_gone_days is not None:
        before = now - settings.items_gone_days * DAY_S
        items = _unchanged_since(records.withdrawn, before)
        forgotten |= _is_gone(ids, timestamps, before, items, records.items)
    kept = interactions[~forgotten] if forgotten.any() else interactions
    return Remembered(kept, users, items)


def _is_gone(
    ids: pd.Series[str],
    timestamps: NDArray[np.float64],
    before: float,
    withdrawn: Collection[str],
    catalogue: Collection[str],
) -> NDArray[np.bool_]:
    """Whether the item of each interaction was withdrawn, or is not in the catalogue and old."""
    _, idle = _split_by_newest(ids, timestamps, before)
    gone: NDArray[np.bool_] = ids.isin(list(withdrawn)).to_numpy()
    if idle.any():
        gone = gone | (idle & ~ids.isin(list(catalogue)).to_numpy())
    return gone


def _split_by_newest(
    ids: pd.Series[str], timestamps: NDArray[np.float64], before: float
) -> tuple[pd.Index[str], NDArray[np.bool_]]:
    """Ids whose newest time is not before a time, and for each row whether its id is none of these."""
    codes, distinct = pd.factorize(ids)
    newest = np.full(len(distinct), -np.inf)
    np.maximum.at(newest, codes, np.where(np.isnan(timestamps), np.inf, timestamps))
    idle = newest < before
    return pd.Index(distinct[~idle]), idle[codes]


def _unchanged_since(
    changed_at: Mapping[str, float], before: float, but: pd.Index[str] | None = None
) -> dict[str, float]:
    old = pd.Series({each: at for each, at in changed_at.items() if at < before}, dtype=np.float64)
    kept = old if but is None else old[~old.index.isin(but)]
    return dict(zip(kept.index.tolist(), kept.tolist(), strict=True))
