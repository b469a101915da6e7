from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from recommender.models.item_item import ItemItemSettings, item_item_matrix
from recommender.serving.snapshot import Rows
from recommender.training.recency import learn_half_life, recency_weights, weighted_histories

N_USERS, N_ITEMS, N_GROUPS = 200, 40, 4


def rows(histories: list[NDArray[np.int64]]) -> Rows:
    indptr = np.append(0, np.cumsum([len(each) for each in histories])).astype(np.int64)
    return Rows(indptr, np.concatenate(histories).astype(np.int32), np.zeros(0, np.float32))


def world(is_moving: bool) -> tuple[Rows, sparse.csr_matrix]:
    """Users who choose within a group of items: the same all the time, or another with the last few interactions."""
    chance = np.random.default_rng(0)
    size = N_ITEMS // N_GROUPS
    histories, held_out = [], np.zeros((N_USERS, N_ITEMS), np.float32)
    for user in range(N_USERS):
        old, new = chance.permutation(N_GROUPS)[:2] if is_moving else np.repeat(chance.integers(N_GROUPS), 2)
        fresh = new * size + chance.permutation(size)
        before = old * size + chance.permutation(size)[:7] if is_moving else fresh[3:6]
        histories.append(np.concatenate([before, fresh[:3]]))
        held_out[user, fresh[7:]] = 1
    return rows(histories), sparse.csr_matrix(held_out)


def learned(histories: Rows, held_out: sparse.csr_matrix) -> float | None:
    plain = weighted_histories(histories, N_ITEMS, None)
    matrix = item_item_matrix(plain, ItemItemSettings(neighbours=20, penalty=5.0))
    return learn_half_life(lambda weighted: (weighted @ matrix).toarray(), histories, held_out)


def test_the_newest_counts_in_full_and_one_a_half_life_older_half() -> None:
    weights = recency_weights(np.array([0, 3, 3, 4]), 2.0)

    assert weights == pytest.approx([0.5, np.sqrt(0.5), 1.0, 1.0])


def test_without_a_half_life_all_count_in_full() -> None:
    assert recency_weights(np.array([0, 3, 4]), None).tolist() == [1.0] * 4


def test_the_oldest_of_a_very_long_history_still_counts_above_0() -> None:
    weights = recency_weights(np.array([0, 100_000]), 3.0)

    assert weights.min() > 0
    assert weights[-1] == 1


def test_weights_stand_at_the_items_of_the_history() -> None:
    weighted = weighted_histories(rows([np.array([3, 0]), np.array([2])]), 4, 1.0)

    assert weighted.toarray().tolist() == [[1.0, 0, 0, 0.5], [0, 0, 1.0, 0]]


def test_where_tastes_move_on_a_short_half_life_is_learned() -> None:
    half_life = learned(*world(is_moving=True))

    assert half_life is not None
    assert half_life <= 12


def test_where_tastes_stay_there_is_none() -> None:
    assert learned(*world(is_moving=False)) is None


def test_nothing_held_out_teaches_none() -> None:
    histories, held_out = world(is_moving=True)

    assert learned(histories, sparse.csr_matrix(held_out.shape, dtype=np.float32)) is None
