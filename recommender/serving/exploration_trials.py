"""Exploration trials: how often newcomers were shown to be found, what came of it, and which of them have had enough.

A trial ends when the item is found, with `FOUND` attributed interactions, or when its budget of `BUDGET` exposures is
spent. Until then the estimate of how it is taken, and how uncertain that is, say how much it is worth to show it again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

FOUND = 5
"""Attributed interactions with which an item is found: from there on it is learned like any other."""
BUDGET = 100
"""Exposures that an item gets in trials, at most."""
PRIOR = 10.0
"""Exposures that the mean of all trials counts as, for an item of which little is known."""
BONUS = 1.5
"""What an item that was never shown is worth more than one that was shown very often, in deviations of the score."""
LEAST_RATE = 1e-3


class Trial(NamedTuple):
    """Exposures of an item in trials, and attributed interactions with it."""

    shown: int
    taken: int

    @property
    def is_over(self) -> bool:
        """Whether the item is found, or its budget is spent."""
        return self.taken >= FOUND or self.shown >= BUDGET


NEVER = Trial(0, 0)


class ExplorationTrials:
    """Trials of all items that have had one.

    Parameters
    ----------
    trials
        By item.
    """

    def __init__(self, trials: Mapping[str, Trial] | None = None) -> None:
        self._trials = dict(trials or {})
        self.under_way = tuple(item_id for item_id, trial in self._trials.items() if not trial.is_over)
        """Items that go on being explored, learned or not."""
        shown = sum(trial.shown for trial in self._trials.values())
        taken = sum(trial.taken for trial in self._trials.values())
        self._rate = max(LEAST_RATE, taken / shown) if shown else LEAST_RATE

    def __len__(self) -> int:
        return len(self._trials)

    def has_begun(self, item_id: str) -> bool:
        """Whether an item has been explored."""
        return item_id in self._trials

    def value(self, item_id: str) -> float:
        """What to add to an item's standardised score: evidence, and a bonus that shrinks with exposures.

        Notes
        -----
        ``log(rate / mean rate) + BONUS / √(1 + shown)``, with the rate shrunk to the mean as by `PRIOR` exposures.
        """
        shown, taken = self._trials.get(item_id, NEVER)
        rate = (taken + PRIOR * self._rate) / (shown + PRIOR)
        return math.log(rate / self._rate) + BONUS / math.sqrt(1 + shown)


NO_TRIALS = ExplorationTrials()


def unpack_trials(packed: bytes | None) -> ExplorationTrials:
    """Trials of a msgpack map of item to exposures and interactions; of None, none."""
    if packed is None:
        return NO_TRIALS
    found = msgspec.msgpack.decode(packed, type=dict[str, tuple[int, int]])
    return ExplorationTrials({item_id: Trial(*trial) for item_id, trial in found.items()})
