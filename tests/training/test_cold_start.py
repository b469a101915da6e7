"""Newcomers: items without interactions in one list with known ones, exactly explained."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recommender.feature_space import FeatureSpace
from recommender.schema import Query, UserState
from recommender.serving.catalogue import Catalogue, ItemChange
from recommender.serving.recommender import Recommender
from recommender.training import cold_start
from recommender.training.full import TrainingData, fit
from recommender.training.model_settings import ModelSettings
from recommender.training.serving_transform import ServingTransform, to_serving
from recommender.training.snapshot_builder import CatalogueEntry
from tests.support.known_worlds import COLD, ITEMS, entry, item_features, learned_world, parity, user_features

SETTLING = ServingTransform(newcomer_quantile=0.5)
META = {"version": "1", "log_offset": 0, "items_sequence": 0}


@pytest.fixture(scope="module")
def world():
    return learned_world()


@pytest.fixture(scope="module")
def snapshot(world):
    return to_serving(world.model, world.snapshot(), SETTLING)


def test_what_is_predicted_is_ridge_regression_with_a_free_mean():
    chance = np.random.default_rng(0)
    features = sparse.random(40, 6, 0.4, format="csr", rng=chance, dtype=np.float32)
    targets = chance.standard_normal((40, 3)).astype(np.float32) + 5
    weights = cold_start.predicting(features, targets)
    dense = np.hstack([features.toarray(), np.ones((40, 1))])
    shrunk = np.diag([*[cold_start.PENALTY] * 6, 0])

    assert weights == pytest.approx(np.linalg.solve(dense.T @ dense + shrunk, dense.T @ targets), abs=1e-4)


def test_an_item_weighs_the_root_of_its_interactions_in_what_is_predicted():
    chance = np.random.default_rng(2)
    features = sparse.random(40, 6, 0.4, format="csr", rng=chance, dtype=np.float32)
    targets = chance.standard_normal((40, 3)).astype(np.float32) + 5
    counts = chance.integers(1, 100, 40)
    weights = cold_start.predicting(features, targets, counts)
    dense = np.hstack([features.toarray(), np.ones((40, 1))])
    each = np.sqrt(counts) / np.sqrt(counts).mean()
    shrunk = np.diag([*[cold_start.PENALTY] * 6, 0])

    assert weights == pytest.approx(
        np.linalg.solve(dense.T @ (each[:, None] * dense) + shrunk, dense.T @ (each[:, None] * targets)), abs=1e-4
    )


def test_very_many_features_predict_the_same_by_conjugate_gradients(monkeypatch):
    chance = np.random.default_rng(1)
    features = sparse.random(60, 30, 0.2, format="csr", rng=chance, dtype=np.float32)
    features = sparse.hstack([features, sparse.csr_matrix((60, 1), dtype=np.float32)], format="csr")
    targets = chance.standard_normal((60, 3)).astype(np.float32) + 5
    targets[:, 2] = 7

    solved = cold_start.predicting(features, targets)
    monkeypatch.setattr(cold_start, "MOST_FEATURES", 1)
    descended = cold_start.predicting(features, targets)

    assert descended == pytest.approx(solved, abs=1e-3)
    assert not descended[30].any()
    assert descended[-1, 2] == pytest.approx(7)


def test_known_items_keep_their_rows_and_newcomers_get_what_features_say_of_indicators(world, snapshot):
    before = to_serving(world.model, world.snapshot([entry(item) for item in ITEMS]), SETTLING)
    n = snapshot.n_known_items

    assert (snapshot.items.vectors[:n] == before.items.vectors[:n]).all()
    for number, item_id in enumerate(COLD, start=n):
        vector, bias = snapshot.represent(snapshot.item_space.encode(item_features(item_id)))

        assert snapshot.items.vectors[number] == pytest.approx(vector, abs=1e-5)
        assert snapshot.items.biases[number] == pytest.approx(bias, abs=1e-5)


@pytest.mark.parametrize("item_id", [*ITEMS, *COLD, "i103"])
def test_contributions_add_up_for_known_items_and_newcomers(snapshot, item_id):
    recommender = Recommender(Catalogue(snapshot))
    change = ItemChange("i103", item_features("i103"))
    recommender.catalogue.apply([change], 1)
    query = Query(user_id="u3", k=1, candidates=[item_id], explain=True, exclude_seen=False)
    [item] = recommender.recommend(query, UserState(user_features("u3"))).items
    parts = {each.feature: each.contribution for each in item.explanation}

    assert sum(parts.values()) == pytest.approx(item.score, abs=1e-4)
    assert ("new_item" in parts) == (item_id not in ITEMS)
    assert "item_id" not in parts or item_id in ITEMS


def test_a_newcomer_of_my_taste_comes_before_one_that_is_not(snapshot):
    recommender = Recommender(Catalogue(snapshot))
    for user_id in ("u2", "u3"):
        answer = recommender.recommend(Query(user_id=user_id, k=9, candidates=COLD))

        assert parity(answer.items[0].item_id) == parity(user_id)


def test_an_item_put_later_is_scored_as_one_that_was_there(snapshot):
    recommender = Recommender(Catalogue(snapshot))
    recommender.catalogue.apply([ItemChange("twin", item_features("i100"))], 1)
    answer = recommender.recommend(Query(user_id="u2", k=2, candidates=["i100", "twin"]))

    assert answer.items[0].score == pytest.approx(answer.items[1].score, abs=1e-5)
    assert {item.case for item in answer.items} == {"VII"}


def test_without_item_indicators_nothing_has_to_be_predicted():
    for indicators in ("users", False):
        world = learned_world(indicators)
        before = world.snapshot()
        after = to_serving(world.model, before, SETTLING)

        assert (after.items.vectors == before.items.vectors).all()
        assert (after.newcomer_features.vectors == before.newcomer_features.vectors).all()


def crowded() -> TrainingData:
    """As many newcomers as known items, which all share one feature; some known items are very popular."""
    chance = np.random.default_rng(1)
    items = (chance.random(1500) ** 3 * 40).astype(int)
    log = pd.DataFrame({"user_id": [f"u{n % 60}" for n in range(1500)], "item_id": [f"i{item}" for item in items]})
    log = log.drop_duplicates().assign(weight=np.float32(1), timestamp=lambda frame: np.arange(len(frame)))
    names = [f"i{number}" for number in range(40)] + [f"new{number}" for number in range(40)]
    return TrainingData(log, {}, [CatalogueEntry(name, {"kind": "film"}) for name in names])


def share_of_newcomers(quantile: float) -> float:
    settings = ModelSettings(no_components=8, epochs=5, newcomer_quantile=quantile)
    _, snapshot = fit(crowded(), settings, META)
    recommender = Recommender(Catalogue(snapshot))
    answers = [recommender.recommend(Query(user_id=f"u{number}")) for number in range(60)]
    listed = [item.item_id.startswith("new") for answer in answers for item in answer.items]
    return sum(listed) / len(listed)


def test_newcomers_come_forward_with_their_advance_and_never_crowd_out_what_is_known():
    few, most = share_of_newcomers(0.5), share_of_newcomers(1.0)

    assert few <= most <= cold_start.LARGEST_SHARE + 0.05
    assert most > 0.1


def test_a_catalogue_without_features_has_no_newcomers_and_is_served():
    data = replace(crowded(), catalogue=[])
    _, snapshot = fit(data, ModelSettings(no_components=4, epochs=2), META)

    assert snapshot.n_items == snapshot.n_known_items
    assert len(snapshot.item_space) == 0 == len(FeatureSpace.empty())
    assert Recommender(Catalogue(snapshot)).recommend(Query(user_id="u1")).strategy == "personalized"
