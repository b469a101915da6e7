"""Exact top-k against a sort."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recommender.ranking import merged_top_k, top_k

few = st.sampled_from([-np.inf, -1.5, -0.0, 0.0, 1.0, 1.5, 2.0])
any_score = st.floats(width=32, allow_nan=False)


def by_sorting(scores: list[float], places: list[int], k: int) -> list[int]:
    wanted = [index for index, score in enumerate(scores) if score > -np.inf]
    return sorted(wanted, key=lambda index: (-scores[index], places[index]))[:k]


@given(st.lists(few, max_size=40) | st.lists(any_score, max_size=40), st.integers(1, 50))
def test_top_k_is_a_stable_sort_cut_off(scores, k):
    found = top_k(np.array(scores, np.float32), k)

    assert found.tolist() == by_sorting(scores, list(range(len(scores))), k)
    assert found.dtype == np.int32


@given(arrays(np.float32, st.integers(0, 5)))
def test_the_scores_are_not_changed(scores):
    before = scores.copy()
    top_k(scores, 2)

    assert np.array_equal(scores, before, equal_nan=True)


@pytest.mark.parametrize("k", [1, 10, 1000])
def test_a_long_list_is_cut_as_a_short_one(k):
    scores = np.random.default_rng(0).integers(0, 500, 20_000).astype(np.float32)

    assert top_k(scores, k).tolist() == np.lexsort((np.arange(len(scores)), -scores))[:k].tolist()


def test_of_nothing_that_may_be_returned_nothing_is():
    assert top_k(np.full(5, -np.inf, np.float32), 3).tolist() == []
    assert top_k(np.zeros(0, np.float32), 3).tolist() == []


def test_k_of_zero_is_nothing():
    assert top_k(np.array([3, 1, 2], np.float32), 0).tolist() == []


@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0, 2.0]), st.integers(0, 99)), max_size=20), st.integers(1, 25))
def test_blocks_are_merged_by_score_then_place(candidates, k):
    scores, places = [score for score, _ in candidates], [place for _, place in candidates]
    found = merged_top_k(np.array(scores, np.float32), np.array(places, np.int64), k)

    assert found.tolist() == by_sorting(scores, places, k)
