"""Finding items by what someone has typed."""

import pytest

from recommender.serving.catalogue import Catalogue, ItemChange
from recommender.serving.recommender import Recommender
from tests.support.known_worlds import ITEMS, entry, item_features, shared_world

TITLES = ["Star Wars", "Star Trek", "A Star Is Born", "Mustard", "Straße", "The  Long\tWay", "", "50", "Été", "tarr"]


@pytest.fixture
def catalogue():
    entries = [entry(item_id)._replace(title=title) for item_id, title in zip(ITEMS, TITLES, strict=True)]
    return Catalogue(shared_world().snapshot(entries))


def found(catalogue: Catalogue, text: str, k: int = 10) -> list[str]:
    answer = Recommender(catalogue).find_items(text, k)
    for item in answer.items:
        assert item.title == (TITLES[ITEMS.index(item.item_id)] or None)
    return [item.item_id for item in answer.items]


def by_popularity(catalogue: Catalogue, *item_ids: str) -> list[str]:
    places = sorted(map(catalogue.snapshot.item_ids.index_of, item_ids))
    return catalogue.snapshot.item_ids.ids_of(sorted(places, key=lambda place: -catalogue.snapshot.popularity[place]))


def test_titles_that_begin_so_come_first_then_words_then_anywhere(catalogue):
    assert found(catalogue, "star") == [*by_popularity(catalogue, "i0", "i1"), "i2", "i3"]
    assert found(catalogue, "tar") == ["i9", *by_popularity(catalogue, "i0", "i1", "i2", "i3")]


def test_the_item_with_exactly_this_id_comes_first(catalogue):
    catalogue.apply([ItemChange("50", item_features("i4"), "Another")], 1)
    answer = Recommender(catalogue).find_items("50", 10)

    assert [item.item_id for item in answer.items] == ["50", "i7"]


def test_ids_are_found_by_their_beginning(catalogue):
    assert found(catalogue, "I", 4)
    assert set(found(catalogue, "i")) == set(ITEMS)
    assert found(catalogue, "i6") == ["i6"]


@pytest.mark.parametrize(
    ("text", "item"), [("STRASSE", "i4"), ("straß", "i4"), ("the long", "i5"), ("  long   way ", "i5"), ("éTÉ", "i8")]
)
def test_case_and_white_space_do_not_matter(catalogue, text, item):
    assert found(catalogue, text) == [item]


@pytest.mark.parametrize("text", ["", "   ", "\n", "\t", "nothing like this", "wars\nstar", "trek i1"])
def test_what_is_not_there_is_not_found_and_no_match_crosses_from_one_item_into_another(catalogue, text):
    assert found(catalogue, text) == []


def test_no_more_than_asked_for_and_none_twice(catalogue):
    assert len(found(catalogue, "star", 2)) == 2
    assert len(set(found(catalogue, "t"))) == len(found(catalogue, "t"))


def test_what_changed_is_found_as_it_is_now(catalogue):
    features = item_features("i0")
    changes = [ItemChange("i0", features, "Galaxy"), ItemChange("n0", features, "Star of the North")]
    catalogue.apply([*changes, ItemChange("i1", {}, None, available=False)], 3)
    titles = [item.title for item in Recommender(catalogue).find_items("star", 10).items]

    assert titles == ["Star of the North", "A Star Is Born", "Mustard"]
    assert [item.item_id for item in Recommender(catalogue).find_items("galaxy", 10).items] == ["i0"]


def test_what_changes_after_the_titles_were_gathered_is_found_as_it_is_now(catalogue):
    recommender = Recommender(catalogue)
    recommender.prepare_text_search()
    catalogue.apply(
        [ItemChange("i3", item_features("i3"), "Starlight"), ItemChange("i0", {}, None, available=False)], 1
    )

    names = [item.title for item in recommender.find_items("star", 10).items]

    assert names == ["Star Trek", "Starlight", "A Star Is Born"]
