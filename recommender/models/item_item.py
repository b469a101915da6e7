"""Item-item matrix: sparse ridge regressions of each item on the items most similar to it.

Column i of the matrix solves ``(G_SS + Λ_SS) b = G_Si``, where ``G = Xᵀ W X`` is the Gram matrix of the interactions,
S the `neighbours` items most similar to i by cosine, and ``score(u, i) = Σ_j x_uj b_ji``. With S = all other items this
is EASE [1]_; the restriction is known from fsSLIM [2]_. Columns do not depend on each other: some of them can be fitted
anew, or each machine fits its own.

References
----------
.. [1] H. Steck, Embarrassingly Shallow Autoencoders for Sparse Data, 2019.
.. [2] X. Ning, G. Karypis, SLIM: Sparse Linear Methods for Top-N Recommender Systems, 2011.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.errors import InvalidDataError
from recommender.models.item_item_kernel import Buffers, add_dense_rows, fit_columns

_BLOCK = 256
"""Columns that a thread fits at a time."""
_DENSE_BLOCK = 64
"""Rows of the dense Gram matrix that a thread sums at a time."""
_LEAST_SQUARE = 1e-6
"""Least diagonal of the Gram matrix, as a share of the mean: an item without interactions is divided by it."""
_SCATTER = np.uint32(2654435761)
"""Odd multiplier that spreads neighbouring indexes (Fibonacci hashing)."""

_Fitted = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]
_EMPTY: _Fitted = (np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.float32))

Arrays = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]
"""``indptr``, ``indices`` and ``data`` of a sparse matrix."""


@dataclass(frozen=True)
class ItemItemSettings:
    """Settings of an item-item matrix.

    Parameters
    ----------
    neighbours
        Items that a column may weigh, K: its cost grows with K³, the matrix with K.
    kept
        Weights of a column that are kept, the largest; None for all. Rows are read for each item of a history, so
        their length is what serving costs.
    penalty
        Ridge penalty λ of an item of mean frequency.
    penalty_exponent
        How the penalty grows with the frequency of the item weighed: ``λ (G_jj / mean)^exponent``.
    length_exponent
        How little the interactions of users with long histories count: a user's weigh
        ``(length / mean)^-exponent`` in the Gram matrix.
    longest
        Interactions of a user that count; of longer histories the strongest.
    budget_bytes
        Memory beside the interactions and the matrix itself.
    """

    neighbours: int = 100
    kept: int | None = None
    penalty: float = 100.0
    penalty_exponent: float = 0.5
    length_exponent: float = 0.5
    longest: int = 2000
    budget_bytes: int = 1 << 30

    def __post_init__(self) -> None:
        for name, least in (("neighbours", 1), ("longest", 1), ("budget_bytes", 1)):
            if getattr(self, name) < least:
                raise InvalidDataError(f"{name} is {getattr(self, name)}; it must be at least {least}")
        if self.kept is not None and self.kept < 1:
            raise InvalidDataError(f"kept is {self.kept}; it must be at least 1, or None for all")
        if not self.penalty > 0:
            raise InvalidDataError(f"penalty is {self.penalty}; it must be above 0")


@dataclass(frozen=True)
class Scales:
    """Means that lengths and frequencies are measured by.

    Parameters
    ----------
    length
        Mean length of the histories that are not empty.
    square
        Mean of the Gram diagonal over the items that have interactions.
    """

    length: float
    square: float


@dataclass(frozen=True, eq=False, repr=False)
class ItemItemProblem:
    """Ridge regression problem: all that any column of the item-item matrix is fitted from.

    Parameters
    ----------
    by_user, by_item
        Weighted interactions, users by items and items by users.
    squares, penalties
        float32 of shape (n_items,): diagonal of the Gram matrix, and what is added to it.
    places, gram
        Row of each item in the dense Gram matrix of the most frequent items, -1 for none, and that matrix.
    settings
        How columns are fitted.
    scales
        What lengths and frequencies were measured by.
    """

    by_user: Arrays
    by_item: Arrays
    squares: NDArray[np.float32]
    penalties: NDArray[np.float32]
    places: NDArray[np.int32]
    gram: NDArray[np.float32]
    settings: ItemItemSettings
    scales: Scales

    @classmethod
    def of(
        cls,
        interactions: sparse.csr_matrix,
        settings: ItemItemSettings | None = None,
        scales: Scales | None = None,
        num_threads: int = 1,
    ) -> Self:
        """Problem of the interactions.

        Parameters
        ----------
        interactions
            Users by items: how much each interaction counts, by its weight and its age; below 0 for what is disliked.
        settings
            How; by default `ItemItemSettings`.
        scales
            Those of an earlier problem, so that columns fitted now go with columns fitted then; else they are measured.
        num_threads
            How many sum the dense Gram matrix, and their buffers' share of the budget.
        """
        settings = settings or ItemItemSettings()
        kept = strongest(_canonical(interactions), settings.longest)
        lengths = np.diff(kept.indptr)
        length = scales.length if scales else _mean_above_0(lengths)
        shares = (np.maximum(lengths, 1) / length) ** (-settings.length_exponent / 2)
        kept.data *= np.repeat(shares, lengths).astype(np.float32)
        squares = np.bincount(kept.indices, kept.data.astype(np.float64) ** 2, kept.shape[1])
        square = scales.square if scales else _mean_above_0(squares)
        frequencies = np.maximum(squares, _LEAST_SQUARE * square)
        penalties = settings.penalty * (frequencies / square) ** settings.penalty_exponent
        by_user, by_item = _arrays(kept), _arrays(kept.T.tocsr())
        places, gram = _dense_gram(by_user, by_item, settings, num_threads)
        single = (frequencies.astype(np.float32), penalties.astype(np.float32))
        return cls(by_user, by_item, *single, places, gram, settings, Scales(length, square))

    @property
    def n_items(self) -> int:
        """How many columns there are."""
        return len(self.squares)

    def fit_columns(self, columns: NDArray[np.int32], num_threads: int = 1) -> sparse.csc_matrix:
        """Columns of the item-item matrix, the same bits whatever the others and the number of threads.

        Parameters
        ----------
        columns
            Item indexes.
        num_threads
            How many fit them.

        Returns
        -------
        float32 of shape (n_items, n_columns), at most `neighbours` weights a column, rows rising.
        """
        blocks = [columns[first : first + _BLOCK] for first in range(0, len(columns), _BLOCK)]
        idle = [Buffers.of(self.n_items, self.settings.neighbours) for _ in range(min(num_threads, len(blocks)))]
        with ThreadPoolExecutor(max(1, num_threads)) as pool:
            parts = list(pool.map(lambda block: self._fit_block(block, idle), blocks))
        lengths, rows, weights = (np.concatenate(each) for each in zip(_EMPTY, *parts, strict=True))
        indptr = np.append(0, np.cumsum(lengths))
        return sparse.csc_matrix((weights, rows, indptr), (self.n_items, len(columns)))

    def _fit_block(self, columns: NDArray[np.int32], idle: list[Buffers]) -> _Fitted:
        """Lengths, rows and weights of some columns."""
        shape = (len(columns), self.settings.neighbours)
        found, weights, lengths = np.empty(shape, np.int32), np.empty(shape, np.float32), np.empty(len(columns), int)
        buffers = idle.pop()  # there are as many as threads
        dense = (self.places, self.gram)
        fit_columns(
            *(self.by_user, self.by_item, self.squares, self.penalties, dense),
            *(buffers, columns.astype(np.int32, copy=False), found, weights, lengths),
        )
        idle.append(buffers)
        there = np.arange(shape[1]) < lengths[:, None]
        if self.settings.kept is not None and self.settings.kept < shape[1]:
            there &= _is_large(np.where(there, np.abs(weights), 0), self.settings.kept)
        return there.sum(axis=1), found[there], weights[there]


def item_item_matrix(
    interactions: sparse.csr_matrix, settings: ItemItemSettings | None = None, num_threads: int = 1
) -> sparse.csr_matrix:
    """Item-item matrix of the interactions; row j is what an interaction with j adds to the score of each item."""
    problem = ItemItemProblem.of(interactions, settings, num_threads=num_threads)
    return problem.fit_columns(np.arange(problem.n_items, dtype=np.int32), num_threads).tocsr()


def with_columns(matrix: sparse.csr_matrix, columns: NDArray[np.int32], fitted: sparse.csc_matrix) -> sparse.csr_matrix:
    """Item-item matrix with some columns replaced; it grows to as many items as the fitted columns know."""
    n_items = fitted.shape[0]
    grown = sparse.csr_matrix(matrix)
    grown.resize(n_items, n_items)
    chosen = np.arange(n_items)
    chosen[columns] = n_items + np.arange(len(columns))
    return sparse.hstack([grown.tocsc(), fitted], format="csc")[:, chosen].tocsr()


def with_largest(matrix: sparse.csr_matrix, kept: int | None) -> sparse.csr_matrix:
    """Item-item matrix with the `kept` largest weights of each column, of equals the first; None: as it is."""
    if kept is None:
        return matrix
    by_column = matrix.tocsc()
    by_column.sort_indices()
    owners = np.repeat(np.arange(by_column.shape[1]), np.diff(by_column.indptr))
    order = np.lexsort((-np.abs(by_column.data), owners))
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order)) - by_column.indptr[owners]
    large = ranks < kept
    indptr = np.append(0, np.cumsum(large))[by_column.indptr]
    return sparse.csc_matrix((by_column.data[large], by_column.indices[large], indptr), matrix.shape).tocsr()


def changed_items(before: sparse.csr_matrix, after: sparse.csr_matrix) -> NDArray[np.int32]:
    """Items whose Gram rows changed: all of the users whose interactions did, before and after, rising.

    Other columns move a little too, where such an item is in their support; refitted columns are exact.
    """
    old = before.copy()
    old.resize(after.shape)
    users = np.flatnonzero(np.diff((after != old).tocsr().indptr))
    items = np.concatenate([old[users].indices, after[users].indices])
    return np.unique(items).astype(np.int32)


def strongest(interactions: sparse.csr_matrix, most: int) -> sparse.csr_matrix:
    """Interactions of which each user keeps the `most` that count most; of equals a fixed choice that looks random."""
    starts, lengths = interactions.indptr, np.diff(interactions.indptr)
    kept = np.ones(interactions.nnz, np.bool_)
    for user in np.flatnonzero(lengths > most):
        own = slice(starts[user], starts[user + 1])
        scattered = interactions.indices[own].astype(np.uint32) * _SCATTER
        kept[own][np.lexsort((scattered, -np.abs(interactions.data[own])))[most:]] = False
    indptr = np.append(0, np.cumsum(kept))[starts]
    return sparse.csr_matrix((interactions.data[kept], interactions.indices[kept], indptr), interactions.shape)


def _canonical(interactions: sparse.csr_matrix) -> sparse.csr_matrix:
    """Copy with each pair once, in order, as float32."""
    copy = sparse.csr_matrix(interactions, dtype=np.float32, copy=True)
    if not np.isfinite(copy.data).all():
        raise InvalidDataError("an interaction counts NaN or infinity; all must be finite numbers")
    copy.sum_duplicates()
    copy.eliminate_zeros()
    return copy


def _arrays(matrix: sparse.csr_matrix) -> Arrays:
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data


def _is_large(sizes: NDArray[np.float32], most: int) -> NDArray[np.bool_]:
    """Whether each is among the largest of its row; of equals the first are."""
    large = np.zeros(sizes.shape, np.bool_)
    np.put_along_axis(large, np.argsort(-sizes, axis=1, kind="stable")[:, :most], True, axis=1)
    return large


def _mean_above_0(values: NDArray[Any]) -> float:
    there = values[values > 0]
    return float(there.mean()) if len(there) else 1.0


def _dense_gram(
    by_user: Arrays, by_item: Arrays, settings: ItemItemSettings, num_threads: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Places and Gram matrix of as many of the most frequent items as the budget holds."""
    frequencies = np.diff(by_item[0])
    n = min(len(frequencies), n_dense(len(frequencies), settings, num_threads))
    items = np.argsort(-frequencies, kind="stable")[:n].astype(np.int32)
    places = np.full(len(frequencies), -1, np.int32)
    places[items] = np.arange(n)
    gram = np.zeros((n, n), np.float32)
    with ThreadPoolExecutor(max(1, num_threads)) as pool:
        firsts = range(0, n, _DENSE_BLOCK)
        list(
            pool.map(
                lambda at: add_dense_rows(by_user, by_item, items, places, at, min(n, at + _DENSE_BLOCK), gram), firsts
            )
        )
    return places, gram


def n_dense(n_items: int, settings: ItemItemSettings, num_threads: int) -> int:
    """Items whose Gram matrix fits into the budget beside the buffers of the threads."""
    blocks = _BLOCK * settings.neighbours * 8
    left = settings.budget_bytes - num_threads * (Buffers.bytes_of(n_items, settings.neighbours) + blocks)
    return math.isqrt(max(0, left) // 4)
