"""How much what is liked on average counts for strangers is learned from what features tell in this data."""

import msgspec
import numpy as np
import pandas as pd

from recommender.schema import Query
from recommender.serving.catalogue import Catalogue
from recommender.serving.recommender import Recommender
from recommender.training.full import TrainingData, choose, fit
from recommender.training.history_tuning import HistorySettings
from recommender.training.model_settings import ModelSettings

META = {"log_offset": 0, "items_sequence": 0, "version": "1"}
SETTINGS = ModelSettings(no_components=8, epochs=15, history=HistorySettings(low_pass=8))
N_USERS, N_GROUPS, ITEMS_A_GROUP = 160, 4, 30


def world() -> TrainingData:
    """Users like what their group likes, some of it more than the rest; their feature is the group."""
    chance = np.random.default_rng(5)
    groups = np.arange(N_USERS) % N_GROUPS
    shares = 1 / np.arange(2, ITEMS_A_GROUP + 2)
    liked = [chance.choice(ITEMS_A_GROUP, 10, replace=False, p=shares / shares.sum()) for _ in groups]
    rows = [
        (f"u{user}", f"i{group}-{item}")
        for user, (group, items) in enumerate(zip(groups, liked, strict=True))
        for item in items
    ]
    log = pd.DataFrame(rows, columns=["user_id", "item_id"])
    log = log.assign(weight=np.float32(1), timestamp=0.0, offset=np.arange(len(log)))
    return TrainingData(log, {f"u{user}": {"group": f"g{group}"} for user, group in enumerate(groups)}, [])


def test_what_is_liked_on_average_does_not_drown_what_features_tell():
    """However little LightFM's part counts for those whose history is known."""
    data = world()
    choices = choose(data, SETTINGS)
    assert choices is not None
    heavy = msgspec.structs.replace(choices, item_item_weights=[50.0] * 6, low_pass_weights=[50.0] * 6)
    _, snapshot = fit(data, SETTINGS, META, heavy)
    assert snapshot is not None

    answer = Recommender(Catalogue(snapshot)).recommend(Query(features={"group": "g2"}, k=10))
    assert sum(item.item_id.startswith("i2-") for item in answer.items) >= 9


def test_without_features_nothing_is_learned_of_strangers():
    data = world()
    assert choose(TrainingData(data.interactions, {}, []), SETTINGS).mean_history is None
