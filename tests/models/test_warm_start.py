"""A fit may begin with what an earlier model has learned of the same users, items and features."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from recommender.models.lightfm_recommender import LFMRecommender
from recommender.sparse_frame import SparseFrame

USERS = [f"u{number}" for number in range(12)]
ITEMS = [f"i{number}" for number in range(8)]


def frame(users, items, seed=0) -> SparseFrame:
    chance = np.random.default_rng(seed)
    matrix = (chance.random((len(users), len(items))) < 0.6).astype(np.float32)
    matrix[:, 0] = matrix[0, :] = 1
    return SparseFrame(users, items, sparse.csr_matrix(matrix))


def colours(ids, names=("red", "blue")) -> SparseFrame:
    rows = np.arange(len(ids))
    ones = np.ones(len(ids), np.float32)
    return SparseFrame(ids, list(names), sparse.csr_matrix((ones, (rows, rows % 2)), (len(ids), len(names))))


def recommender(seed=1) -> LFMRecommender:
    return LFMRecommender(no_components=4, loss="warp", random_state=seed)


@pytest.fixture
def start() -> LFMRecommender:
    return recommender().fit(frame(USERS[2:], ITEMS[1:]), None, colours(ITEMS[1:]), epochs=3)


def vectors(model: LFMRecommender, what: str, columns) -> np.ndarray:
    return np.column_stack([getattr(model, f"{what}_embeddings")[columns], getattr(model, f"{what}_biases")[columns]])


def own(model: LFMRecommender, what: str, ids) -> np.ndarray:
    side = getattr(model, f"{what}s")
    return vectors(model, what, side.indicator_columns[side.ids.indices_of(ids)])


def of_feature(model: LFMRecommender, name: str) -> np.ndarray:
    return vectors(model, "item", model.items.feature_columns[model.items.names.indices_of([name])])


def test_who_was_known_begins_with_what_was_learned_and_who_is_new_as_ever(start):
    how = {"item_features": colours(ITEMS, ["blue", "red"]), "epochs": 0}
    cold, warm = (recommender(2).fit(frame(USERS, ITEMS), **how, start=each) for each in (None, start))

    for what, known, new in (("user", USERS[2:], USERS[:2]), ("item", ITEMS[1:], ITEMS[:1])):
        np.testing.assert_array_equal(own(warm, what, known), own(start, what, known))
        np.testing.assert_array_equal(own(warm, what, new), own(cold, what, new))
    for name in ("red", "blue"):
        np.testing.assert_array_equal(of_feature(warm, name), of_feature(start, name))


def test_the_optimiser_goes_on_where_it_was(start):
    whole = frame(USERS[2:], ITEMS[1:])
    warm = recommender(2).fit(whole, None, colours(ITEMS[1:]), epochs=0, start=start)

    np.testing.assert_array_equal(warm.item_embedding_gradients, start.item_embedding_gradients)
    np.testing.assert_array_equal(warm.popularity, start.popularity)


def test_the_start_is_not_changed_and_is_not_begun_with_again(start):
    before = start.item_embeddings.copy()
    warm = recommender(2).fit(frame(USERS, ITEMS), None, colours(ITEMS), epochs=2, start=start)
    again = warm.fit(frame(USERS, ITEMS), None, colours(ITEMS), epochs=2)
    cold = recommender(2).fit(frame(USERS, ITEMS), None, colours(ITEMS), epochs=2)

    np.testing.assert_array_equal(start.item_embeddings, before)
    np.testing.assert_array_equal(again.item_embeddings, cold.item_embeddings)


def test_what_dense_vectors_predict_goes_over_within_the_indicators(start):
    chance = np.random.default_rng(0)
    dense = SparseFrame(ITEMS[1:], ["v0", "v1"], sparse.csr_matrix(chance.normal(size=(7, 2)).astype(np.float32)))
    before = own(start, "item", ITEMS[1:])
    start.learn_vectors("item", dense, np.full(7, 50), 1.0)
    warm = recommender(2).fit(frame(USERS, ITEMS), None, colours(ITEMS), epochs=0, start=start)

    np.testing.assert_allclose(own(warm, "item", ITEMS[1:]), before, rtol=1e-4, atol=1e-6)
