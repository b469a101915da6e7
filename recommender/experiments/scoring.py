"""Scoring of a candidate model: all metrics on one fold."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender.evaluation import Evaluation, coverage, evaluate, novelty, popularity_bias
from recommender.evaluation.metrics import Score
from recommender.experiments.folds import Fold

ALL, COLD = "all items", "cold items only"
"""Candidate sets: what is chosen from."""


class Costs(NamedTuple):
    """CPU seconds of this process, all threads together."""

    fit_s: float
    """Seconds of learning, and of laying out what scores."""
    score_us: float
    """Microseconds to score all items for one user, asked in batches."""


class MeasuredScore:
    """Scores of a candidate, with the CPU time that they take.

    Parameters
    ----------
    fit
        Learns and returns what scores.
    """

    def __init__(self, fit: Callable[[], Score]) -> None:
        started = time.process_time()
        self.score = fit()
        self.fit_s = time.process_time() - started
        self.scoring_s, self.n_users = 0.0, 0
        self.learned: Mapping[str, Any] = getattr(self.score, "learned", {})

    def __call__(self, users: NDArray[np.int32]) -> NDArray[np.float32]:
        """Score all items for some users."""
        started = time.process_time()
        scores = self.score(users)
        self.scoring_s += time.process_time() - started
        self.n_users += len(users)
        return scores

    @property
    def costs(self) -> Costs:
        """So far."""
        return Costs(self.fit_s, 1e6 * self.scoring_s / max(1, self.n_users))


@dataclass(frozen=True, eq=False)
class Judged:
    """Metrics and costs of a candidate on a fold.

    Parameters
    ----------
    evaluation
        Metrics of each judged user, with ``novelty`` and ``popularity_bias``.
    coverage
        Share of the candidates that is in at least one list.
    costs
        Of learning and of scoring, where they were measured.
    learned
        Settings that the candidate chose itself, by what it was fitted to.
    """

    evaluation: Evaluation
    coverage: float
    costs: Costs | None = None
    learned: Mapping[str, Any] = field(default_factory=dict)

    @property
    def means(self) -> dict[str, float]:
        """Mean of each metric over the users; popularity bias over those who have anything."""
        per_user = self.evaluation.per_user.items()
        means = {name: float(values[known].mean()) for name, values in per_user if (known := ~np.isnan(values)).any()}
        return {**means, "coverage": self.coverage}


def judged(
    fold: Fold, score: Score, k: int, candidates: NDArray[np.bool_] | None = None, *, lists_only: bool = False
) -> Judged:
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
    lists_only
        As `evaluate` has it.
    """
    evaluation = evaluate(score, fold.train, fold.test, k=k, candidates=candidates, lists_only=lists_only)
    listed = evaluation.recommended
    beyond = {
        "novelty": novelty(listed, fold.train),
        "popularity_bias": popularity_bias(listed, evaluation.users, fold.train),
    }
    n_candidates = len(fold.item_ids) if candidates is None else int(candidates.sum())
    whole = Evaluation(evaluation.users, {**evaluation.per_user, **beyond}, listed)
    covered = coverage(listed, n_candidates)
    return (
        Judged(whole, covered, score.costs, score.learned)
        if isinstance(score, MeasuredScore)
        else Judged(whole, covered)
    )


def candidate_sets(fold: Fold, split: str) -> Mapping[str, NDArray[np.bool_] | None]:
    """What is chosen from: all items, and where items are cold, those alone as well."""
    return {ALL: None, COLD: ~fold.warm_items} if split == "cold-items" else {ALL: None}
