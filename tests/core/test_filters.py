"""Filters against reading every item, token by token."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_worlds import ITEMS, entry, shared_snapshot, shared_world

from recommender.errors import InvalidRequestError
from recommender.features import tokens
from recommender.filters import Filter
from recommender.snapshot_builder import CatalogueEntry

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


def slow(asked: list[str], features) -> bool:
    mine = set(tokens(features))
    if any(clause[1:] in mine for clause in asked if clause[0] == "-"):
        return False
    names = {clause.split(":")[0] for clause in asked if clause[0] != "-"}
    return all(any(clause in mine for clause in asked if clause.startswith(f"{name}:")) for name in names)


@pytest.fixture(scope="module")
def mixed():
    catalogue = [CatalogueEntry(item_id, {"tags": "all", **features}) for item_id, features in THINGS.items()]
    return shared_world().snapshot(catalogue), {entry.item_id: entry.features for entry in catalogue}


@settings(max_examples=200)
@given(clauses)
def test_names_are_and_values_are_or_and_a_minus_is_none(mixed, asked):
    snapshot, features = mixed
    wanted = Filter.parse(asked)
    expected = [slow(asked, features[item_id]) for item_id in snapshot.item_ids]

    assert wanted.rows(snapshot).tolist() == expected
    assert [wanted.holds(frozenset(tokens(features[item_id]))) for item_id in snapshot.item_ids] == expected


def test_everything_is_let_through_without_a_clause():
    assert Filter.parse([]).rows(shared_snapshot()).all()


def test_a_value_may_contain_what_separates():
    wanted = Filter.parse(["time:12:30", "-title:a-b"])

    assert wanted.holds({"time:12:30"})
    assert not wanted.holds({"time:12:30", "title:a-b"})


@pytest.mark.parametrize("clause", ["", "-", "genres", "-genres", ":Comedy", "-:Comedy"])
def test_a_malformed_clause_is_refused(clause):
    with pytest.raises(InvalidRequestError, match="genres:Comedy"):
        Filter.parse(["tags:all", clause])
