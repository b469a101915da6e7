"""Personal biases: what an item has for one user beside the product of their vectors, item-item part included.

The item-item matrix touches few items of each user, and none by way of a vector. Added to the biases of these it leaves
everything to the exact search: masks, filters, ties and bounds hold for a touched item as for any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender.serving.history_weights import UserHistory
from recommender.serving.snapshot import Snapshot
from recommender.vector_search.quantization import LOWEST_BIAS, padded_length

MOST_FLOATS = 1 << 22
"""Biases that are held at once (16 MB): more users are answered in several passes."""


class PersonalBiases(NamedTuple):
    """Biases of each of some users."""

    items: NDArray[np.float32]
    """float32 of shape (n_users, N), of the rows of the snapshot, padded as codes are."""
    delta: NDArray[np.float32]
    """float32 of shape (n_users, n_delta)."""
    touched: list[NDArray[np.int32]] | None
    """Rows of the snapshot that the item-item matrix has something for, for each user; None where no index asks."""
    largest: float
    """Largest amount of any of them."""


def users_at_once(n_items: int) -> int:
    """How many users' biases are held at once."""
    return max(1, MOST_FLOATS // max(1, n_items))


def personal_biases(
    snapshot: Snapshot,
    biases: NDArray[np.float32],
    delta_biases: NDArray[np.float32],
    delta_rows: NDArray[np.int64],
    histories: Sequence[UserHistory],
) -> PersonalBiases:
    """Biases with what the item-item matrix adds by each history.

    Parameters
    ----------
    snapshot
        That has the matrix.
    biases, delta_biases
        float32 of its rows and of those of the delta, boosts included.
    delta_rows
        int64: row of the snapshot that each row of the delta has replaced, -1 for none. An item that was changed keeps
        what the matrix says of it.
    histories
        One a user, from `Snapshot.history_of`.
    """
    n, indexed = len(biases), snapshot.index is not None
    own = np.empty((len(histories), padded_length(n)), np.float32)
    own[:, n:] = LOWEST_BIAS
    touched, largest = [], 0.0
    for mine, history in zip(own[:, :n], histories, strict=True):
        if indexed:
            touched.append(np.flatnonzero(snapshot.item_item_part(history)).astype(np.int32))
        np.copyto(mine, biases)
        snapshot.item_item_part(history, mine)
        largest = max(largest, float(mine.max(initial=0)), -float(mine.min(initial=0)))
    of_delta = np.repeat(delta_biases[None], len(histories), axis=0)
    if len(known := np.flatnonzero(delta_rows >= 0)):
        rows = delta_rows[known]
        of_delta[:, known] += own[:, rows] - biases[rows]
    return PersonalBiases(own, of_delta, touched if indexed else None, largest)
