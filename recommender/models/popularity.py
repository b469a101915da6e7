"""Popularity: the baseline that everyone gets, and what an item's features say of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import lsqr

from recommender.feature_space import Encoded, matrix_of

DAMPING = 1.0


def fit_popularity(features: sparse.csr_matrix, popularity: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights that predict the logarithm of popularity from features.

    Parameters
    ----------
    features
        Shape (n_items, n_features), items seen in training.
    popularity
        float32 of shape (n_items,), at least 0.

    Returns
    -------
    float32 of shape (n_features + 1,), the intercept last.

    Notes
    -----
    Ridge regression of ``log(1 + popularity)``, the intercept not shrunk: it is the mean.
    """
    if not len(popularity):
        return np.zeros(features.shape[1] + 1, np.float32)
    target = np.log1p(popularity.astype(np.float64))
    mean = float(target.mean())
    weights = lsqr(features.astype(np.float64), target - mean, damp=DAMPING)[0]
    return np.append(weights, mean).astype(np.float32)


def predict_popularity(weights: NDArray[np.float32], features: sparse.csr_matrix) -> NDArray[np.float32]:
    """Popularity that features promise, float32 of shape (n_items,), at least 0."""
    logarithm: NDArray[np.float32] = features @ weights[:-1] + weights[-1]
    return np.expm1(np.maximum(logarithm, 0)).astype(np.float32)


def promised_popularities(weights: NDArray[np.float32], features: Sequence[Encoded]) -> NDArray[np.float32]:
    """`predict_popularity` of each item."""
    return predict_popularity(weights, matrix_of(features, len(weights) - 1))
