from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from recommender.models.implicit_als import ImplicitALSSettings
from recommender.training.implicit_als_tuning import tune_implicit_als

pytestmark = pytest.mark.slow

FAR_OFF = ImplicitALSSettings(4, confidence=30.0, penalty=0.5)


def world() -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Few noisy interactions of taste groups, where hardly any penalty is far too little, and some held out."""
    chance = np.random.default_rng(0)
    groups = np.kron(np.eye(8), np.ones((75, 15)))
    there = chance.random(groups.shape) < np.where(groups > 0, 0.3, 0.05)
    held_out = there & (chance.random(groups.shape) < 0.2)
    train, test = (sparse.csr_matrix(each.astype(np.float32)) for each in (there & ~held_out, held_out))
    return train, test


def test_confidence_penalty_and_components_do_better_than_where_they_began() -> None:
    train, held_out = world()

    begun = tune_implicit_als(train, held_out, 0, start=FAR_OFF, most_components=8)
    tuned = tune_implicit_als(train, held_out, 60, start=FAR_OFF, most_components=8, clock=lambda: 0.0)

    assert begun.settings == FAR_OFF
    assert tuned.ndcg > begun.ndcg + 0.02
    assert tuned.settings.components == 8


def test_there_are_no_more_components_than_may_be() -> None:
    tuned = tune_implicit_als(*world(), 60, start=FAR_OFF, most_components=7, clock=lambda: 0.0)

    assert tuned.settings.components == 4
