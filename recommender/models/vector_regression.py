"""Vector regression: what the columns of dense vectors predict of indicators.

An indicator holds all that LightFM has learned of one user or item beyond their features. Ridge regression of the
indicators on the columns of vectors splits each into what its vector predicts and a rest. These columns are features of
the model like all others then, which new users and items have too, and cost nothing in training: while LightFM trains,
what vectors predict stands in the indicators, for dense rows would make each of its steps many times as dear.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from operator import itemgetter
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.models.entities import Entities

Side = Literal["user", "item"]
Floats = NDArray[np.float64]

PENALTIES = np.logspace(-1, 6, 15)
"""Of the ridge regression, from which generalised cross-validation chooses."""
WHITENINGS = (0.0, 0.5, 1.0)
"""How far columns are brought to one variance, the same: 0 leaves them as they are, 1 makes all alike."""
TRUSTED_FROM = 10.0
"""Interactions at which an indicator counts half of what it counts with many."""
MOST_FREEDOM = 0.5
"""Degrees of freedom that a penalty may leave, as a share of the rows."""
LEAST_SPREAD = 1e-9
"""Standard deviation of a column below which it does not vary."""


class Regression(NamedTuple):
    """Linear map that ridge regression found."""

    weights: Floats
    """Shape (n_columns, n_targets)."""
    penalty: float
    scales: Floats
    """What each column was multiplied by before it was penalised, shape (n_columns,)."""


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


def regress_indicators(model: Any, what: Side, counts: NDArray[np.integer], penalty: float) -> NDArray[np.float32]:
    """Set the embeddings of a side's regressed columns, and take what they predict from its indicators.

    Parameters
    ----------
    model
        `LFMRecommender` whose tables have rows for these columns.
    what
        Side, which has indicators.
    counts
        Interactions of each known id: what was learned of one with few is trusted less.
    penalty
        With which others will regress on these columns.

    Returns
    -------
    Factor of each regressed column, float32: the weights of the side are multiplied by it, so that `penalty` is right
    for them.
    """
    side: Entities = getattr(model, f"{what}s")
    embeddings, biases = getattr(model, f"{what}_embeddings"), getattr(model, f"{what}_biases")
    columns, own = side.feature_columns[side.regressed], side.indicator_columns
    embeddings[columns], biases[columns] = 0, 0
    features = side.features[:, side.regressed]
    there = np.flatnonzero(np.diff(features.indptr))
    rows, trust = features[there].toarray().astype(np.float64), counts[there] / (counts[there] + TRUSTED_FROM)
    found = ridge(rows, embeddings[own[there]], trust)
    factors = np.where(varies(rows), found.scales * np.sqrt(penalty / found.penalty), 1.0)
    embeddings[columns] = found.weights / factors[:, None]
    biases[columns] = ridge(rows, biases[own[there], None], trust).weights[:, 0] / factors
    each = np.ones(len(side.names), np.float32)
    each[side.regressed] = factors
    scaled = replace(side, features=sparse.csr_matrix(side.features @ sparse.diags(each), dtype=np.float32))
    setattr(model, f"{what}s", scaled)
    _add_to_indicators(model, what, scaled, -1)
    return factors.astype(np.float32)


def varies(rows: Floats) -> NDArray[np.bool_]:
    """Which columns vary."""
    found: NDArray[np.bool_] = rows.std(axis=0) > LEAST_SPREAD
    return found


def ridge(rows: Floats, targets: NDArray[np.floating], trust: Floats) -> Regression:
    """Weighted ridge regression, with penalty and whitening of the least generalised cross-validation error.

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
    With eigenvalues s of the weighted Gram matrix and the squared shares c of the moments along its axes, the penalty p
    leaves the residual ``t - sum c (s + 2p) / (s + p)^2`` at ``1 + sum s / (s + p)`` degrees of freedom [1]_.

    References
    ----------
    .. [1] G. Golub, M. Heath, G. Wahba, Generalized Cross-Validation as a Method for Choosing a Good Ridge Parameter,
       1979.
    """
    weights = trust / max(float(trust.mean()), 1e-12)
    total = max(float(weights.sum()), 1e-12)
    mean, level = weights @ rows / total, weights @ targets / total
    centred, wanted = rows - mean, targets - level
    weighted = centred * weights[:, None]
    equations = _Equations(
        weighted.T @ centred, weighted.T @ wanted, float(weights @ (wanted**2).sum(axis=1)), len(rows)
    )
    _, slopes, penalty, scales = min(map(equations.solved, _scales(rows)), key=itemgetter(0))
    constant = np.flatnonzero(~varies(rows))
    if len(constant):  # what is there without any component
        slopes[constant] = 0
        slopes[constant[0]] = (level - mean @ slopes) / rows[0, constant[0]]
    return Regression(slopes, penalty, scales)


def _scales(rows: Floats) -> Iterator[Floats]:
    """What columns may be multiplied by: powers of their spread, so that they have a variance of 1 on average."""
    varying = varies(rows)
    spreads = np.where(varying, rows.std(axis=0), 1.0)
    for whitening in WHITENINGS:
        scales = spreads**-whitening
        size = np.sqrt(((spreads * scales)[varying] ** 2).mean()) if varying.any() else 1.0
        yield np.where(varying, scales / size, 0.0)


class _Equations(NamedTuple):
    """Normal equations of centred rows."""

    gram: Floats
    """Shape (n_columns, n_columns)."""
    moments: Floats
    """Shape (n_columns, n_targets)."""
    spread: float
    """Sum of the squared targets."""
    n_rows: int

    def solved(self, scales: Floats) -> tuple[float, Floats, float, Floats]:
        """Error, slopes, penalty and scales with the best penalty for columns that are multiplied by `scales`."""
        eigenvalues, axes = np.linalg.eigh(self.gram * np.outer(scales, scales))
        eigenvalues = np.maximum(eigenvalues, 0)
        moments = axes.T @ (self.moments * scales[:, None])
        shares = (moments**2).sum(axis=1)
        largest_first = PENALTIES[::-1].tolist()
        error, penalty = min(
            ((_error(each, eigenvalues, shares, self.spread, self.n_rows), each) for each in largest_first),
            key=itemgetter(0),
        )
        slopes = axes @ (moments / (eigenvalues + penalty)[:, None])
        return error, slopes * scales[:, None], penalty, scales


def _error(penalty: float, eigenvalues: Floats, shares: Floats, spread: float, n: int) -> float:
    """Generalised cross-validation error."""
    shrunk = eigenvalues + penalty
    residual = spread - float((shares * (eigenvalues + 2 * penalty) / shrunk**2).sum())
    freedom = (1 + float((eigenvalues / shrunk).sum())) / n
    # with fewer rows than columns both residual and what is left of freedom are rounding
    return max(residual, 0.0) / (1 - freedom) ** 2 if freedom < MOST_FREEDOM else np.inf


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
