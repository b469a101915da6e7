"""Fold: one train-test split of a data set, with ids as numbers, the same for every candidate model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from recommender.datasets.dataset import Dataset, feature_records
from recommender.errors import InvalidRequestError
from recommender.evaluation import split_pairs
from recommender.feature_space import Features
from recommender.training.snapshot_builder import CatalogueEntry

FIXED = "fixed"
"""Split that comes with the data: both sides are given."""
_HOLDOUT_KINDS: Mapping[str, Literal["last", "random"]] = {"random": "random", "last": "last", "global": "last"}


class Size(NamedTuple):
    """Numbers of users and pairs that figures rest on."""

    users: int
    pairs: int


@dataclass(frozen=True, eq=False)
class Fold:
    """Training and test set of one split.

    Users and items are all of the data set, those without interactions included, numbered alike in every
    fold; so that all contenders choose among the same items, and users can be followed over seeds.

    Parameters
    ----------
    dataset
        Where it is from.
    older, newer
        Interactions to learn from, and to be judged by: a row for each pair, which the others do not have.
    user_ids, item_ids
        Ids by their number.
    seed
        Of the split, and of what is trained on it.
    split
        A name of `SPLITS`, or `FIXED`.
    """

    dataset: Dataset
    older: pd.DataFrame
    newer: pd.DataFrame
    user_ids: pd.Index[str]
    item_ids: pd.Index[str]
    seed: int
    split: str

    @property
    def holdout_kind(self) -> Literal["last", "random", "auto"]:
        """What a contender should hold out to learn settings by: what it is going to be judged by.

        ``auto`` leaves it to the data: where both sides are given, and where what is held out is cold.
        """
        return _HOLDOUT_KINDS.get(self.split, "auto")

    @cached_property
    def train(self) -> sparse.csr_matrix:
        """Users by items, 1 for each pair to learn from."""
        return self._pairs(self.older)

    @cached_property
    def test(self) -> sparse.csr_matrix:
        """Users by items, 1 for each pair to find."""
        return self._pairs(self.newer)

    @property
    def n_pairs(self) -> int:
        """Pairs of a user and an item, repeated ones counted once."""
        return int(self.train.nnz + self.test.nnz)

    @property
    def n_judged(self) -> Size:
        """What is judged: pairs to find that are not learned from too, and their users."""
        new = (self.test - self.test.multiply(self.train)).tocsr()
        new.eliminate_zeros()
        return Size(int(np.count_nonzero(np.diff(new.indptr))), int(new.nnz))

    @cached_property
    def users(self) -> dict[str, Features]:
        """Features by user id."""
        return dict(feature_records(self.dataset.users))

    @cached_property
    def catalogue(self) -> list[CatalogueEntry]:
        """Items with their features, those without interactions too."""
        return [CatalogueEntry(item_id, features) for item_id, features in feature_records(self.dataset.items)]

    @cached_property
    def warm_items(self) -> NDArray[np.bool_]:
        """Which items have something to learn from."""
        return np.asarray(self.train.sum(0)).ravel() > 0

    @cached_property
    def warm_users(self) -> NDArray[np.bool_]:
        """Which users have."""
        return np.asarray(self.train.sum(1)).ravel() > 0

    def _pairs(self, interactions: pd.DataFrame) -> sparse.csr_matrix:
        coordinates = (
            self.user_ids.get_indexer(interactions["user_id"]),
            self.item_ids.get_indexer(interactions["item_id"]),
        )
        shape = (len(self.user_ids), len(self.item_ids))
        matrix = sparse.csr_matrix((np.ones(len(interactions), np.float32), coordinates), shape)
        matrix.sum_duplicates()
        matrix.data[:] = 1
        return matrix


def fold_of(dataset: Dataset, split: str, share: float, seed: int) -> Fold:
    """Split the pairs of a user and an item.

    Parameters
    ----------
    dataset
        Interactions and features.
    split
        A name of `SPLITS`.
    share
        Of what is held out.
    seed
        Of the split.

    Raises
    ------
    InvalidRequestError
        Nothing would be left to learn from, or nobody to judge by.
    """
    interactions = dataset.interactions
    older, newer = split_pairs(split, interactions, share, seed)
    fold = Fold(
        dataset,
        older,
        newer,
        all_ids(dataset.users.index, interactions["user_id"]),
        all_ids(dataset.items.index, interactions["item_id"]),
        seed,
        split,
    )
    if older.empty or newer.empty:
        raise InvalidRequestError(
            f"the split {split!r} with a share of {share:g} of {fold.n_pairs} pairs of "
            f"{interactions['user_id'].nunique()} users with {interactions['item_id'].nunique()} items leaves "
            f"{'nothing to learn from' if older.empty else 'nothing to judge by'}; "
            "give another --split or --holdout, or more interactions"
        )
    return fold


def validation_of(fold: Fold, split: str, share: float) -> Fold | None:
    """Split what is to be learned from once more, to choose settings by; None where too little is left."""
    inner = Dataset(fold.older, fold.dataset.users, fold.dataset.items)
    try:
        chosen = fold_of(inner, split, share, fold.seed)
    except InvalidRequestError:
        return None
    return Fold(inner, chosen.older, chosen.newer, fold.user_ids, fold.item_ids, fold.seed, split)


def all_ids(described: pd.Index[str], interacting: pd.Series[str]) -> pd.Index[str]:
    """Ids of those who interacted, in order of first appearance, then of those who are only described."""
    return pd.Index(pd.unique(pd.Series([*interacting.tolist(), *described.tolist()], dtype=object)), dtype=object)
