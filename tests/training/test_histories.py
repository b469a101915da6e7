"""Histories against a dictionary that grows."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from recommender.models.lightfm_recommender import LFMRecommender
from recommender.sparse_frame import SparseFrame
from recommender.training.histories import _by_user_and_time, extended, histories, pairs_of, sampled

pairs = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("wxyz")), max_size=12)


def learned(batch, model):
    frame = pd.DataFrame(batch, columns=["user_id", "item_id"], dtype=object).assign(timestamp=np.arange(len(batch)))
    model.fit_partial(SparseFrame.from_interactions(*zip(*batch, strict=True)) if batch else NOTHING, epochs=0)
    return frame


NOTHING = SparseFrame.from_interactions([], [])


def as_dictionary(rows, model):
    users, items = list(model.users.ids), list(model.items.ids)
    return {user: [items[index] for index in rows.row(number)] for number, user in enumerate(users)}


@given(st.lists(pairs, min_size=1, max_size=4), st.sets(st.sampled_from("abcd")))
def test_histories_grow_as_lists_without_repeats_do_and_forget_whom_they_must(batches, forgotten):
    model = LFMRecommender("both", no_components=2)
    rows, expected = None, {}
    for number, batch in enumerate(batches):
        frame = learned(batch, model)
        gone = forgotten if number == 1 else ()
        rows = histories(model, frame) if rows is None else extended(rows, model, frame, gone)
        expected = {user: [] if user in gone else items for user, items in expected.items()}
        for user, item in batch:
            there = expected.setdefault(user, [])
            if item not in there:
                there.append(item)

    assert as_dictionary(rows, model) == expected
    assert (rows.indices.dtype, rows.indptr.dtype) == (np.int32, np.int64)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("wxyz")), min_size=1), st.integers(0, 20))
def test_a_sample_is_of_what_is_there_each_at_most_once_and_repeatable(batch, n):
    model = LFMRecommender("both", no_components=2)
    rows = histories(model, learned(batch, model))
    everything = list(zip(*(each.tolist() for each in pairs_of(rows, np.arange(len(model.users.ids)))), strict=True))
    sample = list(zip(*(each.tolist() for each in sampled(rows, n, seed=3)), strict=True))

    assert len(sample) == len(set(sample)) == min(n, len(everything))
    assert set(sample) <= set(everything)
    assert sample == list(zip(*(each.tolist() for each in sampled(rows, n, seed=3)), strict=True))


@given(st.lists(st.tuples(st.integers(-1, 70_000), st.integers(0, 4)), max_size=200))
def test_the_order_is_by_user_then_by_time_and_no_row_is_lost(rows):
    users, times = np.array([each[0] for each in rows], np.int32), np.array([each[1] for each in rows], np.float64)
    known = np.flatnonzero(users >= 0)
    order = _by_user_and_time(users[known], times[known])

    assert sorted(order.tolist()) == list(range(len(known)))
    assert [rows[place] for place in known[order]] == sorted(rows[place] for place in known)


def test_ties_in_time_are_broken_by_chance_which_is_always_the_same():
    order = _by_user_and_time(np.zeros(1000, np.int32), np.repeat([5.0, 3.0], 500))

    assert sorted(order[:500].tolist()) == list(range(500, 1000))
    assert abs(np.corrcoef(order[:500], np.arange(500))[0, 1]) < 0.2
    assert np.array_equal(order, _by_user_and_time(np.zeros(1000, np.int32), np.repeat([5.0, 3.0], 500)))
