"""Implicit ALS whose vectors of users are sums over histories."""

import numpy as np
import pytest
from scipy import sparse

from recommender.models import implicit_als
from recommender.models.implicit_als import ImplicitALSSettings, fit_implicit_als


def interactions(n_users: int = 200, n_items: int = 30, groups: int = 3) -> sparse.csr_matrix:
    chance = np.random.default_rng(0)
    alike = np.arange(n_users)[:, None] % groups == np.arange(n_items) % groups
    return sparse.csr_matrix((chance.random((n_users, n_items)) < np.where(alike, 0.5, 0.05)).astype(np.float32))


def test_items_of_one_taste_are_near_each_other():
    matrix = interactions()
    fitted = fit_implicit_als(matrix, ImplicitALSSettings(3))
    scores = fitted.users(matrix) @ fitted.items.T
    alike = np.arange(200)[:, None] % 3 == np.arange(30) % 3

    assert scores[alike].mean() > 2 * scores[~alike].mean()


def test_conjugate_gradients_converge_to_the_solution_of_each_equation():
    matrix = interactions()
    items = np.random.default_rng(1).standard_normal((30, 4)).astype(np.float32)
    how = ImplicitALSSettings()
    gram = items.T @ items + np.float32(how.penalty) * np.eye(4, dtype=np.float32)
    own = np.zeros((200, 4), np.float32)
    for _ in range(4):
        liked = (matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32))
        implicit_als._solve(*liked, items, gram, np.float32(how.confidence), 0, 200, own)
    liked = items[matrix[7].indices]
    exact = np.linalg.solve(gram + how.confidence * liked.T @ liked, (1 + how.confidence) * liked.sum(axis=0))

    assert own[7] == pytest.approx(exact, abs=1e-4)


def test_the_vector_of_a_user_solves_the_equation_of_the_mean_user():
    matrix = interactions()
    fitted = fit_implicit_als(matrix, ImplicitALSSettings(5))
    one, two, both = (np.zeros(30, np.float32) for _ in range(3))
    one[3], two[7], both[[3, 7]] = 1, 1, 1
    of = [fitted.users(sparse.csr_matrix(each)) for each in (one, two, both)]

    assert of[2] == pytest.approx(of[0] + of[1], abs=1e-5)
    assert fitted.items.shape == (30, 5)


def test_the_same_bits_come_of_any_number_of_threads_and_an_untouched_item_has_nothing():
    matrix = sparse.hstack([interactions(1500), sparse.csr_matrix((1500, 1), dtype=np.float32)], format="csr")
    how = ImplicitALSSettings(4)
    one, two = fit_implicit_als(matrix, how, seed=2), fit_implicit_als(matrix, how, seed=2, num_threads=3)

    assert np.array_equal(one.items, two.items)
    assert not one.items[30].any()
    assert one.shares[30] == 0 == one.shares.min() < one.shares.max()


def test_there_are_never_more_components_than_the_matrix_has_rows():
    assert fit_implicit_als(interactions(4), ImplicitALSSettings(99)).items.shape == (30, 4)
