"""Splits are partitions, look not into the future, and break ties by seeded chance."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from recommender.errors import InvalidRequestError
from recommender.evaluation import (
    SPLITS as BY_NAME,
)
from recommender.evaluation import (
    cold_items_split,
    cold_users_split,
    global_time_split,
    last_by_time_split,
    random_split,
    split_pairs,
)

SPLITS = [random_split, global_time_split, last_by_time_split, cold_items_split, cold_users_split]


def frame(users, items, timestamps):
    return pd.DataFrame(
        {"user_id": users, "item_id": items, "weight": np.ones(len(users), np.float32), "timestamp": timestamps}
    )


def burst(n_users=200, n_items=50):
    """All users take all items within one second, in the order of the items."""
    users = [f"u{user}" for user in range(n_users) for _ in range(n_items)]
    return frame(users, [f"i{item}" for item in range(n_items)] * n_users, np.zeros(n_users * n_items))


@st.composite
def logs(draw):
    rows = draw(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6), st.integers(0, 5)), max_size=40))
    users, items, moments = zip(*rows, strict=True) if rows else ((), (), ())
    return frame([f"u{user}" for user in users], [f"i{item}" for item in items], np.array(moments, np.float64))


@pytest.mark.parametrize("split", SPLITS)
@given(log=logs(), share=st.floats(0, 1), seed=st.integers(0, 3))
@settings(max_examples=50, deadline=None)
def test_every_interaction_is_in_exactly_one_part_and_keeps_its_order(split, log, share, seed):
    train, test = split(log, share, seed)

    assert train.index.is_monotonic_increasing
    assert test.index.is_monotonic_increasing
    assert_frame_equal(pd.concat([train, test]).sort_index(), log)


@pytest.mark.parametrize("split", SPLITS)
def test_a_seed_repeats_itself_and_another_one_differs(split):
    log = burst(20, 20)

    assert_frame_equal(split(log, 0.3, 7)[1], split(log, 0.3, 7)[1])
    assert not split(log, 0.3, 7)[1].index.equals(split(log, 0.3, 8)[1].index)


@pytest.mark.parametrize("split", [random_split, global_time_split])
@given(log=logs(), share=st.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_the_held_out_share_is_rounded(split, log, share):
    assert len(split(log, share)[1]) == round(share * len(log))


@given(log=logs(), share=st.floats(0, 1), seed=st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_global_split_learns_nothing_newer_than_what_it_judges(log, share, seed):
    train, test = global_time_split(log, share, seed)

    assert train.empty or test.empty or train["timestamp"].max() <= test["timestamp"].min()


@given(log=logs(), share=st.floats(0, 1), seed=st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_last_split_learns_nothing_of_a_user_newer_than_what_it_judges(log, share, seed):
    train, test = last_by_time_split(log, share, seed)
    newest, oldest = train.groupby("user_id")["timestamp"].max(), test.groupby("user_id")["timestamp"].min()

    assert all(newest[user] <= oldest[user] for user in newest.index.intersection(oldest.index))


@pytest.mark.parametrize(("share", "held_out"), [(0.2, 2), (0.29, 2), (0.3, 3), (1.0, 10), (0.0, 0), (0.05, 0)])
def test_last_split_rounds_each_users_share_down(share, held_out):
    log = frame(["a"] * 10, [str(item) for item in range(10)], np.arange(10.0))

    assert len(last_by_time_split(log, share)[1]) == held_out


def test_last_split_is_not_fooled_by_floating_point():
    log = frame(["a"] * 100, [str(item) for item in range(100)], np.arange(100.0))

    assert len(last_by_time_split(log, 0.29)[1]) == 29


def test_the_last_n_are_held_out_but_one_is_left_to_learn_from():
    log = frame(["a", "b", "a", "c", "a", "b"], ["1", "2", "3", "4", "5", "6"], [5.0, 1.0, 4.0, 1.0, 9.0, 0.0])

    test = last_by_time_split(log, n_last=2)[1]

    assert test["item_id"].tolist() == ["1", "2", "5"]


@pytest.mark.parametrize("split", [global_time_split, last_by_time_split])
def test_ties_in_time_do_not_favour_items(split):
    test = split(burst(), 0.2, seed=3)[1]
    numbers = test["item_id"].str[1:].astype(int)
    held_out = numbers.value_counts()

    # by row or by id, the last ten of fifty items alone would be held out, each by all 200 users
    assert len(held_out) == 50
    assert held_out.max() < 80
    assert abs(numbers.mean() - 24.5) < 1


@pytest.mark.parametrize(("split", "column"), [(cold_items_split, "item_id"), (cold_users_split, "user_id")])
def test_the_cold_are_never_learned_from(split, column):
    log = burst(40, 30)

    train, test = split(log, 0.25, seed=1)

    assert not set(train[column]) & set(test[column])
    assert test[column].nunique() == round(0.25 * log[column].nunique())


def test_cold_items_are_chosen_whatever_their_place_in_the_log():
    chosen = [cold_items_split(burst(1, 50), 0.2, seed)[1].index.to_numpy() for seed in range(100)]

    assert abs(np.concatenate(chosen).mean() - 24.5) < 2


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_is_between_0_and_1(split, share):
    with pytest.raises(InvalidRequestError, match="between 0 and 1"):
        split(burst(2, 2), share)


@pytest.mark.parametrize("arguments", [{}, {"test_share": 0.1, "n_last": 1}, {"n_last": 0}])
def test_last_split_wants_either_a_share_or_a_number(arguments):
    with pytest.raises(InvalidRequestError, match=r"either test_share or n_last|at least 1"):
        last_by_time_split(burst(2, 2), **arguments)


def repeated(n_users: int = 40, n_items: int = 25, times: int = 6, seed: int = 0) -> pd.DataFrame:
    """Each pair of someone and five items, again and again."""
    chance = np.random.default_rng(seed)
    pairs = [(f"u{user}", f"i{item}") for user in range(n_users) for item in chance.permutation(n_items)[:5]]
    rows = pd.DataFrame([pair for pair in pairs for _ in range(times)], columns=["user_id", "item_id"])
    return rows.assign(timestamp=chance.random(len(rows)) * 1e6).sample(frac=1, random_state=seed)


def distinct(rows: pd.DataFrame) -> set[tuple[str, str]]:
    return set(zip(rows["user_id"], rows["item_id"], strict=True))


@pytest.mark.parametrize("name", list(BY_NAME))
def test_of_repeated_pairs_the_share_is_of_pairs_and_none_is_both_learned_and_judged(name):
    rows = repeated()
    older, newer = split_pairs(name, rows, 0.2, 0)

    assert len(distinct(newer)) == len(newer)
    assert not distinct(older) & distinct(newer)
    assert distinct(older) | distinct(newer) == distinct(rows)
    assert len(newer) == pytest.approx(0.2 * len(distinct(rows)), rel=0.35)


@pytest.mark.parametrize("name", ["random", "cold-items", "cold-users"])
def test_what_is_learned_from_keeps_its_repetitions(name):
    rows = repeated(times=3)
    older, newer = split_pairs(name, rows, 0.2, 0)

    assert len(older) == 3 * (len(distinct(rows)) - len(newer))


def test_nothing_after_the_first_held_out_moment_is_learned_of_a_split_by_time():
    older, newer = split_pairs("global", repeated(), 0.2, 0)

    assert older["timestamp"].max() < newer["timestamp"].min()

    older, newer = split_pairs("last", repeated(), 0.2, 0)
    newest = older.groupby("user_id")["timestamp"].max()
    assert (newest < newer.groupby("user_id")["timestamp"].min().reindex(newest.index)).all()


@pytest.mark.parametrize("name", list(BY_NAME))
def test_where_nothing_is_repeated_pairs_are_rows(name):
    rows = repeated(times=1)

    for by_pairs, by_rows in zip(split_pairs(name, rows, 0.2, 3), BY_NAME[name](rows, 0.2, 3), strict=True):
        assert_frame_equal(by_pairs, by_rows)
