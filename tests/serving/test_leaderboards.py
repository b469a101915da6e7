"""Leaderboards: windows over what was learned and what the log holds since, against counting by hand."""

import asyncio
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.feature_space import tokens
from recommender.models.feedback import Feedback
from recommender.serving.catalogue import Catalogue, ItemChange
from recommender.serving.recommender import Recommender
from recommender.serving.trends.interaction_counts import count_interactions
from recommender.serving.trends.leaderboards import Leaderboards
from recommender.serving.trends.log_tail import LogTail, follow
from recommender.stores import MemoryStore
from recommender.stores.protocols import Interaction
from tests.support.known_worlds import (
    COLD,
    ITEMS,
    LOG_OFFSET,
    item_features,
    lets_through,
    shared_snapshot,
    shared_world,
)

NOW = 1_800_000_000.0
WINDOWS = (60, 3_600, 86_400)

happened = st.lists(st.tuples(st.sampled_from([*ITEMS, *COLD, "fresh", "nowhere"]), st.integers(0, 59)), max_size=30)


class House:
    """Leaderboards over a store of its own."""

    def __init__(self, learned: list[tuple[str, float]] = (), feedback: Feedback | None = None) -> None:
        self.now, self.store = NOW, MemoryStore()
        table = pd.DataFrame(learned, columns=["item_id", "timestamp"]).assign(weight=1.0)
        activity = count_interactions(shared_world().model.items.ids, table, NOW)
        asyncio.run(self.store.advance(LOG_OFFSET, 0))
        self.catalogue = Catalogue(replace(shared_snapshot(), activity=activity))
        self.trail = LogTail(LOG_OFFSET, feedback)
        self.leaderboards = Leaderboards(Recommender(self.catalogue), self.trail, lambda: self.now)

    def happens(self, *item_ids: str, ago_s: float = 0, user_id: str = "u1", **more: object) -> None:
        given = [Interaction(user_id, each, more.get("weight", 1.0), self.now - ago_s) for each in item_ids]
        asyncio.run(self.store.append(given))
        asyncio.run(follow(self.trail, self.store))

    def top(self, name: str = "popular", window_s: float = 60, k: int = 100, **more) -> dict[str, float]:
        answer = self.leaderboards.top(name, window_s, k, **more)
        assert [item.score for item in answer.items] == sorted((item.score for item in answer.items), reverse=True)
        return {item.item_id: item.score for item in answer.items}


@settings(max_examples=50, deadline=None)
@given(happened, happened, st.sampled_from([(), ("group:g0",), ("-tags:t1",)]), st.sampled_from(["", "i3", "fresh"]))
def test_a_window_counts_what_was_learned_and_what_came_since(learned, since, filters, withdrawn):
    # nothing that is so young is rounded
    house = House([(item_id, NOW - ago_s) for item_id, ago_s in learned])
    house.catalogue.apply([ItemChange("fresh", item_features("i7")), ItemChange("i2", item_features("i2"))], 2)
    for item_id, ago_s in since:
        house.happens(item_id, ago_s=ago_s)
    if withdrawn:
        house.catalogue.apply([ItemChange(withdrawn, {}, available=False)], 3)

    for window_s in (5, 30, 60):
        counts = Counter(item for item, ago_s in learned if ago_s <= window_s and item in ITEMS)
        counts += Counter(item for item, ago_s in since if ago_s <= window_s and item != "nowhere")
        words = {item: set(tokens(item_features("i7" if item == "fresh" else item))) for item in counts}
        wanted = {item: n for item, n in counts.items() if item != withdrawn and lets_through(filters, words[item])}

        assert house.top(window_s=window_s, filters=filters) == wanted


def test_a_window_moves_with_the_clock():
    house = House([("i1", NOW - 50), ("i2", NOW)])
    house.happens("i3", ago_s=40)
    seen = []
    for ahead_s in (0, 10, 11, 21, 60, 61, 0):
        house.now = NOW + ahead_s
        seen.append(sorted(house.top()))

    assert seen == [["i1", "i2", "i3"], ["i1", "i2", "i3"], ["i2", "i3"], ["i2"], ["i2"], [], ["i1", "i2", "i3"]]


@pytest.mark.parametrize("name", ["popular", "trending"])
def test_what_is_of_the_future_counts_when_its_time_has_come_learned_or_not(name):
    house = House([("i1", NOW + 100), ("i2", NOW)])
    house.happens("i3", ago_s=-100)
    seen = []
    for ahead_s in (0, 30, 100, 159, 161, 0):
        house.now = NOW + ahead_s
        seen.append(sorted(house.top(name)))

    assert seen == [["i2"], ["i2"], ["i1", "i3"], ["i1", "i3"], [], ["i2"]]


def test_an_interaction_counts_as_soon_as_it_is_read_within_the_same_second():
    house = House()
    before = house.top()
    house.happens("i4", "i4")

    assert (before, house.top()) == ({}, {"i4": 2})


def test_an_item_is_listed_as_soon_as_the_catalogue_has_it():
    house = House()
    house.happens("fresh")
    before = house.top()
    house.catalogue.apply([ItemChange("fresh", item_features("i7"))], 1)

    assert (before, house.top()) == ({}, {"fresh": 1})


def test_what_a_deleted_user_did_before_does_not_count():
    house = House()
    house.happens("i1", user_id="u1")
    house.happens("i1", user_id="u2")
    asyncio.run(house.store.delete_user("u1"))
    house.happens("i2", user_id="u1")

    assert house.top() == {"i1": 1, "i2": 1}


def test_what_speaks_against_an_item_does_not_make_it_popular():
    house = House(feedback=Feedback(negative_below=3))
    house.happens("i1", weight=2)
    house.happens("i2", weight=3)

    assert house.top() == {"i2": 1}


@pytest.mark.parametrize("feedback", [Feedback(), Feedback({"skip": -1, "view": 0, "buy": 2}, negative_below=3)])
@given(weight=st.sampled_from([0.5, 2.9, 3.0, 5.0]), event=st.sampled_from([None, "rating", "skip", "view", "buy"]))
def test_one_interaction_is_read_as_many_are(feedback, weight, event):
    table = pd.DataFrame({"weight": [weight], "event": [event]})

    assert feedback.is_liking(weight, event) == (feedback.weighed(table)["weight"].item() > 0)


def test_what_a_newer_snapshot_has_learned_is_counted_once_and_an_older_one_reads_again():
    house = House()
    house.happens("i1")
    house.happens("i2")
    newer, older = house.trail.behind(LOG_OFFSET + 1), house.trail.behind(LOG_OFFSET - 1)
    house.happens("i3")

    assert (newer.offset, newer.rows["offset"].tolist()) == (LOG_OFFSET + 2, [LOG_OFFSET + 2])
    assert (older.offset, len(older.rows)) == (LOG_OFFSET - 1, 0)


def test_a_long_log_is_read_to_its_end():
    house = House()
    house.happens(*["i1"] * 2_500)

    assert house.top() == {"i1": 2_500}


def test_what_rises_trends_and_what_is_always_popular_does_not():
    day = 86_400
    steady = [("i0", NOW - day * age) for age in range(1, 28) for _ in range(20)]
    house = House([*steady, ("i1", NOW - 5 * day)])
    house.happens(*["i0"] * 20, *["i1"] * 10)

    assert house.top(window_s=day) == {"i0": 20, "i1": 10}
    assert list(house.top("trending", window_s=day)) == ["i1"]


def test_without_a_recent_past_all_of_the_past_is_the_long_run():
    house = House([("i0", 9e8)] * 500 + [("i1", 9e8)])
    house.happens(*["i0"] * 5, *["i1"] * 5)

    assert list(house.top("trending", window_s=3_600)) == ["i1"]


def test_without_a_past_what_is_popular_trends():
    house = House()
    house.happens("i0", *["i1"] * 5)

    assert next(iter(house.top("trending"))) == "i1"


def test_fewer_are_listed_than_were_wanted_only_when_there_are_no_more():
    house = House()
    house.happens("i0", "i0", "i0", "i1", "i1", "i2")

    assert list(house.top(k=2)) == ["i0", "i1"]


def test_a_snapshot_keeps_its_activity_on_its_way_to_disk():
    house = House([("i1", NOW - 5), ("i2", NOW)])
    snapshot = house.catalogue.snapshot
    again = type(snapshot).from_arrays(snapshot.to_arrays(), snapshot.to_meta())

    for there, here in zip(again.activity, snapshot.activity, strict=True):
        assert np.array_equal(there, here)
