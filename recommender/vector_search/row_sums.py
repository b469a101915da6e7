"""Weighted sums of rows of a sparse matrix, compiled and without the GIL."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender.vector_search.kernel import compiled, fetch_line

_ENTRIES_AHEAD, _ENTRIES_A_LINE = 256, 16
"""Of the next row, that are asked for while one is added: the rest comes by itself once a row is being read."""


class SparseRows(NamedTuple):
    """A CSR matrix."""

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    weights: NDArray[np.float32]


def add_rows(
    matrix: SparseRows, rows: NDArray[np.int32], amounts: NDArray[np.float32], sums: NDArray[np.float32]
) -> None:
    """Add ``Σ_j amounts[j] · matrix[rows[j]]`` to `sums`, float32 of shape (n_columns,), in the order of the rows.

    Notes
    -----
    O(non-zeros of the rows), whatever the matrix has of columns.
    """
    _add_rows(*_read_only(*matrix, rows, amounts), sums)


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
    add_rows(matrix, rows, matrix.weights, np.zeros(1, np.float32))
    look_up(matrix, rows, np.zeros(1, np.int64), 1)


@compiled
def _ask_for(indptr, indices, weights, row):  # type: ignore[no-untyped-def]
    """Ask for where a row begins."""
    first = indptr[row]
    for entry in range(first, min(indptr[row + 1], first + _ENTRIES_AHEAD), _ENTRIES_A_LINE):
        fetch_line(indices, entry)
        fetch_line(weights, entry)


@compiled
def _add_rows(indptr, indices, weights, rows, amounts, sums):  # type: ignore[no-untyped-def]
    for place in range(len(rows)):
        if place + 1 < len(rows):
            _ask_for(indptr, indices, weights, rows[place + 1])
        row, amount = rows[place], amounts[place]
        for entry in range(indptr[row], indptr[row + 1]):
            # as an unsigned place it need not be looked at whether it counts from the end
            sums[np.uint32(indices[entry])] += amount * weights[entry]


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
