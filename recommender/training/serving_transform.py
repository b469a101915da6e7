"""Settling: what was trained is laid out as it serves best, and what is trained on keeps its own.

* Trained user rows move towards what their histories say: a row that was trained on few interactions says
  less than these folded in, and even a well trained one is better with the newest beside it.
* History components join the factors (`recommender.training.ease_components`).
* Items without an indicator get what their features predict (`recommender.training.cold_start`).

``recommender evaluate`` measures what comes of it, ``history_components: 0`` and ``newcomer_quantile`` what of each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recommender.models.fold_in import fold_in_rows, history_share, with_history_components
from recommender.models.lightfm_recommender import LFMRecommender
from recommender.serving.snapshot import Rows, Snapshot, Table
from recommender.training.cold_start import predict_cold_indicators
from recommender.training.ease_components import of_histories, scaled_components


@dataclass(frozen=True)
class ServingTransform:
    """How a trained model becomes what serves.

    Parameters
    ----------
    history_components
        Components of a user's whole history beside those of LightFM; 0 for none. They need the indicators of
        both sides.
    history_weight
        How far they spread the scores of a user, as a share of LightFM's.
    newcomer_quantile
        Advance of items that nobody has interacted with, see `recommender.training.cold_start`: at 0.5 they wait
        until somebody finds them, near 1 they come first.
    """

    history_components: int = 32
    history_weight: float = 0.3
    newcomer_quantile: float = 0.9


def to_serving(model: LFMRecommender, snapshot: Snapshot, settling: ServingTransform) -> Snapshot:
    """Snapshot as it is to serve.

    Parameters
    ----------
    model
        What the snapshot was built from.
    snapshot
        As `build_snapshot` gave it: with rows as they were trained.
    settling
        How.
    """
    users = model.users.rows() @ model.user_embeddings
    if model.users.has_indicators:
        liked = snapshot.liked()
        snapshot, users = _mixed(snapshot, users, liked)
        if snapshot.n_known_items and settling.history_components:
            snapshot, users = _widened(snapshot, users, liked, settling)
    return predict_cold_indicators(snapshot, users, settling.newcomer_quantile)


def _mixed(snapshot: Snapshot, users: NDArray[np.float32], liked: Rows) -> tuple[Snapshot, NDArray[np.float32]]:
    """User rows mixed with their folded-in histories."""
    folded = fold_in_rows(snapshot.fold_in_weights, snapshot.items.vectors, liked.indptr, liked.indices)
    lengths = np.diff(liked.indptr)
    moves = np.where(lengths > 0, history_share(lengths), 0)[:, None] * (folded - users)
    moved = (snapshot.user_indicators.vectors + moves).astype(np.float32)
    rows = Table(moved, snapshot.user_indicators.biases)
    return replace(snapshot, user_indicators=rows), (users + moves).astype(np.float32)


def _widened(
    snapshot: Snapshot, users: NDArray[np.float32], liked: Rows, settling: ServingTransform
) -> tuple[Snapshot, NDArray[np.float32]]:
    """History components behind those of LightFM.

    Users have theirs less the mean over all, and items have in their bias what the mean user gives them; so that
    whoever has no history is the mean user and not one whom nothing suits.
    """
    n_known = snapshot.n_known_items
    known = Table(snapshot.items.vectors[:n_known], snapshot.items.biases[:n_known])
    items = scaled_components(liked, users, known, settling.history_components, settling.history_weight)
    own = of_histories(items, liked)
    there = np.diff(liked.indptr) > 0
    mean = own[there].mean(axis=0) if there.any() else np.zeros(items.shape[1], np.float32)
    own = np.where(there[:, None], own - mean, 0).astype(np.float32)
    biases = snapshot.items.biases.copy()
    biases[:n_known] += items @ mean
    nothing = np.zeros((snapshot.n_items - n_known, items.shape[1]), np.float32)
    widened = replace(
        snapshot,
        user_features=_wider(snapshot.user_features, items.shape[1]),
        user_indicators=Table(np.hstack([snapshot.user_indicators.vectors, own]), snapshot.user_indicators.biases),
        item_features=_wider(snapshot.item_features, items.shape[1]),
        newcomer_features=_wider(snapshot.newcomer_features, items.shape[1]),
        items=Table(np.hstack([snapshot.items.vectors, np.vstack([items, nothing])]), biases),
        fold_in_weights=with_history_components(snapshot.fold_in_weights, mean),
    )
    return widened, np.hstack([users, own])


def _wider(table: Table, n: int) -> Table:
    return Table(np.pad(table.vectors, ((0, 0), (0, n))), table.biases)
