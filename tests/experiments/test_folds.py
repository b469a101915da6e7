"""Folds: numbered alike, really cold, ties in time broken by the seed."""

import numpy as np
import pandas as pd
import pytest

from recommender.datasets import synthetic
from recommender.datasets.dataset import Dataset
from recommender.errors import InvalidRequestError
from recommender.evaluation import SPLITS
from recommender.experiments.folds import fold_of, validation_of
from recommender.experiments.scoring import ALL, COLD, candidate_sets

WORLD = synthetic.make(n_users=60, n_items=40, seed=3)


def dataset(pairs, timestamps=None):
    users, items = zip(*pairs, strict=True)
    frame = pd.DataFrame({"user_id": users, "item_id": items, "weight": np.float32(1)})
    frame["weight"] = frame["weight"].astype(np.float32)
    frame["timestamp"] = np.asarray(range(len(pairs)) if timestamps is None else timestamps, np.float64)
    return Dataset(frame, pd.DataFrame(index=pd.Index([], dtype=str)), pd.DataFrame(index=pd.Index([], dtype=str)))


def all_pairs(fold):
    return fold.train + fold.test


@pytest.mark.parametrize("split", list(SPLITS))
def test_every_split_numbers_users_and_items_alike_and_loses_no_pair(split):
    first, second = fold_of(WORLD, split, 0.2, 0), fold_of(WORLD, split, 0.2, 1)

    assert first.user_ids.equals(second.user_ids)
    assert first.item_ids.equals(second.item_ids)
    assert (all_pairs(first) != all_pairs(second)).nnz == 0
    assert len(first.older) + len(first.newer) == len(WORLD.interactions)


@pytest.mark.parametrize("split", list(SPLITS))
def test_a_seed_gives_the_same_fold_again(split):
    first, again = fold_of(WORLD, split, 0.2, 5), fold_of(WORLD, split, 0.2, 5)

    assert (first.train != again.train).nnz == 0
    assert (first.test != again.test).nnz == 0


def test_pairs_stand_at_the_places_of_their_ids():
    fold = fold_of(WORLD, "random", 0.3, 0)

    for row in fold.newer.itertuples():
        assert fold.test[fold.user_ids.get_loc(row.user_id), fold.item_ids.get_loc(row.item_id)] == 1


def test_cold_items_are_learned_from_by_nobody_and_are_all_that_is_to_be_found():
    fold = fold_of(WORLD, "cold-items", 0.25, 0)
    cold = candidate_sets(fold, "cold-items")[COLD]

    assert 0 < cold.sum() < len(cold)
    assert fold.train[:, cold].nnz == 0
    assert fold.test[:, ~cold].nnz == 0


def test_cold_users_are_not_learned_from():
    fold = fold_of(WORLD, "cold-users", 0.25, 0)

    judged = np.diff(fold.test.indptr) > 0
    assert judged.any()
    assert not (judged & fold.warm_users).any()


@pytest.mark.parametrize("split", ["random", "last", "global", "cold-users"])
def test_other_splits_have_one_set_of_candidates(split):
    assert list(candidate_sets(fold_of(WORLD, split, 0.25, 0), split)) == [ALL]


def test_an_item_with_features_and_without_interactions_is_a_candidate():
    some = WORLD.interactions[WORLD.interactions["item_id"] != "i7"]

    fold = fold_of(Dataset(some, WORLD.users, WORLD.items), "random", 0.2, 0)

    assert "i7" in fold.item_ids
    assert not fold.warm_items[fold.item_ids.get_loc("i7")]


@pytest.mark.parametrize("split", ["last", "global"])
def test_ties_in_time_are_broken_by_the_seed(split):
    tied = dataset([("u", f"i{n:02}") for n in range(40)] + [("v", f"i{n:02}") for n in range(40)], [7.0] * 80)

    held_out = [set(fold_of(tied, split, 0.25, seed).newer.index) for seed in range(3)]

    assert held_out[0] != held_out[1] != held_out[2]
    # by row or by id, it would be the last ones
    assert any(min(rows) < 20 for rows in held_out)


def test_validation_is_split_off_what_is_learned_from():
    fold = fold_of(WORLD, "random", 0.2, 0)

    inner = validation_of(fold, "random", 0.2)

    assert inner.user_ids is fold.user_ids
    assert (inner.train + inner.test != fold.train).nnz == 0
    assert inner.test.multiply(fold.test).nnz == 0


def test_too_little_for_a_validation_set_gives_none():
    fold = fold_of(dataset([("u", "a"), ("u", "b"), ("v", "a")]), "random", 0.34, 0)

    assert validation_of(fold, "random", 0.1) is None


@pytest.mark.parametrize(("share", "message"), [(0.9, "nothing to learn from"), (0.1, "nothing to judge by")])
def test_a_split_that_leaves_nothing_says_what_to_do(share, message):
    with pytest.raises(InvalidRequestError, match=f"{message}.*--holdout"):
        fold_of(dataset([("u", "a")]), "random", share, 0)
