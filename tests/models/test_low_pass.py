from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from recommender.models.low_pass import fit_low_pass


def interactions(seed: int = 0) -> sparse.csr_matrix:
    chance = np.random.default_rng(seed)
    there = chance.random((80, 30)) < 0.6 / np.sqrt(1 + np.arange(30))
    return sparse.csr_matrix(np.where(there, chance.choice([1.0, 2.0], (80, 30)), 0).astype(np.float32))


def plain_scores(matrix: sparse.csr_matrix, n: int) -> NDArray[np.float64]:
    """The same filter, by a dense singular value decomposition."""
    dense = matrix.toarray().astype(np.float64)
    users, items = (np.sqrt(np.maximum(dense.sum(axis=axis), 1e-9)) for axis in (1, 0))
    vectors = np.linalg.svd(dense / users[:, None] / items)[2][:n].T
    return (dense / items) @ vectors @ vectors.T * items


@pytest.mark.parametrize("n", [1, 15, 30])
def test_scores_are_those_of_a_dense_decomposition(n: int) -> None:
    matrix = interactions()

    fitted = fit_low_pass(matrix, n)

    assert fitted.users(matrix) @ fitted.items.T == pytest.approx(plain_scores(matrix, n), abs=2e-3)


def test_fewer_components_come_of_a_small_matrix() -> None:
    assert fit_low_pass(interactions(), 99).items.shape == (30, 30)
    assert fit_low_pass(interactions()[:4], 99).items.shape == (30, 4)


def test_a_stranger_with_the_history_of_a_known_user_has_their_vector() -> None:
    matrix = interactions()
    fitted = fit_low_pass(matrix, 6)

    assert fitted.users(matrix)[7] == pytest.approx(fitted.users(matrix[7])[0], abs=1e-6)


def test_an_interaction_adds_the_same_to_every_user() -> None:
    fitted = fit_low_pass(interactions(), 6)
    empty, chosen = (sparse.csr_matrix(np.eye(30, dtype=np.float32)[rows]) for rows in ([1], [1, 4]))
    both = sparse.csr_matrix(chosen.toarray().sum(axis=0, keepdims=True))

    added = fitted.users(both) - fitted.users(empty)

    assert added == pytest.approx(fitted.users(chosen)[1:], abs=1e-6)


def test_an_item_without_interactions_gets_nothing_and_gives_nothing() -> None:
    matrix = interactions() @ sparse.diags_array(np.where(np.arange(30) == 5, 0, 1), dtype=np.float32)

    fitted = fit_low_pass(sparse.csr_matrix(matrix), 6)

    assert not fitted.items[5].any()
    assert fitted.shares[5] == 0
    assert np.isfinite(fitted.items).all()


def test_taste_groups_are_found_by_their_first_components() -> None:
    groups = sparse.csr_matrix(np.kron(np.eye(3), np.ones((20, 4))).astype(np.float32))
    fitted = fit_low_pass(groups, 3)

    scores = fitted.users(sparse.csr_matrix(np.eye(12, dtype=np.float32))) @ fitted.items.T

    assert (scores > 0.1).tolist() == (np.kron(np.eye(3), np.ones((4, 4))) > 0).tolist()


def test_the_same_seed_gives_the_same_bits() -> None:
    one, two = (fit_low_pass(interactions(), 6, seed=3) for _ in range(2))

    assert (one.items == two.items).all()
    assert (one.shares == two.shares).all()
