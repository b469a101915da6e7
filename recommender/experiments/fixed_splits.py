"""Fixed splits: training and test interactions that are given apart, as public protocols publish them.

Recommenders that were judged by others on the same two files can be compared with: LightGCN's protocol [1]_ ranks all
items that a user does not have in the training file, and means recall@20 and ndcg@20 over the users of the test file.

References
----------
.. [1] X. He et al., LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation, 2020.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from recommender.datasets import open_dataset
from recommender.datasets.dataset import Dataset
from recommender.errors import InvalidDataError, InvalidRequestError
from recommender.experiments.folds import FIXED, Fold, all_ids

MATRIX = ".npz"


def fixed_split(train: Path, test: Path) -> Fold:
    """Read both sides of a split.

    Parameters
    ----------
    train, test
        Two files of scipy's ``save_npz``, users by items, of the same shape; or two data folders as
        `open_dataset` reads them, of which the first has the features. Values of 0 or less are no interactions.

    Returns
    -------
    Fold of seed 0. Users and items of matrices are called by their row and column. Matrices have no time: all
    interactions are of the same moment.

    Raises
    ------
    InvalidDataError
        A file is no sparse matrix, or the shapes differ.
    InvalidRequestError
        One is a matrix and the other is not, or a side has no interactions.
    """
    kinds = {path.suffix == MATRIX for path in (train, test)}
    if len(kinds) > 1:
        raise InvalidRequestError(f"{train} and {test}: give two {MATRIX} files or two folders")
    fold = _of_matrices(train, test) if kinds.pop() else _of_folders(train, test)
    for path, side in ((train, fold.train), (test, fold.test)):
        if not side.nnz:
            raise InvalidRequestError(f"{path} has no interactions")
    return fold


def name_of(train: Path) -> str:
    """Name of the data set: that of the file without its ending and without ``train``."""
    stem = train.name.removesuffix(MATRIX)
    return stem.removesuffix("train").rstrip("_-.") or train.parent.name or stem


def _of_matrices(train: Path, test: Path) -> Fold:
    older, newer = _matrix(train), _matrix(test)
    if older.shape != newer.shape:
        raise InvalidDataError(
            f"{train} is {older.shape}, {test} is {newer.shape}: both are users by items, numbered alike"
        )
    user_ids, item_ids = (pd.Index([str(each) for each in range(n)], dtype=object) for n in older.shape)
    users = pd.DataFrame(index=pd.Index([], dtype=object, name="user_id"))
    items = pd.DataFrame(index=item_ids.rename("item_id"))
    sides = [_interactions(side, user_ids, item_ids) for side in (older, newer)]
    return Fold(Dataset(sides[0], users, items), sides[0], sides[1], user_ids, item_ids, 0, FIXED)


def _matrix(path: Path) -> sparse.coo_matrix:
    try:
        matrix = sparse.coo_matrix(sparse.load_npz(path))
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise InvalidDataError(f"{path} is no sparse matrix; write it by scipy.sparse.save_npz: {error}") from error
    matrix.sum_duplicates()
    return matrix


def _interactions(matrix: sparse.coo_matrix, user_ids: pd.Index[str], item_ids: pd.Index[str]) -> pd.DataFrame:
    kept = matrix.data > 0
    order = np.lexsort((matrix.col[kept], matrix.row[kept]))
    return pd.DataFrame(
        {
            "user_id": user_ids[matrix.row[kept][order]],
            "item_id": item_ids[matrix.col[kept][order]],
            "weight": matrix.data[kept][order].astype(np.float32),
            "timestamp": np.zeros(int(kept.sum()), np.float64),
        }
    )


def _of_folders(train: Path, test: Path) -> Fold:
    older, newer = open_dataset(train), open_dataset(test)
    both = pd.concat([older.interactions, newer.interactions])
    user_ids = all_ids(older.users.index, both["user_id"])
    item_ids = all_ids(older.items.index, both["item_id"])
    return Fold(older, older.interactions, newer.interactions, user_ids, item_ids, 0, FIXED)
