"""Columns of items that nobody has interacted with: by known items that are like them, chosen by pretending, served."""

import msgspec
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recommender.schema import Query
from recommender.serving.catalogue import Catalogue
from recommender.serving.recommender import Recommender
from recommender.training import newcomer_columns as module
from recommender.training.full import TrainingData, choose, fit
from recommender.training.history_choices import HistoryChoices, NewcomerWeights
from recommender.training.history_parts import parts_of
from recommender.training.history_tuning import HistorySettings, defaults
from recommender.training.model_settings import ModelSettings
from recommender.training.newcomer_columns import nearest_by_features, newcomer_columns
from recommender.training.newcomer_tuning import FEWEST_PRETENDED, pretended_new
from recommender.training.snapshot_builder import CatalogueEntry

META = {"version": "1", "log_offset": 0, "items_sequence": 0}
N_CLUSTERS, EACH = 40, 6
SMALL = ModelSettings(no_components=2, epochs=3, history=HistorySettings(low_pass=2, tune_s=0))


def matrix(rows) -> sparse.csr_matrix:
    return sparse.csr_matrix(np.asarray(rows, np.float32))


def test_the_nearest_share_rare_features_and_what_all_have_says_nothing():
    known = matrix([[1, 1, 0], [1, 1, 0], [1, 0, 1], [1, 0, 0]])
    nearest = nearest_by_features(known, matrix([[1, 1, 0], [1, 0, 0]])).toarray()

    assert nearest[0] == pytest.approx([1, 1, 0, 0])
    assert not nearest[1].any()


def test_a_column_is_the_mean_of_those_of_the_nearest_and_these_themselves_by_a_share():
    known, weights = matrix([[1, 0], [1, 0], [0, 1]]), matrix([[0, 2, 1], [4, 0, 3], [0, 6, 0]])
    columns = newcomer_columns(weights, known, matrix([[1, 0], [0, 1], [0, 0]])).toarray()

    assert pytest.approx(np.array([[1.75, 2.75, 3], [1, 3, 1], [0, 0, 0]])) == columns.T


def test_features_that_many_have_are_left_out_where_comparing_them_would_take_too_long(monkeypatch):
    known = matrix([[1, 1], [1, 0], [1, 0], [0, 0]])
    monkeypatch.setattr(module, "MOST_PRODUCTS", 2)

    assert nearest_by_features(known, matrix([[1, 1]])).toarray()[0] == pytest.approx([1, 0, 0, 0])


def test_without_newcomers_there_are_no_columns():
    assert newcomer_columns(matrix(np.eye(3)), matrix(np.ones((3, 2))), matrix(np.ones((0, 2)))).shape == (3, 0)


def test_a_tenth_of_the_items_with_features_is_pretended_to_be_new_and_none_where_they_are_few():
    items = [f"i{number}" for number in range(400)]
    catalogue = [CatalogueEntry(item, {"kind": "a"} if number < 300 else {}) for number, item in enumerate(items)]
    interactions = pd.DataFrame({"item_id": items[:350]})

    assert len(pretended_new(interactions, catalogue, 0)) == 30
    assert pretended_new(interactions, catalogue, 0) <= set(items[:300])
    assert not pretended_new(interactions.head(10 * FEWEST_PRETENDED - 20), catalogue, 0)


def tagged() -> TrainingData:
    """Users who like two of many clusters, each of which has a tag of its own, and two new items of each."""
    chance = np.random.default_rng(0)
    pairs = [
        (f"u{user}", f"c{cluster}_{place}")
        for user in range(300)
        for cluster in chance.choice(N_CLUSTERS, 2, replace=False)
        for place in range(EACH)
        if chance.random() < 0.8
    ]
    log = pd.DataFrame(pairs, columns=["user_id", "item_id"])
    log = log.assign(weight=np.float32(1), timestamp=np.zeros(len(log)))
    catalogue = [
        CatalogueEntry(f"c{cluster}_{place}", {"tags": [f"t{cluster}"]})
        for cluster in range(N_CLUSTERS)
        for place in range(EACH + 1)
    ]
    return TrainingData(log, {}, catalogue)


@pytest.fixture(scope="module")
def choices() -> HistoryChoices:
    return choose(tagged(), SMALL)


def test_where_tags_tell_more_than_vectors_can_say_columns_are_chosen(choices):
    assert choices.newcomers.columns > 0
    assert msgspec.convert(msgspec.to_builtins(choices), HistoryChoices) == choices


def test_newcomers_with_columns_are_found_by_those_who_like_what_is_like_them(choices):
    data = tagged()
    _, plain = fit(data, SMALL, META, msgspec.structs.replace(choices, newcomers=NewcomerWeights()))
    _, snapshot = fit(data, SMALL, META, choices)
    new = [f"c{cluster}_{EACH}" for cluster in range(N_CLUSTERS)]

    def found(served) -> float:
        recommender, hits = Recommender(Catalogue(served)), []
        for user, own in data.interactions.groupby("user_id")["item_id"]:
            answer = recommender.recommend(Query(user_id=user, k=2, candidates=new)).items
            liked = {item.split("_")[0] for item in own}
            hits += [item.item_id.split("_")[0] in liked for item in answer]
        return float(np.mean(hits))

    assert found(snapshot) > 0.9 > found(plain)


def test_an_increment_begins_with_the_matrix_of_known_items(choices):
    _, snapshot = fit(tagged(), SMALL, META, choices)
    rows = snapshot.item_item

    assert rows.indices.max() >= snapshot.n_known_items
    assert parts_of(snapshot).item_item.shape == (snapshot.n_known_items, snapshot.n_known_items)


def test_choices_from_before_newcomers_had_weights_are_read():
    old = msgspec.to_builtins(defaults("last", 100, HistorySettings()))
    del old["newcomers"]

    assert msgspec.convert(old, HistoryChoices).newcomers == NewcomerWeights(1.0, 1.0, 0.0)


def test_vectors_tell_neighbours_beside_features_and_alone():
    known = matrix([[1, 0, 1, 0.1], [1, 1, 0, 1], [0, 1, 1, 0]])
    newcomers = matrix([[0, 0, 2, 0], [1, 0, 0, 3], [0, 0, 0, 0]])
    nearest = nearest_by_features(known, newcomers, np.array([False, False, True, True])).toarray()
    turned = np.array([1, 0.1]) / np.hypot(1, 0.1)

    # the first feature is had by two of three: what it is worth stands beside the vectors
    assert nearest[0] == pytest.approx(np.array([turned[0], 0, 1]), abs=1e-6)
    assert nearest[1].argmax() == 1
    assert not nearest[2].any()
