"""SparseFrame: labelled, checked once, and never the caller's own matrix."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from recommender.errors import InvalidDataError
from recommender.ids import IdTable
from recommender.sparse_frame import SparseFrame

pairs = st.lists(st.tuples(st.sampled_from("uvw"), st.sampled_from("ijkl"), st.integers(1, 5)), max_size=15)


@given(pairs)
def test_interactions_add_up_as_in_a_dictionary(listed):
    frame = SparseFrame.from_interactions([u for u, _, _ in listed], [i for _, i, _ in listed], [w for *_, w in listed])
    expected: dict[tuple[str, str], int] = {}
    for user, item, weight in listed:
        expected[user, item] = expected.get((user, item), 0) + weight
    coo = frame.matrix.tocoo()
    found = dict(
        zip(zip(frame.rows.ids_of(coo.row), frame.columns.ids_of(coo.col), strict=True), coo.data, strict=True)
    )

    assert found == expected
    assert list(frame.rows) == list(dict.fromkeys(user for user, _, _ in listed))
    assert list(frame.columns) == list(dict.fromkeys(item for _, item, _ in listed))


def test_without_weights_each_interaction_counts_one():
    assert SparseFrame.from_interactions(["u", "u"], ["i", "i"]).matrix.toarray().tolist() == [[2]]


@given(
    st.lists(st.sampled_from("abcdef"), unique=True),
    st.lists(st.sampled_from("xyzuvw"), unique=True),
    st.lists(st.sampled_from("abcdef"), unique=True),
    st.lists(st.sampled_from("xyzuvw"), unique=True),
)
def test_reindexing_is_what_pandas_does_with_zero_for_what_is_missing(rows, columns, wanted_rows, wanted_columns):
    matrix = np.arange(1, len(rows) * len(columns) + 1, dtype=np.float32).reshape(len(rows), len(columns))
    frame = SparseFrame(rows, columns, matrix).reindex(wanted_rows, wanted_columns)
    expected = pd.DataFrame(matrix, rows, columns).reindex(index=wanted_rows, columns=wanted_columns, fill_value=0)

    assert list(frame.rows) == wanted_rows
    assert list(frame.columns) == wanted_columns
    assert (frame.matrix.toarray() == expected.to_numpy()).all()


def test_reindexing_one_side_keeps_the_other():
    frame = SparseFrame(["a", "b"], ["x", "y"], np.array([[1, 2], [3, 4]]))

    assert frame.reindex(rows=["b"]).matrix.toarray().tolist() == [[3, 4]]
    assert frame.reindex(columns=["y"]).matrix.toarray().tolist() == [[2], [4]]


def test_a_row_may_be_taken_more_than_once():
    frame = SparseFrame(["a", "b"], ["x", "y"], np.array([[1, 2], [3, 4]]))

    assert frame.take(["b", "a", "b", "c"], frame.columns).toarray().tolist() == [[3, 4], [1, 2], [3, 4], [0, 0]]


def test_a_table_of_ids_is_taken_as_it_is():
    rows = IdTable.from_ids(["a"])

    assert SparseFrame(rows, ["x"], np.ones((1, 1))).rows is rows


@pytest.mark.parametrize(
    ("rows", "columns", "matrix", "message"),
    [
        (["a", "b", "a"], ["x"], np.ones((3, 1)), "row 'a' is there more than once"),
        (["a"], ["x", "y", "y"], np.ones((1, 3)), "column 'y' is there more than once"),
        (["a"], ["x"], np.ones((2, 1)), "does not fit"),
        (["a"], ["x"], np.array([[np.nan]]), "not finite"),
        (["a"], ["x"], np.array([[np.inf]]), "not finite"),
    ],
)
def test_a_frame_that_cannot_be_is_refused(rows, columns, matrix, message):
    with pytest.raises(InvalidDataError, match=message):
        SparseFrame(rows, columns, matrix)


@pytest.mark.timeout(10)
def test_a_repeated_name_among_many_is_found_at_once():
    with pytest.raises(InvalidDataError, match="'99999'"):
        SparseFrame([*(str(n) for n in range(100_000)), "99999"], ["x"], sparse.csr_matrix((100_001, 1)))


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csr_array, sparse.coo_array, sparse.csc_matrix, np.asarray])
@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.bool_])
def test_any_matrix_becomes_what_lightfm_takes_and_stays_as_it_was(kind, dtype):
    theirs = kind(np.array([[0, 1], [1, 1]], dtype))
    frame = SparseFrame(["a", "b"], ["x", "y"], theirs)
    frame.matrix.data[:] = 9
    kept = theirs if isinstance(theirs, np.ndarray) else theirs.toarray()

    assert (frame.matrix.dtype, frame.matrix.indices.dtype, frame.matrix.indptr.dtype) == (
        np.float32,
        np.int32,
        np.int32,
    )
    assert theirs.dtype == dtype
    assert (kept == [[0, 1], [1, 1]]).all()


def test_wide_and_unsorted_indices_with_duplicates_are_put_in_order():
    data, indices, indptr = np.array([1.0, 2.0, 4.0]), np.array([1, 0, 1], np.int64), np.array([0, 3], np.int64)
    theirs = sparse.csr_array((data, indices, indptr), (1, 2))
    frame = SparseFrame(["a"], ["x", "y"], theirs)

    assert frame.matrix.indices.tolist() == [0, 1]
    assert frame.matrix.data.tolist() == [2, 5]
    assert theirs.indices.tolist() == [1, 0, 1]
    assert theirs.indices.dtype == np.int64


def test_a_stored_zero_stays_stored():
    frame = SparseFrame(["a"], ["x"], sparse.csr_matrix(([0.0], ([0], [0])), (1, 1)))

    assert frame.matrix.nnz == 1


def test_a_data_frame_gives_its_names_and_zero_for_missing_cells():
    frame = SparseFrame.from_pandas(pd.DataFrame({"x": [1.5, None], "y": [0, 2]}, index=[7, 8]))

    assert list(frame.rows) == ["7", "8"]
    assert list(frame.columns) == ["x", "y"]
    assert frame.matrix.toarray().tolist() == [[1.5, 0], [0, 2]]


def test_a_frame_answers_with_its_size():
    assert repr(SparseFrame(["a"], ["x", "y"], np.array([[1, 0]]))) == "<SparseFrame: 1 x 2, 1 stored>"
