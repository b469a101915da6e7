"""Tuning of cold start for users: how much of what is liked on average goes with what their features tell.

Users of the hold-out who have features are ranked for as if nothing else were known of them, and everything that they
like is to be found.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.models.mixture import SHARES, ndcg_of
from recommender.serving.snapshot import Snapshot
from recommender.training.history_choices import HistoryChoices
from recommender.training.history_parts import (
    HistoryParts,
    liked_pairs,
    mean_history,
    score_strangers,
    users_with_features,
    weights_of,
)

FEWEST = 50
"""Users who have to have features: fewer teach nothing."""


def learn_mean_history(
    snapshot: Snapshot,
    users: NDArray[np.float32],
    parts: HistoryParts,
    choices: HistoryChoices,
    held_out: sparse.csr_matrix,
) -> HistoryChoices:
    """Choices with how much the mean history counts for whoever has features and no history.

    Parameters
    ----------
    snapshot
        Of LightFM's part alone.
    users
        Vectors of the users of its histories, shape (n_users, d).
    parts
        Fitted to its histories.
    choices
        By which they are weighed.
    held_out
        Users by known items, beyond these histories.

    Returns
    -------
    The same choices where fewer than `FEWEST` users have features.
    """
    rows = users_with_features(snapshot)
    if len(rows) < FEWEST:
        return choices
    mean = mean_history(snapshot.liked(), parts, weights_of(snapshot, users, parts, choices))
    by_features = score_strangers(snapshot, rows)
    liked = (liked_pairs(snapshot.liked(), held_out.shape[1]) + held_out).tocsr()[rows]
    in_scale = float(by_features.std(axis=1).mean()) / float(mean.std() or 1.0)
    nothing_known = sparse.csr_matrix(liked.shape, dtype=np.float32)

    def reached(share: float) -> float:
        return float(ndcg_of(lambda at: by_features[at] + share * in_scale * mean, nothing_known, liked).mean())

    return msgspec.structs.replace(choices, mean_history=max(SHARES, key=reached))
