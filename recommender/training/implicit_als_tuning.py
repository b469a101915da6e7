"""Tuning of implicit ALS: confidence, penalty and components that do best on held-out interactions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.models.implicit_als import ImplicitALSSettings, fit_implicit_als
from recommender.models.mixture import ndcg_of
from recommender.training.hill_climbing import Clock, HillClimb, Tuned

TOGETHER = ((3.0, 4.0), (1 / 3, 1 / 4))
"""Factors of confidence and penalty: what is liked may count more where vectors are held back more."""
PENALTIES = (2.0, 0.5)
MOST_TRIED = 8


def tune_implicit_als(
    train: sparse.csr_matrix,
    held_out: sparse.csr_matrix,
    tune_s: float,
    *,
    start: ImplicitALSSettings,
    most_components: int,
    seed: int = 0,
    num_threads: int = 1,
    clock: Clock = time.process_time,
) -> Tuned[ImplicitALSSettings]:
    """Climb from some settings to better ones, as long as there is time.

    Parameters
    ----------
    train
        Users by items: what is fitted.
    held_out
        Users by items: what is to be found.
    tune_s
        Seconds of processor time, as `HillClimb.from_start` has it.
    start
        Where to begin.
    most_components
        That may be tried.
    seed
        Of each fit.
    num_threads
        Of each fit.
    clock
        Seconds of processor time.

    Returns
    -------
    What did best alone.
    """

    def moves(now: ImplicitALSSettings) -> Iterator[ImplicitALSSettings]:
        for confidence, penalty in TOGETHER:
            yield replace(now, confidence=now.confidence * confidence, penalty=now.penalty * penalty)
        if now.components * 2 <= most_components:
            yield replace(now, components=now.components * 2)
        for factor in PENALTIES:
            yield replace(now, penalty=now.penalty * factor)

    def judge(how: ImplicitALSSettings) -> NDArray[np.float64]:
        fitted = fit_implicit_als(train, how, seed, num_threads)
        return ndcg_of(lambda users: fitted.users(train[users]) @ fitted.items.T, train, held_out)

    climb = HillClimb(moves, judge, lambda move, best: move.components / best.components, MOST_TRIED)
    return climb.from_start(start, tune_s, clock)
