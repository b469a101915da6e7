"""Increment of the history parts: columns of the item-item matrix are refitted where interactions are new.

The column of an item is a regression on its own interactions first of all: those of the items that gained most are
refitted first, as many as the time allows. Low-pass vectors stay, new items have none until the next full training;
the components of users follow from their histories.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.models.item_item import ItemItemProblem, with_columns
from recommender.models.low_pass import LowPass
from recommender.serving.snapshot import Rows
from recommender.training.history_choices import HistoryChoices
from recommender.training.history_parts import HistoryParts, liked_pairs

COLUMNS_AT_ONCE = 256
BUDGET_BYTES = 64 << 20
"""Memory of a refit: a dense Gram matrix of all frequent items does not pay for a few columns."""


def refitted(
    parts: HistoryParts,
    liked: Rows,
    gained: NDArray[np.int32],
    n_items: int,
    choices: HistoryChoices,
    *,
    refit_s: float,
    num_threads: int = 1,
    clock: Callable[[], float] = time.monotonic,
) -> HistoryParts:
    """Parts that know what is new.

    Parameters
    ----------
    parts
        Before.
    liked
        Histories with what is new.
    gained
        Item of each new interaction, repeated ones included.
    n_items
        Items now; those behind the ones that `parts` have are new.
    choices
        Hyperparameters of the last full training.
    refit_s
        Seconds after which no more columns are begun. The first are in any case.
    num_threads
        How many fit columns.
    clock
        Seconds that pass.
    """
    grown = HistoryParts(_grown(parts.item_item, n_items), _lengthened(parts.low_pass, n_items), parts.weights)
    columns = _most_changed(liked, gained, n_items)
    if not len(columns):
        return grown
    began = clock()
    problem = ItemItemProblem.of(liked_pairs(liked, n_items), choices.item_item(BUDGET_BYTES), num_threads=num_threads)
    fitted = list[sparse.csc_matrix]()
    for first in range(0, len(columns), COLUMNS_AT_ONCE):
        if fitted and clock() - began > refit_s:
            break
        fitted.append(problem.fit_columns(columns[first : first + COLUMNS_AT_ONCE], num_threads))
    together = sparse.hstack(fitted, format="csc")
    matrix = with_columns(grown.item_item, columns[: together.shape[1]], together)
    return HistoryParts(matrix, grown.low_pass, parts.weights)


def _most_changed(liked: Rows, gained: NDArray[np.int32], n_items: int) -> NDArray[np.int32]:
    """Items that have new interactions, those first whose share of new ones is largest."""
    new = np.bincount(gained, minlength=n_items)
    shares = new / np.maximum(np.bincount(liked.indices, minlength=n_items), 1)
    return np.argsort(-shares, kind="stable")[: np.count_nonzero(new)].astype(np.int32)


def _grown(matrix: sparse.csr_matrix, n_items: int) -> sparse.csr_matrix:
    grown = matrix.copy()
    grown.resize(n_items, n_items)
    return grown


def _lengthened(low_pass: LowPass, n_items: int) -> LowPass:
    """The same with zeros for new items."""
    n_new = n_items - len(low_pass.shares)
    return LowPass(np.pad(low_pass.items, ((0, n_new), (0, 0))), np.pad(low_pass.shares, (0, n_new)))
