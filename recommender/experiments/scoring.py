"""Judging: all metrics of one contender on one fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender.evaluation import Evaluation, coverage, evaluate, novelty, popularity_bias
from recommender.evaluation.metrics import Score
from recommender.experiments.folds import Fold

ALL, COLD = "all items", "cold items only"
"""Candidate sets: what is chosen from."""


@dataclass(frozen=True, eq=False)
class Judged:
    """A contender on a fold.

    Parameters
    ----------
    evaluation
        Metrics of each judged user, with ``novelty`` and ``popularity_bias``.
    coverage
        Share of the candidates that is in at least one list.
    """

    evaluation: Evaluation
    coverage: float

    @property
    def means(self) -> dict[str, float]:
        """Mean of each metric over the users; popularity bias over those who have anything."""
        per_user = self.evaluation.per_user.items()
        means = {name: float(values[known].mean()) for name, values in per_user if (known := ~np.isnan(values)).any()}
        return {**means, "coverage": self.coverage}


def judged(fold: Fold, score: Score, k: int, candidates: NDArray[np.bool_] | None = None) -> Judged:
    """Judge scores on a fold.

    Parameters
    ----------
    fold
        What is known, and what is to be found.
    score
        Of the fold's users and items.
    k
        Length of the lists.
    candidates
        Items to choose from, all when absent.
    """
    evaluation = evaluate(score, fold.train, fold.test, k=k, candidates=candidates)
    listed = evaluation.recommended
    beyond = {
        "novelty": novelty(listed, fold.train),
        "popularity_bias": popularity_bias(listed, evaluation.users, fold.train),
    }
    n_candidates = len(fold.item_ids) if candidates is None else int(candidates.sum())
    whole = Evaluation(evaluation.users, {**evaluation.per_user, **beyond}, listed)
    return Judged(whole, coverage(listed, n_candidates))


def candidate_sets(fold: Fold, split: str) -> Mapping[str, NDArray[np.bool_] | None]:
    """What is chosen from: all items, and where items are cold, those alone as well."""
    return {ALL: None, COLD: ~fold.warm_items} if split == "cold-items" else {ALL: None}
