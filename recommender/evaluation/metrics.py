"""Ranking metrics against held-out interactions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.errors import InvalidRequestError

Score = Callable[[NDArray[np.int32]], NDArray[np.float32]]
"""Scores of all items for some users: (n,) user rows to (n, n_items)."""

NOBODY = -1
"""Fills a recommended list that is shorter than k."""

SCORES_AT_ONCE = 2_000_000
"""Scores in a batch; ranking needs some 40 bytes for each."""

_LAST = np.uint32(0xFFFFFFFF)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Ranking metrics of each evaluated user.

    Parameters
    ----------
    users
        int32 of shape (n,): rows of those with at least one item to find.
    per_user
        By name of the metric, float64 of shape (n,).
    recommended
        int32 of shape (n, k): the best items of each, best first, filled up with -1.
    n_pairs
        How many items they had to find, all together.
    """

    users: NDArray[np.int32]
    per_user: Mapping[str, NDArray[np.float64]]
    recommended: NDArray[np.int32]
    n_pairs: int = 0

    def __repr__(self) -> str:
        shown = ", ".join(f"{name} {value:.4f}" for name, value in self.means.items())
        return f"<Evaluation: {len(self.users)} users{': ' * bool(shown)}{shown}>"

    @property
    def means(self) -> dict[str, float]:
        """Mean of each metric over the judged users; empty when there are none."""
        return {name: float(values.mean()) for name, values in self.per_user.items() if len(values)}


def evaluate(
    score: Score,
    train: sparse.csr_matrix,
    test: sparse.csr_matrix,
    *,
    k: int = 10,
    batch_size: int | None = None,
    candidates: NDArray[np.bool_] | None = None,
    lists_only: bool = False,
) -> Evaluation:
    """Judge whatever gives scores.

    Parameters
    ----------
    score
        Called with batches of user rows.
    train
        Users by items: what a user is known to have; never counted as recommended.
    test
        Users by items: what they should be recommended. Users without any, or with none that `train` does
        not have as well, are not judged.
    k
        Length of the judged list.
    batch_size
        Users at a time; as many as fit into moderate memory when not given.
    candidates
        bool of shape (n_items,): the items that are ranked, all when absent. Users who have nothing to find
        among them are not judged.
    lists_only
        Leave out ``mrr`` and ``auc``, which need all items in order, where the first `k` are enough for the
        others: several times as fast where there are tens of thousands of items.

    Returns
    -------
    What `ranking_metrics` says of each judged user.

    Raises
    ------
    InvalidRequestError
        Shapes do not fit each other, `k` is below 1, or a score is not a number.
    """
    if train.shape != test.shape or k < 1:
        raise InvalidRequestError(f"train is {train.shape}, test {test.shape}, k {k}: shapes are equal, k at least 1")
    asked = np.arange(test.shape[1]) if candidates is None else np.flatnonzero(candidates)
    new = _without(test, train)[:, asked]
    users = np.flatnonzero(np.diff(new.indptr)).astype(np.int32)
    step = batch_size or max(1, SCORES_AT_ONCE // max(1, test.shape[1]))
    rank = _Front if lists_only else _Ranking
    metrics = {name: np.zeros(len(users)) for name in (_list_names(k) if lists_only else _names(k))}
    recommended = np.full((len(users), k), NOBODY, np.int32)
    for start in range(0, len(users), step):
        rows = slice(start, start + step)
        batch = users[rows]
        scores = score(batch)
        if scores.shape != (len(batch), test.shape[1]):
            raise InvalidRequestError(f"scores are {scores.shape}; {(len(batch), test.shape[1])} were asked for")
        known = train[batch].toarray() > 0
        if candidates is not None:
            scores, known = scores[:, asked], known[:, asked]
        ranking = rank(scores, known, new[batch].toarray() > 0)
        best = ranking.top(k)
        recommended[rows, : best.shape[1]] = np.where(best == NOBODY, NOBODY, asked[best])
        for name, values in ranking.metrics(k).items():
            metrics[name][rows] = values
    return Evaluation(users, metrics, recommended, int(new.nnz))


def ranking_metrics(
    scores: NDArray[np.float32], train: sparse.csr_matrix, test: sparse.csr_matrix, k: int = 10
) -> dict[str, NDArray[np.float64]]:
    """Judge scores of shape (n_users, n_items), each user on their own.

    Parameters
    ----------
    scores
        Higher is better; equal scores rank in the order of the items. An item at minus infinity is not
        recommended.
    train
        Of the same shape: items that are out of question, above 0.
    test
        Of the same shape: items to find, above 0. Those in `train` too are left out.
    k
        Length of the judged list.

    Returns
    -------
    float64 of shape (n_users,) by name; 0 for a user with nothing to find. With the relevant items R of a
    user, hit(r) whether rank r holds one, and C candidates that are not in `train`:

    * ``ndcg@k`` ``Σ_{r ≤ k} hit(r) / log2(r + 1)``, divided by its value were all of R in front [1]_
    * ``precision@k`` hits within k / k, also where the list is shorter
    * ``recall@k`` hits within k / |R|
    * ``hit_rate@k`` whether there is a hit within k
    * ``map@k`` mean of precision@r over the hits within k, divided by min(k, |R|) instead of their number
    * ``mrr`` 1 / rank of the first hit, however far down
    * ``auc`` share of the pairs of a relevant and another candidate that are in the right order, equal
      scores counting one half; so that scores which say nothing get 0.5. A user with no other candidate has 1.

    References
    ----------
    .. [1] K. Järvelin, J. Kekäläinen, Cumulated gain-based evaluation of IR techniques, 2002.
    """
    return _Ranking(scores, train.toarray() > 0, _without(test, train).toarray() > 0).metrics(k)


def coverage(recommended: NDArray[np.int32], n_items: int) -> float:
    """Share of the catalogue that is in at least one of the lists."""
    return len(np.unique(recommended[recommended >= 0])) / n_items


def novelty(recommended: NDArray[np.int32], train: sparse.csr_matrix) -> NDArray[np.float64]:
    """Mean self-information of each user's list, in bits: how surprising it is to have heard of its items.

    Parameters
    ----------
    recommended
        (n, k) items, filled up with -1.
    train
        All users by items.

    Notes
    -----
    ``mean of -log2((n_i + 1) / (n_users + 1))`` with the number n_i of users who have the item [1]_; the
    added ones keep items that nobody has finite. An empty list has 0.

    References
    ----------
    .. [1] T. Zhou et al., Solving the apparent diversity-accuracy dilemma of recommender systems, 2010.
    """
    information = -np.log2((_n_users_with(train) + 1) / (train.shape[0] + 1))
    return _mean_of(information, recommended)


def popularity_bias(
    recommended: NDArray[np.int32], users: NDArray[np.int32], train: sparse.csr_matrix
) -> NDArray[np.float64]:
    """How many times as popular a user's list is as what they have; above 1, lists are drawn to the popular.

    Parameters
    ----------
    recommended
        (n, k) items, filled up with -1.
    users
        (n,) rows of `train`: whose lists they are.
    train
        All users by items.

    Notes
    -----
    Mean number of users who have a recommended item, divided by the same of the items that the user has:
    1 + the popularity lift of [1]_. NaN for a user who has nothing.

    References
    ----------
    .. [1] H. Abdollahpouri et al., The connection between popularity bias, calibration, and fairness in
       recommendation, 2020.
    """
    popularity = _n_users_with(train)
    had = (train > 0)[users]
    n_had = np.diff(had.indptr)
    usual: NDArray[np.float64] = np.divide(had @ popularity, n_had, out=np.full(len(users), np.nan), where=n_had > 0)
    bias: NDArray[np.float64] = _mean_of(popularity, recommended) / usual
    return bias


class _Ranking:
    """Items of a batch of users, best first, with what was excluded behind all others.

    Everything is of shape (n_users, n_items), by rank unless it says otherwise.
    """

    def __init__(self, scores: NDArray[np.float32], excluded: NDArray[np.bool_], relevant: NDArray[np.bool_]) -> None:
        scores = _checked(scores, excluded)
        self.n_items = scores.shape[1]
        self.order = _order(scores, excluded)
        self.scores = np.take_along_axis(scores, self.order, 1)
        self.hits = np.take_along_axis(relevant, self.order, 1)
        self.n_relevant = relevant.sum(1)
        self.n_candidates = self.n_items - excluded.sum(1)
        self.shown = (np.arange(self.n_items) < self.n_candidates[:, None]) & (self.scores > -np.inf)

    def top(self, k: int) -> NDArray[np.int32]:
        """The first k items, or all there are."""
        return np.where(self.shown[:, :k], self.order[:, :k], NOBODY).astype(np.int32)

    def metrics(self, k: int) -> dict[str, NDArray[np.float64]]:
        hits = self.hits[:, :k] & self.shown[:, :k]
        values = (*_of_lists(hits, self.n_relevant, k), self._reciprocal_rank(), self._auc())
        return dict(zip(_names(k), values, strict=True))

    def _reciprocal_rank(self) -> NDArray[np.float64]:
        hits = self.hits & self.shown
        return np.where(hits.any(1), 1 / (hits.argmax(1) + 1), 0.0)

    def _auc(self) -> NDArray[np.float64]:
        users, columns = np.nonzero(self.hits)
        # the rank of a relevant item is the mean rank of the candidates with its score
        first, last = self._ties()
        ranks = (first[users, columns] + np.minimum(last[users, columns], self.n_candidates[users] - 1)) / 2 + 1
        ahead = np.bincount(users, ranks, len(self.hits)) - self.n_relevant * (self.n_relevant + 1) / 2
        n_pairs = self.n_relevant * (self.n_candidates - self.n_relevant)
        return np.where(self.n_relevant > 0, 1 - _ratio(ahead, n_pairs), 0.0)

    def _ties(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """First and last place with the same score."""
        columns = np.arange(self.n_items, dtype=np.int32)
        differs = self.scores[:, 1:] != self.scores[:, :-1]
        edge = np.ones((len(self.scores), 1), np.bool_)
        first = np.where(np.hstack([edge, differs]), columns, 0)
        last = np.where(np.hstack([differs, edge]), columns, self.n_items)
        return np.maximum.accumulate(first, 1), np.minimum.accumulate(last[:, ::-1], 1)[:, ::-1]


class _Front:
    """The first items of a batch of users, without the order of all others."""

    def __init__(self, scores: NDArray[np.float32], excluded: NDArray[np.bool_], relevant: NDArray[np.bool_]) -> None:
        self.scores = _checked(scores, excluded)
        self.excluded = excluded
        self.relevant = relevant

    def top(self, k: int) -> NDArray[np.int32]:
        """The first k items, or all there are; ties as in `_Ranking`."""
        n_users, n_items = self.scores.shape
        k = min(k, n_items)
        scores = np.where(self.excluded, np.float32(-np.inf), self.scores)
        least = np.partition(scores, n_items - k, axis=1)[:, n_items - k, None]
        users, items = np.nonzero((scores >= least) & (scores > -np.inf))
        order = np.lexsort((items, -scores[users, items], users))
        users, items = users[order], items[order]
        ranks = np.arange(len(users)) - np.searchsorted(users, users)
        best = np.full((n_users, k), NOBODY, np.int32)
        best[users[ranks < k], ranks[ranks < k]] = items[ranks < k]
        return best

    def metrics(self, k: int) -> dict[str, NDArray[np.float64]]:
        """Those of the lists."""
        top = self.top(k)
        hits = np.take_along_axis(self.relevant, np.maximum(top, 0), 1) & (top != NOBODY)
        return dict(zip(_list_names(k), _of_lists(hits, self.relevant.sum(1), k), strict=True))


def _checked(scores: NDArray[np.float32], excluded: NDArray[np.bool_]) -> NDArray[np.float32]:
    if scores.shape != excluded.shape:
        raise InvalidRequestError(f"scores are {scores.shape}; {excluded.shape} were asked for")
    if np.isnan(scores).any():
        raise InvalidRequestError("a score is not a number")
    return scores.astype(np.float32, copy=False)


def _of_lists(hits: NDArray[np.bool_], n_relevant: NDArray[np.int64], k: int) -> tuple[NDArray[np.float64], ...]:
    """``ndcg``, ``precision``, ``recall``, ``hit_rate``, ``map`` of lists: whether a rank of the first k is a hit."""
    ranks = np.arange(1, hits.shape[1] + 1)
    discounts = 1 / np.log2(ranks + 1)
    possible = np.minimum(n_relevant, hits.shape[1])
    ideal = np.concatenate([[0.0], np.cumsum(discounts)])[possible]
    found = hits.sum(1)
    precisions = np.cumsum(hits, 1) / ranks
    return (
        _ratio(hits @ discounts, ideal),
        found / k,
        _ratio(found, n_relevant),
        (found > 0).astype(np.float64),
        _ratio((hits * precisions).sum(1), possible),
    )


def _order(scores: NDArray[np.float32], excluded: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Items by falling score, then by their number; the excluded behind all others.

    Score and number make one integer, because numpy sorts integers several times faster than it finds
    the stable order of floats.
    """
    # the bits of a float rise with it once negative ones are turned round; adding 0 makes -0.0 equal to 0.0
    bits = (scores + np.float32(0)).view(np.uint32)
    falling = np.where(bits >> 31, bits, ~(bits | np.uint32(1 << 31)))
    keys = np.where(excluded, _LAST, falling).astype(np.uint64) << np.uint64(32)
    keys |= np.arange(scores.shape[1], dtype=np.uint64)
    keys.sort(axis=1)
    return (keys & np.uint64(_LAST)).astype(np.int64)


def _list_names(k: int) -> list[str]:
    return [f"ndcg@{k}", f"precision@{k}", f"recall@{k}", f"hit_rate@{k}", f"map@{k}"]


def _names(k: int) -> list[str]:
    return [*_list_names(k), "mrr", "auc"]


def _without(test: sparse.csr_matrix, train: sparse.csr_matrix) -> sparse.csr_matrix:
    """One where `test` is above 0 and `train` is not."""
    wanted = (test > 0).astype(np.int8)
    new = sparse.csr_matrix(wanted - wanted.multiply(train > 0))
    new.eliminate_zeros()
    return new


def _n_users_with(train: sparse.csr_matrix) -> NDArray[np.float64]:
    return np.asarray((train > 0).sum(0), np.float64).ravel()


def _mean_of(values: NDArray[np.float64], recommended: NDArray[np.int32]) -> NDArray[np.float64]:
    """Mean of the items' values over each list, 0 of an empty one."""
    listed = recommended >= 0
    return _ratio(np.where(listed, values[recommended], 0.0).sum(1), listed.sum(1))


def _ratio(
    top: NDArray[np.float64] | NDArray[np.int64], bottom: NDArray[np.float64] | NDArray[np.int64]
) -> NDArray[np.float64]:
    return np.divide(top, bottom, out=np.zeros(len(top)), where=bottom > 0)
