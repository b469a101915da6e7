"""Schedule: when to learn, and how."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Schedule:
    """Clocks of learning.

    Parameters
    ----------
    incremental_every_s
        Seconds between incremental trainings; None for none.
    full_every_s
        Seconds between full trainings; None for none.
    min_interactions
        Interactions that must be new for either.
    changed_items
        Changes of items after which an incremental training is made without interactions: until then every replica
        holds what has changed as objects of its own.
    """

    incremental_every_s: float | None = 30.0
    full_every_s: float | None = 86_400.0
    min_interactions: int = 100
    changed_items: int = 10_000

    def due(
        self, now: float, full_at: float, newest_at: float, unseen: int, since_full: int, changed: int = 0
    ) -> Literal["full", "incremental"] | None:
        """What is to be done now, full trainings first.

        Parameters
        ----------
        now, full_at, newest_at
            Seconds since the epoch: now, of the last full training, of the last training at all.
        unseen
            Interactions that came after the last training, whatever became of that: one that was rejected is
            not tried again on the same interactions.
        since_full
            Interactions that came after the last full training.
        changed
            Changes of items that came after the last training.
        """
        if _has_run(self.full_every_s, now - full_at) and since_full >= self.min_interactions:
            return "full"
        if not _has_run(self.incremental_every_s, now - newest_at):
            return None
        enough = unseen >= self.min_interactions or changed >= self.changed_items
        return "incremental" if enough else None


def _has_run(every_s: float | None, age_s: float) -> bool:
    """Whether a clock has run; what seems to come from the future says that the machine's was set back."""
    return every_s is not None and not 0 <= age_s < every_s


class Backoff:
    """Exponential backoff: how long to wait after failures in a row.

    Parameters
    ----------
    first_s
        Wait after the first failure; each further one doubles it.
    most_s
        Longest wait.
    """

    def __init__(self, first_s: float = 2.0, most_s: float = 300.0) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._failures = 0
        self._until = 0.0

    @property
    def remaining_s(self) -> float:
        """Seconds until the next try; 0 when it may be now."""
        return max(0.0, self._until - time.monotonic())

    def fail(self) -> float:
        """Note a failure; returns the seconds until the next try."""
        # the exponent is bounded, since failures may go on for months
        wait_s = min(self._most_s, self._first_s * 2.0 ** min(self._failures, 32))
        self._failures += 1
        self._until = time.monotonic() + wait_s
        return wait_s

    def succeed(self) -> None:
        """Forget the failures."""
        self._failures, self._until = 0, 0.0
