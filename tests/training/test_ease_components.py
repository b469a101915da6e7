"""History components against a dense ridge regression, and in what they add to the factors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recommender.models.fold_in import TRUSTED_LENGTH
from recommender.serving.snapshot import Rows, Table
from recommender.training.ease_components import PENALTY, components, of_histories, scaled_components
from recommender.training.serving_transform import ServingTransform, to_serving
from tests.support.known_worlds import learned_world


def random_pairs(n_users: int, n_items: int, seed: int, share: float = 0.3) -> sparse.csr_matrix:
    chance = np.random.default_rng(seed)
    return sparse.csr_matrix(chance.random((n_users, n_items)) < share, dtype=np.float32)


def rows_of(pairs: sparse.csr_matrix) -> Rows:
    return Rows(pairs.indptr.astype(np.int64), pairs.indices.astype(np.int32), np.zeros(0, np.float32))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 99))
def test_all_components_together_are_the_ridge_regression_of_items_on_items(n_users, n_items, seed):
    pairs = random_pairs(n_users, n_items, seed)
    found = components(pairs, min(n_users, n_items)).astype(float)
    gram = (pairs.T @ pairs).toarray().astype(float)
    expected = np.linalg.solve(gram + PENALTY * np.eye(n_items), gram)

    assert found @ found.T == pytest.approx(expected, abs=1e-5)


def test_the_first_components_are_the_best_of_their_number():
    pairs = random_pairs(80, 60, seed=1)
    found = components(pairs, 5)
    _, singular, right = np.linalg.svd(pairs.toarray())
    weights = singular[:5] ** 2 / (singular[:5] ** 2 + PENALTY)

    assert found.shape == (60, 5)
    assert found @ found.T == pytest.approx(right[:5].T * weights @ right[:5], abs=2e-3)


def test_there_are_no_more_components_than_users_or_items_and_they_are_always_the_same():
    pairs = random_pairs(3, 20, seed=2)

    assert components(pairs, 32).shape == (20, 3)
    assert (components(pairs, 2) == components(pairs, 2)).all()


def test_a_history_is_the_sum_of_its_items_over_the_root_of_their_number_and_counts_half_at_the_trusted_length():
    items = np.arange(8, dtype=np.float32).reshape(4, 2)
    lengths = [2, 0, 1, int(TRUSTED_LENGTH)]
    indices = np.array([3, 1, 0] + [2] * int(TRUSTED_LENGTH), np.int32)
    histories = Rows(np.cumsum([0, *lengths]), indices, np.zeros(0, np.float32))
    two = (items[3] + items[1]) / np.sqrt(2) * 2 / (2 + TRUSTED_LENGTH)
    long = items[2] * np.sqrt(TRUSTED_LENGTH) / 2

    assert of_histories(items, histories) == pytest.approx(
        np.array([two, [0, 0], items[0] / (1 + TRUSTED_LENGTH), long]), rel=1e-5
    )


@pytest.mark.parametrize("weight", [0.25, 2.0])
def test_components_spread_the_scores_of_a_user_by_their_weight(weight):
    chance, pairs = np.random.default_rng(0), random_pairs(40, 30, seed=3)
    users, vectors = (chance.standard_normal((n, 4)).astype(np.float32) for n in (40, 30))
    items = Table(vectors, chance.standard_normal(30).astype(np.float32))
    found = scaled_components(rows_of(pairs), users, items, 6, weight)
    theirs = (of_histories(found, rows_of(pairs)) @ found.T).std(axis=1).mean()
    learned = (users @ vectors.T + items.biases).std(axis=1).mean()

    assert theirs == pytest.approx(weight * learned, rel=1e-4)


def test_whoever_has_no_history_gets_from_components_what_the_mean_user_gets():
    world = learned_world()
    plain = to_serving(world.model, world.snapshot(), ServingTransform(history_components=0))
    wide = to_serving(world.model, world.snapshot(), ServingTransform(history_components=4))
    n, d = wide.n_known_items, plain.no_components
    everyone = [wide.user_indicators.vectors[index, d:] for index in range(len(wide.user_ids))]
    stranger = wide.user_vector(-1, wide.user_space.encode({"group": "g1"}), np.zeros((0, wide.no_components)))
    added = wide.items.biases[:n] - plain.items.biases[:n]
    summed = of_histories(wide.items.vectors[:n, d:], wide.seen) @ wide.items.vectors[:n, d:].T

    assert np.mean(everyone, axis=0) == pytest.approx(np.zeros(4), abs=1e-5)
    assert not stranger.vector[d:].any()
    assert added == pytest.approx(summed.mean(axis=0), abs=1e-5)


def test_a_known_user_gets_the_components_of_their_own_history():
    world = learned_world()
    plain = to_serving(world.model, world.snapshot(), ServingTransform(history_components=0))
    wide = to_serving(world.model, world.snapshot(), ServingTransform(history_components=4))
    n, d = wide.n_known_items, plain.no_components
    nobody = wide.user_space.encode({})
    for index, row in enumerate(of_histories(wide.items.vectors[:n, d:], wide.seen)):
        before = plain.score(plain.user_vector(index, nobody, np.zeros((0, d), np.float32)))[:n]
        after = wide.score(wide.user_vector(index, nobody, np.zeros((0, d), np.float32)))[:n]

        assert after - before == pytest.approx(wide.items.vectors[:n, d:] @ row, abs=1e-4)


@pytest.mark.parametrize("indicators", ["users", "items", False])
def test_without_the_indicators_of_both_sides_there_are_none(indicators):
    world = learned_world(indicators)

    assert to_serving(world.model, world.snapshot(), ServingTransform()).no_components == world.model.no_components


def test_a_session_that_was_not_learned_is_answered_as_without_components():
    world = learned_world()
    plain = to_serving(world.model, world.snapshot(), ServingTransform(history_components=0))
    wide = to_serving(world.model, world.snapshot(), ServingTransform(history_components=4))
    nobody = wide.user_space.encode({})
    n, clicked = wide.n_known_items, [0, 3]
    before, after = (
        each.score(each.user_vector(-1, nobody, each.items.vectors[clicked]))[:n] for each in (plain, wide)
    )

    assert after == pytest.approx(before, abs=1e-4)
