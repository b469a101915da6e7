"""Activity: counts by time and item, coarser with age."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.ids import IdTable
from recommender.serving.trends.interaction_counts import (
    NO_INTERACTIONS,
    RESOLUTION,
    count_interactions,
    rounded,
    together,
)

NOW = 1_800_000_000
ITEMS = IdTable.from_ids(["a", "b", "c"])


def table(*rows: tuple[str, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["item_id", "timestamp"]).assign(weight=1.0)


def total(activity, start_s: float) -> list[int]:
    return activity.counted(slice(activity.since(start_s), None), len(ITEMS)).tolist()


@given(st.integers(0, NOW), st.integers(0, 10**9))
def test_a_time_is_known_to_a_part_of_its_age_however_often_it_is_rounded(time, later):
    once = rounded(np.array([time]), NOW)
    again = rounded(once, NOW + later)

    assert 0 <= time - once[0] <= max(0, (NOW - time) / RESOLUTION)
    assert 0 <= time - again[0] <= (NOW + later - once[0]) / RESOLUTION


def test_interactions_count_from_their_time_on():
    activity = count_interactions(ITEMS, table(("a", NOW - 10), ("a", NOW - 10), ("b", NOW - 7200), ("c", 0)), NOW)

    assert [total(activity, NOW - age) for age in (9, 10, 7200 * 2, NOW)] == [
        [0, 0, 0],
        [2, 0, 0],
        [2, 1, 0],
        [2, 1, 1],
    ]


def test_what_is_of_the_future_stands_there_until_its_time_has_come():
    activity = count_interactions(ITEMS, table(("a", NOW + 1e6), ("b", NOW + 1e10), ("c", np.inf)), NOW)

    assert (total(activity, NOW + 1e6), total(activity, NOW + 1e6 + 1)) == ([1, 0, 0], [0, 0, 0])
    assert activity.since(NOW + 1) == 0
    assert len(activity.times) == 1


def test_unknown_items_missing_times_and_dislikes_do_not_count():
    rows = table(("x", NOW), ("a", np.nan), ("b", NOW), ("c", NOW)).assign(weight=[1, 1, -1, 0])

    assert len(count_interactions(ITEMS, rows, NOW).times) == 0


def test_activity_grows_as_if_all_had_come_at_once():
    older, newer = table(("a", NOW - 40), ("b", NOW - 3)), table(("a", NOW - 40), ("c", NOW - 50), ("b", NOW))
    grown = together(count_interactions(ITEMS, older, NOW), count_interactions(ITEMS, newer, NOW))
    at_once = count_interactions(ITEMS, pd.concat([older, newer]), NOW)

    assert [total(grown, NOW - age) for age in range(60)] == [total(at_once, NOW - age) for age in range(60)]
    assert together(NO_INTERACTIONS, grown).times.tolist() == grown.times.tolist()
    assert grown.times.dtype == np.uint32


def test_what_many_take_needs_few_entries():
    times = np.random.default_rng(0).uniform(NOW - 30 * 86_400, NOW, 50_000)

    activity = count_interactions(ITEMS, table(*(("a", time) for time in times)), NOW)

    assert activity.counts.sum() == 50_000
    assert len(activity.times) < 3_000
    assert total(activity, NOW - 86_400)[0] == pytest.approx((times >= NOW - 86_400).sum(), rel=2 / RESOLUTION)
