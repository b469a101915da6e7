"""The sixteen cases, and the faults of the original class."""

import numpy as np
import pytest
from worlds import ITEMS, as_row, item_features, make_world, slow_score, user_features

from recommender import LFMRecommender, SparseFrame
from recommender.errors import InvalidDataError, MissingFeaturesError, NotFittedError, UnknownUserError

SETTINGS = ["both", "users", "items", False]
PEOPLE = [("u3", True), ("stranger", True), ("u3", False), ("stranger", False)]
THINGS = [("i4", True), ("novelty", True), ("i4", False), ("novelty", False)]


def features_of(an_id: str, kind: str) -> dict:
    known = {"stranger": "u21", "novelty": "i33"}.get(an_id, an_id)
    return user_features(known) if kind == "user" else item_features(known)


def frame_of_items(world, item_ids):
    return SparseFrame(item_ids, world.item_space.names, world.item_space.encode_many(map(item_features, item_ids)))


@pytest.mark.parametrize("indicators", SETTINGS)
@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize("thing", THINGS)
def test_each_case_is_scored_by_exactly_the_rows_that_exist(indicators, person, thing):
    world = make_world(indicators, epochs=3)
    user_id, item_id = person[0], thing[0]
    user = features_of(user_id, "user") if person[1] else None
    item = features_of(item_id, "item") if thing[1] else None
    expected, case = slow_score(
        world.model, user_id, as_row(world.user_space, user), item_id, as_row(world.item_space, item)
    )
    scores = world.model.predict_online(
        user_id, [item_id], world.rows("item", item_id, item), world.rows("user", user_id, user), use_baseline=True
    )

    assert scores.attrs["cases"] == {item_id: case}
    if case in ("XIII", "XIV", "XV", "XVI"):
        assert scores.empty
        assert item_id in scores.attrs["unscored"]
    elif case in ("IV", "VIII", "XII"):
        assert scores[item_id] == world.model.baseline([item_id], world.rows("item", item_id, item))[item_id]
    else:
        assert scores[item_id] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("indicators", SETTINGS)
def test_a_subset_in_any_order_scores_as_the_whole_does(indicators):
    world = make_world(indicators, epochs=3)
    user = world.rows("user", "u3", user_features("u3"))
    whole = world.model.predict_online("u3", ITEMS, frame_of_items(world, ITEMS), user)
    for chosen in (["i7", "i2", "i5"], ITEMS[::-1], ["i0"]):
        part = world.model.predict_online("u3", chosen, frame_of_items(world, chosen[::-1]), user)

        assert list(part.index) == chosen
        assert (part == whole[chosen]).all()


def test_new_features_count_at_once(world):
    before = world.model.predict_online("u3", ["i4"], world.rows("item", "i4", item_features("i4")))
    after = world.model.predict_online("u3", ["i4"], world.rows("item", "i4", item_features("i5")))

    assert before["i4"] != after["i4"]


def test_new_weights_count_at_once():
    world = make_world(epochs=2)
    before = world.model.predict_online("u3", ITEMS)
    world.model.fit_partial(SparseFrame.from_interactions(["u3"] * 3, ["i1", "i3", "i5"]), epochs=3)
    after = world.model.predict_online("u3", ITEMS)

    assert (before != after).any()


def test_nobody_is_ever_scored_as_the_first_row_of_the_table():
    world = make_world("items", epochs=3)

    with pytest.raises(UnknownUserError, match="stranger"):
        world.model.predict_online("stranger", ITEMS)
    with pytest.raises(UnknownUserError, match="u3"):
        world.model.predict_online("u3", ITEMS)  # without indicators and features nothing is known of them


def test_without_indicators_and_features_there_is_nothing_to_learn():
    with pytest.raises(MissingFeaturesError, match="user_features"):
        LFMRecommender(False).fit(SparseFrame.from_interactions(["u"], ["i"]))


def test_the_baseline_is_for_exactly_the_asked_items(world):
    asked = ["i4", "novelty", "i1"]
    scores = world.model.predict_online(
        "stranger", asked, frame_of_items(world, ["i4", "i33"]).reindex(rows=["i4"]), use_baseline=True
    )

    assert list(scores.index) == ["i4", "i1"]
    counts = dict(zip(world.model.items.ids, world.model.popularity.tolist(), strict=True))
    assert scores.to_dict() == {item: counts[item] for item in ("i4", "i1")}


def test_an_unknown_item_gets_the_popularity_that_its_features_promise(world):
    promised = world.model.baseline(["novelty"], world.rows("item", "novelty", item_features("i4")))["novelty"]

    assert 0 < promised < world.model.popularity.max() * 2


def test_columns_that_were_not_learned_are_ignored_and_named(world):
    frame = SparseFrame(["u3"], ["group=g1", "shoe=44"], np.ones((1, 2)))
    only = SparseFrame(["u3"], ["group=g1"], np.ones((1, 1)))
    scores = world.model.predict_online("u3", ITEMS, None, frame)

    assert scores.attrs["ignored_features"] == ["shoe=44"]
    assert (scores == world.model.predict_online("u3", ITEMS, None, only)).all()


def test_all_known_items_are_scored_when_none_are_named(world):
    assert list(world.model.predict_online("u3").index) == list(world.model.items.ids)


def test_an_untrained_recommender_says_so():
    with pytest.raises(NotFittedError):
        LFMRecommender().predict_online("u", ["i"])


def test_a_malformed_setting_is_refused():
    with pytest.raises(InvalidDataError, match="everyone"):
        LFMRecommender("everyone")
