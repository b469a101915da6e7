"""Trending: the log-likelihood ratio, against the plain formula and what one expects of a trend."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.serving.trends.trending import rising

counts = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=1, max_size=5)


def by_hand(now: list[int], before: list[int], item: int) -> float:
    """Dunning's formula, cell by cell."""
    before = [each + 1 / len(now) for each in before]
    table = [[now[item], sum(now) - now[item]], [before[item], sum(before) - before[item]]]
    total = sum(map(sum, table))
    ratio = 0.0
    for row in range(2):
        for column in range(2):
            expected = sum(table[row]) * (table[0][column] + table[1][column]) / total
            if table[row][column] > 0:
                ratio += 2 * table[row][column] * math.log(table[row][column] / expected)
    return math.sqrt(max(ratio, 0))


@given(counts)
def test_scores_are_the_root_of_the_ratio_for_items_whose_part_has_grown(pairs):
    now, before = ([pair[side] for pair in pairs] for side in (0, 1))
    found = rising(np.array(now, float), np.array(before, float))

    for item in range(len(pairs)):
        parts = [side[item] + add / len(pairs) for side, add in ((now, 0), (before, 1))]
        has_grown = parts[0] * (sum(before) + 1) > parts[1] * sum(now)
        if found[item] == -np.inf:
            assert not has_grown or parts[0] * (sum(before) + 1) == pytest.approx(parts[1] * sum(now))
        else:
            assert found[item] == pytest.approx(by_hand(now, before, item), rel=1e-3, abs=1e-3)


def test_what_grows_with_everything_else_does_not_trend():
    assert rising(np.array([10.0, 20.0, 70.0]), np.array([100.0, 200.0, 700.0])).max() < 0.1


def test_more_of_the_same_growth_is_surer():
    scores = rising(np.array([40.0, 4.0, 100.0]), np.array([10.0, 1.0, 10_000.0]))

    assert scores[0] > scores[1] > 2
    assert scores[2] == -np.inf


def test_the_most_frequent_rise_from_nothing():
    scores = rising(np.array([1.0, 30.0, 5.0, 0.0]), np.zeros(4))

    assert scores[1] == scores.max()
    assert scores[3] == -np.inf
