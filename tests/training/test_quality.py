"""Floors on what the defaults recommend, in worlds with a known answer; real data: ``recommender evaluate``."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recommender.datasets.dataset import Dataset
from recommender.datasets.synthetic import make
from recommender.evaluation import evaluate
from recommender.experiments.baselines import PEERS
from recommender.experiments.candidates import Ours, defaults_for
from recommender.experiments.folds import fold_of
from recommender.experiments.scoring import ALL, COLD, candidate_sets
from recommender.training.history_tuning import HistorySettings
from recommender.training.model_settings import ModelSettings

pytestmark = pytest.mark.slow

NOISY = make(n_users=300, n_items=200, noise=0.2)
TINY = make(n_users=20, n_items=60, n_interactions_per_user=12, noise=0.1)


def bare(dataset: Dataset) -> Dataset:
    """The same without features."""
    return Dataset(dataset.interactions, dataset.users.iloc[:, :0], dataset.items.iloc[:, :0])


def ndcg(dataset: Dataset, split: str, contender, candidates: str = ALL, seed: int = 0) -> float:
    fold = replace(fold_of(dataset, split, 0.2, 0), seed=seed)
    mask = candidate_sets(fold, split)[candidates]
    return evaluate(contender.fit(fold, {}), fold.train, fold.test, candidates=mask).means["ndcg@10"]


@pytest.mark.parametrize("dataset", [NOISY, bare(NOISY), TINY, bare(TINY)], ids=["noisy", "bare", "tiny", "tiny bare"])
@pytest.mark.parametrize("split", ["random", "last"])
def test_the_defaults_find_tastes_as_well_as_a_closed_form_and_far_better_than_popularity(dataset, split):
    ease, popular = (ndcg(dataset, split, each) for each in (PEERS["ease"], PEERS["popularity"]))
    # tiny data: what one seed gives is off by 0.035 (standard deviation of 12)
    ours = np.mean([ndcg(dataset, split, Ours(defaults_for(split)), seed=seed) for seed in range(4)])

    assert ours > 0.93 * ease
    assert ours > 2 * popular


def test_new_items_are_found_among_all_and_better_than_by_chance_among_themselves():
    by_chance = ndcg(NOISY, "cold-items", PEERS["popularity"], COLD)

    assert ndcg(NOISY, "cold-items", Ours(), COLD) > 1.5 * by_chance
    assert ndcg(NOISY, "cold-items", Ours(), ALL) > 0.05


def test_new_users_with_features_get_more_than_what_is_popular():
    assert ndcg(NOISY, "cold-users", Ours()) > 1.5 * ndcg(NOISY, "cold-users", PEERS["popularity"])


def catalogued() -> Dataset:
    """Pairs as linked as films: everyone and everything is a blend of few of six tastes, some items are popular."""
    chance = np.random.default_rng(0)
    users, items = (chance.dirichlet(np.full(6, 0.15), n) for n in (250, 150))
    appeal = np.log(users @ items.T + 1e-3) - 0.7 * np.log(np.arange(150) + 5)
    order = np.argsort(-(appeal + chance.gumbel(size=appeal.shape) * 0.5), axis=1)[:, :25]
    pairs = pd.DataFrame({"user_id": np.repeat(np.arange(250), 25), "item_id": order.ravel()}).astype(str)
    pairs = pairs.assign(weight=np.float32(1), timestamp=np.arange(len(pairs), dtype=float))
    nothing = pd.DataFrame(index=pd.Index([], dtype=str))
    return Dataset(pairs, nothing, nothing)


def test_what_is_summed_over_histories_adds_to_what_lightfm_learned():
    dataset = catalogued()
    without = Ours(replace(ModelSettings(), history=HistorySettings(enabled=False)))

    assert ndcg(dataset, "random", Ours()) > 1.02 * ndcg(dataset, "random", without)
