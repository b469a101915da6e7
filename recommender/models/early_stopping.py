"""Early stopping: a fit ends when held-out pairs are not ranked better any more."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from recommender.models.compiled_trainer import TABLES

if TYPE_CHECKING:
    from recommender.models.lightfm_recommender import LFMRecommender

FIRST_LOOK = 4
BETWEEN_LOOKS = 1.35
"""Growth of the epochs from one look to the next: what comes late changes less."""
PATIENCE = 2
"""Looks without a gain after which the fit ends."""
LEAST_GAIN = 0.002
"""Share by which a look must be better than the best before to count as a gain."""
USERS_AT_ONCE = 64
TRAINED = [f"{what}_{table}" for what in ("user", "item") for table in TABLES]
"""Weights of a LightFM model, and the state of its optimiser."""


class EarlyStopping:
    """Early stopping by the ranks of held-out pairs among all items, those that a user chose in training left out.

    What is compared is the mean of ``1 / log2(1 + rank)``, which is ndcg without a cut: it moves with every rank, so
    that two thousand pairs tell a small gain.

    Parameters
    ----------
    held_out
        ``user_id`` and ``item_id``, a row a user; pairs of which the model does not know both do not count.

    Attributes
    ----------
    epochs : int
        Those that were run.
    best_epochs : int
        Those after which the pairs were ranked best; where nothing was looked at, those that were run.
    is_over : bool
        Whether the fit should end.
    """

    def __init__(self, held_out: pd.DataFrame) -> None:
        self._held_out = held_out
        self._pairs: _HeldOutPairs | None = None
        self._best = 0.0
        self._next = FIRST_LOOK
        self._without_gain = 0
        self._best_epochs = 0
        self._best_tables: dict[str, NDArray[np.float32]] = {}
        self.epochs = 0

    @property
    def is_over(self) -> bool:
        """Whether the fit should end."""
        return self._without_gain >= PATIENCE

    @property
    def best_epochs(self) -> int:
        """Epochs after which the pairs were ranked best."""
        return self._best_epochs or self.epochs

    def count_epoch(self, model: LFMRecommender, interactions: sparse.coo_matrix) -> None:
        """Note that an epoch was run, and look where it is time to.

        Parameters
        ----------
        model
            As it is now.
        interactions
            Users by items of the model: what it is trained on.
        """
        self.epochs += 1
        if self.epochs < self._next:
            return
        self._next = math.ceil(self.epochs * BETWEEN_LOOKS)
        if self._pairs is None:
            self._pairs = _HeldOutPairs(model, interactions, self._held_out)
        quality = self._pairs.mean_gain(model)
        if quality > self._best * (1 + LEAST_GAIN):
            self._best, self._best_epochs, self._without_gain = quality, self.epochs, 0
            self._best_tables = {name: getattr(model, name).copy() for name in TRAINED}
        else:
            self._without_gain += 1

    def restore_best(self, model: LFMRecommender) -> None:
        """Give a model the weights after `best_epochs` back; it keeps its own where those are the last."""
        if self._best_epochs and self._best_epochs < self.epochs:
            for name, table in self._best_tables.items():
                setattr(model, name, table)
        self._best_tables = {}


class _HeldOutPairs:
    """Held-out pairs by index, with the rows of their users and of all items, which do not change in a fit."""

    def __init__(self, model: LFMRecommender, interactions: sparse.coo_matrix, held_out: pd.DataFrame) -> None:
        users = model.users.ids.indices_of(held_out["user_id"])
        items = model.items.ids.indices_of(held_out["item_id"])
        known = (users >= 0) & (items >= 0)
        self._items = items[known]
        self._user_rows = model.users.rows()[users[known]]
        self._item_rows = model.items.rows()
        chosen = interactions.tocsr()[users[known]]
        self._chosen = (chosen.indptr, chosen.indices)

    def mean_gain(self, model: LFMRecommender) -> float:
        """Mean of ``1 / log2(1 + rank)``; 0 without pairs."""
        vectors = self._item_rows @ model.item_embeddings
        biases = self._item_rows @ model.item_biases
        starts = range(0, len(self._items), USERS_AT_ONCE)
        gains = [self._gains(model, vectors, biases, slice(start, start + USERS_AT_ONCE)) for start in starts]
        return float(np.concatenate(gains).mean()) if gains else 0.0

    def _gains(
        self, model: LFMRecommender, vectors: NDArray[np.float32], biases: NDArray[np.float32], some: slice
    ) -> NDArray[np.float64]:
        items = self._items[some]
        scores = (self._user_rows[some] @ model.user_embeddings) @ vectors.T + biases  # (n_users, n_items)
        own = scores[np.arange(len(items)), items][:, None]
        better = (scores > own).sum(axis=1)
        indptr, indices = self._chosen
        indptr = indptr[some.start : some.start + len(items) + 1]
        rows = np.repeat(np.arange(len(items)), np.diff(indptr))
        chosen = scores[rows, indices[indptr[0] : indptr[-1]]] > own[rows, 0]
        ranks = 1 + better - np.bincount(rows, chosen, len(items))
        gains: NDArray[np.float64] = 1 / np.log2(1 + ranks)
        return gains
