"""Settling: what was trained is laid out as it serves best, and what is trained on keeps its own.

* Trained user rows move towards what their histories say: a row that was trained on few interactions says
  less than these folded in, and even a well trained one is better with the newest beside it.
* The parts that are sums over histories join LightFM's (`recommender.training.history_parts`).
* Items without an indicator get what their features predict (`recommender.training.cold_start`).

``recommender evaluate`` measures what comes of it, ``item_item: false`` and ``newcomer_quantile`` what of each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recommender.models.fold_in import fold_in_rows, history_share
from recommender.models.lightfm_recommender import LFMRecommender
from recommender.serving.snapshot import Snapshot, Table
from recommender.training.cold_start import PLAIN, predict_cold_indicators
from recommender.training.history_choices import NewcomerWeights
from recommender.training.history_parts import HistoryParts, with_history_parts


@dataclass(frozen=True)
class ServingTransform:
    """How a trained model becomes what serves.

    Parameters
    ----------
    newcomer_quantile
        Promise of items that nobody has interacted with, see `recommender.training.cold_start`: at 0.5 they wait
        until somebody finds them, near 1 they come first. None: they have the share of the lists that fits the data.
    """

    newcomer_quantile: float | None = None


def to_serving(
    model: LFMRecommender,
    snapshot: Snapshot,
    settling: ServingTransform,
    parts: HistoryParts | None = None,
    newcomers: NewcomerWeights = PLAIN,
) -> Snapshot:
    """Snapshot as it is to serve.

    Parameters
    ----------
    model
        What the snapshot was built from.
    snapshot
        As `build_snapshot` gave it: with rows as they were trained.
    settling
        How.
    parts
        Of the score that are sums over histories, fitted to those of the snapshot; None for LightFM's alone.
    newcomers
        How much each part of the score of an item without interactions counts.
    """
    snapshot, users = with_folded_histories(model, snapshot)
    if parts is not None and snapshot.n_known_items and model.users.has_indicators:
        snapshot, users = with_history_parts(snapshot, users, parts)
    return predict_cold_indicators(snapshot, users, settling.newcomer_quantile, newcomers)


def with_folded_histories(model: LFMRecommender, snapshot: Snapshot) -> tuple[Snapshot, NDArray[np.float32]]:
    """Snapshot with user rows mixed with their folded-in histories, and the vectors of all its users."""
    users = model.users.rows() @ model.user_embeddings
    if not model.users.has_indicators:
        return snapshot, users
    liked = snapshot.liked()
    folded = fold_in_rows(snapshot.fold_in_weights, snapshot.items.vectors, liked.indptr, liked.indices)
    lengths = np.diff(liked.indptr)
    moves = np.where(lengths > 0, history_share(lengths), 0)[:, None] * (folded - users)
    moved = (snapshot.user_indicators.vectors + moves).astype(np.float32)
    rows = Table(moved, snapshot.user_indicators.biases)
    return replace(snapshot, user_indicators=rows), (users + moves).astype(np.float32)
