"""Newcomers: items that nobody has interacted with, scored by what their features predict.

A known item is its features and its indicator; a newcomer has no indicator, and scored without one it is an item
that nobody likes, for popularity is what indicators learn first. What it would have is predicted from its
features, by ridge regression over the known items; and what is new gets an advance, so that somebody finds it
(`recommender.training.newcomer_advance`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.models.fold_in import mapped_width
from recommender.serving.snapshot import Rows, Snapshot, Table, append_zero_row
from recommender.training.history_choices import NewcomerWeights
from recommender.training.newcomer_advance import (
    LARGEST_SHARE,
    TIMES_THEIR_SHARE,
    Advance,
    Contest,
    share_of_newcomers,
)
from recommender.training.newcomer_columns import newcomer_columns

PLAIN = NewcomerWeights()
PENALTY = 10.0
MOST_FEATURES = 2_000
"""Features up to which the regression solves a matrix of their square; with more it goes by conjugate gradients."""
MOST_STEPS, TOLERANCE = 50, 1e-3
"""Of the conjugate gradients: steps at most, and the share of the residual at which they stop."""
PRETENDED_SHARE = 0.1
"""Share of the known items that are taken for new ones where the catalogue has none."""


def predict_cold_indicators(
    snapshot: Snapshot,
    users: NDArray[np.float32],
    quantile: float | None,
    weights: NewcomerWeights = PLAIN,
) -> Snapshot:
    """Snapshot whose items without an indicator have what their features predict.

    Parameters
    ----------
    snapshot
        With its known items as they will serve; without any, nothing changes.
    users
        Vectors of the users of its histories, shape (n_users, d).
    quantile
        Promise of a newcomer: this quantile of how much better known items are than their features predict, in the eyes
        of the mean user, as long as they do not fill more of the lists than `newcomer_advance` allows. None: they gain
        or lose what gives them the share of the lists that `share_of_newcomers` says.
    weights
        How much each part of their scores counts.
    """
    n_known, (vectors, biases) = snapshot.n_known_items, snapshot.items
    if not n_known:
        return snapshot
    features = features_of(snapshot)
    judges = np.flatnonzero(np.diff(snapshot.seen.indptr))
    table = newcomer_features(snapshot, features[:n_known], users[judges], 0.5 if quantile is None else quantile)
    table = _weighed(table, weights, snapshot.history.n_low_pass if snapshot.history else 0)
    snapshot = _with_columns(snapshot, features, weights.columns)
    new = represented(table, features[n_known:])
    advance = _advance(snapshot, users, table, features, quantile)
    for_strangers = np.zeros(snapshot.no_components, np.float32)
    if snapshot.history is not None:
        for_strangers[-1 - snapshot.history.n_low_pass] = advance.for_strangers
    table.biases[-1] += advance.for_all
    table.vectors[-1] += for_strangers
    items = Table(
        np.concatenate([vectors[:n_known], new.vectors + for_strangers]),
        np.concatenate([biases[:n_known], new.biases + np.float32(advance.for_all)]),
    )
    return replace(snapshot, items=items, newcomer_features=table)


def represented(table: Table, features: sparse.csr_matrix) -> Table:
    """Representations of newcomers with these features, one a row, by `Snapshot.newcomer_features`."""
    vectors = features @ table.vectors[:-1] + table.vectors[-1]
    biases = features @ table.biases[:-1] + table.biases[-1]
    return Table(vectors.astype(np.float32, copy=False), biases.astype(np.float32, copy=False))


def features_of(snapshot: Snapshot) -> sparse.csr_matrix:
    """Features of the items of a snapshot, items by columns of its space."""
    return _matrix(snapshot.item_rows, len(snapshot.item_space))


def _weighed(table: Table, weights: NewcomerWeights, n_low_pass: int) -> Table:
    """Embeddings of newcomers' features, each part multiplied by its weight."""
    d = table.vectors.shape[1] - n_low_pass
    each = np.repeat(np.array([weights.features, weights.low_pass], np.float32), [d, n_low_pass])
    return Table(table.vectors * each, table.biases * np.float32(weights.features))


def _with_columns(snapshot: Snapshot, features: sparse.csr_matrix, weight: float) -> Snapshot:
    """Snapshot whose item-item matrix has columns of newcomers."""
    n_known, n_items = snapshot.n_known_items, snapshot.n_items
    if snapshot.history is None or not weight or n_known == n_items:
        return snapshot
    rows = snapshot.item_item
    known = sparse.csr_matrix((rows.weights, rows.indices, rows.indptr), (n_known, n_items))[:, :n_known]
    components = snapshot.item_space.are_components()
    columns = newcomer_columns(known, features[:n_known], features[n_known:], components)
    both = sparse.hstack([known, columns * np.float32(weight)], format="csr")
    item_item = Rows(both.indptr.astype(np.int64), both.indices.astype(np.int32), both.data.astype(np.float32))
    return replace(snapshot, item_item=item_item)


def newcomer_features(
    snapshot: Snapshot, known: sparse.csr_matrix, users: NDArray[np.float32], quantile: float
) -> Table:
    """Embeddings of the features with what they predict of indicators; last, what every newcomer has."""
    own = append_zero_row(snapshot.item_features)
    n_known = snapshot.n_known_items
    vectors = snapshot.items.vectors[:n_known] - known @ own.vectors[:-1]
    biases = snapshot.items.biases[:n_known] - known @ own.biases[:-1]
    indicators = np.concatenate([vectors, biases[:, None]], axis=1)
    predicted = _predicted(snapshot, known, indicators)
    if len(users):
        mean_user = np.append(users.mean(axis=0), 1)
        residuals = (indicators - known @ predicted[:-1] - predicted[-1]) @ mean_user
        predicted[-1, -1] += np.quantile(residuals, quantile)
    return Table(
        (own.vectors + predicted[:, :-1]).astype(np.float32), (own.biases + predicted[:, -1]).astype(np.float32)
    )


def _predicted(snapshot: Snapshot, known: sparse.csr_matrix, indicators: NDArray[np.float32]) -> NDArray[np.float64]:
    """What features predict of vectors and biases; what dense vectors say of LightFM's part they say already."""
    counts = np.bincount(snapshot.seen.indices, minlength=snapshot.n_known_items)
    predicted = predicting(known, indicators, counts)
    components = snapshot.item_space.are_components()
    if components.any():
        others = sparse.csr_matrix(known @ sparse.diags_array((~components).astype(np.float32)))
        others.eliminate_zeros()
        lightfm = [*range(mapped_width(snapshot.fold_in_weights)), -1]
        predicted[:, lightfm] = predicting(others, indicators[:, lightfm], counts)
    return predicted


def predicting(
    features: sparse.csr_matrix, targets: NDArray[np.float32], counts: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """Ridge regression of the targets on features, a rare feature shrunk more than a frequent one.

    Parameters
    ----------
    features
        Items by features.
    targets
        What is predicted, items by targets.
    counts
        Interactions of each item: it weighs their square root, for the more there are the surer is what it is. Each
        item weighs the same when absent.

    Returns
    -------
    float64 of shape (n_features + 1, n_targets): weights of each feature, and last what is there without any, which is
    not shrunk.
    """
    n_items, n_features = features.shape
    used = np.flatnonzero(np.bincount(features.indices, minlength=n_features))
    chosen = sparse.csr_matrix(features[:, used], dtype=np.float64)
    shares = np.full(n_items, 1 / n_items) if counts is None or not counts.any() else np.sqrt(counts)
    shares /= shares.sum()
    means, mean = chosen.T @ shares, targets.T @ shares
    rooted = sparse.csr_matrix(sparse.diags_array(np.sqrt(n_items * shares)) @ chosen)
    moment = rooted.T @ (np.sqrt(n_items * shares)[:, None] * targets) - n_items * np.outer(means, mean)
    solve = _solved if len(used) <= MOST_FEATURES else _descended
    weights = np.zeros((n_features + 1, targets.shape[1]))
    weights[used] = solve(rooted, means, moment)
    weights[-1] = mean - means @ weights[used]
    return weights


def _solved(
    features: sparse.csr_matrix, means: NDArray[np.float64], moment: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Solution of the normal equations of centred features, whose rows are multiplied by the roots of their weights."""
    gram = (features.T @ features).toarray() - features.shape[0] * np.outer(means, means)
    gram[np.diag_indices(len(means))] += PENALTY
    return np.linalg.solve(gram, moment)


def _descended(
    features: sparse.csr_matrix, means: NDArray[np.float64], moment: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The same by conjugate gradients, each target on its own: the matrix is never held."""
    weights, residual = np.zeros_like(moment), moment.copy()
    direction, squares = residual.copy(), (residual**2).sum(axis=0)
    enough = TOLERANCE**2 * squares
    for _ in range(MOST_STEPS):
        if (squares <= enough).all():
            break
        gram = features.T @ (features @ direction) - features.shape[0] * np.outer(means, means @ direction)
        product = gram + PENALTY * direction
        step = _ratio(squares, (direction * product).sum(axis=0))
        weights += step * direction
        residual -= step * product
        before, squares = squares, (residual**2).sum(axis=0)
        direction = residual + _ratio(squares, before) * direction
    return weights


def _ratio(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)


def _advance(
    snapshot: Snapshot, users: NDArray[np.float32], table: Table, features: sparse.csr_matrix, quantile: float | None
) -> Advance:
    """What newcomers gain or lose; where there are none yet, what would have a tenth of the known items listed."""
    available, n_known = np.flatnonzero(snapshot.available), snapshot.n_known_items
    known, newcomers = available[available < n_known], available[available >= n_known]
    counts = np.bincount(snapshot.seen.indices, minlength=n_known)
    share = share_of_newcomers(counts[counts > 0], len(newcomers), len(available))
    if not len(newcomers):
        described = known[np.diff(features.indptr)[known] > 0]
        newcomers = described[:: round(1 / PRETENDED_SHARE)]
        known = np.setdiff1d(known, newcomers)
        share = len(newcomers) / max(1, len(available))
    if not len(newcomers) or not len(known):
        return Advance(0.0, 0.0)
    contest = Contest(snapshot, users, known, newcomers, represented(table, features[newcomers]))
    if quantile is None:
        return contest.advance(share)
    return contest.limited(min(LARGEST_SHARE, TIMES_THEIR_SHARE * contest.share_of_catalogue))


def _matrix(rows: Rows, n_columns: int) -> sparse.csr_matrix:
    return sparse.csr_matrix((rows.weights, rows.indices, rows.indptr), (len(rows.indptr) - 1, n_columns))
