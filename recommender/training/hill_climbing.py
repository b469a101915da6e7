"""Hill climbing: settings beside the best so far are tried on a hold-out, as long as there is processor time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from recommender.models.mixture import sure_gain

MOST_TRIED = 12
"""Settings: enough for a climb, and small data is done sooner."""

Settings = TypeVar("Settings")
Clock = Callable[[], float]


@dataclass(frozen=True)
class Tuned(Generic[Settings]):
    """Settings that did best, and how many were tried."""

    settings: Settings
    ndcg: float
    n_tried: int


@dataclass(frozen=True)
class HillClimb(Generic[Settings]):
    """Hill climb over settings.

    Parameters
    ----------
    moves
        Settings beside some, the cheapest and most telling first.
    judge
        What each user of the hold-out gets by them, all users in the same order.
    cost
        How many times as long settings take as others, about.
    most_tried
        Settings at most.
    """

    moves: Callable[[Settings], Iterator[Settings]]
    judge: Callable[[Settings], NDArray[np.float64]]
    cost: Callable[[Settings, Settings], float]
    most_tried: int = MOST_TRIED

    def from_start(self, start: Settings, seconds: float, clock: Clock = time.process_time) -> Tuned[Settings]:
        """Climb from some settings to better ones.

        Parameters
        ----------
        start
            Where to begin; it is always tried.
        seconds
            Of processor time, which do not depend on what else the machine does. What is expected to end later is not
            begun.
        clock
            Seconds of processor time.

        Returns
        -------
        What did best. Other settings are taken only where they gain more than one standard error: among a dozen tries
        one does better by chance.
        """
        began, best = clock(), start
        judged = {best: self.judge(best)}
        took = clock() - began
        moves = self.moves(best)
        while (move := next(moves, None)) is not None:
            late = clock() - began + took * self.cost(move, best) > seconds
            if move in judged or len(judged) == self.most_tried or late:
                continue
            at = clock()
            judged[move] = self.judge(move)
            if sure_gain(judged[move] - judged[best]) > 0:
                best, took, moves = move, clock() - at, self.moves(move)
        return Tuned(best, _mean(judged[best]), len(judged))


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else 0.0
