"""Settling: trained user rows moved towards what their histories say, before they serve.

A row that was trained on few interactions says less than these folded in, and even a well trained one is
better with the newest interactions beside it (``benchmarks/fold_in.py``). What is trained on keeps
its own rows; only the snapshot's are moved.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recommender.foldin import fold_in_rows, history_share
from recommender.model import LFMRecommender
from recommender.snapshot import Snapshot, Table


def settled(model: LFMRecommender, snapshot: Snapshot) -> Snapshot:
    """Snapshot whose user rows are mixed with their folded-in histories.

    Parameters
    ----------
    model
        What the snapshot was built from.
    snapshot
        With rows as they were trained.
    """
    if not model.users.has_indicators:
        return snapshot
    seen = snapshot.seen
    folded = fold_in_rows(snapshot.fold_in_weights, snapshot.items.vectors, seen.indptr, seen.indices)
    trained = model.users.rows() @ model.user_embeddings
    shares = np.where(np.diff(seen.indptr) > 0, history_share(np.diff(seen.indptr)), 0)[:, None]
    moved = snapshot.user_indicators.vectors + shares * (folded - trained)
    return replace(snapshot, user_indicators=Table(moved.astype(np.float32), snapshot.user_indicators.biases))
