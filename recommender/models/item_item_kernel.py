"""Compiled loops of the restricted item-item ridge regression: Gram rows, supports, Cholesky factors.

A Gram row is summed from the users of its item, so the full Gram matrix is never held. Only that of the most
frequent items is, densely: they are where summing again for every column would cost most.
Each sum has one order whatever the number of threads: the same bits every time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender.vector_search.kernel import compiled

_RANK = 4
"""Rows of the Cholesky factor that update the rest together: one load and store of the rest for four."""
_TINY = np.float32(1e-12)
"""Least pivot: a column that others explain fully is left out instead of dividing by 0."""


class Buffers(NamedTuple):
    """Work memory of one thread: by item, and by member of a support."""

    sums: NDArray[np.float32]
    """Of a Gram row, 0 between columns."""
    seen: NDArray[np.bool_]
    touched: NDArray[np.int32]
    positions: NDArray[np.int32]
    """Of an item in the support, -1 for none."""
    cosines: NDArray[np.float32]
    heap: NDArray[np.int32]
    matrix: NDArray[np.float32]
    right: NDArray[np.float32]
    scales: NDArray[np.float32]

    @classmethod
    def of(cls, n_items: int, neighbours: int) -> Buffers:
        """Empty ones."""
        by_item = (np.zeros(n_items, np.float32), np.zeros(n_items, np.bool_), np.empty(n_items, np.int32))
        of_support = (np.empty(neighbours, np.float32), np.empty(neighbours, np.int32))
        matrix = np.empty((neighbours, neighbours), np.float32)
        last = (np.empty(neighbours, np.float32), np.empty(neighbours, np.float32))
        return cls(*by_item, np.full(n_items, -1, np.int32), *of_support, matrix, *last)

    @staticmethod
    def bytes_of(n_items: int, neighbours: int) -> int:
        """Bytes that they take."""
        return 13 * n_items + (4 * neighbours + 16) * neighbours


@compiled
def add_dense_rows(by_user, by_item, dense_items, places, first, end, gram):  # type: ignore[no-untyped-def]
    """Add the Gram rows of some dense items to the dense Gram matrix.

    Parameters
    ----------
    by_user, by_item
        ``(indptr, indices, data)`` of users by items, and of items by users.
    dense_items
        int32: items that have a dense row.
    places
        int32 of shape (n_items,): row of each item in `gram`, -1 for none.
    first, end
        Which of `dense_items`.
    gram
        float32 of shape (n_dense, n_dense): written.
    """
    user_starts, items, values = by_user
    item_starts, users, weights = by_item
    for row in range(first, end):
        item = dense_items[row]
        for p in range(item_starts[item], item_starts[item + 1]):
            user, weight = users[p], weights[p]
            for q in range(user_starts[user], user_starts[user + 1]):
                column = places[items[q]]
                if column >= 0:
                    gram[row, column] += weight * values[q]


@compiled
def _gram_row(item, by_user, by_item, sums, seen, touched):  # type: ignore[no-untyped-def]
    """Sum one Gram row into `sums`; returns how many items it touches, which stand first in `touched`."""
    user_starts, items, values = by_user
    item_starts, users, weights = by_item
    n = 0
    for p in range(item_starts[item], item_starts[item + 1]):
        user, weight = users[p], weights[p]
        for q in range(user_starts[user], user_starts[user + 1]):
            other = items[q]
            if not seen[other]:
                seen[other] = True
                touched[n] = other
                n += 1
            sums[other] += weight * values[q]
    return n


@compiled
def _is_before(cosine, item, other_cosine, other_item):  # type: ignore[no-untyped-def]
    """Whether the first is the less similar of two; of equals the larger index is."""
    return cosine < other_cosine or (cosine == other_cosine and item > other_item)


@compiled
def _sift_down(cosines, items, n):  # type: ignore[no-untyped-def]
    """Restore the heap, least similar first, after its first entry was replaced."""
    parent = 0
    while 2 * parent + 1 < n:
        child = 2 * parent + 1
        if child + 1 < n and _is_before(cosines[child + 1], items[child + 1], cosines[child], items[child]):
            child += 1
        if not _is_before(cosines[child], items[child], cosines[parent], items[parent]):
            return
        cosines[child], cosines[parent] = cosines[parent], cosines[child]
        items[child], items[parent] = items[parent], items[child]
        parent = child


@compiled
def _sift_up(cosines, items, child):  # type: ignore[no-untyped-def]
    """Restore the heap after an entry was put at its end."""
    while child > 0:
        parent = (child - 1) // 2
        if not _is_before(cosines[child], items[child], cosines[parent], items[parent]):
            return
        cosines[child], cosines[parent] = cosines[parent], cosines[child]
        items[child], items[parent] = items[parent], items[child]
        child = parent


@compiled
def _support(item, sums, touched, n_touched, squares, cosines, items):  # type: ignore[no-untyped-def]
    """Indexes of the items most similar to `item` by cosine, rising; at most as many as `items` holds."""
    n = 0
    for t in range(n_touched):
        other = touched[t]
        if other == item or sums[other] == 0:
            continue
        cosine = abs(sums[other]) / np.sqrt(squares[other])
        if n < len(items):
            cosines[n], items[n] = cosine, other
            n += 1
            _sift_up(cosines, items, n - 1)
        elif _is_before(cosines[0], items[0], cosine, other):
            cosines[0], items[0] = cosine, other
            _sift_down(cosines, items, n)
    return np.sort(items[:n])


@compiled
def _support_gram(support, by_user, by_item, dense, positions, matrix):  # type: ignore[no-untyped-def]
    """Write the upper triangle of the Gram matrix of the support.

    Pairs of dense items are looked up; the others are summed from the users of the item that is not dense, who are few.
    """
    user_starts, items, values = by_user
    item_starts, users, weights = by_item
    places, gram = dense
    n = len(support)
    for row in range(n):
        place = places[support[row]]
        for column in range(row, n):
            other = places[support[column]]
            matrix[row, column] = gram[place, other] if place >= 0 and other >= 0 else np.float32(0)
    for row in range(n):
        item = support[row]
        if places[item] >= 0:
            continue
        for p in range(item_starts[item], item_starts[item + 1]):
            user, weight = users[p], weights[p]
            for q in range(user_starts[user], user_starts[user + 1]):
                other = items[q]
                column = positions[other]
                if column >= row:
                    matrix[row, column] += weight * values[q]
                elif column >= 0 and places[other] >= 0:  # else the other's own pass adds it
                    matrix[column, row] += weight * values[q]


@compiled
def _factor(matrix, n):  # type: ignore[no-untyped-def]
    """Overwrite the upper triangle of a positive definite matrix by its Cholesky factor U, U'U = matrix."""
    for first in range(0, n, _RANK):
        end = min(first + _RANK, n)
        for row in range(first, end):
            for above in range(first, row):
                factor = matrix[above, row]
                for column in range(row, n):
                    matrix[row, column] -= factor * matrix[above, column]
            scale = np.float32(1) / np.sqrt(max(matrix[row, row], _TINY))
            for column in range(row, n):
                matrix[row, column] *= scale
        if end - first < _RANK:
            return
        for row in range(end, n):
            a, b, c, d = matrix[first, row], matrix[first + 1, row], matrix[first + 2, row], matrix[first + 3, row]
            for column in range(row, n):
                matrix[row, column] -= (a * matrix[first, column] + b * matrix[first + 1, column]) + (
                    c * matrix[first + 2, column] + d * matrix[first + 3, column]
                )


@compiled
def _solve(matrix, right, n):  # type: ignore[no-untyped-def]
    """Overwrite `right` by the solution x of U'U x = right, U the upper triangle of `matrix`."""
    for row in range(n):
        right[row] /= matrix[row, row]
        for column in range(row + 1, n):
            right[column] -= right[row] * matrix[row, column]
    for row in range(n - 1, -1, -1):
        total = right[row]
        for column in range(row + 1, n):
            total -= matrix[row, column] * right[column]
        right[row] = total / matrix[row, row]


@compiled
def fit_columns(by_user, by_item, squares, penalties, dense, buffers, columns, found, weights, lengths):  # type: ignore[no-untyped-def]
    """Restricted ridge regressions of some items on those most similar to each.

    Parameters
    ----------
    by_user, by_item
        ``(indptr, indices, data)`` of users by items, and of items by users; indices rise within a row.
    squares
        float32 of shape (n_items,): diagonal of the Gram matrix, positive.
    penalties
        float32 of shape (n_items,): added to the diagonal.
    dense
        ``(places, gram)`` as `add_dense_rows` has them.
    buffers
        `Buffers` of this thread.
    columns
        int32: which items.
    found, weights
        int32 and float32 of shape (n_columns, K): written, items of each column, rising, and what they weigh.
    lengths
        int64 of shape (n_columns,): written, how many of the K count.
    """
    sums, seen, touched, positions, cosines, heap, matrix, right, scales = buffers
    for c in range(len(columns)):
        n_touched = _gram_row(columns[c], by_user, by_item, sums, seen, touched)
        support = _support(columns[c], sums, touched, n_touched, squares, cosines, heap)
        n = len(support)
        for row in range(n):
            item = support[row]
            positions[item] = row
            # a unit diagonal keeps the condition number small enough for float32
            scales[row] = np.float32(1) / np.sqrt(squares[item] + penalties[item])
            right[row] = sums[item] * scales[row]
        _support_gram(support, by_user, by_item, dense, positions, matrix)
        for row in range(n):
            matrix[row, row] += penalties[support[row]]
            for column in range(row, n):
                matrix[row, column] *= scales[row] * scales[column]
        _factor(matrix, n)
        _solve(matrix, right, n)
        for row in range(n):
            found[c, row], weights[c, row] = support[row], right[row] * scales[row]
            positions[support[row]] = -1
        lengths[c] = n
        for t in range(n_touched):
            sums[touched[t]], seen[touched[t]] = 0, False
