"""Tuning: random search with the same number of trials for every candidate model, on one validation split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from recommender.errors import TrainingError
from recommender.evaluation import evaluate
from recommender.experiments.candidates import Candidate, Settings
from recommender.experiments.folds import Fold


def trials_of(space: Mapping[str, Sequence[Any]], n: int, seed: int = 0) -> list[Settings]:
    """Distinct settings, the defaults first and then random ones: `n` of them, or as many as the space has."""
    random = np.random.default_rng(seed)
    trials: list[Settings] = [{name: values[0] for name, values in space.items()}]
    for _ in range(20 * n):  # a small space is soon exhausted
        if len(trials) >= n:
            break
        trial = {name: values[int(random.integers(len(values)))] for name, values in space.items()}
        if trial not in trials:
            trials.append(trial)
    return trials


def tuned(
    contender: Candidate, validation: Fold, trials: Sequence[Settings], k: int, done: Callable[[], object] = int
) -> Settings:
    """Best of some settings by ndcg@k on a validation fold; the first of equals.

    Parameters
    ----------
    contender
        Whose settings are chosen.
    validation
        Split off what is learned from, never what is judged by.
    trials
        Settings; those with which training explodes are passed over.
    k
        Length of the judged list.
    done
        Called after each trial.
    """
    values: list[float] = []
    for trial in trials:
        try:
            score = contender.fit(validation, trial)
            judged = evaluate(score, validation.train, validation.test, k=k, lists_only=True)
            values.append(judged.means[f"ndcg@{k}"])
        except TrainingError:
            values.append(-np.inf)
        done()
    return trials[int(np.argmax(values))]
