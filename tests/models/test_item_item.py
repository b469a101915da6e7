from __future__ import annotations

import pickle
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse

from recommender.errors import InvalidDataError
from recommender.models.item_item import (
    ItemItemProblem,
    ItemItemSettings,
    changed_items,
    item_item_matrix,
    n_dense,
    strongest,
    with_columns,
)

SMALL = ItemItemSettings(neighbours=7, penalty=3.0)


def interactions(n_users: int = 60, n_items: int = 25, density: float = 0.2, seed: int = 0) -> sparse.csr_matrix:
    """Weighted interactions, some of them dislikes, of items of very different frequency."""
    chance = np.random.default_rng(seed)
    frequencies = density * 3 / np.sqrt(1 + np.arange(n_items))
    there = chance.random((n_users, n_items)) < frequencies
    weights = chance.choice([0.5, 1.0, 2.0, -1.0], (n_users, n_items), p=[0.2, 0.6, 0.1, 0.1])
    return sparse.csr_matrix(np.where(there, weights, 0).astype(np.float32))


def plain_matrix(matrix: sparse.csr_matrix, how: ItemItemSettings) -> NDArray[np.float64]:
    """The same regressions, one dense solve after the other."""
    dense = matrix.toarray().astype(np.float64)
    lengths = (dense != 0).sum(axis=1)
    mean = lengths[lengths > 0].mean()
    weighted = dense * (np.maximum(lengths, 1)[:, None] / mean) ** (-how.length_exponent / 2)
    gram = weighted.T @ weighted
    squares = np.diag(gram)
    mean_square = squares[squares > 0].mean()
    penalties = how.penalty * (squares / mean_square) ** how.penalty_exponent
    out = np.zeros_like(gram)
    for item in range(len(gram)):
        others = [other for other in np.flatnonzero(gram[item]) if other != item]
        cosines = {other: abs(gram[item, other]) / np.sqrt(squares[other]) for other in others}
        support = sorted(sorted(others, key=lambda other: -cosines[other])[: how.neighbours])
        inner = gram[np.ix_(support, support)] + np.diag(penalties[support])
        out[support, item] = np.linalg.solve(inner, gram[support, item])
    return out


@pytest.mark.parametrize("budget_bytes", [1 << 20, 1], ids=["all dense", "nothing dense"])
@pytest.mark.parametrize("seed", range(4))
def test_the_matrix_is_that_of_a_plain_solve_for_each_item(seed: int, budget_bytes: int) -> None:
    matrix = interactions(seed=seed)
    how = ItemItemSettings(neighbours=7, penalty=3.0, budget_bytes=budget_bytes)

    assert item_item_matrix(matrix, how).toarray() == pytest.approx(plain_matrix(matrix, how), abs=1e-5)


def test_a_budget_between_them_holds_the_gram_matrix_of_some_items() -> None:
    matrix = interactions()
    none = next(
        budget
        for budget in range(0, 1 << 20, 64)
        if n_dense(25, ItemItemSettings(neighbours=7, budget_bytes=budget + 1), 1)
    )
    how = ItemItemSettings(neighbours=7, penalty=3.0, budget_bytes=none + 4 * 12 * 12)

    assert 0 < n_dense(25, how, 1) < 25
    assert item_item_matrix(matrix, how).toarray() == pytest.approx(plain_matrix(matrix, how), abs=1e-5)


def test_with_all_items_as_neighbours_it_is_ease() -> None:
    matrix = abs(interactions(200, density=0.5))  # each pair of items shares a user
    how = ItemItemSettings(neighbours=25, penalty=5.0, penalty_exponent=0.0, length_exponent=0.0)
    inverse = np.linalg.inv((matrix.T @ matrix).toarray().astype(np.float64) + 5.0 * np.eye(25))
    ease = -inverse / np.diag(inverse)
    np.fill_diagonal(ease, 0)

    assert item_item_matrix(matrix, how).toarray() == pytest.approx(ease, abs=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 24), max_size=40))
def test_a_column_is_the_same_whatever_others_are_fitted(columns: list[int]) -> None:
    problem = ItemItemProblem.of(interactions(), SMALL)
    wanted = np.asarray(columns, np.int32)
    everything = problem.fit_columns(np.arange(25, dtype=np.int32))

    assert (problem.fit_columns(wanted).toarray() == everything.toarray()[:, wanted]).all()


def test_the_number_of_threads_changes_no_bit() -> None:
    matrix = interactions(400, 700, 0.1)

    one, three = (item_item_matrix(matrix, SMALL, num_threads=n) for n in (1, 3))

    assert (one != three).nnz == 0


def test_columns_of_changed_items_are_refitted_as_a_full_fit_has_them() -> None:
    before = interactions()
    after = sparse.lil_matrix(np.pad(before.toarray(), ((0, 1), (0, 2))))
    after[3, 24], after[60, 25], after[60, 4] = 1.0, 1.0, 1.0
    after = after.tocsr()
    first = ItemItemProblem.of(before, SMALL)
    second = ItemItemProblem.of(after, SMALL, first.scales)
    changed = changed_items(before, after)

    refitted = with_columns(item_item_matrix(before, SMALL), changed, second.fit_columns(changed))
    full = second.fit_columns(np.arange(27, dtype=np.int32))

    assert {4, 24, 25} <= set(changed.tolist())
    assert len(changed) < 25
    assert (refitted.toarray()[:, changed] == full.toarray()[:, changed]).all()
    untouched = np.setdiff1d(np.arange(27), changed)
    assert np.abs(refitted.toarray()[:, untouched] - full.toarray()[:, untouched]).max() < 0.1


def test_columns_that_share_no_user_with_a_changed_item_stay_exact() -> None:
    two_worlds = sparse.block_diag([interactions(40, 12), interactions(40, 12, seed=1)], format="csr")
    after = two_worlds.tolil()
    after[0, :3] = 1.0
    after = after.tocsr()
    first = ItemItemProblem.of(two_worlds, SMALL)
    changed = changed_items(two_worlds, after)
    second = ItemItemProblem.of(after, SMALL, first.scales)

    refitted = with_columns(item_item_matrix(two_worlds, SMALL), changed, second.fit_columns(changed))
    full = second.fit_columns(np.arange(24, dtype=np.int32)).tocsr()

    assert (refitted[:, 12:] != full[:, 12:]).nnz == 0


def test_what_is_allocated_stays_within_the_budget() -> None:
    matrix = interactions(300, 1500, 0.05)
    how = ItemItemSettings(neighbours=20, budget_bytes=4 << 20)
    item_item_matrix(matrix, how)  # compiled code is no part of it
    tracemalloc.start()
    fitted = item_item_matrix(matrix, how, num_threads=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    interactions_and_matrix = 20 * matrix.nnz + 16 * 1500 + 8 * 1500 * how.neighbours

    assert n_dense(1500, how, 2) < 1500
    assert peak < how.budget_bytes + 3 * interactions_and_matrix
    assert fitted.nnz <= 1500 * how.neighbours


def test_an_item_without_interactions_has_no_weights_and_is_in_no_column() -> None:
    matrix = interactions() @ sparse.diags(np.where(np.arange(25) == 5, 0, 1), dtype=np.float32)

    fitted = item_item_matrix(matrix, SMALL)

    assert fitted[5].nnz == fitted[:, 5].nnz == 0
    assert np.isfinite(fitted.data).all()


def test_nothing_is_learned_from_no_interactions() -> None:
    assert item_item_matrix(sparse.csr_matrix((3, 4), dtype=np.float32)).nnz == 0
    assert item_item_matrix(sparse.csr_matrix((0, 0), dtype=np.float32)).shape == (0, 0)


def test_a_dislike_speaks_against_what_is_chosen_with_the_item() -> None:
    likes = np.kron(np.eye(2), np.ones((30, 4)))  # two taste groups of four items
    matrix = item_item_matrix(sparse.csr_matrix(likes.astype(np.float32)), SMALL)
    history = sparse.csr_matrix(np.array([[1.0, 0, 0, 0, -1.0, 0, 0, 0]], np.float32))

    scores = (history @ matrix).toarray()[0]

    assert (scores[1:4] > 0).all()
    assert (scores[5:] < 0).all()


def test_problems_of_read_only_arrays_are_fitted_too() -> None:
    problem = ItemItemProblem.of(interactions(), SMALL)
    wanted = np.arange(25, dtype=np.int32)
    expected = problem.fit_columns(wanted)
    for array in (*problem.by_user, *problem.by_item, problem.squares, problem.penalties, problem.places, problem.gram):
        array.setflags(write=False)

    assert (problem.fit_columns(wanted) != expected).nnz == 0


def test_the_strongest_interactions_of_a_long_history_are_kept() -> None:
    matrix = sparse.csr_matrix(np.array([[1, -3, 2, 0.5], [1, 0, 1, 1], [1, 1, 1, 1]], np.float32))

    kept = strongest(matrix, 2)

    assert kept[0].toarray().tolist() == [[0, -3, 2, 0]]
    assert np.diff(kept.indptr).tolist() == [2, 2, 2]
    assert (kept[2] != strongest(matrix[2], 2)).nnz == 0


def test_the_largest_weights_of_each_column_are_kept() -> None:
    matrix = interactions()
    whole, cut = (item_item_matrix(matrix, replace(SMALL, kept=kept)).toarray() for kept in (None, 3))

    assert ((cut == whole) | (cut == 0)).all()
    assert ((cut != 0).sum(axis=0) == np.minimum(3, (whole != 0).sum(axis=0))).all()
    for column, kept in zip(np.abs(whole).T, np.abs(cut).T, strict=True):
        assert kept.sum() == pytest.approx(np.sort(column)[-3:].sum())


def test_the_interactions_given_are_not_changed() -> None:
    matrix = interactions()
    before = matrix.copy()

    item_item_matrix(matrix, SMALL)

    assert (matrix != before).nnz == 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"neighbours": 0}, "neighbours is 0"),
        ({"penalty": 0.0}, "penalty is 0.0"),
        ({"kept": 0}, "kept is 0"),
        ({"longest": 0}, "longest is 0"),
    ],
)
def test_settings_that_cannot_be_are_named(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(InvalidDataError, match=said):
        ItemItemSettings(**wrong)  # type: ignore[arg-type]


def test_interactions_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(InvalidDataError, match="NaN or infinity"):
        item_item_matrix(sparse.csr_matrix(np.array([[1.0, np.nan]], np.float32)))


def test_a_problem_that_travelled_to_another_process_fits_the_same_columns() -> None:
    problem = ItemItemProblem.of(interactions(), SMALL)
    wanted = np.array([3, 1], np.int32)

    there = pickle.loads(pickle.dumps(problem))  # noqa: S301 - ours

    assert (there.fit_columns(wanted) != problem.fit_columns(wanted)).nnz == 0
