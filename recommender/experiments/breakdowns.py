"""Breakdowns of one fold: metrics by group of users, by items and by case."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recommender import cases
from recommender.errors import TrainingError
from recommender.evaluation import evaluate
from recommender.evaluation.metrics import Score
from recommender.experiments.candidates import Candidate
from recommender.experiments.folds import Fold
from recommender.experiments.scoring import Judged

Groups = Mapping[str, float]
"""A value for each named group, in the order in which they are shown."""

SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)
"""Of the training interactions, for the learning curve."""

HEAD, MIDDLE = 0.2, 0.3
"""Shares of the items, the most popular first; the rest is the tail."""


def by_activity(fold: Fold, judged: Judged, metric: str, n_groups: int = 10) -> Groups:
    """Mean of a metric by how much there is to learn of a user.

    Groups hold about as many users each; users with as many interactions are never in two of them, so that
    there may be fewer than `n_groups`.
    """
    counts = np.diff(fold.train.indptr)[judged.evaluation.users]
    values = judged.evaluation.per_user[metric]
    edges = np.unique(np.quantile(counts, np.linspace(0, 1, n_groups + 1)[1:], method="lower"))
    group = np.searchsorted(edges, counts)
    present = np.unique(group)
    return {_range(counts[group == each]): float(np.nanmean(values[group == each])) for each in present}


def by_popularity(fold: Fold, judged: Judged) -> Groups:
    """Recall within the lists, over all pairs to find, of head, middle, tail and cold items."""
    counts = np.asarray(fold.train.sum(0)).ravel()
    rank = np.empty(len(counts), np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    share = rank / max(1, int((counts > 0).sum()))
    group = np.select([counts == 0, share < HEAD, share < HEAD + MIDDLE], [3, 0, 1], 2)
    _, items, found = _pairs(fold, judged)
    return _recalls(group[items], found, ("head", "middle", "tail", "cold"))


def by_case(fold: Fold, judged: Judged) -> Groups:
    """Recall within the lists, over all pairs to find, by case I to XVI; known means learned from."""
    users, items, found = _pairs(fold, judged)
    user_has = np.array([bool(fold.users.get(user_id)) for user_id in fold.user_ids], np.bool_)
    described = {entry.item_id for entry in fold.catalogue if entry.features}
    item_has = np.array([item_id in described for item_id in fold.item_ids], np.bool_)
    rows = np.where(user_has, np.where(fold.warm_users, 0, 1), np.where(fold.warm_users, 2, 3))
    blocks = cases.item_blocks(fold.warm_items, item_has)
    return _recalls(4 * blocks[items].astype(np.int64) + rows[users], found, cases.NUMERALS)


def calibration(fold: Fold, score: Score, judged: Judged, n_groups: int = 10, n_users: int = 500) -> Groups:
    """Share of items to find by quantile of the score, the highest tenth last.

    Scores compare within one user only, so that the quantiles are those of each user. What a user has and
    what is not scored are left out; at most `n_users` users, drawn evenly.
    """
    all_users = judged.evaluation.users
    users = all_users[np.linspace(0, len(all_users) - 1, min(n_users, len(all_users))).astype(np.int64)]
    hits, totals = np.zeros(n_groups), np.zeros(n_groups)
    for user in users:
        scores = score(np.array([user], np.int32))[0]
        open_to = np.isfinite(scores)
        open_to[fold.train[user].indices] = False
        columns = np.flatnonzero(open_to)
        order = columns[np.argsort(scores[columns], kind="stable")]
        group = np.arange(len(order)) * n_groups // max(1, len(order))
        wanted = np.isin(order, fold.test[user].indices)
        hits += np.bincount(group, wanted, n_groups)
        totals += np.bincount(group, minlength=n_groups)
    labels = [f"{100 * (each + 1) // n_groups}" for each in range(n_groups)]
    return {name: float(hit / n) for name, hit, n in zip(labels, hits, totals, strict=True) if n}


def learning_curve(
    fold: Fold, contender: Candidate, k: int, whole: float, shares: Sequence[float] = SHARES
) -> dict[float, float]:
    """ndcg@k by the share of the training interactions, drawn by chance; the same ones are to be found.

    Parameters
    ----------
    fold
        Of the first seed.
    contender
        Fitted with its defaults.
    k
        Length of the lists.
    whole
        What the share of 1 has: it is known already.
    shares
        Rising. One with which training fails is left out.
    """
    chance = np.random.default_rng(fold.seed).permutation(len(fold.older))
    curve = {}
    for share in shares:
        if share == 1:
            curve[share] = whole
            continue
        part = replace(fold, older=fold.older[chance < max(1, round(share * len(chance)))])
        try:
            # what was left out is still not to be recommended, so that all shares choose among the same items
            found = evaluate(contender.fit(part, {}), fold.train, fold.test, k=k)
        except TrainingError:
            continue
        curve[share] = found.means[f"ndcg@{k}"]
    return curve


def of_all(look: Callable[[Judged], Groups], first: Mapping[str, Judged]) -> dict[str, Groups]:
    """One look at each contender."""
    return {name: look(judged) for name, judged in first.items()}


def _pairs(fold: Fold, judged: Judged) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Users and items of the pairs to find, and whether each was in the user's list."""
    new = (fold.test - fold.test.multiply(fold.train)).tocoo()
    keys = new.row.astype(np.int64) * new.shape[1] + new.col
    users = judged.evaluation.users.astype(np.int64)
    listed = judged.evaluation.recommended
    shown = (users[:, None] * new.shape[1] + listed)[listed >= 0]
    return new.row.astype(np.int64), new.col.astype(np.int64), np.isin(keys, shown)


def _recalls(group: NDArray[np.int64], found: NDArray[np.bool_], names: Sequence[str]) -> Groups:
    hits = np.bincount(group, found, len(names))
    totals = np.bincount(group, minlength=len(names))
    return {name: float(hit / n) for name, hit, n in zip(names, hits, totals, strict=True) if n}


def _range(counts: NDArray[np.integer]) -> str:
    low, high = int(counts.min()), int(counts.max())
    return f"{low}" if low == high else f"{low}-{high}"
