"""Baselines: popularity and the models of other libraries (implicit, EASE), fitted to the same folds.

All learn from the same pairs, each 1 whatever its weight; only ``ials`` knows features. A user without interactions
gets what is popular, and so do ties: none of them has an answer of its own there.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.deferred_imports import needed
from recommender.errors import InvalidRequestError, TrainingError
from recommender.evaluation.metrics import Score
from recommender.experiments.candidates import Settings
from recommender.experiments.feature_aware import FeatureAwareALS
from recommender.experiments.folds import Fold
from recommender.experiments.slim import slim

MOST_ITEMS = 20_000
"""Items for which EASE's dense matrix, of their square, still fits: 3.2 GB."""

Learn = Callable[[sparse.csr_matrix, int, Settings], Score]
"""Pairs of those who have any, a seed and settings to scores at the same places."""


class Peer:
    """Candidate that sees user-item pairs only, no features.

    Parameters
    ----------
    name
        As the command line has it.
    learn
        Its algorithm.
    space
        Values that tuning may try; the first of each is the default.
    library
        What it runs from, where that is not numpy.
    most_items
        Of a data set that it still fits into memory with; None for any.
    """

    extra = "evaluation"
    """That installs the library."""

    def __init__(
        self,
        name: str,
        learn: Learn,
        space: Mapping[str, Sequence[Any]],
        library: str | None = None,
        most_items: int | None = None,
    ) -> None:
        self.name = name
        self.learn = learn
        self.space = space
        self.library = library
        self.most_items = most_items

    def fit(self, fold: Fold, settings: Settings) -> Score:
        """Learn from those who have interactions and the items that have some."""
        defaults = {name: values[0] for name, values in self.space.items()}
        users, items = np.flatnonzero(fold.warm_users), np.flatnonzero(fold.warm_items)
        score = self.learn(fold.train[users][:, items], fold.seed, {**defaults, **settings})
        return _FoldScores(fold, users, items, score)


class _FoldScores:
    """Scores at the places of a fold; popularity for users without any."""

    def __init__(self, fold: Fold, users: NDArray[np.int64], items: NDArray[np.int64], score: Score) -> None:
        self.score, self.items = score, items
        self.rows = np.full(len(fold.user_ids), -1, np.int32)
        self.rows[users] = np.arange(len(users), dtype=np.int32)
        self.popularity = np.asarray(fold.train.sum(0), np.float32).ravel()

    def __call__(self, users: NDArray[np.int32]) -> NDArray[np.float32]:
        rows = self.rows[users]
        scores = np.repeat(self.popularity[None], len(users), axis=0)
        warm = np.flatnonzero(rows >= 0)
        # an item without interactions has no score of its own: 0, as the libraries have it
        scores[warm] = 0
        if len(warm):
            scores[np.ix_(warm, self.items)] = self.score(rows[warm])
        return scores


def popularity(pairs: sparse.csr_matrix, seed: int, settings: Settings) -> Score:  # noqa: ARG001 - one signature
    """Score an item by the number of users who have it."""
    counts = np.asarray(pairs.sum(0), np.float32).ravel()
    return lambda users: np.repeat(counts[None], len(users), axis=0)


def ease(pairs: sparse.csr_matrix, seed: int, settings: Settings) -> Score:  # noqa: ARG001 - one signature
    """Linear autoencoder with a closed form [1]_: ``B = I - P diag(1 / diag P)``, ``P = (X'X + λI)^-1``.

    References
    ----------
    .. [1] H. Steck, Embarrassingly Shallow Autoencoders for Sparse Data, 2019.
    """
    n_items = pairs.shape[1]
    if n_items > MOST_ITEMS:
        raise InvalidRequestError(
            f"ease inverts a matrix of {n_items} x {n_items}, which does not fit beyond {MOST_ITEMS}; leave it out"
        )
    shrunk = _ease_of_users if pairs.shape[0] < n_items else _ease_of_items
    return shrunk(pairs, settings["penalty"])


def _ease_of_items(pairs: sparse.csr_matrix, penalty: float) -> Score:
    """By the inverse of the items' Gram matrix."""
    inverse = _inverse(pairs.T @ pairs, penalty)
    weights = (-inverse / np.diag(inverse)).astype(np.float32)
    np.fill_diagonal(weights, 0)
    return lambda users: np.asarray(pairs[users] @ weights, np.float32)


def _ease_of_users(pairs: sparse.csr_matrix, penalty: float) -> Score:
    """The same by the inverse of the users' Gram matrix, which is smaller where there are fewer of them.

    ``X P = (X X' + λI)^-1 X``, so that ``X B = X - (X X' + λI)^-1 X diag(1 / diag P)``.
    """
    inverse = _inverse(pairs @ pairs.T, penalty)
    explained = np.asarray(pairs.multiply((pairs.T @ inverse).T).sum(axis=0)).ravel()
    scale = penalty / (1 - explained)

    def score(users: NDArray[np.int32]) -> NDArray[np.float32]:
        predicted = np.asarray((pairs.T @ inverse[users].T).T) * scale
        return np.asarray(pairs[users].toarray() - predicted, np.float32)

    return score


def _inverse(gram: sparse.csr_matrix, penalty: float) -> NDArray[np.float64]:
    regularised = gram.toarray().astype(np.float64)
    regularised[np.diag_indices(len(regularised))] += penalty
    inverse: NDArray[np.float64] = np.linalg.inv(regularised)
    return inverse


def als(pairs: sparse.csr_matrix, seed: int, settings: Settings) -> Score:
    """``implicit``'s alternating least squares for implicit feedback."""
    make = needed("implicit.als").AlternatingLeastSquares
    return _of_factors(_fitted(make, pairs, random_state=seed, **settings))


def bpr(pairs: sparse.csr_matrix, seed: int, settings: Settings) -> Score:
    """``implicit``'s Bayesian personalised ranking."""
    make = needed("implicit.bpr").BayesianPersonalizedRanking
    return _of_factors(_fitted(make, pairs, random_state=seed, **settings))


def itemknn(pairs: sparse.csr_matrix, seed: int, settings: Settings) -> Score:  # noqa: ARG001 - one signature
    """``implicit``'s cosine neighbours of items."""
    model = _fitted(needed("implicit.nearest_neighbours").CosineRecommender, pairs, **settings)
    neighbours = sparse.csr_matrix(model.similarity, dtype=np.float32)
    return lambda users: np.asarray((pairs[users] @ neighbours).toarray(), np.float32)


def _of_factors(model: Any) -> Score:
    users, items = np.asarray(model.user_factors), np.asarray(model.item_factors)
    return lambda rows: np.asarray(users[rows] @ items.T, np.float32)


def _fitted(make: Callable[..., Any], pairs: sparse.csr_matrix, **settings: Any) -> Any:
    """Model of ``implicit``; on one thread, because with more the same seed gives other factors."""
    with warnings.catch_warnings():
        # it warns of the threads of BLAS and of matrices that it converts itself, which change nothing
        warnings.simplefilter("ignore")
        model = make(num_threads=1, **settings)
        try:
            model.fit(pairs, show_progress=False)
        except needed("implicit.recommender_base").ModelFitError as error:
            raise TrainingError(f"{type(model).__name__}: the factors exploded in training: {error}") from error
    return model


PEERS: Mapping[str, Peer | FeatureAwareALS] = {
    peer.name: peer
    for peer in (
        Peer("popularity", popularity, {}),
        Peer("ease", ease, {"penalty": (400.0, 50.0, 100.0, 200.0, 800.0, 1600.0)}, most_items=MOST_ITEMS),
        Peer(
            "als",
            als,
            {
                "factors": (64, 16, 32, 128),
                "regularization": (50.0, 0.1, 1.0, 10.0, 100.0),
                "alpha": (10.0, 1.0, 3.0, 30.0),
                "iterations": (15,),
            },
            "implicit",
        ),
        Peer(
            "bpr",
            bpr,
            {
                "factors": (64, 32, 128),
                "learning_rate": (0.01, 0.003, 0.03),
                "regularization": (0.03, 0.001, 0.01, 0.1),
                "iterations": (100, 50, 200),
            },
            "implicit",
        ),
        Peer("itemknn", itemknn, {"K": (300, 20, 50, 100, 200)}, "implicit"),
        Peer("slim", slim, {"l1": (1.0, 0.1, 5.0), "l2": (50.0, 5.0, 200.0), "neighbours": (100, 200)}),
        FeatureAwareALS(),
    )
}
"""By name; their defaults are what did well on MovieLens-100k, as ours are."""
