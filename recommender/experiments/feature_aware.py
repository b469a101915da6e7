"""Feature-aware iALS: implicit alternating least squares whose factors are drawn to what features predict."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.deferred_imports import needed
from recommender.evaluation.metrics import Score
from recommender.experiments.folds import Fold
from recommender.feature_space import Features, FeatureSpace

MOST_FEATURES = 3_000
"""Features a side, the most frequent ones: irspack solves a dense matrix of their square in each epoch."""

_Settings = Mapping[str, Any]


class FeatureAwareALS:
    """``irspack``'s iALS with the features of users and items [1]_.

    New users and items have the factors that an empty history and their features give them; new users without
    features get what is popular.

    References
    ----------
    .. [1] S. Rendle et al., Revisiting the Performance of iALS on Item Recommendation Benchmarks, 2021.
    """

    name = "ials"
    library = "irspack"
    extra = "peers"
    most_items: int | None = None
    space: Mapping[str, Sequence[Any]] = {
        "n_components": (64, 128, 32),
        "alpha0": (0.1, 0.03, 0.3, 1.0),
        "reg": (0.03, 0.003, 0.01, 0.1),
        "lambda_item_feature": (1.0, 10.0, 0.1),
        "lambda_user_feature": (1.0, 10.0, 0.1),
    }

    def fit(self, fold: Fold, settings: _Settings) -> Score:
        """Learn from those who have interactions and the items that have some."""
        chosen = {name: values[0] for name, values in self.space.items()} | dict(settings)
        users, items = np.flatnonzero(fold.warm_users), np.flatnonzero(fold.warm_items)
        described = {entry.item_id: entry.features for entry in fold.catalogue}
        of_users = _features([fold.users.get(each, {}) for each in fold.user_ids], users)
        of_items = _features([described.get(each, {}) for each in fold.item_ids], items)
        model = _fitted(
            fold.train[users][:, items],
            user_features=None if of_users is None else of_users[users],
            item_features=None if of_items is None else of_items[items],
            random_seed=fold.seed,
            **chosen,
        )
        of_user = model.compute_user_embedding_from_features
        of_item = model.compute_item_embedding_from_features
        user_factors = _for_all(fold.warm_users, model.get_user_embedding(), of_users, of_user)
        item_factors = _for_all(fold.warm_items, model.get_item_embedding(), of_items, of_item)
        popularity = np.asarray(fold.train.sum(0), np.float32).ravel()
        strangers = np.zeros(len(user_factors), np.bool_) if of_users is not None else ~fold.warm_users

        def score(rows: NDArray[np.int32]) -> NDArray[np.float32]:
            scores: NDArray[np.float32] = user_factors[rows] @ item_factors.T
            scores[strangers[rows]] = popularity
            return scores

        return score


def _fitted(pairs: sparse.csr_matrix, **settings: Any) -> Any:
    """Model of ``irspack``, on one thread."""
    # it warns of how its own settings are written, and draws its progress where the answer of a command goes
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        model = needed("irspack", "peers").IALSRecommender(pairs, n_threads=1, **settings)
        model.learn()
    return model


def _features(records: Sequence[Features], learned: NDArray[np.int64]) -> sparse.csr_matrix | None:
    """Records by the features most frequent among those learned from; None where nobody has any."""
    space = FeatureSpace.empty().extended([records[each] for each in learned])
    matrix = space.encode_many(records)
    counts = np.asarray((matrix[learned] > 0).sum(0)).ravel()
    used = np.argsort(-counts, kind="stable")[: min(MOST_FEATURES, int((counts > 0).sum()))]
    return matrix[:, np.sort(used)] if len(used) else None


def _for_all(
    learned: NDArray[np.bool_],
    factors: NDArray[np.float32],
    features: sparse.csr_matrix | None,
    predict: Callable[[sparse.csr_matrix], NDArray[np.float32]],
) -> NDArray[np.float32]:
    """Factors of all: those learned, else those that features predict, 0 where there are no features."""
    expanded = np.zeros((len(learned), factors.shape[1]), np.float32)
    expanded[learned] = factors
    if features is not None and not learned.all():
        expanded[~learned] = predict(features[np.flatnonzero(~learned)])
    return expanded
