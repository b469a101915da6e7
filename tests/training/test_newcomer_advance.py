"""Share of the lists that untouched items get: news are promoted, what was merely not seen is not."""

import numpy as np
import pandas as pd
import pytest

from recommender.schema import Query
from recommender.serving.catalogue import Catalogue, ItemChange
from recommender.serving.recommender import Recommender
from recommender.training.full import TrainingData, fit
from recommender.training.history_tuning import HistorySettings, defaults
from recommender.training.model_settings import ModelSettings
from recommender.training.newcomer_advance import (
    LARGEST_SHARE,
    LARGEST_UNSEEN_SHARE,
    TIMES_THEIR_SHARE,
    share_of_newcomers,
)
from recommender.training.snapshot_builder import CatalogueEntry

META = {"version": "1", "log_offset": 0, "items_sequence": 0}
COMMON = np.full(1000, 50)


def test_as_many_untouched_items_as_were_to_be_expected_get_what_singletons_promise():
    counts = np.concatenate([COMMON, np.full(100, 1), np.full(50, 2)])

    share = share_of_newcomers(counts, n_untouched=90, n_available=1240)

    assert share == pytest.approx(100 / counts.sum())
    assert share_of_newcomers(np.full(300, 1), n_untouched=90, n_available=390) == LARGEST_UNSEEN_SHARE


def test_what_is_beyond_them_is_news_and_gets_more_than_its_share_of_the_catalogue():
    assert share_of_newcomers(COMMON, 50, 1050) == pytest.approx(TIMES_THEIR_SHARE * 50 / 1050)
    assert share_of_newcomers(COMMON, 250, 1250) == pytest.approx(LARGEST_SHARE)


def test_a_catalogue_of_which_hardly_anything_was_touched_was_loaded_whole_and_is_no_news():
    assert share_of_newcomers(COMMON, 9000, 10_000) == 0
    assert share_of_newcomers(COMMON, 0, 1000) == 0


def world(n_new: int) -> TrainingData:
    """Films and songs, each of which one half of the users likes."""
    chance = np.random.default_rng(0)
    users, items = np.arange(60).repeat(12), chance.integers(0, 20, 720) * 2 + np.arange(60).repeat(12) % 2
    log = pd.DataFrame({"user_id": [f"u{each}" for each in users], "item_id": [f"i{each}" for each in items]})
    log = log.drop_duplicates().assign(weight=np.float32(1), timestamp=lambda frame: np.arange(len(frame)))
    names = [f"i{number}" for number in range(40)] + [f"new{number}" for number in range(n_new)]
    kinds = [["film", "song"][int(name[-1]) % 2] for name in names]
    catalogue = [CatalogueEntry(name, {"kind": kind}) for name, kind in zip(names, kinds, strict=True)]
    return TrainingData(log, {}, catalogue)


def listed(recommender: Recommender, wanted: str) -> float:
    """Share of the lists that items have whose id begins so."""
    answers = [recommender.recommend(Query(user_id=f"u{number}")).items for number in range(60)]
    return float(np.mean([item.item_id.startswith(wanted) for answer in answers for item in answer]))


@pytest.mark.parametrize("parts", [True, False], ids=["with history parts", "LightFM alone"])
def test_news_get_about_the_share_that_they_should_have(parts):
    settings = ModelSettings(no_components=8, epochs=5)
    choices = defaults("last", 700, HistorySettings(low_pass=4)) if parts else None
    _, snapshot = fit(world(6), settings, META, choices)

    assert listed(Recommender(Catalogue(snapshot)), "new") == pytest.approx(TIMES_THEIR_SHARE * 6 / 46, abs=0.1)


def test_an_item_that_is_put_where_there_were_none_comes_like_a_known_one():
    _, snapshot = fit(world(0), ModelSettings(no_components=8, epochs=5), META)
    recommender = Recommender(Catalogue(snapshot))
    recommender.catalogue.apply([ItemChange("new0", {"kind": "film"})], 1)

    assert 0.005 < listed(recommender, "new") < 0.1
