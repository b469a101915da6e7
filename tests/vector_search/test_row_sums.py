"""Weighted sums of sparse rows, against a dense matrix."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.vector_search.row_sums import SparseRows, add_rows, look_up


def matrix_of(dense: np.ndarray) -> SparseRows:
    rows, columns = np.nonzero(dense)
    indptr = np.append(0, np.cumsum(np.bincount(rows, minlength=len(dense)))).astype(np.int64)
    return SparseRows(indptr, columns.astype(np.int32), dense[rows, columns])


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 999), st.integers(1, 9), st.integers(1, 30), st.lists(st.integers(0, 8), max_size=12))
def test_sums_have_the_bits_of_a_dense_sum_in_the_same_order(seed, n, width, asked):
    chance = np.random.default_rng(seed)
    dense = (chance.standard_normal((n, width)) * (chance.random((n, width)) < 0.3)).astype(np.float32)
    rows = np.array([each % n for each in asked], np.int32)
    amounts = chance.standard_normal(len(rows)).astype(np.float32)
    sums = np.zeros(width, np.float32)
    add_rows(matrix_of(dense), rows, amounts, sums)
    expected = np.zeros(width, np.float32)
    for row, amount in zip(rows, amounts, strict=True):
        expected += amount * dense[row]

    assert np.array_equal(expected, sums)


def test_entries_are_found_by_row_and_column():
    dense = np.array([[0, 1, 0, 2], [3, 0, 0, 4]], np.float32)
    found = look_up(matrix_of(dense), np.array([1, 0], np.int32), np.array([3, -1, 0], np.int64), 4)

    assert found.tolist() == [[4, 0, 3], [2, 0, 0]]
