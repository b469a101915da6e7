"""The latest items of a store."""

import asyncio

from recommender.serving import newest_items as latest_module
from recommender.serving.newest_items import latest
from recommender.stores import open_store
from recommender.stores.protocols import Item
from tests.support.known_worlds import item_features


def item(number: int, *, available: bool = True) -> Item:
    return Item(f"i{number}", f"Title {number}", item_features(f"i{number}"), available, float(number))


def ids(answer) -> list[str]:
    return [each.item_id for each in answer.items]


def filled(*items: Item):
    store = open_store("memory:")
    asyncio.run(store.put_items(items))
    return store


def ask(store, k=10, *filters):
    return asyncio.run(latest(store, k, filters))


def test_what_was_put_last_comes_first():
    store = filled(*map(item, range(5)))
    asyncio.run(store.put_items([item(1, available=False)]))
    asyncio.run(store.put_items([item(1)]))

    assert ids(ask(store)) == ["i1", "i4", "i3", "i2", "i0"]
    assert ids(ask(store, 2)) == ["i1", "i4"]
    assert (ask(store).items[0].title, ask(store).items[0].updated_at) == ("Title 1", 1.0)


def test_deleted_and_unavailable_ones_make_room():
    store = filled(item(0), item(1), item(2, available=False), item(3))
    asyncio.run(store.delete_item("i3"))

    assert ids(ask(store, 1)) == ["i1"]
    assert ids(ask(store, 2)) == ["i1", "i0"]


def test_filters_hold_across_pages(monkeypatch):
    monkeypatch.setattr(latest_module, "PAGE", 2)
    store = filled(*map(item, range(9)))

    assert ids(ask(store, 3, "group:g0", "-tags:t1")) == ["i8", "i6", "i2"]
    assert ids(ask(store, 99, "group:g1")) == ["i7", "i5", "i3", "i1"]


def test_a_filter_looks_at_so_many_and_no_more(monkeypatch):
    monkeypatch.setattr(latest_module, "PAGE", 2)
    monkeypatch.setattr(latest_module, "LOOKED_AT", 4)

    assert ids(ask(filled(*map(item, range(9))), 99, "group:g1")) == ["i7", "i5"]


def test_an_empty_store_has_none():
    assert ids(ask(open_store("memory:"))) == []


def test_many_that_are_gone_do_not_hide_what_is_left():
    store = filled(item(500), *(item(number, available=False) for number in range(300)))

    assert ids(ask(store, 1)) == ["i500"]
