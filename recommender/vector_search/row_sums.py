"""Weighted sums of rows of a sparse matrix: compiled, over the touched columns alone, without the GIL."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender.vector_search.kernel import compiled


class RowSum(NamedTuple):
    """A weighted sum of sparse rows."""

    columns: NDArray[np.int32]
    """Those that any of the rows has, in the order in which they came up, each once."""
    values: NDArray[np.float32]
    """The sum there, one a column."""


class SparseRows(NamedTuple):
    """A CSR matrix."""

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    weights: NDArray[np.float32]


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

    def sum(self, matrix: SparseRows, rows: NDArray[np.int32], amounts: NDArray[np.float32]) -> RowSum:
        """``Σ_j amounts[j] · matrix[rows[j]]`` in float32, added up in the order of the rows.

        Notes
        -----
        O(non-zeros of the rows), whatever the matrix has of columns.
        """
        return RowSum(*_sum_rows(*map(_read_only, matrix), rows, amounts, self._sums, self._touched))


def look_up(
    matrix: SparseRows, rows: NDArray[np.int32], columns: NDArray[np.int64], n_columns: int
) -> NDArray[np.float32]:
    """Entries of some rows at some columns, float32 of shape (n_rows, n_columns asked); -1 asks for nothing."""
    places = np.full(n_columns, -1, np.int32)
    there = np.flatnonzero(columns >= 0)
    places[columns[there]] = there
    return np.asarray(_look_up(*map(_read_only, matrix), rows, places, len(columns)))


@compiled
def _sum_rows(indptr, indices, weights, rows, amounts, sums, is_touched):  # type: ignore[no-untyped-def]
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
    values = np.empty(n, np.float32)
    for place in range(n):
        column = touched[place]
        values[place] = sums[column]
        # the scratch is left as it was found
        sums[column], is_touched[column] = 0, False
    return touched[:n], values


@compiled
def _look_up(indptr, indices, weights, rows, places, n_asked):  # type: ignore[no-untyped-def]
    found = np.zeros((len(rows), n_asked), np.float32)
    for number in range(len(rows)):
        for entry in range(indptr[rows[number]], indptr[rows[number] + 1]):
            place = places[indices[entry]]
            if place >= 0:
                found[number, place] = weights[entry]
    return found


def _read_only(array):  # type: ignore[no-untyped-def]
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
