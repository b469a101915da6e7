"""Vector regression: what the columns of dense vectors predict of indicators.

An indicator holds all that LightFM has learned of one user or item beyond their features. Ridge regression of the
indicators on the columns of vectors splits each into what its vector predicts and a rest. These columns are features of
the model like all others then, which new users and items have too, and cost nothing in training: while LightFM trains,
what vectors predict stands in the indicators, for dense rows would make each of its steps many times as dear.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.models.entities import Entities

Side = Literal["user", "item"]
Floats = NDArray[np.float64]

PENALTIES = np.logspace(-1, 5, 13)
"""Of the ridge regression, from which generalised cross-validation chooses."""
TRUSTED_FROM = 10.0
"""Interactions at which an indicator counts half of what it counts with many."""


class Regression(NamedTuple):
    """Linear map that ridge regression found."""

    weights: Floats
    """Shape (n_columns, n_targets)."""
    penalty: float


@contextmanager
def regressed_parts_in_indicators(model: Any) -> Iterator[None]:
    """Have the indicators of a model hold what vectors predict, as long as it trains.

    Parameters
    ----------
    model
        `LFMRecommender`, untrained or trained.
    """
    sides: list[tuple[Side, Entities]] = [("user", model.users), ("item", model.items)]
    regressed = [(what, side) for what, side in sides if len(side.regressed)]
    kept = [_embeddings(model, what, side) for what, side in regressed]
    for what, side in regressed:
        _add_to_indicators(model, what, side, 1)
    try:
        yield
    finally:
        for (what, side), (columns, vectors, biases) in zip(regressed, kept, strict=True):
            # regularisation shrinks every row of the tables
            getattr(model, f"{what}_embeddings")[columns] = vectors
            getattr(model, f"{what}_biases")[columns] = biases
            _add_to_indicators(model, what, side, -1)


def regress_indicators(model: Any, what: Side, counts: NDArray[np.integer]) -> float | None:
    """Set the embeddings of a side's regressed columns, and take what they predict from its indicators.

    Parameters
    ----------
    model
        `LFMRecommender` whose tables have rows for these columns.
    what
        Side, which has indicators.
    counts
        Interactions of each known id: what was learned of one with few is trusted less.

    Returns
    -------
    Penalty of the vectors; None where no id has such a column.
    """
    side: Entities = getattr(model, f"{what}s")
    embeddings, biases = getattr(model, f"{what}_embeddings"), getattr(model, f"{what}_biases")
    columns, own = side.feature_columns[side.regressed], side.indicator_columns
    embeddings[columns], biases[columns] = 0, 0
    features = side.features[:, side.regressed]
    there = np.flatnonzero(np.diff(features.indptr))
    if not len(there):
        return None
    rows, trust = features[there].toarray().astype(np.float64), counts[there] / (counts[there] + TRUSTED_FROM)
    found = ridge(rows, embeddings[own[there]], trust)
    embeddings[columns] = found.weights
    biases[columns] = ridge(rows, biases[own[there], None], trust).weights[:, 0]
    _add_to_indicators(model, what, side, -1)
    return found.penalty


def ridge(rows: Floats, targets: NDArray[np.floating], trust: Floats) -> Regression:
    """Weighted ridge regression with the penalty of the least generalised cross-validation error.

    Parameters
    ----------
    rows
        Shape (n, n_columns). What does not vary, as a column of ones, is not shrunk.
    targets
        Shape (n, n_targets).
    trust
        Weight of each row, shape (n,).

    Notes
    -----
    With eigenvalues s of the weighted Gram matrix and its share c of the moments, the penalty p leaves the residual
    ``t - sum c^2 (s + 2p) / (s + p)^2`` at ``1 + sum s / (s + p)`` degrees of freedom [1]_.

    References
    ----------
    .. [1] G. Golub, M. Heath, G. Wahba, Generalized Cross-Validation as a Method for Choosing a Good Ridge Parameter,
       1979.
    """
    weights = trust / max(float(trust.mean()), 1e-12)
    total = max(float(weights.sum()), 1e-12)
    constant = rows.std(axis=0) < 1e-9
    mean, level = weights @ rows / total, weights @ targets / total
    centred, wanted = rows - mean, targets - level
    eigenvalues, axes = np.linalg.eigh((centred * weights[:, None]).T @ centred)
    eigenvalues = np.maximum(eigenvalues, 0)
    moments = axes.T @ ((centred * weights[:, None]).T @ wanted)
    penalty = _least_error(eigenvalues, (moments**2).sum(axis=1), float(weights @ (wanted**2).sum(axis=1)), len(rows))
    slopes = axes @ (moments / (eigenvalues + penalty)[:, None])
    slopes[constant] = 0
    if constant.any():  # what is there without any component
        slopes[np.flatnonzero(constant)[0]] = (level - mean @ slopes) / rows[0, constant][0]
    return Regression(slopes, penalty)


def _least_error(eigenvalues: Floats, shares: Floats, spread: float, n: int) -> float:
    """Penalty of the least generalised cross-validation error."""

    def error(penalty: float) -> float:
        shrunk = eigenvalues + penalty
        residual = spread - float((shares * (eigenvalues + 2 * penalty) / shrunk**2).sum())
        freedom = 1 - min((1 + float((eigenvalues / shrunk).sum())) / n, 0.99)
        return max(residual, 0.0) / freedom**2

    return float(min(PENALTIES, key=error))


def _embeddings(model: Any, what: Side, side: Entities) -> tuple[NDArray[np.int32], Any, Any]:
    """Regressed columns of a side and copies of their rows in the tables."""
    columns = side.feature_columns[side.regressed]
    return columns, getattr(model, f"{what}_embeddings")[columns], getattr(model, f"{what}_biases")[columns]


def _add_to_indicators(model: Any, what: Side, side: Entities, sign: int) -> None:
    """Add to the indicator of each id, or take from it, what its vectors predict."""
    _, vectors, biases = _embeddings(model, what, side)
    rows = sparse.csr_matrix(side.features[:, side.regressed])
    getattr(model, f"{what}_embeddings")[side.indicator_columns] += sign * (rows @ vectors)
    getattr(model, f"{what}_biases")[side.indicator_columns] += sign * (rows @ biases)
