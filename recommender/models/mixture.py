"""Mixture of models: how much the scores of each part count in the sum, by length of history.

``score(u, i) = Σ_p w_p(len(history of u)) s_p(u, i)``, the weights being learned on held-out interactions. A sum stays
exact to serve and to explain. Each part is measured by one scale, the mean over users of the standard deviation of its
scores, so that weights learned on one fit hold for the next.

A part, or a weight of its own for users of some lengths, is taken up only where it gains more than one standard error
of the paired difference a user: so the mixture is not worse than its best part alone beyond noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.errors import InvalidDataError

Score = Callable[[NDArray[np.int32]], NDArray[np.float32]]
"""Gives the scores of a batch of user rows, shape (n_users, n_items)."""

LENGTHS = (0, 1, 4, 10, 30, 100)
"""Where a bucket of lengths begins; each ends before the next."""
SHARES = (0.0, 0.0625, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Weights that are tried, in scales of the part that is best alone."""
FEWEST = 50
"""Judged users without whom a bucket has no weights of its own."""
ERRORS = 1.0
"""Standard errors that a gain must exceed."""
BUCKET_ERRORS = 2.0
"""The same for weights of their own of one bucket: few users judge so many tries that one gains by chance."""
POOL = 30
"""Best items of each part that are judged, as a multiple of k: what a mixture puts in front is among them."""
_CELLS = 4_000_000
"""Scores at a time."""


@dataclass(frozen=True)
class Mixture:
    """Weights of the parts.

    Parameters
    ----------
    names
        Of the parts.
    weights
        float32 of shape (len(LENGTHS), n_parts): what the scores of each part are multiplied by, in its scales.
    ndcg
        What each part reached alone on the judged users, and ``mixture`` all.
    """

    names: tuple[str, ...]
    weights: NDArray[np.float32]
    ndcg: Mapping[str, float]

    def of_lengths(self, lengths: NDArray[np.integer], scales: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the scores of users are multiplied by.

        Parameters
        ----------
        lengths
            Of their histories.
        scales
            Of the parts, as `scale_of` measures them.

        Returns
        -------
        float32 of shape (n_users, n_parts).
        """
        chosen: NDArray[np.float32] = self.weights[bucket_of(lengths)] * _inverse(scales)
        return chosen


def scale_of(scores: NDArray[np.float32]) -> float:
    """Scale of a part: mean over users of the standard deviation of their scores over the items."""
    return float(scores.std(axis=1).mean()) if scores.size else 0.0


def learn_mixture(
    parts: Mapping[str, Score],
    train: sparse.csr_matrix,
    held_out: sparse.csr_matrix,
    *,
    k: int = 10,
    most: int = 2000,
    errors: float = ERRORS,
) -> Mixture:
    """Learn how much each part counts.

    Parameters
    ----------
    parts
        Fitted without the held-out interactions.
    train
        Users by items: what the parts were fitted on; not to be found again.
    held_out
        Users by items: what is to be found.
    k
        Length of the judged list: ndcg@k.
    most
        Users who judge, chosen evenly.
    errors
        Standard errors that a gain must exceed.

    Returns
    -------
    Weights that did best, few of them: the part that is best alone, what others add to it, and other weights for
    lengths of history where these gain.

    Raises
    ------
    InvalidDataError
        There is no part.
    """
    if not parts:
        raise InvalidDataError("there are no parts to mix; name at least one")
    users = _judging(held_out, most)
    judge = _Judge.of(parts, train, held_out, users, k)
    alone = np.eye(len(parts), dtype=np.float32)
    reached = np.array([judge.ndcg(weights).mean() if len(users) else 0.0 for weights in alone])
    chosen = judge.improved(alone[reached.argmax()], np.ones(len(users), np.bool_), errors)
    buckets = bucket_of(np.diff(train.indptr)[users])
    weights = np.tile(chosen, (len(LENGTHS), 1))
    for bucket in range(len(LENGTHS)):
        if (inside := buckets == bucket).sum() >= FEWEST:
            weights[bucket] = judge.improved(chosen, inside, BUCKET_ERRORS)
    mixed = judge.ndcg(weights[buckets]).mean() if len(users) else 0.0
    return Mixture(tuple(parts), weights, {**dict(zip(parts, reached.tolist(), strict=True)), "mixture": float(mixed)})


def ndcg_of(
    score: Score, train: sparse.csr_matrix, held_out: sparse.csr_matrix, *, k: int = 10, most: int = 2000
) -> NDArray[np.float64]:
    """ndcg@k of each judged user by one part, chosen as `learn_mixture` does."""
    judge = _Judge.of({"part": score}, train, held_out, _judging(held_out, most), k)
    return judge.ndcg(np.ones(1, np.float32))


def bucket_of(lengths: NDArray[np.integer]) -> NDArray[np.int64]:
    """Bucket of each length of a history."""
    return np.searchsorted(LENGTHS, lengths, side="right") - 1


def _judging(held_out: sparse.csr_matrix, most: int) -> NDArray[np.int32]:
    """Users who have something to find, at most `most`, chosen evenly."""
    users = np.flatnonzero(np.diff(held_out.indptr))
    return users[np.linspace(0, len(users) - 1, min(most, len(users))).astype(np.int64)].astype(np.int32)


class _Pool(NamedTuple):
    """Items of one user that may be among the best of some mixture: the best of each part, and those to be found."""

    scores: NDArray[np.float32]
    """Shape (n_parts, n)."""
    hits: NDArray[np.bool_]
    n_wanted: int


@dataclass(frozen=True, eq=False, repr=False)
class _Judge:
    """Judged users, each with a pool of items.

    Parameters
    ----------
    scores
        float32 of shape (n_parts, n_users, n): in scales of the parts.
    filled
        bool of shape (n_users, n): where a pool has an item.
    hits
        bool of shape (n_users, n): what is to be found.
    ideal
        float64 of shape (n_users,): DCG were all of these in front.
    k
        Length of the judged list.
    """

    scores: NDArray[np.float32]
    filled: NDArray[np.bool_]
    hits: NDArray[np.bool_]
    ideal: NDArray[np.float64]
    k: int

    @classmethod
    def of(
        cls,
        parts: Mapping[str, Score],
        train: sparse.csr_matrix,
        held_out: sparse.csr_matrix,
        users: NDArray[np.int32],
        k: int,
    ) -> Self:
        """Pools of the users, scored by each part."""
        pools, scales = list[_Pool](), list[NDArray[np.float32]]()
        for batch in np.array_split(users, max(1, len(users) * train.shape[1] // _CELLS)):
            scored = np.stack([np.asarray(score(batch), np.float32) for score in parts.values()])
            if not np.isfinite(scored).all():
                raise InvalidDataError(f"a part of {list(parts)} gives scores that are NaN or infinite")
            scales.append(scored.std(axis=2))
            pools += [_pool(scored[:, row], train[user], held_out[user], k) for row, user in enumerate(batch)]
        width = max([k, *(len(pool.hits) for pool in pools)])
        filled = np.arange(width) < np.array([len(pool.hits) for pool in pools], np.int64)[:, None]
        scores, hits = np.zeros((len(parts), *filled.shape), np.float32), np.zeros(filled.shape, np.bool_)
        for row, pool in enumerate(pools):
            scores[:, row, filled[row]], hits[row, filled[row]] = pool.scores, pool.hits
        if len(users):
            scores *= _inverse(np.concatenate(scales, axis=1).mean(axis=1))[:, None, None]
        wanted = np.minimum([pool.n_wanted for pool in pools], k).astype(np.int64)
        return cls(scores, filled, hits, np.append(0, np.cumsum(_discounts(k)))[wanted], k)

    def ndcg(self, weights: NDArray[np.float32]) -> NDArray[np.float64]:
        """Of each user, by weights of shape (n_parts,) or (n_users, n_parts)."""
        weights = np.broadcast_to(weights, (self.scores.shape[1], len(self.scores)))
        mixed = np.where(self.filled, np.einsum("pun,up->un", self.scores, weights), -np.inf)
        best = np.argpartition(-mixed, self.k - 1, axis=1)[:, : self.k]
        order = np.argsort(-np.take_along_axis(mixed, best, axis=1), axis=1, kind="stable")
        found = np.take_along_axis(self.hits, np.take_along_axis(best, order, axis=1), axis=1)
        gained: NDArray[np.float64] = (found * _discounts(self.k)).sum(axis=1)
        return np.divide(gained, self.ideal, where=self.ideal > 0, out=np.zeros(len(gained)))

    def improved(
        self, weights: NDArray[np.float32], inside: NDArray[np.bool_], errors: float = ERRORS
    ) -> NDArray[np.float32]:
        """Weights with one after the other changed, as long as that gains surely for the users inside."""
        kept = {name: getattr(self, name)[inside] for name in ("filled", "hits", "ideal")}
        own = replace(self, scores=self.scores[:, inside], **kept)
        for _ in range(2 * len(weights)):
            now = own.ndcg(weights)
            tried = [_changed(weights, part, share) for part in range(len(weights)) for share in SHARES]
            gains = [sure_gain(own.ndcg(other) - now, errors) for other in tried]
            if not gains or max(gains) <= 0:
                break
            weights = tried[int(np.argmax(gains))]
        return weights


def _pool(scored: NDArray[np.float32], known: sparse.csr_matrix, held_out: sparse.csr_matrix, k: int) -> _Pool:
    scored = scored.copy()
    scored[:, known.indices] = -np.inf
    wanted = np.setdiff1d(held_out.indices[held_out.data > 0], known.indices)
    n = min(scored.shape[1], POOL * k)
    best = [np.argpartition(-own, n - 1)[:n] for own in scored]
    items = np.unique(np.concatenate([*best, wanted]))
    items = items[np.isfinite(scored[0, items])]
    return _Pool(scored[:, items], np.isin(items, wanted), len(wanted))


def _discounts(k: int) -> NDArray[np.float64]:
    return 1 / np.log2(np.arange(2, k + 2))


def _changed(weights: NDArray[np.float32], part: int, share: float) -> NDArray[np.float32]:
    other = weights.copy()
    other[part] = share
    return other


def sure_gain(differences: NDArray[np.float64], errors: float = ERRORS) -> float:
    """Mean of the differences less so many of its standard errors."""
    n = len(differences)
    return float(differences.mean() - errors * differences.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0


def _inverse(scales: NDArray[np.floating]) -> NDArray[np.float32]:
    """1 / scale; 0 for a part that says the same of all items."""
    flat = np.asarray(scales, np.float32)
    return np.divide(1, flat, where=flat > 0, out=np.zeros_like(flat))
