"""Exploring: newcomers get their share, are marked, and nothing else changes."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.schema import Query
from recommender.serving import exploration
from recommender.serving.catalogue import Catalogue, ItemChange
from recommender.serving.exploration import explore
from recommender.serving.recommender import Recommender
from recommender.serving.retrieval import RetrievalRequest, choose
from recommender.training.serving_transform import ServingTransform, to_serving
from recommender.training.snapshot_builder import CatalogueEntry
from tests.support.known_worlds import ITEMS, entry, item_features, make_world

WORLD = make_world(epochs=10)
MANY = [CatalogueEntry(f"i{number}", item_features(f"i{number}")) for number in range(100, 160)]
SNAPSHOT = to_serving(WORLD.model, WORLD.snapshot([*map(entry, ITEMS), *MANY]), ServingTransform(newcomer_quantile=0.0))


def wish(k: int = 8, **more) -> RetrievalRequest:
    user = SNAPSHOT.user_vector(3, SNAPSHOT.user_space.encode({}), np.zeros((0, SNAPSHOT.no_components), np.float32))
    return RetrievalRequest(user, k, **more)


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 1), st.integers(0, 20), st.integers(0, 99))
def test_newcomers_get_the_share_and_the_others_keep_their_order(share, k, seed):
    catalogue = Catalogue(SNAPSHOT)
    asked = wish(k)
    [before] = choose(catalogue, [asked])
    after = explore(catalogue, asked, before, share, Random(seed))
    new = [position for position in after.positions if position >= SNAPSHOT.n_trained_items]
    others = [position for position in after.positions if position not in after.explored]
    own = sum(position >= SNAPSHOT.n_trained_items for position in before.positions)

    assert len(after.positions) == len(set(after.positions)) == len(before.positions)
    assert max(own, int(share * k)) <= len(new) <= max(own, int(share * k) + 1)
    assert others == before.positions[: len(others)] or own
    assert sorted(others, key=before.positions.index) == others
    assert after.explored.keys() <= set(new)
    true = SNAPSHOT.score(asked.user._replace(bias=0.0), np.array(after.positions, np.int32))
    assert after.scores == pytest.approx(true, abs=1e-5)


def test_short_lists_get_their_share_on_average():
    catalogue, asked = Catalogue(SNAPSHOT), wish(1)
    [before] = choose(catalogue, [asked])
    times = [len(explore(catalogue, asked, before, 0.3, Random(seed)).explored) for seed in range(400)]

    assert np.mean(times) == pytest.approx(0.3, abs=0.08)


def test_every_newcomer_is_shown_to_somebody():
    catalogue, asked = Catalogue(SNAPSHOT), wish(8)
    [before] = choose(catalogue, [asked])
    shown = {
        position for seed in range(40) for position in explore(catalogue, asked, before, 0.9, Random(seed)).explored
    }

    assert len(shown) > 5


def test_what_is_excluded_filtered_or_asked_for_by_name_is_not_explored():
    catalogue = Catalogue(SNAPSHOT)
    by_name = wish(3, candidates=tuple(ITEMS))
    filtered = wish(5, filters=("group:g1",), excluded=("i101", "i103"))
    [named], [kept] = choose(catalogue, [by_name]), choose(catalogue, [filtered])
    found = explore(catalogue, filtered, kept, 1.0, Random(0))
    ids = SNAPSHOT.item_ids.ids_of(sorted(found.explored))

    assert explore(catalogue, by_name, named, 1.0, Random(0)) is named
    assert ids
    assert all(item_features(item)["group"] == "g1" for item in ids)
    assert not {"i101", "i103"} & set(ids)


def test_an_answer_marks_what_was_explored_and_nothing_else():
    snapshot = to_serving(WORLD.model, WORLD.snapshot([*map(entry, ITEMS)]), ServingTransform(newcomer_quantile=0.0))
    recommender = Recommender(Catalogue(snapshot), explore_share=0.5)
    recommender.catalogue.apply([ItemChange("i200", item_features("i200")), ItemChange("i1", item_features("i1"))], 2)
    items = recommender.recommend(Query(user_id="u3", k=4, exclude_seen=False)).items

    assert [item.item_id for item in items if item.explored is True] == ["i200"]
    assert len(items) == 4


def test_without_a_share_no_item_is_marked():
    answer = Recommender(Catalogue(SNAPSHOT)).recommend(Query(user_id="u3", k=9))

    assert all(item.explored is not True for item in answer.items)


def test_to_explore_does_not_walk_over_all_newcomers(monkeypatch):
    catalogue, asked = Catalogue(SNAPSHOT), wish(2)
    [before] = choose(catalogue, [asked])
    looked: list[int] = []
    are_new = exploration._are_new
    monkeypatch.setattr(exploration, "POOL", 2)
    monkeypatch.setattr(exploration, "_are_new", lambda *each: looked.append(len(each[1])) or are_new(*each))
    explore(catalogue, asked, before, 0.5, Random(1))

    assert sum(looked) < len(catalogue) / 2


def test_where_newcomers_are_few_each_of_them_is_found():
    catalogue, asked = Catalogue(SNAPSHOT), wish(8)
    [before] = choose(catalogue, [asked])
    catalogue.masked[SNAPSHOT.n_trained_items :] = True
    catalogue.masked[-2:] = False
    found = explore(catalogue, asked, before, 1.0, Random(0))

    assert found.explored.keys() == {SNAPSHOT.n_items - 1, SNAPSHOT.n_items - 2}
