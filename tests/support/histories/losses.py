"""The fault model: what a loss of the store excuses, and nothing else does.

The archive on disk is the authority. What the store took and no version had learned is gone with the store; what a
version has learned is not, unless somebody then goes back to a version from before it. A store that comes back as an
older copy of itself also brings back what that copy says of users and items.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from tests.support.histories.recorded import Activated, History, Published, Record, StoreLost


class Losses:
    """Losses of a history, and what had been learned by then."""

    def __init__(self, history: History) -> None:
        self._losses = list(history.of(StoreLost))
        self._activated = list(history.of(Activated))
        self._published = {each.version: each for each in history.of(Published)}

    def between(self, began: float, ended: float) -> int:
        """How many there were."""
        return sum(began < loss.ended and loss.began < ended for loss in self._losses)

    def excuse_row(self, row: float, sent: Record, until: float = math.inf) -> bool:
        """Whether a row that was acknowledged may be nowhere."""
        return any(not self._is_kept(row, loss) for loss in self._touching(sent, until))

    def excuse_row_for(self, row: float, sent: Record, version: str, until: float) -> bool:
        """Whether an answer of a version may know nothing of a row."""
        return row not in self._learned(version) and any(self._touching(sent, until))

    def excuse_change(self, change: Record, until: float = math.inf, version: str | None = None) -> bool:
        """Whether what was said of a user or an item may be forgotten, by learning or by a version."""
        return any(
            loss.since > -math.inf or not self._is_known(change, loss, version or loss.base)
            for loss in self._touching(change, until)
        )

    def is_being_put_right(self, change: Record, at: float, within: float) -> bool:
        """Whether a change came after a loss, so lately that nobody may have looked at the store since."""
        return any(loss.began <= change.began and at < loss.ended + within for loss in self._losses)

    def _touching(self, change: Record, until: float) -> Iterator[StoreLost]:
        return (
            loss
            for loss in self._losses
            if loss.since < change.ended and change.began < loss.ended and loss.began < until
        )

    def _is_kept(self, row: float, loss: StoreLost) -> bool:
        bases = [loss.base, *(each.version for each in self._activated if each.version and each.ended > loss.began)]
        return all(row in self._learned(version) for version in bases)

    def _is_known(self, change: Record, loss: StoreLost, version: str | None) -> bool:
        """Whether a version, or one that it came of, read the change before the store lost it."""
        while version is not None and version in self._published:
            published = self._published[version]
            if change.ended <= published.began and published.ended <= loss.began:
                return not any(each.version and each.ended > loss.began for each in self._activated)
            version = published.parent
        return False

    def _learned(self, version: str | None) -> set[float]:
        published = self._published.get(version or "")
        return set(published.learned) if published else set()
