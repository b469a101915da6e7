"""Dense vectors in training: their columns join after LightFM has learned, and are regressed on what it learned."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from recommender.feature_space import Features, FeatureSpace
from recommender.models.entities import Entities
from recommender.models.lightfm_recommender import LFMRecommender
from recommender.models.vector_regression import Side
from recommender.serving.snapshot import Rows
from recommender.sparse_frame import SparseFrame
from recommender.training.cold_start import PENALTY

Spaces = tuple[FeatureSpace, FeatureSpace]


def learn_vectors(
    model: LFMRecommender,
    spaces: Spaces,
    features: tuple[Mapping[str, Features], Mapping[str, Features]],
    histories: Rows,
) -> Spaces:
    """Have a trained model learn what dense vectors say of users and items.

    Parameters
    ----------
    model
        Trained without them; it is changed. A side without indicators learns nothing of vectors, for all that LightFM
        knows of it lies in its features.
    spaces
        Of users and of items, in which the model was trained.
    features
        By user id and by item id.
    histories
        What each user of the model has interacted with.

    Returns
    -------
    The two spaces, with columns for vectors where there are any.
    """
    of_users, of_items = features
    each_user = np.diff(histories.indptr)
    each_item = np.bincount(histories.indices, minlength=len(model.items.ids))
    users = _learned(model, "user", spaces[0], of_users, each_user)
    return users, _learned(model, "item", spaces[1], of_items, each_item)


def _learned(
    model: LFMRecommender,
    what: Side,
    space: FeatureSpace,
    features: Mapping[str, Features],
    counts: NDArray[np.int64],
) -> FeatureSpace:
    side: Entities = model.users if what == "user" else model.items
    if not side.has_indicators:
        return space
    ids = list(side.ids)
    records = [features.get(each, {}) for each in ids]
    widened = space.with_projections(records)
    if len(widened) == len(space):
        return space
    frame = SparseFrame(ids, widened.names, widened.encode_many(records))
    factors = model.learn_vectors(what, frame, counts, PENALTY)
    return widened.rescaled(len(space), factors)
