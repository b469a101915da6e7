"""Weighted sums of rows of a sparse matrix: compiled, over the touched columns alone, without the GIL."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender.vector_search.kernel import compiled


class RowSum(NamedTuple):
    """A weighted sum of sparse rows."""

    columns: NDArray[np.int32]
    """Those that any of the rows has, in the order in which they came up, each once."""
    values: NDArray[np.float32]
    """The sum there, one a column."""
    asked: NDArray[np.float32]
    """The sum at columns that were asked for, in their order."""


class SparseRows(NamedTuple):
    """A CSR matrix."""

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    weights: NDArray[np.float32]


NO_COLUMNS = np.zeros(0, np.int64)


class RowSummer:
    """Sums of rows with one scratch for all of them; not to be shared by threads.

    Parameters
    ----------
    n_columns
        Of the matrix. The scratch takes five bytes for each.
    """

    def __init__(self, n_columns: int) -> None:
        self._sums = np.zeros(n_columns, np.float32)
        self._touched = np.zeros(n_columns, np.bool_)

    def sum(
        self,
        matrix: SparseRows,
        rows: NDArray[np.int32],
        amounts: NDArray[np.float32],
        asked: NDArray[np.int64] = NO_COLUMNS,
    ) -> RowSum:
        """``Σ_j amounts[j] · matrix[rows[j]]`` in float32, added up in the order of the rows.

        Parameters
        ----------
        matrix
            With as many columns as there is scratch.
        rows, amounts
            int32 and float32, of the same length.
        asked
            int64: columns to say the sum of, touched or not; one of -1 gets 0.

        Notes
        -----
        O(non-zeros of the rows), whatever the matrix has of columns.
        """
        arrays = _read_only(*matrix, rows, amounts, asked)
        return RowSum(*_sum_rows(*arrays, self._sums, self._touched))


def look_up(
    matrix: SparseRows, rows: NDArray[np.int32], columns: NDArray[np.int64], n_columns: int
) -> NDArray[np.float32]:
    """Entries of some rows at some columns, float32 of shape (n_rows, n_columns asked); -1 asks for nothing."""
    places = np.full(n_columns, -1, np.int32)
    there = np.flatnonzero(columns >= 0)
    places[columns[there]] = there
    return np.asarray(_look_up(*_read_only(*matrix, rows, places), len(columns)))


def warm_up() -> None:
    """Compile, or load what was compiled, so that the first request does not wait for it."""
    matrix = SparseRows(np.array([0, 1], np.int64), np.zeros(1, np.int32), np.ones(1, np.float32))
    rows = np.zeros(1, np.int32)
    RowSummer(1).sum(matrix, rows, matrix.weights)
    look_up(matrix, rows, np.zeros(1, np.int64), 1)


@compiled
def _sum_rows(indptr, indices, weights, rows, amounts, asked, sums, is_touched):  # type: ignore[no-untyped-def]
    most = 0
    for row in rows:
        most += indptr[row + 1] - indptr[row]
    touched, n = np.empty(min(most, len(sums)), np.int32), 0
    for place in range(len(rows)):
        row, amount = rows[place], amounts[place]
        for entry in range(indptr[row], indptr[row + 1]):
            column = indices[entry]
            if not is_touched[column]:
                is_touched[column], touched[n] = True, column
                n += 1
            sums[column] += amount * weights[entry]
    wanted = np.zeros(len(asked), np.float32)
    for place in range(len(asked)):
        if asked[place] >= 0:
            wanted[place] = sums[asked[place]]
    values = np.empty(n, np.float32)
    for place in range(n):
        column = touched[place]
        values[place] = sums[column]
        # the scratch is left as it was found
        sums[column], is_touched[column] = 0, False
    return touched[:n], values, wanted


@compiled
def _look_up(indptr, indices, weights, rows, places, n_asked):  # type: ignore[no-untyped-def]
    found = np.zeros((len(rows), n_asked), np.float32)
    for number in range(len(rows)):
        for entry in range(indptr[rows[number]], indptr[rows[number] + 1]):
            place = places[indices[entry]]
            if place >= 0:
                found[number, place] = weights[entry]
    return found


def _read_only(*arrays: NDArray[Any]) -> list[NDArray[Any]]:
    """Views that cannot be written: code is compiled once, for these, and not again for arrays that can be."""
    views = [np.ascontiguousarray(array).view() for array in arrays]
    for view in views:
        view.flags.writeable = False
    return views
