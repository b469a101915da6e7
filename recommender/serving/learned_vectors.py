"""Learned vectors: dense vectors of known users and items that nobody says now count as they were learned.

What a vector predicts was split from the indicator, which says little without it. A user whose stored features cannot
be read, or of whom a request says something else, is still whom the history has taught.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recommender.feature_space import Encoded, FeatureSpace


class LearnedRows(Protocol):
    """Features of users or items as they were learned, by index."""

    def row(self, index: int) -> NDArray[np.int32]:
        """Columns of one, rising."""
        ...

    def row_weights(self, index: int) -> NDArray[np.float32]:
        """Their weights."""
        ...


def with_learned_vectors(features: Encoded, rows: LearnedRows, index: int, space: FeatureSpace) -> Encoded:
    """Features with the vectors that they lack and that were learned.

    Parameters
    ----------
    features
        Of a known user or item, as they are now.
    rows, index
        Where the same one stands as it was learned.
    space
        Whose columns these are; without vectors there is nothing to do.
    """
    if not space.vectors:
        return features
    columns, weights = rows.row(index), rows.row_weights(index)
    for projection in space.vectors.values():
        if projection.first in features.columns or projection.first not in columns:
            continue
        own = (columns >= projection.first) & (columns < projection.first + len(projection.columns))
        joined = np.concatenate([features.columns, columns[own]])
        order = np.argsort(joined)
        both = np.concatenate([features.weights, weights[own]])
        features = Encoded(joined[order], both[order], features.ignored)
    return features
