"""History weights: how much a user's history counts in a score, by how long it is and how old each interaction is."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

MAX_HISTORY_ROWS = 500
"""How many of a user's newest interactions are used."""
_HALVINGS = 6
"""After so many half-lives an interaction counts a 64th, all older ones together less than two hundredths of all that
counts: they are no longer read."""


class UserHistory(NamedTuple):
    """A user's history as it counts in scores: oldest first, each item once."""

    rows: NDArray[np.int32]
    """Rows of the snapshot."""
    item_item: NDArray[np.float32]
    """``a(n) x_j``: what each row of the item-item matrix is multiplied by."""
    low_pass: NDArray[np.float32]
    """``b(n) x_j s_j``: what each item's low-pass components are multiplied by."""


NO_HISTORY = UserHistory(np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(0, np.float32))
"""Of a user who has chosen nothing, or in a version without history parts."""


class HistoryWeights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Mixture weights of the history parts, learned at training.

    ``score(u, i) = F + a(n) · Σ_j x_j W[j, i] + b(n) · Σ_j x_j s_j (l_j · l_i)``: LightFM, the item-item matrix and the
    low-pass filter, summed over the n interactions of a history, with ``x_j = 0.5 ** (r_j / half_life)``, r_j
    being the rank from the newest, which has 0.
    """

    half_life: float | None
    """Interactions after which one counts half; None: all count in full."""
    lengths: list[int]
    """Lower edges of the buckets of n, rising; the first is 1."""
    item_item: list[float]
    """a, one a bucket."""
    low_pass: list[float]
    """b, one a bucket."""
    n_low_pass: int = 0
    """How many of the last columns of the vectors are low-pass components."""
    mean_history: float = 1.0
    """How much the mean history counts for whoever has features and no history."""

    @classmethod
    def from_meta(cls, meta: Any) -> Self:
        """Weights from what `to_meta` gave.

        Raises
        ------
        msgspec.ValidationError
            It is anything else.
        """
        return msgspec.convert(meta, cls)

    def to_meta(self) -> dict[str, Any]:
        """As JSON has it."""
        return msgspec.structs.asdict(self)

    def of_length(self, n: int) -> tuple[float, float]:
        """``a(n)`` and ``b(n)``; 0 for a history without interactions."""
        if n < 1:
            return 0.0, 0.0
        bucket = max(0, int(np.searchsorted(self.lengths, n, side="right")) - 1)
        return self.item_item[bucket], self.low_pass[bucket]

    @property
    def n_used(self) -> int:
        """How many of the newest interactions are used."""
        if self.half_life is None:
            return MAX_HISTORY_ROWS
        return min(MAX_HISTORY_ROWS, max(1, math.ceil(_HALVINGS * self.half_life)))

    def recency(self, n: int) -> NDArray[np.float32]:
        """``x`` of n interactions, oldest first, float32 of shape (n,)."""
        if self.half_life is None:
            return np.ones(n, np.float32)
        return np.exp2(np.arange(1 - n, 1) / self.half_life).astype(np.float32)

    def of(self, rows: NDArray[np.int32], low_pass_scale: NDArray[np.float32]) -> UserHistory:
        """History of items, oldest first and each once, with what its newest `n_used` count."""
        item_item, low_pass = self.of_length(len(rows))
        rows = rows[-self.n_used :]
        recency = self.recency(len(rows))
        scale = low_pass_scale[rows] if len(low_pass_scale) else np.zeros(len(rows), np.float32)
        return UserHistory(rows, np.float32(item_item) * recency, np.float32(low_pass) * recency * scale)
