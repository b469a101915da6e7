"""Filters and boosts that speak of what no item has: the answer says so, with what was meant."""

import json

import msgspec
import pytest

from recommender.feature_space import FeatureSpace
from recommender.schema import Query
from recommender.serving.catalogue import Catalogue, ItemChange
from recommender.serving.recommender import Recommender


def asked(recommender: Recommender, *filters: str, boost: tuple = ()) -> dict:
    query = Query(user_id="u3", filter=filters, boost=boost, candidates=None)
    return json.loads(msgspec.json.encode(recommender.recommend(query)))


@pytest.mark.parametrize(
    ("clause", "words"),
    [
        ("groups:g1", "no item has a feature 'groups'; did you mean 'group'?"),
        ("Group:g1", "no item has a feature 'Group'; did you mean 'group'?"),
        ("-tag:t0", "no item has a feature 'tag'; did you mean 'tags'?"),
        ("colour:red", "no item has a feature 'colour'"),
        ("group:G1", "no item has 'group:G1'; did you mean 'group:g1'?"),
        ("group:g7", "no item has 'group:g7'"),
    ],
)
def test_a_filter_on_what_no_item_has_is_named_with_the_nearest(recommender, clause, words):
    answer = asked(recommender, clause)
    similar = recommender.similar_items("i4", 3, [clause])

    assert answer["warnings"] == [words]
    assert bool(answer["items"]) == clause.startswith("-")
    assert recommender.popular(3, [clause]).warnings == [words]
    assert similar is not None
    assert similar.warnings == [words]


def test_a_boost_is_looked_at_too(recommender):
    assert asked(recommender, boost=(("groups:g1", 1.0),))["warnings"] == [
        "no item has a feature 'groups'; did you mean 'group'?"
    ]


def test_what_items_have_needs_no_warning(recommender):
    for clauses in ((), ("group:g1",), ("-tags:t0", "tags:all"), ("group: g1 ",)):
        assert "warnings" not in asked(recommender, *clauses)


def test_a_feature_that_came_with_a_new_item_is_known_at_once(snapshot):
    recommender = Recommender(Catalogue(snapshot))
    assert asked(recommender, "colour:red")["warnings"]

    recommender.catalogue.apply([ItemChange("new", {"colour": "red", "group": "g1"})], 1)

    assert "warnings" not in asked(recommender, "colour:red")
    assert asked(recommender, "colour:blue")["warnings"] == ["no item has 'colour:blue'"]


def test_blanks_and_forms_of_letters_in_a_filter_do_not_count(snapshot):
    recommender = Recommender(Catalogue(snapshot))
    recommender.catalogue.apply([ItemChange("new", {"kind": " \u00e9clair ", "group": "g1"})], 1)

    assert [item["item_id"] for item in asked(recommender, "kind:e\u0301clair ")["items"]] == ["new"]


@pytest.mark.parametrize(
    ("ignored", "words"),
    [
        ("Age", "Age (the model knows no such feature; did you mean 'age'?)"),
        ("Gender=M", "Gender (the model knows no such feature; did you mean 'gender'?)"),
        ("gender=X", "gender=X (nothing was learned of this value)"),
        ("a\\=c=1", "a=c (the model knows no such feature; did you mean 'a=b'?)"),
        ("country=NL", "country (the model knows no such feature)"),
    ],
)
def test_what_was_ignored_is_said_in_words(ignored, words):
    space = FeatureSpace.empty().extended([{"age": 24, "gender": "M", "a=b": "1"}])

    assert space.meant(ignored) == words
