"""Paging through all interactions, while they are learned, laid together and erased."""

import asyncio

import pandas as pd
import pytest

from recommender.errors import InvalidRequestError
from recommender.storage.archive.archive import Archive
from recommender.storage.archive.interaction_pages import InteractionCursor, LearnedPart, page_of
from recommender.stores import open_store
from recommender.stores.protocols import Interaction


def frame(rows):
    columns = ["offset", "user_id", "item_id", "weight", "timestamp", "event"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"offset": "int64", "weight": "float32", "timestamp": "float64"})


def imported(n_users=7, each=5):
    return [(0, f"u{n % n_users}", f"i{n}", 0.1, float(n), None) for n in range(n_users * each)]


@pytest.fixture
def archive(tmp_path):
    return Archive(tmp_path)


@pytest.fixture
def store():
    return open_store("memory:")


def read(archive, store, steps, limit=4):
    """Items page by page; before page n, ``steps[n]()`` gives what has been learned by then."""
    found, cursor, learned = [], None, None
    for number in range(1000):
        learned = steps[number]() if number < len(steps) else learned
        page = asyncio.run(page_of(learned, archive, store, InteractionCursor.parse(cursor), limit))
        assert len(page.interactions) <= limit
        found += page.interactions
        cursor = page.next_cursor
        if cursor is None:
            return found
    raise AssertionError("no end")


def append(store, *pairs):
    return asyncio.run(store.append([Interaction(user, item, 1.0, 9.0, "click") for user, item in pairs]))


def test_every_interaction_comes_once_learned_or_waiting(archive, store):
    first = archive.append(frame(imported()), first_offset=0, last_offset=0)
    append(store, ("u1", "a"), ("u9", "b"), ("u1", "c"), ("u0", "d"))
    news = [(1, "u1", "a", 1, 9, "click"), (2, "u9", "b", 1, 9, "click")]
    second = archive.append(frame(news), first_offset=1, last_offset=2)

    found = read(archive, store, [lambda: LearnedPart([first, second], 2)])

    assert sorted(row.item_id for row in found) == sorted([f"i{n}" for n in range(35)] + list("abcd"))
    assert [row.item_id for row in found if row.user_id == "u1"] == ["i1", "i8", "i15", "i22", "i29", "a", "c"]
    assert {row.weight for row in found} == {0.1, 1.0}


@pytest.mark.parametrize("at", range(12))
def test_a_training_that_lays_segments_together_in_between_changes_nothing(archive, store, at):
    first = archive.append(frame(imported()), first_offset=0, last_offset=0)
    append(store, ("u1", "a"), ("u9", "b"), ("u1", "c"))
    news = [(1, "u1", "a", 1, 9, "click"), (2, "u9", "b", 1, 9, "click"), (3, "u1", "c", 1, 9, "click")]
    second = archive.append(frame(news[:1]), first_offset=1, last_offset=1)

    def later():
        third = archive.append(frame(news[1:]), first_offset=2, last_offset=3)
        return LearnedPart(archive.compact([first, second, third]), 3)

    found = read(archive, store, [lambda: LearnedPart([first, second], 1)] * at + [later])

    assert sorted(row.item_id for row in found) == sorted([f"i{n}" for n in range(35)] + list("abc"))


@pytest.mark.parametrize("at", range(1, 9))
def test_who_is_erased_in_between_is_not_in_the_pages_behind_and_nobody_else_is_missed(archive, store, at):
    first = archive.append(frame(imported()), first_offset=0, last_offset=0)

    def later():
        return LearnedPart(archive.compact(archive.erase([first], {"u2": 1})), 1)

    found = read(archive, store, [lambda: LearnedPart([first], 0)] * at + [later])

    assert sorted(r.item_id for r in found if r.user_id != "u2") == sorted(f"i{n}" for n in range(35) if n % 7 != 2)
    assert len([row for row in found if row.user_id == "u2"]) == min(5, max(0, 4 * at - 10))


def test_who_was_deleted_and_came_back_has_only_what_came_later(archive, store):
    first = archive.append(frame(imported()), first_offset=0, last_offset=0)
    append(store, ("u2", "before"))
    asyncio.run(store.delete_user("u2"))
    append(store, ("u2", "after"))

    found = read(archive, store, [lambda: LearnedPart([first], 0)])

    assert [row.item_id for row in found if row.user_id == "u2"] == ["after"]
    assert len(found) == 31


def test_a_cursor_that_was_not_given_out_is_refused():
    with pytest.raises(InvalidRequestError):
        InteractionCursor.parse("1.2.x")
