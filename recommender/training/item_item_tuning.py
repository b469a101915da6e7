"""Tuning of the item-item matrix: penalty and neighbours that do best on held-out interactions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.models.item_item import ItemItemSettings, item_item_matrix
from recommender.models.mixture import ndcg_of, sure_gain

STEPS = (4.0, 0.25, 2.0, 0.5)
"""Factors by which the penalty moves: far before near, or it stays in a hollow that is only noise."""
MOST_NEIGHBOURS = 400
MOST_TRIED = 12
"""Settings: enough for a climb, and small data is done sooner."""
_COST = 3.0
"""How many times as long a fit with twice the neighbours takes, about."""


@dataclass(frozen=True)
class Tuned:
    """Settings that did best, and how many were tried."""

    settings: ItemItemSettings
    ndcg: float
    n_tried: int


def tune_item_item(
    train: sparse.csr_matrix,
    held_out: sparse.csr_matrix,
    tune_s: float,
    *,
    start: ItemItemSettings | None = None,
    k: int = 10,
    num_threads: int = 1,
    clock: Callable[[], float] = time.process_time,
) -> Tuned:
    """Climb from some settings to better ones, as long as there is time.

    Parameters
    ----------
    train
        Users by items: what is fitted.
    held_out
        Users by items: what is to be found.
    tune_s
        Seconds of processor time, which do not depend on what else the machine does. A fit that is expected to end
        later is not begun, beside the first.
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
    What did best. Other settings are taken only where they gain more than one standard error: among a dozen tries one
    does better by chance.
    """
    began, best = clock(), start or ItemItemSettings()
    judged = {best: _judged(best, train, held_out, k, num_threads)}
    took = clock() - began
    moves = _moves(best)
    while (move := next(moves, None)) is not None:
        cost = took * (_COST if move.neighbours > best.neighbours else 1.0)
        if move in judged or len(judged) == MOST_TRIED or clock() - began + cost > tune_s:
            continue
        at = clock()
        judged[move] = _judged(move, train, held_out, k, num_threads)
        if sure_gain(judged[move] - judged[best]) > 0:
            best, took, moves = move, clock() - at, _moves(move)
    return Tuned(best, _mean(judged[best]), len(judged))


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


def _judged(
    how: ItemItemSettings, train: sparse.csr_matrix, held_out: sparse.csr_matrix, k: int, num_threads: int
) -> NDArray[np.float64]:
    matrix = item_item_matrix(train, how, num_threads)
    return ndcg_of(lambda users: (train[users] @ matrix).toarray(), train, held_out, k=k)


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else 0.0
