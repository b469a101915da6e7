"""Synthetic worlds have the answer they promise."""

import numpy as np
import pytest
from pandas.testing import assert_frame_equal

from recommender.datasets import synthetic
from recommender.datasets.dataset import feature_records
from recommender.errors import InvalidDataError


def numbers(dataset):
    """Users and items of the interactions by their numbers."""
    pairs = dataset.interactions
    return pairs["user_id"].str[1:].astype(int).to_numpy(), pairs["item_id"].str[1:].astype(int).to_numpy()


@pytest.mark.parametrize("n_groups", [1, 2, 3, 7])
def test_users_interact_only_with_items_of_their_group(n_groups):
    users, items = numbers(synthetic.make(n_users=50, n_items=40, n_groups=n_groups))

    assert ((users - items) % n_groups == 0).all()


def test_on_a_checkerboard_user_and_item_add_up_to_even():
    users, items = numbers(synthetic.make("checkerboard", n_users=30, n_items=21, n_groups=5))

    assert ((users + items) % 2 == 0).all()
    assert set(users.tolist()) == set(range(30))


def test_features_carry_the_group():
    world = synthetic.make(n_users=5, n_items=6, n_groups=3)

    assert dict(feature_records(world.users))["u4"] == {"group": "g1", "number": 4, "tags": ["g1", "half-1"]}
    assert dict(feature_records(world.items))["i5"] == {"group": "g2", "number": 5, "tags": ["g2", "half-0"]}
    assert world.items.loc["i5", "title"] == "Item 5"


def test_noise_is_the_share_of_strays():
    users, items = numbers(synthetic.make(n_users=500, n_items=2000, n_groups=4, noise=0.4))
    strays = ((users - items) % 4 != 0).mean()

    # a quarter of the strays meet their own group by chance
    assert abs(strays - 0.3) < 0.03


def test_no_pair_is_there_twice_and_time_passes():
    interactions = synthetic.make(n_users=20, n_items=10, n_groups=2, n_interactions_per_user=50).interactions

    assert not interactions.duplicated(["user_id", "item_id"]).any()
    assert (np.diff(interactions["timestamp"]) > 0).all()


def test_first_items_of_a_group_are_more_popular():
    _, items = numbers(synthetic.make(n_users=500, n_items=400, n_groups=4))

    assert (items < 100).sum() > 2 * (items >= 300).sum()


def test_a_seed_makes_the_same_world_again():
    one, same, other = (synthetic.make(n_users=20, noise=0.1, seed=seed).interactions for seed in (5, 5, 6))

    assert_frame_equal(one, same)
    assert not one.equals(other)


@pytest.mark.parametrize(
    "arguments",
    [
        {"n_users": 0},
        {"n_items": 3, "n_groups": 4},
        {"n_groups": 0},
        {"n_interactions_per_user": 0},
        {"noise": 1.5},
        {"noise": float("nan")},
        {"seed": -1},
        {"kind": "chessboard"},
    ],
)
def test_impossible_worlds_are_refused(arguments):
    with pytest.raises(InvalidDataError, match=r"sizes are at least 1|there are taste_groups, checkerboard"):
        synthetic.make(**arguments)
