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
    """Largest amount that it adds to any of them."""


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
    own = np.zeros((len(histories), padded_length(n)), np.float32)
    own[:, n:] = LOWEST_BIAS
    for mine, history in zip(own[:, :n], histories, strict=True):
        snapshot.item_item_part(history, mine)
    items = own[:, :n]
    known = delta_rows >= 0
    of_delta = np.repeat(delta_biases[None], len(histories), axis=0)
    of_delta[:, known] += items[:, delta_rows[known]]
    touched = [np.flatnonzero(mine).astype(np.int32) for mine in items] if indexed else None
    largest = float(max(items.max(initial=0), -items.min(initial=0)))
    items += biases
    return PersonalBiases(own, of_delta, touched, largest)
