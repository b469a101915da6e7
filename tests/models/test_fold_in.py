"""Fold-in against a plain loop, and in a world where its answer is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.models import fold_in as fold_in_module
from recommender.models.fold_in import (
    DECAY,
    LONGEST,
    PENALTY,
    PREFIX_LENGTHS,
    fold_in,
    fold_in_rows,
    history_share,
    learn_fold_in,
    recent_share,
    with_history_components,
)
from tests.support.known_worlds import ITEMS, learned_world, parity


def random_histories(lengths: list[int], d: int = 3, n_items: int = 60, seed: int = 0):
    chance = np.random.default_rng(seed)
    items = chance.standard_normal((n_items, d)).astype(np.float32)
    indptr = np.cumsum([0, *lengths]).astype(np.int64)
    indices = np.concatenate([chance.permutation(n_items)[:length] for length in lengths]).astype(np.int32)
    return items, indptr, indices, chance.standard_normal((len(lengths), d)).astype(np.float32)


def one_input(prefix: np.ndarray) -> np.ndarray:
    weights = [float(DECAY) ** age for age in reversed(range(len(prefix)))]
    base = np.append(1.0, np.average(prefix, axis=0, weights=weights))
    return np.append(base, base / np.sqrt(len(prefix)))


def slow_map(items, indptr, indices, targets) -> np.ndarray:
    """Ridge by least squares with the penalty as extra rows."""
    inputs, outputs = [], []
    for user, target in enumerate(targets):
        history = items[indices[indptr[user] : indptr[user + 1]]].astype(float)
        for length in (length for length in PREFIX_LENGTHS if length <= len(history)):
            inputs.append(one_input(history[:length]))
            outputs.append(target)
    d = items.shape[1]
    size = 2 * (d + 1)
    rows = np.vstack([*inputs, np.sqrt(PENALTY) * np.eye(size)])
    return np.linalg.lstsq(rows, np.vstack([*outputs, np.zeros((size, d))]))[0]


@pytest.mark.parametrize("lengths", [[1], [3, 0, 7], [55, 13, 2, 1, 20], [0, 0]])
def test_the_map_is_ridge_regression_on_the_first_interactions(lengths):
    histories = random_histories(lengths)
    weights = learn_fold_in(*histories)

    assert weights.dtype == np.float32
    assert weights == pytest.approx(slow_map(*histories), abs=1e-5)


@given(st.integers(1, 60))
def test_folding_in_applies_the_map_to_the_newest_items(n):
    items, *rest = random_histories([20, 10, 5])
    weights = learn_fold_in(items, *rest)
    recent = items[np.arange(n) % len(items)]

    assert fold_in(weights, recent) == pytest.approx(one_input(recent[-LONGEST:]) @ weights, abs=1e-5)


@given(st.integers(1, 60))
def test_recent_items_bring_the_history_components_of_the_mean_user_whatever_they_are(n):
    items, *rest = random_histories([20, 10, 5])
    weights = learn_fold_in(items, *rest)
    mean = np.array([0.5, -2], np.float32)
    recent = np.hstack([items, items[:, :2] + 1])[np.arange(n) % len(items)]
    folded = fold_in(with_history_components(weights, mean), recent)

    assert folded[:3] == pytest.approx(fold_in(weights, recent[:, :3]), abs=1e-6)
    assert (folded[3:] == -mean).all()


def test_more_items_than_count_change_nothing():
    items, *rest = random_histories([20, 10, 5])
    weights = learn_fold_in(items, *rest)
    recent = items[np.arange(LONGEST) % len(items)]

    assert (fold_in(weights, np.concatenate([items[:9], recent])) == fold_in(weights, recent)).all()


def test_among_very_many_users_a_sample_is_enough_and_always_the_same(monkeypatch):
    monkeypatch.setattr(fold_in_module, "MOST_USERS", 10)
    items, indptr, indices, targets = random_histories([5] * 40)
    first, again = (learn_fold_in(items, indptr, indices, targets) for _ in range(2))

    assert (first == again).all()
    assert (first != learn_fold_in(items, indptr, indices, targets, seed=1)).any()


def test_a_stranger_is_folded_into_the_group_of_what_they_clicked():
    snapshot = learned_world().snapshot()
    nobody = snapshot.user_space.encode({})
    for chosen in ITEMS:
        recent = snapshot.items.vectors[snapshot.item_ids.indices_of([chosen])]
        scores = snapshot.score(snapshot.user_vector(-1, nobody, recent), snapshot.item_ids.indices_of(ITEMS))
        best = [ITEMS[index] for index in np.argsort(-scores)[:5]]

        assert {parity(item) for item in best} == {parity(chosen)}


def test_the_newest_item_counts_most():
    weights = np.concatenate([np.zeros((1, 2)), np.eye(2), np.zeros((3, 2))]).astype(np.float32)
    old, new = np.eye(2, dtype=np.float32)

    folded = fold_in(weights, np.stack([old, new]))
    assert folded[1] > folded[0]
    assert folded == pytest.approx(np.array([DECAY, 1]) / (1 + DECAY))


@given(st.lists(st.integers(1, 60), max_size=4))
def test_many_histories_are_folded_in_as_each_alone(lengths):
    items, indptr, indices, targets = random_histories([60, *lengths])
    weights = learn_fold_in(items, indptr, indices, targets)
    rows = fold_in_rows(weights, items, indptr, indices)

    assert rows.dtype == np.float32
    for user, row in enumerate(rows):
        assert row == pytest.approx(fold_in(weights, items[indices[indptr[user] : indptr[user + 1]]]), abs=1e-5)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=4))
def test_history_components_are_folded_in_for_many_as_for_each_alone(lengths):
    items, indptr, indices, targets = random_histories([60, *lengths])
    chance = np.random.default_rng(0)
    mean = chance.standard_normal(3).astype(np.float32)
    weights = with_history_components(learn_fold_in(items, indptr, indices, targets), mean)
    wide = np.hstack([items, chance.standard_normal((len(items), 3))]).astype(np.float32)
    rows = fold_in_rows(weights, wide, indptr, indices)

    for user, row in enumerate(rows):
        assert row == pytest.approx(fold_in(weights, wide[indices[indptr[user] : indptr[user + 1]]]), abs=1e-4)


def test_history_counts_less_the_more_was_trained_and_never_less_than_its_least():
    shares = history_share(np.array([0, 1, 10, 100, 10**9]))

    assert (np.diff(shares) <= 0).all()
    assert shares == pytest.approx([1, 0.945, 0.7, 0.455, 0.4], abs=1e-3)


@given(st.integers(1, 100), st.booleans(), st.booleans())
def test_recent_interactions_count_more_the_more_they_are(n, known, has_features):
    share, more = (recent_share(each, known=known, has_features=has_features) for each in (n, n + 1))

    assert 0 < share <= more <= 1
    assert (share == 1) == (not known and not has_features)
