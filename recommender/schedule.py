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
        if _has_run(self.full_every_s, now - full_at) and since_full >= self.min_interactions:
            return "full"
        if not _has_run(self.incremental_every_s, now - newest_at):
            return None
        return "incremental" if unseen >= self.min_interactions else None


def _has_run(every_s: float | None, age_s: float) -> bool:
    """Whether a clock has run; what seems to come from the future says that the machine's was set back."""
    return every_s is not None and not 0 <= age_s < every_s
