"""Dense vectors in training: new items and users with vectors alone are ranked by what the model learned of others'."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recommender.dense_vectors.packing import pack_vector
from recommender.dense_vectors.projection import fit_projection
from recommender.models.checkpoint import model_from_arrays, model_to_arrays, model_to_meta
from recommender.models.vector_regression import ridge
from recommender.schema import Query, RankQuery, UserState
from recommender.serving.catalogue import Catalogue, ItemChange
from recommender.serving.recommender import Recommender
from recommender.serving.snapshot import Snapshot
from recommender.training.full import Trained, TrainingData, fit
from recommender.training.history_tuning import HistorySettings
from recommender.training.incremental import IncrementSettings, News, train_increment
from recommender.training.model_settings import ModelSettings
from recommender.training.promotion_gate import Verdict
from recommender.training.snapshot_builder import CatalogueEntry
from recommender.training.vector_features import project

N_USERS, N_KNOWN, N_NEW, N_TASTES, LENGTH = 150, 80, 40, 4, 24
META = {"version": "1", "log_offset": 0, "items_sequence": 0}
SETTINGS = ModelSettings(no_components=16, epochs=30, history=HistorySettings(enabled=False))


class TasteWorld:
    """Users like items by their tastes, of which vectors are noisy linear images."""

    def __init__(self, seed=0, *, clusters=False, noise=0.3):
        chance = np.random.default_rng(seed)
        n_items = N_KNOWN + N_NEW
        if clusters:
            users = np.eye(N_TASTES)[chance.integers(0, N_TASTES, N_USERS)]
            items = np.eye(N_TASTES)[chance.integers(0, N_TASTES, n_items)]
        else:
            users, items = chance.normal(size=(N_USERS, N_TASTES)), chance.normal(size=(n_items, N_TASTES))
        self.likes = 2 * users @ items.T
        image = chance.normal(size=(N_TASTES, LENGTH))
        self.items = items @ image / 2 + noise * chance.normal(size=(n_items, LENGTH))
        self.users = users @ image / 2 + noise * chance.normal(size=(N_USERS, LENGTH))
        self.chosen = [self._choices(chance, user) for user in range(N_USERS)]

    def _choices(self, chance, user):
        odds = np.exp(self.likes[user, :N_KNOWN])
        return chance.choice(N_KNOWN, 12, replace=False, p=odds / odds.sum())

    def interactions(self, users=range(N_USERS)):
        rows = [(f"u{user}", f"i{item}") for user in users for item in self.chosen[user]]
        frame = pd.DataFrame(rows, columns=["user_id", "item_id"])
        return frame.assign(weight=np.float32(1), timestamp=np.arange(len(rows), dtype=float), offset=1)

    def catalogue(self, n=N_KNOWN + N_NEW):
        return [CatalogueEntry(f"i{item}", {"text": self.items[item].tolist()}) for item in range(n)]

    def data(self, users=range(N_USERS)):
        features = {f"u{user}": {"face": self.users[user].tolist()} for user in users}
        return TrainingData(self.interactions(users), features, self.catalogue())


def ranked_right(scores, truth):
    """Share of pairs in the right order."""
    first, second = np.triu_indices(len(truth), 1)
    return float(((scores[first] > scores[second]) == (truth[first] > truth[second])).mean())


def scores_of(snapshot: Snapshot, query: Query, items) -> np.ndarray:
    found = Recommender(Catalogue(snapshot)).score_many([query], [UserState()])[0]
    return found[snapshot.item_ids.indices_of([f"i{item}" for item in items])]


def agreement(world, snapshot, items, users=range(0, N_USERS, 5)):
    """Mean share of pairs of items in the right order, over users, of those they have not chosen."""
    shares = []
    for user in users:
        left = np.setdiff1d(items, world.chosen[user])
        scores = scores_of(snapshot, Query(user_id=f"u{user}", features={}), left)
        shares.append(ranked_right(scores, world.likes[user, left]))
    return float(np.mean(shares))


@pytest.fixture(scope="module")
def world():
    return TasteWorld()


@pytest.fixture(scope="module")
def trained(world):
    """Model of all users but the last 30."""
    return fit(world.data(range(N_USERS - 30)), SETTINGS, META)


def test_new_items_with_vectors_alone_are_ranked_nearly_as_well_as_known_ones(world, trained):
    known = agreement(world, trained[1], np.arange(N_KNOWN), range(0, N_USERS - 30, 5))
    new = agreement(world, trained[1], np.arange(N_KNOWN, N_KNOWN + N_NEW), range(0, N_USERS - 30, 5))

    assert known > 0.75
    assert new > known - 0.05


def test_vectors_of_clusters_tell_what_a_new_item_is():
    world = TasteWorld(1, clusters=True, noise=0.5)
    _, snapshot = fit(world.data(), SETTINGS, META)
    wins = []
    for user in range(0, N_USERS, 5):
        scores = scores_of(snapshot, Query(user_id=f"u{user}", features={}), range(N_KNOWN, N_KNOWN + N_NEW))
        own = world.likes[user, N_KNOWN:] > 0
        wins.append((scores[own][:, None] > scores[~own]).mean())

    assert np.mean(wins) > 0.9


def test_a_new_user_is_known_by_their_vector(world, trained):
    shares = []
    for user in range(N_USERS - 30, N_USERS):
        query = Query(features={"face": world.users[user].tolist()})
        scores = scores_of(trained[1], query, range(N_KNOWN))
        shares.append(ranked_right(scores, world.likes[user, :N_KNOWN]))

    assert np.mean(shares) > 0.7


def test_vectors_move_no_representation_of_a_known_one(world, trained):
    model, snapshot = trained
    bare = TrainingData(world.interactions(range(N_USERS - 30)), {}, [])
    without, before = fit(bare, SETTINGS, META)

    assert model.items.rows() @ model.item_embeddings == pytest.approx(
        without.items.rows() @ without.item_embeddings, abs=1e-5
    )
    assert snapshot.items.vectors[:N_KNOWN] == pytest.approx(before.items.vectors[:N_KNOWN], abs=1e-5)
    assert model.users.rows() @ model.user_embeddings == pytest.approx(
        without.users.rows() @ without.user_embeddings, abs=1e-5
    )


def test_an_item_put_with_a_vector_is_in_the_next_answer_as_if_it_had_been_there(world, trained):
    catalogue = Catalogue(trained[1])
    like, unlike = world.items[N_KNOWN], world.items[N_KNOWN + 1]
    catalogue.apply([ItemChange("x", {"text": like.tolist()}), ItemChange("y", {"text": unlike.tolist()})], 1)
    asked = ("x", "y", f"i{N_KNOWN}", f"i{N_KNOWN + 1}")
    ranking = Recommender(catalogue).rank(RankQuery(user_id="u0", items=tuple((item_id, None) for item_id in asked)))
    found = {each.item_id: each for each in ranking.items}

    assert found["x"].case == "VII"
    assert found["x"].score == pytest.approx(found[f"i{N_KNOWN}"].score, abs=1e-4)
    assert found["y"].score == pytest.approx(found[f"i{N_KNOWN + 1}"].score, abs=1e-4)


def test_a_changed_vector_of_a_known_item_acts_in_the_next_answer(world, trained):
    snapshot = trained[1]
    user = int(np.argmax(np.abs(world.likes[: N_USERS - 30, 0])))
    catalogue = Catalogue(snapshot)
    best = int(np.argmax(world.likes[user, N_KNOWN:])) + N_KNOWN
    worst = int(np.argmin(world.likes[user, N_KNOWN:])) + N_KNOWN
    scores = []
    for vector in (best, worst, 0):
        catalogue.apply([ItemChange("i0", {"text": world.items[vector].tolist()})], 1)
        ranking = Recommender(catalogue).rank(RankQuery(user_id=f"u{user}", features={}, items=(("i0", None),)))
        scores.append(ranking.items[0].score)
    unchanged = scores_of(snapshot, Query(user_id=f"u{user}", features={}), [0])[0]

    assert scores[0] > scores[1]
    assert scores[2] == pytest.approx(float(unchanged), abs=1e-3)


def test_a_vector_is_one_part_of_an_explanation_that_adds_up(trained):
    recommender = Recommender(Catalogue(trained[1]))
    answer = recommender.recommend(Query(user_id="u1", features={}, k=60, explain=True))

    for item in answer.items:
        parts = {each.feature: each.contribution for each in item.explanation}
        assert len(parts) == len(item.explanation)
        assert parts.keys() <= {"text", "item_id", "new_item"}
        assert "text" in parts
        assert sum(parts.values()) == pytest.approx(item.score, abs=1e-3)
    assert any("its text suits you" in str(item.because) for item in answer.items)


def test_a_snapshot_and_a_model_come_back_with_their_vectors(world, trained):
    model, snapshot = trained
    restored = Snapshot.from_arrays(snapshot.to_arrays(), snapshot.to_meta())
    again = model_from_arrays(model_to_arrays(model), model_to_meta(model))
    query = Query(features={"face": world.users[3].tolist()})

    assert scores_of(restored, query, range(N_KNOWN + N_NEW)) == pytest.approx(
        scores_of(snapshot, query, range(N_KNOWN + N_NEW))
    )
    assert again.items.regressed.tolist() == model.items.regressed.tolist()
    assert (again.items.rows() != model.items.rows()).nnz == 0


def test_a_model_from_before_vectors_is_read(trained):
    model = trained[0]
    arrays = {name: array for name, array in model_to_arrays(model).items() if "regressed" not in name}

    assert model_from_arrays(arrays, model_to_meta(model)).items.regressed.tolist() == []


def test_an_increment_keeps_the_map_and_new_users_and_items_begin_by_it(world):
    data = world.data(range(N_USERS - 30))
    model, snapshot = fit(data, SETTINGS, META)
    kept = [column.copy() for column in (model.item_embeddings, model.item_biases)]
    columns = model.items.feature_columns[model.items.regressed]
    new = N_KNOWN + 3
    rows = pd.DataFrame({"user_id": [f"u{N_USERS - 1}", "u0"], "item_id": ["i1", f"i{new}"]})
    rows = rows.assign(weight=np.float32(1), timestamp=1e6, offset=2)
    news = News(
        rows,
        {f"u{N_USERS - 1}": {"face": world.users[-1].tolist()}},
        {entry.item_id: entry for entry in world.catalogue()},
    )
    parent = Trained(model, snapshot, Verdict(accepted=True, reason=None, users=0))
    before = scores_of(snapshot, Query(user_id="u5", features={}), range(N_KNOWN))
    grown = train_increment(parent, news, IncrementSettings(epochs=2), holdout=0, meta={**META, "trained_on": {}})
    after = scores_of(grown.snapshot, Query(user_id="u5", features={}), range(N_KNOWN))

    assert (model.item_embeddings[columns] == kept[0][columns]).all()
    assert (model.item_biases[columns] == kept[1][columns]).all()
    assert np.corrcoef(before, after)[0, 1] > 0.99
    assert agreement(world, grown.snapshot, np.arange(N_KNOWN, N_KNOWN + N_NEW), range(0, 120, 10)) > 0.7
    assert grown.snapshot.item_ids.index_of(f"i{new}") < grown.snapshot.n_known_items
    promised = snapshot.items.vectors[snapshot.item_ids.index_of(f"i{new}")]
    learned = grown.snapshot.items.vectors[grown.snapshot.item_ids.index_of(f"i{new}")]
    assert np.corrcoef(promised, learned)[0, 1] > 0.8


def test_a_forgotten_user_leaves_no_vector(world):
    model, _ = fit(world.data(range(40)), SETTINGS, META)
    model.forget_users(["u3"])
    row = model.users.ids.index_of("u3")

    assert not model.users.features[row].nnz


def test_a_known_user_or_item_whose_vector_nobody_says_is_as_it_was_learned(world, trained):
    snapshot = trained[1]
    said = scores_of(snapshot, Query(user_id="u4", features={"face": world.users[4].tolist()}), range(N_KNOWN))
    unsaid = scores_of(snapshot, Query(user_id="u4", features={}), range(N_KNOWN))
    catalogue = Catalogue(snapshot)
    catalogue.apply([ItemChange("i2", {})], 1)
    [ranked] = Recommender(catalogue).rank(RankQuery(user_id="u4", items=(("i2", None),))).items

    assert unsaid == pytest.approx(said, abs=1e-5)
    assert ranked.score == pytest.approx(float(unsaid[2]), abs=1e-3)


def test_a_side_without_indicators_learns_nothing_of_vectors_and_says_so(world):
    group = {f"i{item}": f"g{item % 4}" for item in range(N_KNOWN + N_NEW)}
    entries = [
        entry._replace(features={**entry.features, "group": group[entry.item_id]}) for entry in world.catalogue()
    ]
    settings = replace(SETTINGS, indicators="users", epochs=2)
    _, snapshot = fit(replace(world.data(), catalogue=entries), settings, META)
    ranking = Recommender(Catalogue(snapshot)).rank(RankQuery(user_id="u1", items=(("x", entries[0].features),)))

    assert not snapshot.item_space.vectors
    assert ranking.ignored_features == ["text"]


def test_of_long_vectors_the_directions_are_kept_that_tell_what_was_learned_however_little_they_vary():
    chance = np.random.default_rng(3)
    n, signal = 600, 0.3 * chance.normal(size=(600, 4))
    rows = np.hstack([5 * chance.normal(size=(n, 100)), signal]) @ np.linalg.qr(chance.normal(size=(104, 104)))[0]
    indicators = (signal @ chance.normal(size=(4, 8)) + 0.1 * chance.normal(size=(n, 8))).astype(np.float32)
    vectors = [(place, pack_vector(row)) for place, row in enumerate(rows.tolist())]
    known, new = slice(0, 500), slice(500, None)

    def explained(projection):
        weights = projection.weights([vector for _, vector in vectors]).astype(np.float64)
        found = ridge(weights[known], indicators[known], np.ones(500)).weights
        return 1 - (indicators[new] - weights[new] @ found).var() / indicators[new].var()

    reduced = project(vectors[known], indicators, np.full(n, 20))

    assert reduced.axes.shape == (104, 8)
    assert explained(reduced) > 0.7
    assert explained(fit_projection([vector for _, vector in vectors[known]])) < 0.2
