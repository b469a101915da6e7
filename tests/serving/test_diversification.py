"""Diversity against the definition of maximal marginal relevance, pair by pair."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.schema import Query, UserState
from recommender.serving.catalogue import ItemChange
from recommender.serving.diversification import diversify, pool_size
from tests.support.known_worlds import COLD, ITEMS, item_features, learned_world, parity, user_features


def cosine(one, other) -> float:
    lengths = math.dist(one, [0] * len(one)) * math.dist(other, [0] * len(other))
    return sum(a * b for a, b in zip(one, other, strict=True)) / lengths if lengths else 0.0


def worth(scores, vectors, place, chosen, diversity) -> float:
    """What an item is worth behind those that were chosen, from the definition."""
    span = max(scores) - min(scores) or 1.0
    alike = max(cosine(vectors[place], vectors[other]) for other in chosen)
    return (1 - diversity) * (scores[place] - min(scores)) / span - diversity * alike


def worst_choice(scores, vectors, order, diversity) -> float:
    """How much more the best that was left was worth than what was chosen, at most."""
    lost = [0.0]
    for number in range(1, len(order)):
        chosen = order[:number]
        left = [place for place in range(len(scores)) if place not in chosen]
        worths = {place: worth(scores, vectors, place, chosen, diversity) for place in left}
        lost.append(max(worths.values()) - worths[order[number]])
    return max(lost)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 14), st.integers(1, 16), st.floats(0, 1))
def test_every_choice_is_the_best_that_was_left(seed, n, k, diversity):
    chance = np.random.default_rng(seed)
    scores = -np.sort(-chance.normal(size=n)).astype(np.float32)
    vectors = chance.normal(size=(n, 4)).astype(np.float32)
    found = diversify(scores, vectors, k, diversity).tolist()

    assert found[0] == 0
    assert len(set(found)) == len(found) == min(k, n)
    assert worst_choice(scores.tolist(), vectors.tolist(), found, diversity) < 1e-5


def test_twins_of_the_best_come_last_when_only_difference_counts():
    scores = np.array([5, 4, 3, 2], np.float32)
    vectors = np.array([[1, 0], [2, 0], [0, 1], [-1, 0]], np.float32)

    assert diversify(scores, vectors, 4, 1.0).tolist() == [0, 3, 2, 1]
    assert diversify(scores, vectors, 4, 0.0).tolist() == [0, 1, 2, 3]


def test_a_difference_that_is_only_rounding_counts_for_nothing():
    vectors = np.array([[1, 0], [1, 0], [0, 1]], np.float32)

    assert diversify(np.array([6, 6, 5.9999995], np.float32), vectors, 3, 0.1).tolist() == [0, 2, 1]


def test_equals_go_to_the_better_one_and_no_length_is_like_nothing():
    vectors = np.array([[1, 0], [1, 0], [1, 0], [0, 0]], np.float32)

    assert diversify(np.ones(4, np.float32), vectors, 4, 0.5).tolist() == [0, 3, 1, 2]


def test_nothing_has_no_order():
    assert diversify(np.zeros(0, np.float32), np.zeros((0, 3), np.float32), 5, 0.5).tolist() == []


KINDS = {**{item_id: parity(item_id) for item_id in [*ITEMS, *COLD]}, "fresh": 0, "i6": 1}


@pytest.fixture
def learned():
    recommender = learned_world().recommender()
    recommender.catalogue.apply([ItemChange("fresh", item_features("i4")), ItemChange("i6", item_features("i7"))], 2)
    return recommender


def ask(recommender, user_id="u3", **query):
    state = UserState(user_features("u3")) if user_id == "u3" else UserState()
    return recommender.recommend(Query(user_id=user_id, exclude_seen=False, **query), state).items


@pytest.mark.parametrize("user_id", ["u3", None])
def test_an_answer_is_the_definition_over_the_best(learned, user_id):
    pool = ask(learned, user_id, k=pool_size(6))
    vectors = learned.catalogue.representations([item.item_id for item in pool]).tolist()
    scores = [item.score for item in pool]
    for diversity in (0.2, 0.5, 1.0):
        found = ask(learned, user_id, k=6, diversity=diversity)
        places = [[item.item_id for item in pool].index(item.item_id) for item in found]

        assert [item.score for item in found] == [scores[place] for place in places]
        assert len(set(places)) == 6
        assert places[0] == 0
        assert worst_choice(scores, vectors, places, diversity) < 1e-5


def test_no_diversity_is_the_answer_without_it(learned):
    assert ask(learned, k=20, diversity=0.0) == ask(learned, k=20)


def test_more_diversity_lets_the_other_group_in_behind_the_best(learned):
    plain, varied = ask(learned, k=4), ask(learned, k=4, diversity=0.7)

    assert {KINDS[item.item_id] for item in plain} == {1}
    assert {KINDS[item.item_id] for item in varied} == {0, 1}
    assert varied[0] == plain[0]


def test_filters_and_exclusions_hold_and_all_that_is_left_comes(learned):
    found = ask(learned, k=50, diversity=0.5, filter=("group:g0",), exclude=("i2",), explain=True)

    assert sorted(item.item_id for item in found) == ["fresh", "i0", "i100", "i102", "i4", "i8"]
    assert all(
        sum(part.contribution for part in item.explanation) == pytest.approx(item.score, abs=1e-5) for item in found
    )
