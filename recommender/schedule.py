"""Schedule: when to learn, and how."""

from __future__ import annotations

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
    """

    incremental_every_s: float | None = 30.0
    full_every_s: float | None = 86_400.0
    min_interactions: int = 100

    def due(
        self, now: float, full_at: float, newest_at: float, unseen: int, since_full: int
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
        """
        full_is_due = self.full_every_s is not None and now - full_at >= self.full_every_s
        if full_is_due and since_full >= self.min_interactions:
            return "full"
        if self.incremental_every_s is None or now - newest_at < self.incremental_every_s:
            return None
        return "incremental" if unseen >= self.min_interactions else None
