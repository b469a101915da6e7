"""Tuning of the item-item matrix: penalty and neighbours that do best on held-out interactions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.models.item_item import ItemItemSettings, item_item_matrix
from recommender.models.mixture import ndcg_of
from recommender.training.hill_climbing import Clock, HillClimb, Tuned

STEPS = (4.0, 0.25, 2.0, 0.5)
"""Factors by which the penalty moves: far before near, or it stays in a hollow that is only noise."""
MOST_NEIGHBOURS = 400
_COST = 3.0
"""How many times as long a fit with twice the neighbours takes, about."""


def tune_item_item(
    train: sparse.csr_matrix,
    held_out: sparse.csr_matrix,
    tune_s: float,
    *,
    start: ItemItemSettings | None = None,
    k: int = 10,
    num_threads: int = 1,
    clock: Clock = time.process_time,
) -> Tuned[ItemItemSettings]:
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
        Where to begin, by default the defaults; those of the last training where there are any.
    k
        Length of the judged list: ndcg@k.
    num_threads
        Of each fit.
    clock
        Seconds of processor time.

    Returns
    -------
    What did best.
    """

    def judge(how: ItemItemSettings) -> NDArray[np.float64]:
        matrix = item_item_matrix(train, how, num_threads)
        return ndcg_of(lambda users: (train[users] @ matrix).toarray(), train, held_out, k=k)

    climb = HillClimb(_moves, judge, lambda move, best: _COST if move.neighbours > best.neighbours else 1.0)
    return climb.from_start(start or ItemItemSettings(), tune_s, clock)


def _moves(now: ItemItemSettings) -> Iterator[ItemItemSettings]:
    """Settings beside these, the cheapest and most telling first.

    How little long histories count is not tuned: half did best on each set that we measured, and the matrix that seems
    better alone on a hold-out without it is worse beside the other parts.
    """
    for factor in STEPS[:2]:
        yield replace(now, penalty=now.penalty * factor)
    if now.neighbours * 2 <= MOST_NEIGHBOURS:
        yield replace(now, neighbours=now.neighbours * 2)
    for factor in STEPS[2:]:
        yield replace(now, penalty=now.penalty * factor)
