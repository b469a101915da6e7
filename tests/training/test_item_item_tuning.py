from __future__ import annotations

from collections.abc import Callable
from itertools import count

import numpy as np
import pytest
from scipy import sparse

from recommender.models.item_item import ItemItemSettings
from recommender.training.item_item_tuning import tune_item_item

pytestmark = pytest.mark.slow

FAR_OFF = ItemItemSettings(neighbours=59, penalty=0.5)


def world(seed: int = 0) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Few noisy interactions of taste groups, where hardly any penalty is far too little, and some held out."""
    chance = np.random.default_rng(seed)
    groups = np.kron(np.eye(4), np.ones((150, 15)))
    there = chance.random(groups.shape) < np.where(groups > 0, 0.3, 0.08)
    held_out = there & (chance.random(groups.shape) < 0.2)
    train, test = (sparse.csr_matrix(each.astype(np.float32)) for each in (there & ~held_out, held_out))
    return train, test


def ticking(step: float) -> Callable[[], float]:
    """Clock that moves on whenever it is read."""
    times = count(step=step)
    return lambda: float(next(times))


def test_what_is_found_does_better_than_where_it_began() -> None:
    train, held_out = world()

    begun = tune_item_item(train, held_out, 0, start=FAR_OFF)
    tuned = tune_item_item(train, held_out, 60, start=FAR_OFF, clock=ticking(0.0))

    assert tuned.ndcg > begun.ndcg + 0.02
    assert tuned.settings.penalty >= 4 * FAR_OFF.penalty


def test_without_time_the_start_is_kept() -> None:
    tuned = tune_item_item(*world(), 0, start=FAR_OFF)

    assert tuned.settings == FAR_OFF
    assert tuned.n_tried == 1


def test_no_fit_begins_that_is_expected_to_end_too_late() -> None:
    train, held_out = world()

    few = tune_item_item(train, held_out, 5, start=FAR_OFF, clock=ticking(1.0))
    many = tune_item_item(train, held_out, 50, start=FAR_OFF, clock=ticking(1.0))

    assert few.n_tried < many.n_tried


def test_more_neighbours_are_not_taken_for_nothing() -> None:
    train, held_out = world()
    enough = ItemItemSettings(neighbours=60, penalty=20.0)  # all there are

    assert tune_item_item(train, held_out, 60, start=enough, clock=ticking(0.0)).settings.neighbours == 60


def test_nothing_held_out_leaves_the_start() -> None:
    train, _ = world()

    assert tune_item_item(train, sparse.csr_matrix(train.shape, dtype=np.float32), 60).settings == ItemItemSettings()
