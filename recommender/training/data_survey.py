"""Data survey: shares, volumes and cases of what a training has before it, for `DataHealth`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recommender import cases
from recommender.feature_space import Features
from recommender.ids import UNKNOWN
from recommender.serving.snapshot import Snapshot
from recommender.storage.registry.data_health import DataHealth, SideHealth

MOST_FEATURES, MOST_EVENTS, MOST_DAYS = 50, 20, 14
FEWEST_FOR_SHIFT = 50
"""Interactions on either side below which a difference of popularity says nothing."""
NO_EVENT = "none"
DAY_S = 86_400.0


def survey(
    interactions: pd.DataFrame,
    users: Mapping[str, Features],
    items: Mapping[str, Features],
    before: Snapshot | None,
) -> DataHealth:
    """Look at what is new to a training, and at the users and items that it has.

    Parameters
    ----------
    interactions
        New ones: ``user_id``, ``item_id``, ``timestamp``, ``event``.
    users
        Features of their users; of all in a full training.
    items
        Features of the catalogue.
    before
        Snapshot of the version before; None for the first.

    Returns
    -------
    Without `changes`. ``popularity_shift`` is ``0.5 · Σ |p_i - q_i|`` over items, with p of the new interactions and q
    of what `before` has learned.
    """
    timestamps = interactions["timestamp"].to_numpy(np.float64)
    events = interactions["event"].astype(object).where(interactions["event"].notna(), NO_EVENT)
    n = len(interactions)
    return DataHealth(
        interactions=n,
        by_event={str(name): int(count) for name, count in events.value_counts().head(MOST_EVENTS).items()},
        by_day=_by_day(timestamps),
        without_timestamp=_share(np.isnan(timestamps).sum(), n),
        cases={} if before is None else _cases(interactions, users, items, before),
        popularity_shift=None if before is None else _popularity_shift(interactions, before),
        users=_side(users.values(), len(users)),
        items=_side(items.values(), len(items)),
    )


def _by_day(timestamps: NDArray[np.float64]) -> dict[str, int]:
    known = timestamps[np.isfinite(timestamps) & (timestamps > 0) & (timestamps < 253e9)]
    days, counts = np.unique((known // DAY_S).astype(np.int64), return_counts=True)
    named = days.astype("datetime64[D]").astype(str)
    return dict(zip(named[-MOST_DAYS:].tolist(), counts[-MOST_DAYS:].tolist(), strict=True))


def _side(records: Iterable[Features], n: int) -> SideHealth:
    counts: Counter[str] = Counter()
    empty = 0
    for features in records:
        counts.update(features.keys())
        empty += not features
    shares = {name: _share(count, n) for name, count in counts.most_common(MOST_FEATURES)}
    return SideHealth(n, _share(empty, n), shares)


def _cases(
    interactions: pd.DataFrame, users: Mapping[str, Features], items: Mapping[str, Features], before: Snapshot
) -> dict[str, float]:
    """Share of the interactions by what the version before knew of user and item."""
    user_codes, user_ids = pd.factorize(interactions["user_id"])
    item_codes, item_ids = pd.factorize(interactions["item_id"])
    known_users = _known_users(before, list(user_ids))
    found = before.item_ids.indices_of(list(item_ids))
    known_items = (found != UNKNOWN) & (found < before.n_known_items)
    rows = cases.item_blocks(known_users, np.array([bool(users.get(each)) for each in user_ids], np.bool_))
    blocks = cases.item_blocks(known_items, np.array([bool(items.get(each)) for each in item_ids], np.bool_))
    codes, counts = np.unique(4 * blocks[item_codes].astype(np.int64) + rows[user_codes], return_counts=True)
    return {cases.NUMERALS[code]: _share(count, len(interactions)) for code, count in zip(codes, counts, strict=True)}


def _known_users(before: Snapshot, user_ids: Sequence[str]) -> NDArray[np.bool_]:
    """Whether a snapshot has learned each of some users: `Snapshot.user_index` of many."""
    found = before.user_ids.indices_of(user_ids)
    if not len(before.user_indicators.biases):
        return np.zeros(len(found), np.bool_)
    known: NDArray[np.bool_] = (found != UNKNOWN) & (np.diff(before.seen.indptr)[found] > 0)
    return known


def _popularity_shift(interactions: pd.DataFrame, before: Snapshot) -> float | None:
    learned = np.bincount(before.seen.indices, minlength=before.n_items).astype(np.float64)
    if len(interactions) < FEWEST_FOR_SHIFT or learned.sum() < FEWEST_FOR_SHIFT:
        return None
    found = before.item_ids.indices_of(interactions["item_id"].astype(object))
    new = np.bincount(found[found != UNKNOWN], minlength=before.n_items) / len(interactions)
    strangers = float((found == UNKNOWN).mean())
    return round(float(0.5 * (np.abs(new - learned / learned.sum()).sum() + strangers)), 4)


def _share(part: float, whole: int) -> float:
    return round(float(part) / whole, 4) if whole else 0.0
