"""Peers against slow plain second implementations and on worlds whose answer is known."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse

from recommender.datasets import synthetic
from recommender.errors import InvalidRequestError, TrainingError
from recommender.experiments.baselines import PEERS, bpr, ease, itemknn, popularity
from recommender.experiments.folds import fold_of
from recommender.experiments.scoring import judged
from recommender.experiments.slim import slim_matrix

WITH_IRSPACK = pytest.param(
    "ials", marks=pytest.mark.skipif(find_spec("irspack") is None, reason="irspack is not installed")
)
LEARNERS = ["ease", "als", "bpr", "itemknn", "slim", WITH_IRSPACK]
ALL = [WITH_IRSPACK if name == "ials" else name for name in PEERS]


def pairs(n_users=30, n_items=12, share=0.3, seed=0):
    drawn = np.random.default_rng(seed).random((n_users, n_items)) < share
    return sparse.csr_matrix(drawn.astype(np.float32))


def everybody(matrix):
    return np.arange(matrix.shape[0], dtype=np.int32)


@pytest.mark.parametrize("shape", [(30, 12), (12, 30)], ids=["fewer items", "fewer users"])
def test_ease_is_the_ridge_regression_of_each_item_on_all_others(shape):
    world, penalty = pairs(*shape), 5.0
    x = world.toarray().astype(np.float64)
    expected = np.zeros_like(x)
    for item in range(x.shape[1]):
        others = np.delete(x, item, axis=1)
        weights = np.linalg.solve(others.T @ others + penalty * np.eye(x.shape[1] - 1), others.T @ x[:, item])
        expected[:, item] = others @ weights

    scores = ease(world, 0, {"penalty": penalty})(everybody(world))

    assert_allclose(scores, expected, atol=1e-5)


def test_ease_inverts_the_smaller_side(monkeypatch):
    inverted = []
    invert = np.linalg.inv
    monkeypatch.setattr(np.linalg, "inv", lambda matrix: inverted.append(matrix.shape) or invert(matrix))

    for shape in [(30, 12), (12, 30)]:
        ease(pairs(*shape), 0, {"penalty": 5.0})

    assert inverted == [(12, 12), (12, 12)]


def test_ease_beyond_what_fits_says_to_leave_it_out():
    with pytest.raises(InvalidRequestError, match="leave it out"):
        ease(sparse.csr_matrix((2, 30_000), dtype=np.float32), 0, {"penalty": 1.0})


def test_item_neighbours_are_the_cosine_of_columns():
    world = pairs(seed=1)
    x = world.toarray().astype(np.float64)
    norms = np.linalg.norm(x, axis=0)

    scores = itemknn(world, 0, {"K": 12})(everybody(world))

    assert_allclose(scores, x @ (x.T @ x / np.outer(norms, norms)), rtol=1e-4)


def test_popularity_is_the_number_of_users():
    world = pairs(seed=2)

    scores = popularity(world, 0, {})(np.array([0, 1], np.int32))

    assert scores[0].tolist() == [len(set(world[:, item].nonzero()[0])) for item in range(world.shape[1])]
    assert (scores[0] == scores[1]).all()


@pytest.mark.parametrize("name", LEARNERS)
def test_on_a_checkerboard_lists_hold_the_own_colour_first(name):
    fold = fold_of(synthetic.make("checkerboard", n_users=80, n_items=40, n_interactions_per_user=30), "random", 0.2, 0)
    colour = np.array([int(an_id[1:]) % 2 for an_id in fold.item_ids])

    found = judged(fold, PEERS[name].fit(fold, {}), 3).evaluation

    own = np.array([int(fold.user_ids[user][1:]) % 2 for user in found.users])
    assert (colour[found.recommended] == own[:, None]).mean() > 0.95


@pytest.mark.parametrize("name", ALL)
def test_the_same_fold_and_settings_give_the_same_scores(name):
    fold = fold_of(synthetic.make(n_users=40, n_items=20), "random", 0.2, 0)
    users = np.arange(len(fold.user_ids), dtype=np.int32)

    first, again = (PEERS[name].fit(fold, {})(users) for _ in range(2))

    assert first.shape == (40, 20)
    assert np.array_equal(first, again)


@pytest.mark.parametrize("name", ALL)
def test_a_user_without_interactions_and_features_gets_what_is_popular(name):
    world = synthetic.make(n_users=40, n_items=20)
    fold = fold_of(replace(world, users=world.users[[]]), "cold-users", 0.2, 0)
    cold = np.flatnonzero(~fold.warm_users).astype(np.int32)

    scores = PEERS[name].fit(fold, {})(cold)

    assert_allclose(scores, np.repeat(np.asarray(fold.train.sum(0)), len(cold), axis=0))


def test_factors_that_explode_are_an_error_that_tuning_passes_over():
    with pytest.raises(TrainingError, match="exploded"):
        bpr(pairs(), 0, {"learning_rate": 1e30, "iterations": 5})


def test_slim_is_the_elastic_net_of_each_item_on_its_neighbours():
    world, l1, l2 = pairs(seed=3), 0.7, 2.0
    x = world.toarray().astype(np.float64)

    weights = slim_matrix(world, 12, l1, l2).toarray()

    for item in range(x.shape[1]):
        others = np.delete(np.arange(x.shape[1]), item)
        b = weights[others, item]
        gradient = x[:, others].T @ (x[:, others] @ b - x[:, item]) + l2 * b + l1
        # the conditions of an optimum: nothing to gain by moving, and at 0 nothing by leaving it
        assert_allclose(gradient[b > 0], 0, atol=0.02)
        assert (gradient[b == 0] > -0.02).all()
        assert weights[item, item] == 0


def test_slim_weighs_only_the_most_similar_items():
    world = pairs(seed=4)
    gram = (world.T @ world).toarray()
    cosine = gram / np.sqrt(np.outer(gram.diagonal(), gram.diagonal()))
    np.fill_diagonal(cosine, 0)

    weights = slim_matrix(world, 2, 0.01, 0.01).toarray()

    for item in range(world.shape[1]):
        assert set(np.flatnonzero(weights[:, item])) <= set(np.argsort(-cosine[:, item], kind="stable")[:2])


@pytest.mark.skipif(find_spec("irspack") is None, reason="irspack is not installed")
def test_feature_aware_als_finds_new_items_by_their_features():
    world = synthetic.make("checkerboard", n_users=80, n_items=40, n_interactions_per_user=30)
    colours = [int(an_id[1:]) % 2 for an_id in world.items.index]
    fold = fold_of(
        replace(world, items=world.items.assign(colour=[f"c{each}" for each in colours])), "cold-items", 0.2, 0
    )
    colour = np.array([int(an_id[1:]) % 2 for an_id in fold.item_ids])

    found = judged(fold, PEERS["ials"].fit(fold, {"reg": 0.1}), 1, ~fold.warm_items).evaluation

    own = np.array([int(fold.user_ids[user][1:]) % 2 for user in found.users])
    assert (colour[found.recommended] == own[:, None]).mean() > 0.95
