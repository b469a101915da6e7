"""Parts that are summed over histories: chosen on a hold-out, kept, and refitted by increments."""

import msgspec
import numpy as np
import pandas as pd
import pytest

from recommender.datasets import open_dataset
from recommender.models.implicit_als import ImplicitALSSettings, fit_implicit_als
from recommender.models.item_item import item_item_matrix
from recommender.models.low_pass import fit_low_pass
from recommender.serving.snapshot import Rows
from recommender.storage.registry import VersionMeta
from recommender.training.full import TrainingData, train_full
from recommender.training.history_choices import HistoryChoices, choices_of
from recommender.training.history_increment import refitted
from recommender.training.history_parts import HistoryParts, fit_history_parts, liked_pairs
from recommender.training.history_tuning import HistorySettings, defaults, tells_order
from recommender.training.model_settings import ModelSettings
from recommender.training.publishing import artifact_of
from recommender.training.snapshot_builder import CatalogueEntry

META = {"log_offset": 0, "items_sequence": 0, "version": "1"}
QUICK = ModelSettings(no_components=4, epochs=2, history=HistorySettings(low_pass=4))


def log(times) -> pd.DataFrame:
    users = np.repeat([f"u{each}" for each in range(len(times) // 4)], 4)
    return pd.DataFrame({"user_id": users, "timestamp": np.asarray(times, float)})


def test_numbers_of_rows_and_equal_times_tell_no_order_and_times_do():
    assert not tells_order(log(np.arange(40)))
    assert not tells_order(log(np.full(40, 1.6e9)))
    assert tells_order(log(1.6e9 + np.arange(40)))


@pytest.fixture(scope="module")
def interactions() -> pd.DataFrame:
    return open_dataset("synthetic?n_users=120&n_items=60&n_groups=3").interactions


def test_choices_are_learned_once_kept_in_the_manifest_and_learned_again_when_the_data_has_doubled(interactions):
    trained = train_full(TrainingData(interactions, {}, []), QUICK, meta=META, holdout=0)
    kept = choices_of(artifact_of(trained, VersionMeta()).meta)

    assert isinstance(kept, HistoryChoices)
    assert kept == trained.choices
    assert trained.snapshot.history.n_low_pass == kept.low_pass
    assert len(trained.snapshot.item_item.indptr) == trained.snapshot.n_known_items + 1
    again = train_full(TrainingData(interactions, {}, []), QUICK, meta=META, holdout=0, choices=kept)
    assert again.choices is kept
    assert kept.is_outgrown(2 * kept.n_interactions)


def test_lightfm_is_compared_after_fewer_passes_where_each_takes_long():
    items = [CatalogueEntry("a", {"tags": ["x", "y", "z"], "year": 1999}), CatalogueEntry("b", {})]
    data = TrainingData(log([]), {"u": {"country": "no"}}, items)
    settings = ModelSettings()

    assert data.columns_of_a_pair == 3
    assert settings.quick(100_000).epochs == settings.quick(100_000, data.columns_of_a_pair).epochs
    assert settings.quick(100_000, 40).epochs < settings.quick(100_000).epochs < settings.quick(10_000).epochs


def test_vectors_of_implicit_als_take_the_place_of_the_low_pass_filter_where_they_were_chosen():
    choices = msgspec.structs.replace(defaults("random", 400, HistorySettings(low_pass=3)), vectors="als")
    pairs = liked_pairs(Rows(np.arange(0, 401, 10), np.arange(400, dtype=np.int32) % 20, np.zeros(0)), 20)
    fitted = fit_history_parts(pairs, choices, budget_bytes=1 << 26).low_pass
    expected = fit_implicit_als(pairs, ImplicitALSSettings(3))

    assert np.array_equal(fitted.items, expected.items)
    assert set(fitted.shares) == {1.0}


def test_an_increment_refits_the_columns_of_items_that_gained_and_no_others():
    chance = np.random.default_rng(0)
    before, after = (
        Rows(np.arange(0, 401, 10), chance.integers(0, n, 400).astype(np.int32), np.zeros(0)) for n in (20, 22)
    )
    choices = defaults("last", 400, HistorySettings(low_pass=3))
    pairs = liked_pairs(before, 20)
    matrix = item_item_matrix(pairs, choices.item_item(1 << 26))
    gained = np.array([3, 20, 21, 21], np.int32)
    grown = refitted(HistoryParts(matrix, fit_low_pass(pairs, 3), choices), after, gained, 22, choices, refit_s=60)
    whole = item_item_matrix(liked_pairs(after, 22), choices.item_item(1 << 26)).toarray()

    assert np.allclose(grown.item_item.toarray()[:, [3, 20, 21]], whole[:, [3, 20, 21]], atol=1e-5)
    others = np.setdiff1d(np.arange(20), [3])
    assert np.array_equal(grown.item_item.toarray()[:20, others], matrix.toarray()[:, others])
    assert not grown.low_pass.items[20:].any()
