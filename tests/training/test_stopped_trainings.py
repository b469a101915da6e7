"""A full training of large data ends its epochs by held-out interactions, and begins with what is evaluated."""

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


def trained(data, monkeypatch, fewest=100, **given):
    """A training, the epochs of each of its fits, and with what each began."""
    fits, starts, fit = [], [], full.LFMRecommender.fit
    monkeypatch.setattr(epoch_choice, "FEWEST_INTERACTIONS", fewest)

    def counted(self, *args, epochs, stopping, **kwargs):
        starts.append(kwargs.get("start"))
        made = fit(self, *args, epochs=epochs, stopping=stopping, **kwargs)
        fits.append(epochs if stopping is None else stopping.epochs)
        return made

    monkeypatch.setattr(full.LFMRecommender, "fit", counted)
    return train_full(data, settings(**given), meta=META), fits, starts


def test_the_epochs_end_where_held_out_interactions_are_ranked_best_and_all_get_a_quarter_of_them(data, monkeypatch):
    made, fits, starts = trained(data, monkeypatch)

    assert made.epochs <= fits[0] < 200
    assert fits[1] == pytest.approx(made.epochs / 4, abs=1)
    assert starts[0] is None
    assert starts[1] is not None
    assert made.metrics["auc"] > 0.6
    assert made.snapshot is not None
    assert int((made.snapshot.seen.indptr[1:] > made.snapshot.seen.indptr[:-1]).sum()) == 120


def test_without_early_stopping_all_epochs_are_run(data, monkeypatch):
    made, fits, _ = trained(data, monkeypatch, early_stopping=False)

    assert made.epochs is None
    assert fits[0] == 200
    assert fits[1] == pytest.approx(50, abs=1)


def test_small_data_is_learned_from_scratch(data, monkeypatch):
    _, fits, starts = trained(data, monkeypatch, fewest=1_000_000)

    assert fits == [200, 200]
    assert starts == [None, None]


def test_a_model_that_has_seen_too_little_is_no_start(monkeypatch):
    monkeypatch.setattr(epoch_choice, "FEWEST_INTERACTIONS", 100)
    model = full.LFMRecommender()

    assert epoch_choice.WarmStart.after(model, 90, 99) is None
    assert epoch_choice.WarmStart.after(model, 600, 1000) is None
    assert epoch_choice.WarmStart.after(model, 900, 1000).epochs_of(50) == 13


def test_the_last_training_of_all_interactions_leaves_none_out(data, monkeypatch):
    made, *_ = trained(data, monkeypatch)

    pairs = data.interactions[["user_id", "item_id"]].drop_duplicates()
    assert len(made.snapshot.seen.indices) == len(pairs)
