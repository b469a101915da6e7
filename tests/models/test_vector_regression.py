"""Ridge regression of indicators on the columns of dense vectors."""

import numpy as np
import pytest

from recommender.models.vector_regression import MOST_FREEDOM, PENALTIES, WHITENINGS, ridge


def world(n=300, n_columns=8, noise=0.5, seed=0):
    chance = np.random.default_rng(seed)
    rows = np.hstack([np.ones((n, 1)), chance.normal(size=(n, n_columns)) * 2.0 ** -np.arange(n_columns)])
    truth = chance.normal(size=(n_columns, 3))
    return rows, rows[:, 1:] @ truth + 5 + noise * chance.normal(size=(n, 3)), truth


def direct(rows, targets, weights, penalty, scales):
    """Ridge regression as a textbook has it, what does not vary left alone."""
    scaled = rows * np.where(scales > 0, scales, 1)
    shrunk = penalty * np.diag(scales > 0)
    return (
        np.linalg.solve((scaled.T * weights) @ scaled + shrunk, (scaled.T * weights) @ targets)
        * np.where(scales > 0, scales, 1)[:, None]
    )


def test_it_is_weighted_ridge_regression_with_a_free_constant():
    rows, targets, _ = world()
    trust = np.random.default_rng(1).uniform(0.1, 1, len(rows))
    found = ridge(rows, targets, trust)

    expected = direct(rows, targets, trust / trust.mean(), found.penalty, found.scales)
    assert found.weights == pytest.approx(expected, abs=1e-6)


def test_the_penalty_and_the_whitening_are_about_the_best_there_are():
    rows, targets, truth = world(n=60, n_columns=30, noise=2.0)
    found = ridge(rows, targets, np.ones(len(rows)))
    chance = np.random.default_rng(9)
    fresh = chance.normal(size=(2000, 30)) * 2.0 ** -np.arange(30)

    def error(weights):
        return float((((fresh @ weights[1:] + weights[0]) - (fresh @ truth + 5)) ** 2).mean())

    spreads = rows[:, 1:].std(axis=0)
    all_errors = [
        error(direct(rows, targets, np.ones(60), penalty, np.array([0, *spreads**-whitening])))
        for penalty in PENALTIES
        for whitening in WHITENINGS
    ]
    assert error(found.weights) < 1.5 * min(all_errors)
    assert error(found.weights) < np.median(all_errors)


def test_noise_predicts_nothing():
    chance = np.random.default_rng(2)
    rows, targets = chance.normal(size=(100, 20)), chance.normal(size=(100, 4))
    found = ridge(rows, targets, np.ones(100))

    assert (rows @ found.weights).var() < 0.05 * targets.var()


def test_with_fewer_rows_than_columns_it_is_not_fitted_to_the_noise():
    rows, targets, _ = world(n=20, n_columns=60, noise=1.0)
    found = ridge(rows, targets, np.ones(20))
    centred = (rows - rows.mean(axis=0)) * found.scales
    eigenvalues = np.linalg.eigvalsh(centred.T @ centred)

    assert 1 + (eigenvalues / (eigenvalues + found.penalty)).sum() < MOST_FREEDOM * 20


def test_columns_that_do_not_vary_give_the_mean():
    rows, targets = np.ones((10, 1)), np.arange(20.0).reshape(10, 2)

    assert ridge(rows, targets, np.ones(10)).weights == pytest.approx(targets.mean(axis=0)[None])
