"""Pages of a recommendation: together they are the whole, and none repeats another."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.errors import InvalidRequestError
from recommender.schema import Query, UserState
from recommender.serving.catalogue import Catalogue, ItemChange
from recommender.serving.pagination import LONGEST_CURSOR, decode_cursor, encode_cursor
from recommender.serving.recommender import Recommender
from tests.support.known_worlds import COLD, ITEMS, item_features, shared_snapshot, user_features

ids = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@settings(deadline=None)
@given(st.lists(ids, max_size=60))
def test_a_cursor_names_what_it_was_made_of(item_ids):
    assert decode_cursor(encode_cursor(item_ids)) == tuple(item_ids)


def test_a_cursor_of_a_thousand_short_ids_gets_through():
    many = [str(number) for number in range(1000)]

    assert decode_cursor(encode_cursor(many)) == tuple(many)
    assert len(encode_cursor(many)) <= LONGEST_CURSOR


def test_what_does_not_fit_has_no_cursor():
    assert encode_cursor([f"{number * 7919 % 10007:x}-{number * 104729:x}" for number in range(3000)]) is None
    assert encode_cursor(["x" * 256] * 300) is None


@pytest.mark.parametrize("cursor", ["x", "dDE", "é", "ejE=", "YWJj", encode_cursor(["a" * 300])[:-8], "A" * 7000])
def test_a_cursor_that_is_none_is_refused(cursor):
    with pytest.raises(InvalidRequestError, match="next_cursor"):
        decode_cursor(cursor)


def pages(recommender: Recommender, **query) -> list[list[str]]:
    found, cursor = [], None
    while True:
        asked = Query(user_id="u3", shown=decode_cursor(cursor), **query)
        answer = recommender.recommend(asked, UserState(user_features("u3")))
        found.append([item.item_id for item in answer.items])
        cursor = answer.next_cursor
        if cursor is None:
            return found


@pytest.mark.parametrize("exclude_seen", [True, False])
@pytest.mark.parametrize("k", [1, 4, 5, 100])
def test_pages_are_the_whole_list_in_its_order(k, exclude_seen):
    recommender = Recommender(Catalogue(shared_snapshot()))
    recommender.catalogue.apply([ItemChange("fresh", item_features("i4")), ItemChange("i6", item_features("i7"))], 2)
    [whole] = pages(recommender, k=100, exclude_seen=exclude_seen)
    found = pages(recommender, k=k, exclude_seen=exclude_seen)

    assert [item_id for page in found for item_id in page] == whole
    assert all(len(page) == k for page in found[:-1])


def test_no_page_repeats_another_though_the_catalogue_changes_between():
    recommender = Recommender(Catalogue(shared_snapshot()))
    asked = Query(user_id="u3", k=4, exclude_seen=False)
    first = recommender.recommend(asked)
    moved = first.items[0].item_id
    recommender.catalogue.apply([ItemChange(moved, item_features("i4")), ItemChange("new", item_features(moved))], 2)
    second = recommender.recommend(
        Query(user_id="u3", k=99, exclude_seen=False, shown=decode_cursor(first.next_cursor))
    )
    found = [item.item_id for answer in (first, second) for item in answer.items]

    assert len(found) == len(set(found))
    assert set(found) == {*ITEMS, *COLD, "new"}


def test_varied_pages_do_not_repeat_each_other():
    found = pages(Recommender(Catalogue(shared_snapshot())), k=3, exclude_seen=False, diversity=0.6)

    assert sorted(item_id for page in found for item_id in page) == sorted([*ITEMS, *COLD])
