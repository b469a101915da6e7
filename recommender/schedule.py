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
