"""Snapshot: LightFM's own scores from plain arrays that many processes map."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from recommender import FeatureSpace, LFMRecommender, SparseFrame
from recommender.errors import InvalidDataError
from recommender.ids import UNKNOWN
from recommender.serving.explanation import feature_contributions
from recommender.serving.snapshot import Snapshot, UserVector
from recommender.training.snapshot_builder import CatalogueEntry
from tests.support.known_worlds import (
    COLD,
    INDICATORS,
    ITEMS,
    LOG_OFFSET,
    USERS,
    World,
    encoded,
    entry,
    item_features,
    make_world,
    shared_snapshot,
    shared_world,
    user_features,
)

NO_RECENT = np.zeros((0, 6), np.float32)
words = st.lists(st.sampled_from("abcd"), max_size=3)
records = st.fixed_dictionaries({"kind": st.sampled_from("xy")}, optional={"tags": words, "age": st.integers(0, 9)})
strange_records = st.dictionaries(st.sampled_from(["kind", "tags", "shoe"]), words, max_size=2)


@st.composite
def random_worlds(draw) -> tuple[World, dict, dict]:
    """World with random interactions and features, its features by id, cold items and strangers included."""
    n_users, n_items = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    cells = st.tuples(st.integers(0, n_users - 1), st.integers(0, n_items - 1))
    pairs = sorted(draw(st.sets(cells, min_size=1)))
    interactions = SparseFrame.from_interactions([f"u{u}" for u, _ in pairs], [f"i{i}" for _, i in pairs])
    normalise = draw(st.booleans())
    users = {user_id: draw(records) for user_id in interactions.rows}
    items = {item_id: draw(records) for item_id in interactions.columns}
    user_space = FeatureSpace.empty(normalise=normalise).extended(users.values())
    item_space = FeatureSpace.empty(normalise=normalise).extended(items.values())
    user_frame = encoded(user_space, users, users.__getitem__)
    item_frame = encoded(item_space, items, items.__getitem__)
    loss = draw(st.sampled_from(["warp", "bpr", "logistic"]))
    model = LFMRecommender(draw(st.sampled_from(INDICATORS)), no_components=3, loss=loss, random_state=0)
    model.fit(interactions, user_frame, item_frame, epochs=draw(st.integers(0, 3)))
    log = pd.DataFrame({"user_id": [f"u{u}" for u, _ in pairs], "item_id": [f"i{i}" for _, i in pairs]})
    world = World(
        model, user_space, item_space, interactions, user_frame, item_frame, log.assign(timestamp=np.arange(len(log)))
    )
    items |= {f"cold{n}": draw(records | strange_records) for n in range(draw(st.integers(0, 3)))}
    users |= {f"stranger{n}": draw(records | strange_records) for n in range(2)}
    return world, users, items


@settings(max_examples=60, deadline=None)
@given(random_worlds(), st.booleans(), st.randoms(use_true_random=False))
def test_a_snapshot_scores_as_lightfm_predicts_on_the_same_rows(drawn, with_features, chance):
    world, users, items = drawn
    snapshot = world.snapshot([CatalogueEntry(item_id, features) for item_id, features in items.items()])
    asked = list(snapshot.item_ids)
    chance.shuffle(asked)
    item_frame = encoded(world.item_space, asked, items.__getitem__)
    for user_id, features in users.items():
        mine = features if with_features else {}
        user_frame = encoded(world.user_space, [user_id], lambda _, mine=mine: mine)
        user = snapshot.user_vector(
            snapshot.user_index(user_id), world.user_space.encode(mine), np.zeros((0, 3), np.float32)
        )
        expected = world.model.predict_online(user_id, asked, item_frame, user_frame, use_baseline=True)
        indices = snapshot.item_ids.indices_of(asked)
        found = snapshot.popularity[indices] if user.strategy == "popular" else snapshot.score(user, indices)

        assert list(expected.index) == asked
        assert found == pytest.approx(expected.to_numpy(), rel=1e-5, abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(random_worlds())
def test_the_catalogue_is_every_trained_item_and_every_other_with_a_learned_feature(drawn):
    world, _, items = drawn
    snapshot = world.snapshot([CatalogueEntry(item_id, features) for item_id, features in items.items()])
    trained = list(world.model.items.ids)
    cold = [item for item in items if item not in trained and len(world.item_space.encode(items[item]).columns)]

    assert list(snapshot.item_ids) == [*trained, *cold]
    assert (snapshot.n_items, snapshot.n_trained_items) == (len(trained) + len(cold), len(trained))
    assert snapshot.n_known_items == (len(trained) if world.model.indicators in ("both", "items") else 0)
    assert all(len(array) == snapshot.n_items for array in (*snapshot.items, snapshot.available, snapshot.popularity))


def vector_of(snapshot: Snapshot, user_id: str, **features) -> UserVector:
    return snapshot.user_vector(snapshot.user_index(user_id), snapshot.user_space.encode(features), NO_RECENT)


@pytest.mark.parametrize("indicators", INDICATORS)
def test_scores_of_some_are_those_of_all_picked_out(indicators):
    snapshot = shared_snapshot(indicators)
    user = vector_of(snapshot, "u3", **user_features("u3"))
    chosen = np.array([7, 2, 2, 0, 11], np.int32)

    assert snapshot.score(user, chosen) == pytest.approx(snapshot.score(user)[chosen], abs=1e-6)


@pytest.mark.parametrize(
    ("user_id", "features", "n_recent", "strategy", "row"),
    [
        ("u3", {"group": "g1"}, 0, "personalized", 0),
        ("stranger", {"group": "g1"}, 0, "features", 1),
        ("u3", {}, 0, "personalized", 2),
        ("stranger", {}, 0, "popular", 3),
        ("stranger", {"shoe": 44}, 0, "popular", 3),
        ("u3", {"group": "g1"}, 2, "recent", 0),
        ("stranger", {"group": "g1"}, 2, "recent", 1),
        ("u3", {}, 2, "recent", 2),
        ("stranger", {}, 2, "recent", 3),
    ],
)
def test_a_user_vector_says_what_it_rests_on(snapshot, user_id, features, n_recent, strategy, row):
    recent = snapshot.items.vectors[:n_recent]
    user = snapshot.user_vector(snapshot.user_index(user_id), snapshot.user_space.encode(features), recent)

    assert (user.strategy, user.case_row) == (strategy, row)
    assert user.vector.dtype == np.float32
    assert user.vector.any() == (strategy != "popular")


def test_without_user_indicators_nobody_has_a_row_but_what_they_saw_is_remembered():
    snapshot = shared_snapshot("items")

    assert snapshot.user_index("u3") == UNKNOWN
    assert len(snapshot.learned_items("u3"))


@pytest.mark.parametrize("nobody", [None, "stranger", ""])
def test_nobody_has_neither_row_nor_history(snapshot, nobody):
    assert snapshot.user_index(nobody) == UNKNOWN
    assert snapshot.learned_items(nobody).tolist() == []


def test_learned_items_are_each_users_own_in_order_of_time_and_each_once(world):
    users, items = ["u3", "u5", "u3", "u3", "u5"], ["i5", "i1", "i1", "i5", "i7"]
    log = pd.DataFrame({"user_id": users, "item_id": items, "timestamp": [30, 10, 20, 40, 20]})
    snapshot = replace(world, log=log).snapshot()

    assert snapshot.item_ids.ids_of(snapshot.learned_items("u3")) == ["i1", "i5"]
    assert snapshot.item_ids.ids_of(snapshot.learned_items("u5")) == ["i1", "i7"]
    assert snapshot.learned_items("u4").tolist() == []


def test_ties_in_time_do_not_follow_the_item_id(world):
    world.model.fit_partial(SparseFrame.from_interactions(["u1"] * 10, ITEMS), epochs=0)
    log = pd.DataFrame({"user_id": ["u1"] * 10, "item_id": ITEMS, "timestamp": [0.0] * 10})
    snapshot = replace(world, log=log).snapshot()
    seen = snapshot.item_ids.ids_of(snapshot.learned_items("u1"))

    assert sorted(seen) == ITEMS
    assert seen != ITEMS


def test_training_on_does_not_reach_a_published_snapshot(world):
    snapshot = world.snapshot()
    before = {name: array.copy() for name, array in snapshot.to_arrays().items()}
    world.model.fit_partial(SparseFrame.from_interactions(["u3", "new"], ["i4", "i0"]), epochs=3)

    assert all(np.array_equal(array, before[name]) for name, array in snapshot.to_arrays().items())


def test_a_deleted_or_unavailable_item_keeps_its_row_and_may_not_be_returned(world):
    catalogue = [entry("i1"), entry("i2")._replace(available=False), entry("i100")._replace(available=False)]
    snapshot = world.snapshot(catalogue, deleted=["i3", "never heard of"])
    withheld = {item for item, free in zip(snapshot.item_ids, snapshot.available, strict=True) if not free}

    assert withheld == {"i2", "i3", "i100"}


def test_titles_and_tokens_are_those_of_the_catalogue(world):
    snapshot = world.snapshot([entry("i1"), entry("i100")._replace(title=None)])
    titles = dict(zip(snapshot.item_ids, snapshot.titles, strict=True))
    token = snapshot.filter_rows.row(snapshot.filter_tokens.index_of("tags:t1"))

    assert titles == {**dict.fromkeys(ITEMS, ""), "i1": "Title of i1", "i100": ""}
    assert sorted(snapshot.item_ids.ids_of(token)) == ["i1", "i100"]


def test_popularity_is_learned_for_trained_items_and_promised_for_others(snapshot, trained):
    expected = trained.model.baseline([*ITEMS, *COLD], trained.items(*COLD))

    assert dict(zip(snapshot.item_ids, snapshot.popularity, strict=True)) == pytest.approx(expected.to_dict())


def test_a_space_that_the_model_was_not_trained_with_is_refused(world):
    wider = World(**{**vars(world), "item_space": world.item_space.extended([{"colour": "red"}])})

    with pytest.raises(InvalidDataError, match="'colour=red'"):
        wider.snapshot()


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("indicators", INDICATORS)
def test_an_item_represented_anew_is_as_it_was(indicators, normalise):
    snapshot = shared_snapshot(indicators, normalise=normalise)
    for index, item_id in enumerate(snapshot.item_ids):
        vector, bias = snapshot.represent(snapshot.item_space.encode(item_features(item_id)), index)

        assert vector == pytest.approx(snapshot.items.vectors[index], abs=1e-6)
        assert bias == pytest.approx(snapshot.items.biases[index], abs=1e-6)


@pytest.mark.parametrize("indicators", INDICATORS)
@pytest.mark.parametrize("user_id", ["u3", "stranger"])
def test_contributions_are_exact_and_add_up_to_the_score(indicators, user_id):
    snapshot, model = shared_snapshot(indicators), shared_world(indicators).model
    user = vector_of(snapshot, user_id, **user_features("u5"))
    scores = snapshot.score(user._replace(bias=0.0))
    for index, item_id in enumerate(snapshot.item_ids):
        features = snapshot.item_space.encode(item_features(item_id))
        score = float(scores[index])
        [parts] = feature_contributions(snapshot, user, [features], [score], [index < snapshot.n_known_items])
        amounts, expected = dict(parts), {}
        for column, weight in zip(features.columns, features.weights, strict=True):
            name = snapshot.item_space.names[int(column)]
            row = model.items.feature_columns[model.items.names.index_of(name)]
            expected[name] = weight * (model.item_embeddings[row] @ user.vector + model.item_biases[row])
        if index < snapshot.n_known_items:
            row = model.items.indicator_columns[index]
            expected["item_id"] = model.item_embeddings[row] @ user.vector + model.item_biases[row]

        assert sum(amounts.values()) == pytest.approx(score, abs=1e-5)
        assert amounts == pytest.approx({name: amount for name, amount in expected.items() if amount}, abs=1e-5)
        assert [abs(amount) for _, amount in parts] == sorted((abs(amount) for _, amount in parts), reverse=True)


def shared_memory(snapshot: Snapshot) -> tuple[Snapshot, dict[str, np.ndarray]]:
    """The snapshot as a replica maps it, and the read-only arrays under it."""
    arrays = {name: np.array(array) for name, array in snapshot.to_arrays().items()}
    for array in arrays.values():
        array.flags.writeable = False
    return Snapshot.from_arrays(arrays, json.loads(json.dumps(snapshot.to_meta()))), arrays


def test_every_array_of_a_mapped_snapshot_lies_in_the_memory_it_was_given(snapshot):
    mapped, arrays = shared_memory(snapshot)
    again = mapped.to_arrays()

    assert again.keys() == arrays.keys()
    for name in again.keys() - {"counts"}:
        assert not again[name].size or np.shares_memory(again[name], arrays[name]), name
        assert again[name].dtype == arrays[name].dtype


@pytest.mark.parametrize("indicators", INDICATORS)
def test_a_mapped_snapshot_gives_the_same_answers(indicators):
    snapshot = shared_snapshot(indicators)
    mapped, _ = shared_memory(snapshot)

    assert list(mapped.item_ids) == list(snapshot.item_ids)
    assert list(mapped.titles) == list(snapshot.titles)
    assert mapped.log_offset == LOG_OFFSET
    assert mapped.to_meta() == json.loads(json.dumps(snapshot.to_meta()))
    for user_id in [*USERS, "stranger"]:
        for features in ({}, user_features("u5"), {"age": 999, "shoe": 44}):
            mine, theirs = vector_of(snapshot, user_id, **features), vector_of(mapped, user_id, **features)

            assert snapshot.score(mine).tolist() == mapped.score(theirs).tolist()
            assert mine[1:] == theirs[1:]
            assert mapped.learned_items(user_id).tolist() == snapshot.learned_items(user_id).tolist()


def test_a_snapshot_goes_through_safetensors(snapshot):
    arrays = load(save({name: np.ascontiguousarray(array) for name, array in snapshot.to_arrays().items()}))
    restored = Snapshot.from_arrays(arrays, snapshot.to_meta())

    assert all(np.array_equal(array, restored.to_arrays()[name]) for name, array in snapshot.to_arrays().items())


def test_a_version_from_before_newcomers_and_dislikes_serves_as_it_did(snapshot):
    later = ("newcomer_features.", "disliked.")
    before = {name: array for name, array in snapshot.to_arrays().items() if not name.startswith(later)}
    restored = Snapshot.from_arrays(before, snapshot.to_meta())

    assert all(np.array_equal(array, restored.to_arrays()[name]) for name, array in snapshot.to_arrays().items())


def test_a_world_without_any_features_is_served():
    model = LFMRecommender(no_components=3, loss="warp", random_state=0)
    pairs = (["u", "v", "v"], ["i", "j", "i"])
    model.fit(SparseFrame.from_interactions(*pairs), epochs=2)
    log = pd.DataFrame({"user_id": pairs[0], "item_id": pairs[1], "timestamp": [0, 1, 2]})
    space = FeatureSpace.empty()
    none = SparseFrame(["u", "v"], [], np.zeros((2, 0)))
    snapshot = World(model, space, space, none, none, none, log).snapshot([])
    user = snapshot.user_vector(snapshot.user_index("v"), space.encode({"x": 1}), np.zeros((0, 3), np.float32))

    assert snapshot.score(user) == pytest.approx(model.predict_online("v").to_numpy(), abs=1e-6)


def test_a_snapshot_of_a_grown_model_scores_its_newcomers():
    world = make_world()
    world.model.fit_partial(SparseFrame.from_interactions(["new"], ["i50"]), world.users("u3"), world.items("i50"))
    world.log.loc[len(world.log)] = ("new", "i50", 1e9)
    snapshot = world.snapshot([entry(item_id) for item_id in [*ITEMS, "i50"]])
    scores = snapshot.score(vector_of(snapshot, "new"), snapshot.item_ids.indices_of(["i50", "i2"]))
    expected = world.model.predict_online("new", ["i50", "i2"], world.items("i50", "i2"))

    assert scores == pytest.approx(expected.to_numpy(), abs=1e-6)


def test_items_explained_together_are_explained_as_each_alone(snapshot):
    user = snapshot.user_vector(snapshot.user_index("u3"), snapshot.user_space.encode(user_features("u3")), NO_RECENT)
    features = [snapshot.item_space.encode(item_features(item_id)) for item_id in ["i4", "i100", "i7"]]
    features.insert(1, snapshot.item_space.encode({}))
    scores = [1.5, 0.25, -2.0, 0.0]
    known = [True, True, False, False]
    together = feature_contributions(snapshot, user, features, scores, known)

    assert feature_contributions(snapshot, user, [], [], []) == []
    for parts, *each in zip(together, features, scores, known, strict=True):
        [alone] = feature_contributions(snapshot, user, *([one] for one in each))

        assert [name for name, _ in parts] == [name for name, _ in alone]
        assert dict(parts) == pytest.approx(dict(alone), abs=1e-6)
