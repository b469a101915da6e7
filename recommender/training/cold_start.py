"""Newcomers: items that nobody has interacted with, scored by what their features predict.

A known item is its features and its indicator; a newcomer has no indicator, and scored without one it is an item
that nobody likes, for popularity is what indicators learn first. What it would have is predicted from its
features, by ridge regression over the known items; and it gets the benefit of the doubt: an advance on how good
it may turn out, as known items have turned out better than their features promised.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.serving.snapshot import Rows, Snapshot, Table, append_zero_row
from recommender.training.history_parts import history_scores

PENALTY = 10.0
MOST_FEATURES = 2_000
"""Features up to which the regression solves a matrix of their square; with more it goes by conjugate gradients."""
MOST_STEPS, TOLERANCE = 50, 1e-3
"""Of the conjugate gradients: steps at most, and the share of the residual at which they stop."""
LIST_LENGTH = 10
LARGEST_SHARE = 0.25
"""Share of the first `LIST_LENGTH` positions that newcomers may take by their advance, on average."""
MOST_OF_THEIR_SHARE = 1.5
"""Share of these positions that newcomers may take at most, by their share of the catalogue."""
MOST_ASKED = 100
"""Users whose lists are looked at for that."""


def predict_cold_indicators(snapshot: Snapshot, users: NDArray[np.float32], quantile: float) -> Snapshot:
    """Snapshot whose items without an indicator have what their features predict.

    Parameters
    ----------
    snapshot
        With its known items as they will serve; without any, nothing changes.
    users
        Vectors of the users of its histories, shape (n_users, d).
    quantile
        Advance of a newcomer: this quantile of how much better known items are than their features
        predict, in the eyes of the mean user. 0.5 is none to speak of, 1 that of the best. It is less where
        there are so many newcomers that they would fill more than `LARGEST_SHARE` of the lists, or more
        than `MOST_OF_THEIR_SHARE` of their share of the catalogue.
    """
    n_known, (vectors, biases) = snapshot.n_known_items, snapshot.items
    if not n_known:
        return snapshot
    features = _matrix(snapshot.item_rows, len(snapshot.item_space))
    judges = np.flatnonzero(np.diff(snapshot.seen.indptr))
    table = _newcomer_features(snapshot, features[:n_known], users[judges], quantile)
    new = represented(table, features[n_known:])
    contest = _Contest(snapshot, new, users, judges)
    advance = contest.advance()
    table.biases[-1] += advance.for_all
    table.vectors[-1] += advance.for_strangers
    items = Table(
        np.concatenate([vectors[:n_known], new.vectors + advance.for_strangers]),
        np.concatenate([biases[:n_known], new.biases + advance.for_all]),
    )
    return replace(snapshot, items=items, newcomer_features=table)


def represented(table: Table, features: sparse.csr_matrix) -> Table:
    """Representations of newcomers with these features, one a row, by `Snapshot.newcomer_features`."""
    vectors = features @ table.vectors[:-1] + table.vectors[-1]
    biases = features @ table.biases[:-1] + table.biases[-1]
    return Table(vectors.astype(np.float32, copy=False), biases.astype(np.float32, copy=False))


def _newcomer_features(
    snapshot: Snapshot, known: sparse.csr_matrix, users: NDArray[np.float32], quantile: float
) -> Table:
    """Embeddings of the features with what they predict of indicators; last, what every newcomer has."""
    own = append_zero_row(snapshot.item_features)
    n_known = snapshot.n_known_items
    vectors = snapshot.items.vectors[:n_known] - known @ own.vectors[:-1]
    biases = snapshot.items.biases[:n_known] - known @ own.biases[:-1]
    indicators = np.concatenate([vectors, biases[:, None]], axis=1)
    predicted = predicting(known, indicators)
    if len(users):
        mean_user = np.append(users.mean(axis=0), 1)
        residuals = (indicators - known @ predicted[:-1] - predicted[-1]) @ mean_user
        predicted[-1, -1] += np.quantile(residuals, quantile)
    return Table(
        (own.vectors + predicted[:, :-1]).astype(np.float32), (own.biases + predicted[:, -1]).astype(np.float32)
    )


def predicting(features: sparse.csr_matrix, targets: NDArray[np.float32]) -> NDArray[np.float64]:
    """Ridge regression of the targets on features, a rare feature shrunk more than a frequent one.

    Returns
    -------
    float64 of shape (n_features + 1, n_targets): weights of each feature, and last what is there without any, which is
    not shrunk.
    """
    n_items, n_features = features.shape
    used = np.flatnonzero(np.bincount(features.indices, minlength=n_features))
    chosen = sparse.csr_matrix(features[:, used], dtype=np.float64)
    means, mean = np.asarray(chosen.mean(axis=0)).ravel(), targets.mean(axis=0, dtype=np.float64)
    moment = chosen.T @ targets - n_items * np.outer(means, mean)
    solve = _solved if len(used) <= MOST_FEATURES else _descended
    weights = np.zeros((n_features + 1, targets.shape[1]))
    weights[used] = solve(chosen, means, moment)
    weights[-1] = mean - means @ weights[used]
    return weights


def _solved(
    features: sparse.csr_matrix, means: NDArray[np.float64], moment: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Solution of the normal equations of centred features."""
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
        centred = features @ direction - means @ direction
        product = features.T @ centred - np.outer(means, centred.sum(axis=0)) + PENALTY * direction
        step = _ratio(squares, (direction * product).sum(axis=0))
        weights += step * direction
        residual -= step * product
        before, squares = squares, (residual**2).sum(axis=0)
        direction = residual + _ratio(squares, before) * direction
    return weights


def _ratio(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)


class _Advance(NamedTuple):
    """What is added to newcomers."""

    for_all: float
    for_strangers: NDArray[np.float32]
    """To the vector: takes from strangers what only makes up for the histories of others."""


@dataclass(frozen=True)
class _Contest:
    """Lists of some users, for which known items and newcomers contend.

    With scores k_1 >= k_2 … of known items and c_1 >= c_2 … of newcomers, these have j of n positions as soon as
    they gain ``k_(n+1-j) - c_j``: the share as a function of the gain is a distribution, and its quantile is asked.
    """

    snapshot: Snapshot
    new: Table
    users: NDArray[np.float32]
    judges: NDArray[np.int64]

    def advance(self) -> _Advance:
        """What newcomers must gain or lose.

        At most so much that they fill `LARGEST_SHARE` of the lists, or `MOST_OF_THEIR_SHARE` of their share of the
        catalogue; and as known items get something by the item-item matrix and newcomers do not, so much more that
        they fill the same share with it as without.
        """
        for_strangers = np.zeros(self.snapshot.no_components, np.float32)
        asked = self.judges[:: max(1, len(self.judges) // MOST_ASKED)]
        if not self.snapshot.available[self.snapshot.n_known_items :].any() or not len(asked):
            return _Advance(0.0, for_strangers)
        plain = self._gains(asked, np.zeros((len(asked), self.snapshot.n_known_items), np.float32))
        if not len(plain):
            return _Advance(0.0, for_strangers)
        free = self.snapshot.available
        share_of_catalogue = float(free[self.snapshot.n_known_items :].sum() / free.sum())
        largest = min(LARGEST_SHARE, MOST_OF_THEIR_SHARE * share_of_catalogue)
        capped = min(0.0, float(plain[int(largest * len(plain))]))
        if self.snapshot.history is None:
            return _Advance(capped, for_strangers)
        share = int(np.searchsorted(plain, capped, side="right"))
        gains = self._gains(asked, history_scores(self.snapshot, asked))
        finite = gains[np.isfinite(gains)]  # infinite where there are fewer newcomers than positions
        whole = float(finite[min(share, len(finite) - 1)]) if len(finite) else capped
        for_strangers[-1 - self.snapshot.history.n_low_pass] = capped - whole
        return _Advance(whole, for_strangers)

    def _gains(self, asked: NDArray[np.int64], added: NDArray[np.float32]) -> NDArray[np.float32]:
        """What newcomers must gain for each position of the lists, rising."""
        snapshot, n_known = self.snapshot, self.snapshot.n_known_items
        (vectors, biases), available = snapshot.items, snapshot.available
        gains = []
        for user, more in zip(asked.tolist(), added, strict=True):
            known = vectors[:n_known] @ self.users[user] + biases[:n_known] + more
            known[~available[:n_known]] = -np.inf
            known[snapshot.seen.row(user)] = -np.inf
            contested = _best(known)[::-1]
            contested = contested[np.isfinite(contested)]  # where known items run out, newcomers have the rest anyhow
            newcomers = _best((self.new.vectors @ self.users[user] + self.new.biases)[available[n_known:]])
            gains.append(contested - newcomers[LIST_LENGTH - len(contested) :])
        return np.sort(np.concatenate(gains))


def _best(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """The `LIST_LENGTH` best, falling; -inf where there are fewer."""
    n = min(LIST_LENGTH, len(scores))
    best = np.full(LIST_LENGTH, -np.inf, np.float32)
    best[:n] = -np.sort(np.partition(-scores, n - 1)[:n])
    return best


def _matrix(rows: Rows, n_columns: int) -> sparse.csr_matrix:
    return sparse.csr_matrix((rows.weights, rows.indices, rows.indptr), (len(rows.indptr) - 1, n_columns))
