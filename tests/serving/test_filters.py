"""Filters against reading every item, token by token."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.errors import InvalidRequestError
from recommender.feature_space import tokens
from recommender.serving import filters
from recommender.serving.catalogue import Catalogue, ItemChange
from recommender.serving.filters import Filter, FilterCache
from recommender.training.snapshot_builder import CatalogueEntry
from tests.support.known_worlds import ITEMS, entry, lets_through, shared_snapshot, shared_world

THINGS = {
    **{item_id: entry(item_id).features for item_id in ITEMS},
    "a:b": {"name:with": "colon", "empty": "", "list": []},
    "typed": {"year": 4.0, "price": 1.5, "group": ["g0", "g1"], "new": True},
    "bare": {},
}
clauses = st.lists(
    st.sampled_from(
        ["group:g0", "group:g1", "tags:t0", "tags:t1", "tags:all", "year:4", "price:1.5", "new:true", "x:y"]
    ).flatmap(lambda clause: st.sampled_from([clause, f"-{clause}"])),
    max_size=5,
)


@pytest.fixture(scope="module")
def mixed():
    catalogue = [CatalogueEntry(item_id, {"tags": "all", **features}) for item_id, features in THINGS.items()]
    return shared_world().snapshot(catalogue), {entry.item_id: entry.features for entry in catalogue}


def having(features):
    """What a block of these items knows of its tokens."""
    return lambda token: {row for row, each in enumerate(features) if token in tokens(each)}


@settings(max_examples=200, deadline=None)
@given(clauses)
def test_names_are_and_values_are_or_and_a_minus_is_none(mixed, asked):
    snapshot, features = mixed
    listed = [features[item_id] for item_id in snapshot.item_ids]
    expected = [lets_through(asked, set(tokens(each))) for each in listed]

    assert Filter.parse(asked).rows(snapshot).tolist() == expected
    assert Filter.parse(asked).among(len(listed), having(listed)).tolist() == expected


changes = st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(list(THINGS.values()))), max_size=8)


@settings(max_examples=100, deadline=None)
@given(clauses, changes)
def test_fresh_items_are_filtered_by_what_was_last_said_of_them(asked, said):
    catalogue = Catalogue(shared_snapshot())
    catalogue.apply([ItemChange(item_id, features) for item_id, features in said], 1)
    expected = {item_id for item_id, features in dict(said).items() if lets_through(asked, set(tokens(features)))}
    found = Filter.parse(asked).among(catalogue.delta.n, catalogue.delta.having)

    assert {catalogue.delta.details[row].item_id for row in np.flatnonzero(found)} == expected


def test_everything_is_let_through_without_a_clause():
    assert Filter.parse([]).rows(shared_snapshot()).all()


def test_a_value_may_contain_what_separates():
    wanted = Filter.parse(["time:12:30", "-title:a-b"])

    assert wanted.among(2, having([{"time": "12:30"}, {"time": "12:30", "title": "a-b"}])).tolist() == [True, False]


def test_a_filter_is_worked_out_once_however_its_clauses_are_ordered():
    kept = FilterCache(shared_snapshot()).kept
    first = kept(["group:g0", "-tags:t1"])

    assert kept(["-tags:t1", "group:g0", "group:g0"]) is first
    assert kept(["group:g0"]) is not first
    assert first.rows.tolist() == Filter.parse(["group:g0", "-tags:t1"]).rows(shared_snapshot()).tolist()


def test_few_rows_are_listed_and_many_are_not():
    kept = FilterCache(shared_snapshot()).kept

    assert kept(["year:4"]).listed.tolist() == np.flatnonzero(kept(["year:4"]).rows).tolist()
    assert kept(["group:g0"]).listed is None


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(filters, "KEPT_BYTES", 3 * shared_snapshot().n_items)
    kept = FilterCache(shared_snapshot()).kept
    first = kept(["group:g0"])
    for year in range(10):
        kept([f"-year:{year}"])

    assert kept(["group:g0"]) is not first


@pytest.mark.parametrize("clause", ["", "-", "genres", "-genres", ":Comedy", "-:Comedy"])
def test_a_malformed_clause_is_refused(clause):
    with pytest.raises(InvalidRequestError, match="genres:Comedy"):
        Filter.parse(["tags:all", clause])
