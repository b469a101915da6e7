"""A full training ends its epochs by held-out interactions, and says after how many it did."""

from __future__ import annotations

import pytest

from recommender.datasets import open_dataset
from recommender.datasets.dataset import feature_records
from recommender.training import epoch_choice, full
from recommender.training.full import TrainingData, train_full
from recommender.training.history_tuning import HistorySettings
from recommender.training.model_settings import ModelSettings
from recommender.training.snapshot_builder import CatalogueEntry

META = {"log_offset": 0, "items_sequence": 0}


@pytest.fixture(scope="module")
def data() -> TrainingData:
    dataset = open_dataset("synthetic?n_users=120&n_items=60&n_interactions_per_user=20")
    entries = [CatalogueEntry(item_id, features) for item_id, features in feature_records(dataset.items)]
    return TrainingData(dataset.interactions.assign(offset=0), dict(feature_records(dataset.users)), entries)


def settings(**given) -> ModelSettings:
    return ModelSettings(no_components=8, epochs=200, min_steps=0, history=HistorySettings(enabled=False), **given)


def trained(data, monkeypatch, **given):
    """A training, and the epochs of each of its fits."""
    fits, fit = [], full.LFMRecommender.fit
    monkeypatch.setattr(epoch_choice, "FEWEST_INTERACTIONS", 100)

    def counted(self, *args, epochs, stopping, **kwargs):
        made = fit(self, *args, epochs=epochs, stopping=stopping, **kwargs)
        fits.append(epochs if stopping is None else stopping.epochs)
        return made

    monkeypatch.setattr(full.LFMRecommender, "fit", counted)
    return train_full(data, settings(**given), meta=META), fits


def test_the_model_of_all_interactions_has_the_epochs_after_which_held_out_ones_were_ranked_best(data, monkeypatch):
    made, fits = trained(data, monkeypatch)

    assert made.epochs == fits[1] <= fits[0] < 200
    assert made.metrics["auc"] > 0.6
    assert made.snapshot is not None
    assert int((made.snapshot.seen.indptr[1:] > made.snapshot.seen.indptr[:-1]).sum()) == 120


def test_without_early_stopping_all_epochs_are_run(data, monkeypatch):
    made, fits = trained(data, monkeypatch, early_stopping=False)

    assert made.epochs is None
    assert fits == [200, 200]


def test_the_last_training_of_all_interactions_leaves_none_out(data, monkeypatch):
    made, _ = trained(data, monkeypatch)

    pairs = data.interactions[["user_id", "item_id"]].drop_duplicates()
    assert len(made.snapshot.seen.indices) == len(pairs)
