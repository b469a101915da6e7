"""Ranking metrics against held-out interactions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Score = Callable[[NDArray[np.int32]], NDArray[np.float32]]
"""Scores of all items for some users: (n,) user rows to (n, n_items)."""


@dataclass(frozen=True)
class Evaluation:
    """Metrics of each judged user.

    Parameters
    ----------
    users
        int32 of shape (n,): rows of those with at least one held-out item.
    per_user
        By name of the metric, float64 of shape (n,).
    """

    users: NDArray[np.int32]
    per_user: Mapping[str, NDArray[np.float64]]

    @property
    def means(self) -> dict[str, float]:
        """Mean of each metric over the judged users; empty when there are none."""
        return {name: float(values.mean()) for name, values in self.per_user.items() if len(values)}


def evaluate(
    score: Score, train: sparse.csr_matrix, test: sparse.csr_matrix, *, k: int = 10, batch_size: int = 256
) -> Evaluation:
    """Judge whatever gives scores.

    Parameters
    ----------
    score
        Called with batches of user rows.
    train
        Users by items: what a user is known to have; never counted as recommended.
    test
        Users by items: what they should be recommended. Users without any are not judged.
    k
        Length of the judged list.
    batch_size
        Users at a time.

    Returns
    -------
    ``ndcg@k``, ``precision@k``, ``recall@k``, ``hit_rate@k``, ``map@k``, ``mrr`` and ``auc`` of each
    judged user. Equal scores rank in the order of the items.

    Notes
    -----
    Gains are binary; the ideal of ndcg has min(k, relevant) hits [1]_. AUC is the share of pairs of a
    relevant and another item that are in the right order, with ties broken as in the ranking.

    References
    ----------
    .. [1] K. Järvelin, J. Kekäläinen, Cumulated gain-based evaluation of IR techniques, 2002.
    """
    users = np.flatnonzero(np.diff(test.indptr)).astype(np.int32)
    batches = [users[start : start + batch_size] for start in range(0, len(users), batch_size)]
    parts = [_judge(score(batch), train[batch], test[batch], k) for batch in batches]
    names = [f"ndcg@{k}", f"precision@{k}", f"recall@{k}", f"hit_rate@{k}", f"map@{k}", "mrr", "auc"]
    per_user = {name: np.concatenate([part[name] for part in parts]) if parts else np.zeros(0) for name in names}
    return Evaluation(users, per_user)


def _judge(
    scores: NDArray[np.float32], train: sparse.csr_matrix, test: sparse.csr_matrix, k: int
) -> dict[str, NDArray[np.float64]]:
    excluded = train.toarray() > 0
    relevant = (test.toarray() > 0) & ~excluded
    masked = np.where(excluded, -np.inf, scores)
    order = np.argsort(-masked, axis=1, kind="stable")
    hits = np.take_along_axis(relevant, order, 1)  # (n_users, n_items), best first
    n_relevant = relevant.sum(1)
    return {**_top(hits[:, :k], n_relevant, k), **_whole(hits, n_relevant, (~excluded).sum(1))}


def _top(hits: NDArray[np.bool_], n_relevant: NDArray[np.int64], k: int) -> dict[str, NDArray[np.float64]]:
    ranks = np.arange(1, hits.shape[1] + 1)
    discounts = 1 / np.log2(ranks + 1)
    possible = np.minimum(n_relevant, hits.shape[1])
    ideal = np.concatenate([[0.0], np.cumsum(discounts)])[possible]
    found = hits.sum(1)
    precisions = np.cumsum(hits, 1) / ranks
    return {
        f"ndcg@{k}": _ratio((hits * discounts).sum(1), ideal),
        f"precision@{k}": found / k,
        f"recall@{k}": _ratio(found, n_relevant),
        f"hit_rate@{k}": (found > 0).astype(np.float64),
        f"map@{k}": _ratio((hits * precisions).sum(1), possible),
    }


def _whole(
    hits: NDArray[np.bool_], n_relevant: NDArray[np.int64], n_candidates: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    first = hits.argmax(1) + 1
    n_others = n_candidates - n_relevant
    ranks = np.where(hits, np.arange(1, hits.shape[1] + 1), 0).sum(1)
    # of the items that rank before the relevant ones, those that are not relevant themselves
    wrong_pairs = ranks - n_relevant * (n_relevant + 1) / 2
    return {
        "mrr": np.where(n_relevant > 0, 1 / first, 0.0),
        "auc": np.where(n_others > 0, 1 - _ratio(wrong_pairs, n_relevant * n_others), 1.0),
    }


def _ratio(top: NDArray[np.float64], bottom: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
    return np.divide(top, bottom, out=np.zeros(len(top)), where=bottom > 0)
