"""Catalogue: a snapshot and what changed since is what a rebuilt snapshot would be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender import cases
from recommender.schema import Query, UserState
from recommender.serving.catalogue import Catalogue, ItemChange
from recommender.serving.recommender import Recommender
from recommender.training.snapshot_builder import CatalogueEntry
from tests.support.known_worlds import (
    COLD,
    INDICATORS,
    ITEMS,
    entry,
    item_features,
    shared_snapshot,
    shared_world,
    user_features,
)

NEW = ["n0", "n1", "n2"]
change = st.builds(
    ItemChange,
    st.sampled_from([*ITEMS[:4], *COLD, *NEW]),
    st.sampled_from([*(item_features(item_id) for item_id in ("i0", "i4", "i5", "i9")), {}, {"shoe": "red"}]),
    st.sampled_from([None, "", "A title"]),
    st.booleans(),
)


def answer(catalogue: Catalogue, user_id: str | None, **query) -> dict[str, tuple[float, str, str | None]]:
    features = None if user_id is None else user_features(user_id)
    query = Query(user_id=user_id, k=1000, exclude_seen=False, **query)
    items = Recommender(catalogue).recommend(query, UserState(features)).items
    assert len({item.item_id for item in items}) == len(items)
    return {item.item_id: (item.score, item.case, item.title or None) for item in items}


def scorable(catalogue: Catalogue, item_id: str) -> bool:
    return catalogue.find(item_id).block != cases.NOTHING_KNOWN


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(INDICATORS), st.lists(change, max_size=12), st.sampled_from([None, "u3"]))
def test_changes_one_by_one_are_a_snapshot_built_with_all_of_them(indicators, changes, user_id):
    catalogue = Catalogue(shared_snapshot(indicators))
    for number, each in enumerate(changes, 1):
        catalogue.apply([each], number)
    entries = {item_id: entry(item_id) for item_id in [*ITEMS, *COLD]} | {
        each.item_id: CatalogueEntry(*each) for each in changes
    }
    rebuilt = Catalogue(shared_world(indicators).snapshot(list(entries.values())))
    for filters in ((), ("group:g0",), ("-tags:t1", "tags:all")):
        found, expected = answer(catalogue, user_id, filter=filters), answer(rebuilt, user_id, filter=filters)

        assert found.keys() == expected.keys()
        for item_id, (score, *rest) in expected.items():
            assert found[item_id][0] == pytest.approx(score, abs=1e-5)
            assert list(found[item_id][1:]) == rest
            assert catalogue.may_return(item_id)
    withheld = entries.keys() - answer(catalogue, None).keys()
    assert not any(catalogue.may_return(item_id) and scorable(catalogue, item_id) for item_id in withheld)


@settings(max_examples=30, deadline=None)
@given(st.lists(change, max_size=12), st.integers(1, 12))
def test_changes_count_in_their_order_however_they_are_cut(changes, cut):
    together, apart = Catalogue(shared_snapshot()), Catalogue(shared_snapshot())
    together.apply(changes, len(changes))
    for start in range(0, len(changes), cut):
        apart.apply(changes[start : start + cut], min(start + cut, len(changes)))

    assert list(answer(together, "u3").items()) == list(answer(apart, "u3").items())
    assert together.sequence == apart.sequence == len(changes)
    assert together.withdrawn == apart.withdrawn


def test_the_snapshot_is_never_written(snapshot):
    before = {name: array.copy() for name, array in snapshot.to_arrays().items()}
    Catalogue(snapshot).apply([ItemChange("i4", item_features("i5")), ItemChange("n0", item_features("i5"))], 2)

    assert all(np.array_equal(array, before[name]) for name, array in snapshot.to_arrays().items())


def test_a_sequence_never_goes_back(snapshot):
    catalogue = Catalogue(snapshot)
    catalogue.apply([], 5)
    catalogue.apply([ItemChange("i4", {})], 3)

    assert catalogue.sequence == 5


@pytest.mark.parametrize("item_id", ["n0", "i100"])
def test_a_change_that_leaves_nothing_known_of_an_item_takes_it_out_of_answers(snapshot, item_id):
    catalogue = Catalogue(snapshot)
    catalogue.apply([ItemChange("n0", item_features("i4")), ItemChange(item_id, {"shoe": "red"})], 2)

    assert item_id not in answer(catalogue, "u3")
    assert not scorable(catalogue, item_id)
    assert catalogue.may_return(item_id)  # nothing was withdrawn: it only cannot be scored
    assert catalogue.representations([item_id]).shape[0] == 0


def test_a_known_item_without_features_stands_on_its_indicator(snapshot):
    catalogue = Catalogue(snapshot)
    catalogue.apply([ItemChange("i4", {})], 1)
    vector, bias = snapshot.indicator(snapshot.item_ids.index_of("i4"))

    assert catalogue.representations(["i4"])[0] == pytest.approx(vector)
    assert catalogue.delta.items.biases[0] == pytest.approx(bias)
    assert answer(catalogue, "u3")["i4"][1] == "IX"


@pytest.mark.parametrize("indicators", ["users", False])
def test_an_item_of_which_nothing_is_known_is_never_returned(indicators):
    unsaid = [entry(item_id)._replace(features={}) for item_id in ITEMS[:3]] + [entry("i100")]
    catalogue = Catalogue(shared_world(indicators).snapshot(unsaid))
    for user_id in ("u3", None):
        assert answer(catalogue, user_id).keys() == {"i100"}
    assert catalogue.representations(["i0", "i100"]).shape[0] == 1


def test_the_fresh_block_grows_beyond_its_first_size(snapshot):
    catalogue = Catalogue(snapshot)
    new = [f"n{number}" for number in range(100)]
    for number, item_id in enumerate(new):
        catalogue.apply([ItemChange(item_id, item_features(f"i{number % 10}"))], number)
    expected = [snapshot.represent(snapshot.item_space.encode(item_features(f"i{n % 10}")))[0] for n in range(100)]

    assert catalogue.representations(new) == pytest.approx(np.stack(expected))
    assert len(catalogue) == snapshot.n_items + 100
    assert set(new) < answer(catalogue, "u3").keys()


def test_a_new_item_that_changes_again_keeps_its_place(snapshot):
    catalogue = Catalogue(snapshot)
    same = item_features("i4")
    catalogue.apply([ItemChange(item_id, same) for item_id in ("n0", "n1", "n0", "n2", "n1")], 5)
    order = [item_id for item_id in answer(catalogue, "u3") if item_id in NEW]

    assert order == NEW
    assert len(set(catalogue.delta.places.tolist())) == 3


def test_a_changed_item_keeps_its_place_among_equals():
    catalogue = Catalogue(shared_world().snapshot([entry(item_id) for item_id in ITEMS]))
    order = list(answer(catalogue, None))
    catalogue.apply([ItemChange(item_id, item_features("i0")) for item_id in reversed(ITEMS)], 1)

    assert list(answer(catalogue, None)) == order


def test_details_are_found_for_returned_and_withdrawn_items(snapshot):
    catalogue = Catalogue(snapshot)
    catalogue.apply([ItemChange("i4", item_features("i5"), "New"), ItemChange("i3", {}, available=False)], 2)

    assert catalogue.find("i4").title == "New"
    assert catalogue.find("i3").item_id == "i3"
    assert catalogue.find("i100").block == 1
    assert catalogue.find("unheard of") is None


@pytest.mark.parametrize("indicators", INDICATORS)
def test_headings_in_one_go_are_the_details_one_by_one(indicators):
    catalogue = Catalogue(shared_snapshot(indicators))
    catalogue.apply([ItemChange("i4", item_features("i5"), "New"), ItemChange("n0", item_features("i5"))], 2)
    positions = list(np.random.default_rng(0).permutation(len(catalogue)))

    assert catalogue.headings(positions) == [tuple(catalogue.item(index)[:3]) for index in positions]
    assert catalogue.headings([]) == []


def test_representations_keep_the_order_and_drop_the_unheard_of(snapshot):
    catalogue = Catalogue(snapshot)
    found = catalogue.representations(["i7", "unheard of", "i2"])

    assert (found == snapshot.items.vectors[snapshot.item_ids.indices_of(["i7", "i2"])]).all()
    assert catalogue.representations(["unheard of"]).shape == (0, snapshot.no_components)
