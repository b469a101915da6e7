"""Intervals against scipy, and against worlds where the truth is known."""

import numpy as np
import pytest
from scipy import stats

from recommender.evaluation import interval_over_seeds, paired_bootstrap


def test_the_interval_over_seeds_is_students():
    values = [0.41, 0.43, 0.44, 0.40, 0.42]

    found = interval_over_seeds(values)

    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert found == pytest.approx((np.mean(values), expected.low, expected.high))


def test_one_seed_has_a_mean_without_bounds_and_none_has_nothing():
    assert interval_over_seeds([0.3]).mean == 0.3
    assert not interval_over_seeds([0.3]).is_known
    assert np.isnan(interval_over_seeds([]).mean)


def test_the_bootstrap_is_that_of_scipy():
    differences = np.random.default_rng(0).gamma(2.0, size=300) - 1.5

    found = paired_bootstrap(np.arange(300), differences, resamples=8000)

    expected = stats.bootstrap(
        (differences,), np.mean, n_resamples=8000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert found.mean == pytest.approx(differences.mean())
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.01)


def test_the_bootstrap_holds_the_truth_as_often_as_it_says():
    random = np.random.default_rng(3)
    held = 0
    for seed in range(200):
        found = paired_bootstrap(np.arange(80), random.normal(0.2, 1, 80), resamples=400, seed=seed)
        held += found.low <= 0.2 <= found.high

    assert 0.89 <= held / 200 <= 0.99


def test_a_user_judged_several_times_counts_once_for_the_width():
    once = np.random.default_rng(4).normal(size=100)

    single = paired_bootstrap(np.arange(100), once)
    repeated = paired_bootstrap(np.tile(np.arange(100), 5), np.tile(once, 5))

    assert repeated == pytest.approx(single)


def test_users_judged_more_often_weigh_more_in_the_mean():
    found = paired_bootstrap(np.array([0, 0, 0, 1]), np.array([1.0, 1.0, 1.0, 0.0]))

    assert found.mean == 0.75
    assert (found.low, found.high) == (0.0, 1.0)


def test_one_user_or_nobody_has_no_bounds():
    assert paired_bootstrap(np.array([4, 4]), np.array([1.0, 0.0])).mean == 0.5
    assert not paired_bootstrap(np.array([4, 4]), np.array([1.0, 0.0])).is_known
    assert np.isnan(paired_bootstrap(np.zeros(0, np.int32), np.zeros(0)).mean)


def test_drawing_in_parts_changes_nothing(monkeypatch):
    users, differences = np.arange(50), np.random.default_rng(5).normal(size=50)
    whole = paired_bootstrap(users, differences)

    monkeypatch.setattr("recommender.evaluation.intervals.WEIGHTS_AT_ONCE", 700)

    assert paired_bootstrap(users, differences) == whole
