"""Dense vectors in training: their columns join after LightFM has learned, and are regressed on what it learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from recommender.dense_vectors.packing import Vector
from recommender.dense_vectors.projection import MOST_COMPONENTS, VectorProjection, fit_projection, spread_evenly
from recommender.feature_space import Features, FeatureSpace
from recommender.models.entities import Entities
from recommender.models.lightfm_recommender import LFMRecommender
from recommender.models.vector_regression import TRUSTED_FROM, Side, ridge
from recommender.serving.snapshot import Rows
from recommender.sparse_frame import SparseFrame
from recommender.training.cold_start import PENALTY

MOST_DIRECTIONS = 512
"""Principal components of a vector that are looked at."""
MOST_REDUCED = 50_000
"""Users or items by whom long vectors are reduced."""
LEAST_SIZE = 1e-4
"""Share of the largest direction below which another says nothing."""

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
    vectors = space.new_vectors(records)
    if not vectors:
        return space
    own = side.indicator_columns
    indicators = np.column_stack([getattr(model, f"{what}_embeddings")[own], getattr(model, f"{what}_biases")[own]])
    widened = space.with_projections({name: project(found, indicators, counts) for name, found in vectors.items()})
    frame = SparseFrame(ids, widened.names, widened.encode_many(records))
    factors = model.learn_vectors(what, frame, counts, PENALTY)
    return widened.rescaled(len(space), factors)


def project(
    vectors: Sequence[tuple[int, Vector]], indicators: NDArray[np.float32], counts: NDArray[np.int64]
) -> VectorProjection:
    """Components of vectors: of long ones those directions that predict the most of the indicators.

    Parameters
    ----------
    vectors
        With the row of each in `indicators` and `counts`.
    """
    projection = fit_projection([vector for _, vector in vectors], MOST_DIRECTIONS)
    if projection.axes.shape[1] <= MOST_COMPONENTS:
        return projection
    some = spread_evenly(vectors, MOST_REDUCED)
    places = np.array([place for place, _ in some])
    rows = projection.weights([vector for _, vector in some])[:, 1:].astype(np.float64)
    slopes = ridge(rows, indicators[places], counts[places] / (counts[places] + TRUSTED_FROM)).weights
    # of what is predicted, and not of the slopes: a direction in which vectors hardly differ predicts little
    spreads = rows.std(axis=0)
    directions, sizes, _ = np.linalg.svd(spreads[:, None] * slopes, full_matrices=False)
    kept = min(MOST_COMPONENTS, int((sizes > LEAST_SIZE * sizes[0]).sum())) if sizes[0] > 0 else 0
    if not kept:
        return fit_projection([vector for _, vector in vectors])
    # each component has its share in the prediction as its spread, as principal components have theirs
    axes = directions[:, :kept] / spreads[:, None] * sizes[:kept] / np.sqrt((sizes[:kept] ** 2).mean())
    return projection.turned(axes)
