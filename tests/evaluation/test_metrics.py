"""Metrics against hand-computed examples and against a slow plain second implementation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from recommender.errors import InvalidRequestError
from recommender.evaluation import coverage, evaluate, novelty, popularity_bias, ranking_metrics

NAMES = {"ndcg@10", "precision@10", "recall@10", "auc", "mrr", "map@10", "hit_rate@10"}


def matrix(rows):
    return sparse.csr_matrix(np.asarray(rows, np.float32))


def plain(scores, train, test, k):
    """The same metrics of one user by loops over lists."""
    candidates = [item for item in range(len(scores)) if not train[item]]
    relevant = {item for item in candidates if test[item]}
    ranking = sorted(candidates, key=lambda item: (-scores[item], item))
    shown = [item for item in ranking if scores[item] > -math.inf]
    hits = [item in relevant for item in shown[:k]]
    gain = sum(1 / math.log2(rank + 2) for rank, hit in enumerate(hits) if hit)
    ideal = sum(1 / math.log2(rank + 2) for rank in range(min(k, len(relevant))))
    precisions = [sum(hits[: rank + 1]) / (rank + 1) for rank, hit in enumerate(hits) if hit]
    pairs = [(scores[yes], scores[no]) for yes in relevant for no in candidates if no not in relevant]
    right = sum(1.0 if yes > no else 0.5 if yes == no else 0.0 for yes, no in pairs)
    return {
        f"ndcg@{k}": gain / ideal,
        f"precision@{k}": sum(hits) / k,
        f"recall@{k}": sum(hits) / len(relevant),
        f"hit_rate@{k}": float(any(hits)),
        f"map@{k}": sum(precisions) / min(k, len(relevant)),
        "mrr": next((1 / (rank + 1) for rank, item in enumerate(shown) if item in relevant), 0.0),
        "auc": right / len(pairs) if pairs else 1.0,
    }


@st.composite
def worlds(draw):
    n_users, n_items = draw(st.integers(1, 5)), draw(st.integers(1, 12))
    # few distinct scores, so that ties are the rule; zero has two signs
    some = st.sampled_from([-math.inf, -2.5, -1.0, -0.0, 0.0, 0.5, 3.0, math.inf])

    def grid(cells):
        row = st.lists(cells, min_size=n_items, max_size=n_items)
        return draw(st.lists(row, min_size=n_users, max_size=n_users))

    scores = np.array(grid(some), np.float32)
    return scores, np.array(grid(st.booleans())), np.array(grid(st.booleans())), draw(st.integers(1, 14))


@given(worlds(), st.integers(1, 6))
@settings(max_examples=300, deadline=None)
def test_metrics_are_those_of_the_plain_implementation(world, batch_size):
    scores, train, test, k = world
    judged = np.flatnonzero((test & ~train).any(1))

    evaluation = evaluate(lambda users: scores[users], matrix(train), matrix(test), k=k, batch_size=batch_size)

    assert_array_equal(evaluation.users, judged)
    for place, user in enumerate(judged):
        expected = plain(scores[user].tolist(), train[user], test[user], k)
        assert {name: values[place] for name, values in evaluation.per_user.items()} == pytest.approx(expected)


@given(worlds())
@settings(max_examples=100, deadline=None)
def test_recommended_lists_are_those_of_a_stable_sort(world):
    scores, train, test, k = world

    evaluation = evaluate(lambda users: scores[users], matrix(train), matrix(test), k=k)

    for user, recommended in zip(evaluation.users, evaluation.recommended, strict=True):
        shown = [item for item in range(scores.shape[1]) if not train[user, item] and scores[user, item] > -math.inf]
        expected = sorted(shown, key=lambda item: (-scores[user, item], item))[:k]
        assert recommended.tolist() == expected + [-1] * (k - len(expected))


def test_a_list_judged_by_hand():
    # ranking: 3, 1, 0, 4 (2 is known); relevant: 1 and 4
    scores = np.array([[0.3, 0.8, 9.0, 0.9, 0.1]], np.float32)

    metrics = ranking_metrics(scores, matrix([[0, 0, 1, 0, 0]]), matrix([[0, 1, 0, 0, 1]]), k=2)

    assert {name: values[0] for name, values in metrics.items()} == pytest.approx(
        {
            "ndcg@2": (1 / math.log2(3)) / (1 + 1 / math.log2(3)),
            "precision@2": 1 / 2,
            "recall@2": 1 / 2,
            "hit_rate@2": 1.0,
            "map@2": (1 / 2) / 2,
            "mrr": 1 / 2,
            "auc": 1 / 4,
        }
    )


def test_a_perfect_ranking_has_only_ones_but_precision():
    scores = np.array([[3, 2, 1, 0]], np.float32)

    metrics = ranking_metrics(scores, matrix([[0, 0, 0, 0]]), matrix([[1, 1, 0, 0]]), k=4)

    assert metrics.pop("precision@4")[0] == 0.5
    assert all(values[0] == 1.0 for values in metrics.values())


def test_scores_that_say_nothing_have_an_auc_of_one_half_and_rank_in_catalogue_order():
    metrics = ranking_metrics(np.zeros((1, 5), np.float32), matrix([[0] * 5]), matrix([[0, 0, 1, 0, 1]]))

    assert metrics["auc"][0] == 0.5
    assert metrics["mrr"][0] == pytest.approx(1 / 3)


def test_a_relevant_item_that_is_known_already_cannot_be_hit():
    train, test = matrix([[1, 0, 0], [1, 0, 0]]), matrix([[1, 0, 1], [1, 0, 0]])

    evaluation = evaluate(lambda users: np.ones((len(users), 3), np.float32), train, test)

    assert evaluation.users.tolist() == [0]
    assert evaluation.per_user["recall@10"].tolist() == [1.0]


def test_an_item_at_minus_infinity_is_not_recommended():
    scores = np.array([[1.0, -np.inf]], np.float32)

    evaluation = evaluate(lambda users: scores[users], matrix([[0, 0]]), matrix([[0, 1]]), k=2)

    assert evaluation.recommended.tolist() == [[0, -1]]
    assert evaluation.means["hit_rate@2"] == evaluation.means["mrr"] == 0


def test_an_evaluation_has_the_seven_names_and_shows_its_means():
    evaluation = evaluate(lambda users: np.eye(3, dtype=np.float32)[users], matrix(np.zeros((3, 3))), matrix(np.eye(3)))

    assert set(evaluation.per_user) == set(evaluation.means) == NAMES
    assert evaluation.means["ndcg@10"] == 1.0
    assert repr(evaluation).startswith("<Evaluation: 3 users: ndcg@10 1.0000")


def test_nobody_to_judge_has_no_means():
    evaluation = evaluate(lambda _: pytest.fail("nobody is asked for"), matrix([[1, 0]]), matrix([[0, 0]]))

    assert evaluation.means == {}
    assert repr(evaluation) == "<Evaluation: 0 users>"


def test_scores_are_asked_in_int32_batches_of_users_with_something_to_find():
    asked = []

    def score(users):
        asked.append(users)
        return np.zeros((len(users), 2), np.float32)

    evaluate(score, matrix(np.zeros((5, 2))), matrix([[1, 0], [0, 0], [0, 1], [1, 1], [1, 0]]), batch_size=3)

    assert [users.tolist() for users in asked] == [[0, 2, 3], [4]]
    assert all(users.dtype == np.int32 for users in asked)


def test_judging_changes_neither_scores_nor_matrices():
    scores = np.array([[0.0, -0.0, 2.0]], np.float32)
    train, test = matrix([[1, 0, 0]]), matrix([[1, 1, 0]])
    before = [scores.tobytes(), train.toarray().tobytes(), test.toarray().tobytes()]

    ranking_metrics(scores, train, test)

    assert [scores.tobytes(), train.toarray().tobytes(), test.toarray().tobytes()] == before


@pytest.mark.parametrize(
    ("score", "k", "message"),
    [
        (lambda users: np.zeros((len(users), 3), np.float32), 10, r"scores are \(1, 3\); \(1, 2\) were asked for"),
        (lambda users: np.full((len(users), 2), np.nan, np.float32), 10, "a score is not a number"),
        (lambda users: np.zeros((len(users), 2), np.float32), 0, "k at least 1"),
    ],
)
def test_what_cannot_be_judged_is_refused(score, k, message):
    with pytest.raises(InvalidRequestError, match=message):
        evaluate(score, matrix([[0, 0]]), matrix([[1, 0]]), k=k)


def test_coverage_counts_each_listed_item_once():
    assert coverage(np.array([[0, 1], [1, -1]], np.int32), n_items=4) == 0.5


def test_novelty_is_the_mean_self_information_of_the_list():
    # three users; item 0 is known to all of them, item 1 to one, item 2 to nobody
    train = matrix([[1, 0, 0], [1, 1, 0], [1, 0, 0]])

    assert_allclose(novelty(np.array([[0, -1], [0, 1], [2, 2], [-1, -1]], np.int32), train), [0, 0.5, 2, 0])


def test_popularity_bias_compares_the_list_with_what_the_user_has():
    train = matrix([[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 0]])
    recommended = np.array([[1, 2], [0, -1], [0, 0]], np.int32)

    bias = popularity_bias(recommended, np.array([0, 1, 3], np.int32), train)

    assert_allclose(bias, [0.5 / 3, 3 / 2, np.nan])


@given(worlds(), st.integers(1, 6))
@settings(max_examples=100, deadline=None)
def test_lists_alone_are_judged_as_with_the_whole_ranking(world, batch_size):
    scores, known, wanted, k = world
    train, test = matrix(known), matrix(wanted)

    whole = evaluate(lambda users: scores[users], train, test, k=k)
    lists = evaluate(lambda users: scores[users], train, test, k=k, batch_size=batch_size, lists_only=True)

    assert_array_equal(lists.recommended, whole.recommended)
    assert set(lists.per_user) == set(whole.per_user) - {"mrr", "auc"}
    for name, values in lists.per_user.items():
        assert_allclose(values, whole.per_user[name], rtol=1e-12)


def test_twenty_first_of_twenty_five_items_to_find_are_judged_by_the_public_protocol():
    """Recall divides by all the user's test items, ndcg by the best that twenty ranks can have."""
    scores = -np.arange(60, dtype=np.float32)[None]
    wanted = np.zeros((1, 60))
    wanted[0, 10:35] = 1
    ideal = sum(1 / math.log2(rank + 2) for rank in range(20))

    found = evaluate(lambda _: scores, matrix(np.zeros((1, 60))), matrix(wanted), k=20, lists_only=True).means

    assert_allclose(found["recall@20"], 10 / 25)
    assert_allclose(found["ndcg@20"], sum(1 / math.log2(rank + 2) for rank in range(10, 20)) / ideal)
