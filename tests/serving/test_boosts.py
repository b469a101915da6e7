"""Boosts against adding them up item by item."""

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.errors import InvalidRequestError
from recommender.feature_space import tokens
from recommender.schema import Query, UserState
from recommender.serving.boosts import check_boosts, parse_boosts
from recommender.serving.catalogue import Catalogue, ItemChange
from recommender.serving.recommender import Recommender
from tests.support.known_worlds import COLD, INDICATORS, ITEMS, item_features, shared_snapshot, user_features

CHANGES = [ItemChange("fresh", item_features("i4")), ItemChange("i6", {**item_features("i7"), "tags": ["t0", "t0"]})]
FEATURES = {
    **{item_id: item_features(item_id) for item_id in [*ITEMS, *COLD]},
    **{c.item_id: c.features for c in CHANGES},
}
amounts = st.dictionaries(
    st.sampled_from(["group:g0", "group:g1", "tags:t0", "year:4", "no:such"]), st.floats(-3, 3), max_size=4
)


def changed(indicators="both") -> Recommender:
    catalogue = Catalogue(shared_snapshot(indicators))
    catalogue.apply(CHANGES, len(CHANGES))
    return Recommender(catalogue)


def ask(recommender, user_id="u3", **query):
    state = UserState(user_features("u3")) if user_id else UserState()
    return recommender.recommend(Query(user_id=user_id, k=99, exclude_seen=False, **query), state).items


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(INDICATORS), st.sampled_from(["u3", None]), amounts)
def test_a_boost_is_added_to_every_item_that_has_the_feature(indicators, user_id, boosts):
    recommender = changed(indicators)
    plain = {item.item_id: item.score for item in ask(recommender, user_id)}
    expected = {
        item_id: score + sum(amount for token, amount in boosts.items() if token in tokens(FEATURES[item_id]))
        for item_id, score in plain.items()
    }
    found = ask(recommender, user_id, boost=tuple(boosts.items()), explain=True)

    assert {item.item_id: item.score for item in found} == pytest.approx(expected, abs=1e-5)
    assert [item.score for item in found] == sorted((item.score for item in found), reverse=True)
    for item in found:
        named = {part.feature: part.contribution for part in item.explanation if part.feature.startswith("boost ")}

        assert sum(part.contribution for part in item.explanation) == pytest.approx(item.score, abs=1e-5)
        assert named == pytest.approx(
            {f"boost {token}": amount for token, amount in boosts.items() if token in tokens(FEATURES[item.item_id])}
        )


def test_boosted_and_plain_queries_of_one_batch_do_not_mix():
    recommender = changed()
    queries = [Query(user_id="u3", k=9), Query(user_id="u3", k=9, boost=(("group:g0", 9.0),)), Query(user_id="u3", k=9)]
    plain, boosted, again = recommender.recommend_many(queries, [UserState()] * 3)

    assert plain.items == again.items
    assert {FEATURES[item.item_id]["group"] for item in boosted.items[:3]} == {"g0"}
    assert plain.items != boosted.items


def test_a_clause_is_a_token_and_an_amount():
    assert parse_boosts(["genres:Comedy:0.5", "time:12:30:-1e-3"]) == (("genres:Comedy", 0.5), ("time:12:30", -0.001))
    assert parse_boosts([]) == ()
    assert check_boosts({"a:b": 1}) == (("a:b", 1),)


@pytest.mark.parametrize(
    "clause", ["", "genres", "genres:Comedy", ":Comedy:1", "genres:Comedy:much", "a:b:inf", "a:b:nan"]
)
def test_a_malformed_clause_is_refused(clause):
    with pytest.raises(InvalidRequestError, match="finite amount"):
        parse_boosts([clause])


def test_amounts_of_a_feature_that_is_named_repeatedly_add_up():
    assert parse_boosts(["a:b:1", "c:d:4", "a:b:2"]) == (("a:b", 3.0), ("c:d", 4.0))


@pytest.mark.parametrize("amount", [1e39, -1e300, 3.5e38])
def test_what_a_float32_score_does_not_hold_is_refused_and_named(recommender, amount):
    with pytest.raises(InvalidRequestError, match=re.escape(f"the boost of genres:g1 is {amount:g}")):
        check_boosts({"genres:g0": 1.0, "genres:g1": amount})
    with pytest.raises(InvalidRequestError, match="genres:g1"):
        recommender.recommend(Query(user_id="u3", boost=(("genres:g1", amount),)))


def test_amounts_that_only_together_are_too_large_are_refused_too():
    assert check_boosts({"a:b": 3e38})
    with pytest.raises(InvalidRequestError, match="the boost of c:d is -2e\\+38"):
        check_boosts({"a:b": 1.9e38, "c:d": -2e38})


def test_the_largest_boost_gives_scores_that_are_numbers(recommender):
    items = ask(recommender, "u3", boost=(("group:g0", 3e38),), diversity=0.5)

    assert all(math.isfinite(item.score) for item in items)
