from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from recommender.errors import InvalidDataError
from recommender.evaluation import evaluate
from recommender.models.mixture import LENGTHS, Mixture, Score, learn_mixture, scale_of

N_USERS, N_ITEMS = 800, 60


class World:
    """Users like what scores best by their taste; half of them have short histories and half have long ones."""

    def __init__(self, seed: int = 0) -> None:
        self.chance = np.random.default_rng(seed)
        self.taste = self.chance.standard_normal((N_USERS, N_ITEMS)).astype(np.float32)
        liked = np.argsort(-self.taste, axis=1)
        lengths = np.where(np.arange(N_USERS) % 2, 20, 2)
        train, held_out = np.zeros((2, N_USERS, N_ITEMS), np.float32)
        for user, length in enumerate(lengths):
            train[user, liked[user, 3 : 3 + length]] = 1
            held_out[user, liked[user, :3]] = 1
        self.train, self.held_out = sparse.csr_matrix(train), sparse.csr_matrix(held_out)

    def noisy(self, noise: float | NDArray[np.float32], size: float = 1.0) -> Score:
        scores = size * (self.taste + noise * self.chance.standard_normal(self.taste.shape)).astype(np.float32)
        return lambda users: scores[users]

    def learn(self, **parts: Score) -> Mixture:
        return learn_mixture(parts, self.train, self.held_out)


def test_two_parts_that_err_differently_are_better_together() -> None:
    world = World()

    learned = world.learn(one=world.noisy(1.0), other=world.noisy(1.0))

    assert (learned.weights > 0.2).all()
    assert learned.ndcg["mixture"] > max(learned.ndcg["one"], learned.ndcg["other"]) + 0.03


def test_a_part_that_says_nothing_counts_nothing() -> None:
    world = World()
    learned = world.learn(noise=world.noisy(100.0), good=world.noisy(0.2))

    assert (learned.weights[:, 0] <= 0.0625).all()
    assert (learned.weights[:, 1] >= 0.5).all()


@pytest.mark.parametrize("seed", range(6))
def test_the_mixture_is_never_worse_than_the_better_part_alone(seed: int) -> None:
    world = World(seed)
    chance = np.random.default_rng(seed)
    parts = {str(n): world.noisy(chance.uniform(0.2, 20)) for n in range(3)}

    learned = learn_mixture(parts, world.train, world.held_out)

    assert learned.ndcg["mixture"] >= max(learned.ndcg[name] for name in parts)


def test_each_length_of_history_has_the_part_that_does_best_there() -> None:
    world = World()
    is_long = (np.arange(N_USERS) % 2)[:, None].astype(np.float32)

    learned = world.learn(short=world.noisy(30 * is_long), long=world.noisy(30 * (1 - is_long)))
    short, long = learned.of_lengths(np.array([2, 20]), np.ones(2, np.float32))

    assert short[0] > 2 * short[1]
    assert long[1] > 2 * long[0]


def test_weights_are_in_scales_of_the_parts() -> None:
    world, same = World(), World()
    plain = world.learn(one=world.noisy(1.0), other=world.noisy(1.0))
    larger = same.learn(one=same.noisy(1.0), other=same.noisy(1.0, size=1000.0))
    scales = np.array([2.0, 4.0], np.float32)

    assert (larger.weights == plain.weights).all()
    assert (plain.of_lengths(np.array([2]), scales) == plain.weights[1] / scales).all()


def test_a_part_judged_alone_has_the_ndcg_of_the_evaluation() -> None:
    world = World()
    part = world.noisy(1.0)

    learned = learn_mixture({"one": part}, world.train, world.held_out, k=7)

    assert learned.ndcg["one"] == pytest.approx(evaluate(part, world.train, world.held_out, k=7).means["ndcg@7"])


def test_without_held_out_interactions_one_part_counts() -> None:
    world = World()
    nothing = sparse.csr_matrix(world.train.shape, dtype=np.float32)

    learned = learn_mixture({"one": world.noisy(1.0), "other": world.noisy(1.0)}, world.train, nothing)

    assert learned.weights.tolist() == [[1.0, 0.0]] * len(LENGTHS)


def test_every_user_has_a_bucket() -> None:
    learned = Mixture(("one",), np.arange(len(LENGTHS), dtype=np.float32)[:, None], {})

    weights = learned.of_lengths(np.array([0, 1, 3, 4, 9, 10, 10**6]), np.ones(1, np.float32))

    assert weights[:, 0].tolist() == [0, 1, 1, 2, 2, 3, len(LENGTHS) - 1]


def test_the_scale_of_a_part_is_the_mean_spread_of_its_scores() -> None:
    assert scale_of(np.array([[1, 3], [2, 8]], np.float32)) == 2.0
    assert scale_of(np.zeros((0, 4), np.float32)) == 0.0


def test_a_part_that_says_the_same_of_all_items_takes_no_part() -> None:
    world = World()

    learned = world.learn(flat=lambda users: np.ones((len(users), N_ITEMS), np.float32), good=world.noisy(0.5))

    assert (learned.weights[:, 1] > 0).all()
    assert np.isfinite(learned.of_lengths(np.array([5]), np.array([0, 1], np.float32))).all()


def test_scores_that_are_no_numbers_are_refused() -> None:
    world = World()

    with pytest.raises(InvalidDataError, match="NaN"):
        world.learn(bad=lambda users: np.full((len(users), N_ITEMS), np.nan, np.float32))
    with pytest.raises(InvalidDataError, match="no parts"):
        world.learn()
