"""A fit ends where held-out pairs are not ranked better any more, and says after how many epochs they were best."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recommender.models import early_stopping
from recommender.models.early_stopping import EarlyStopping
from recommender.models.lightfm_recommender import LFMRecommender
from recommender.sparse_frame import SparseFrame
from recommender.training import epoch_choice
from recommender.training.epoch_choice import hold_out_for_stopping

N_USERS, N_ITEMS = 60, 40


def two_groups() -> pd.DataFrame:
    """Even users like even items, odd users odd ones; each half of them."""
    chance = np.random.default_rng(0)
    rows = [
        (f"u{user}", f"i{item}")
        for user in range(N_USERS)
        for item in chance.permutation(np.arange(user % 2, N_ITEMS, 2))[: N_ITEMS // 4].tolist()
    ]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id"])
    return frame.assign(weight=1.0, timestamp=np.arange(len(frame), dtype=float))


def fitted(frame: pd.DataFrame, stopping: EarlyStopping | None, epochs: int, **settings) -> LFMRecommender:
    matrix = SparseFrame.from_interactions(frame["user_id"], frame["item_id"])
    model = LFMRecommender(no_components=8, loss="warp", random_state=1, **settings)
    return model.fit(matrix, epochs=epochs, stopping=stopping)


@pytest.mark.parametrize("fit_with", ["compiled", "lightfm"])
def test_a_fit_ends_when_nothing_is_gained_and_has_the_weights_that_were_best(fit_with):
    frame = two_groups()
    held_out = frame.drop_duplicates("user_id", keep="last")
    stopping = EarlyStopping(held_out)
    model = fitted(frame.drop(held_out.index), stopping, 1000, fit_with=fit_with)
    plain = fitted(frame.drop(held_out.index), None, stopping.best_epochs, fit_with=fit_with)

    assert stopping.is_over
    assert early_stopping.FIRST_LOOK <= stopping.best_epochs < stopping.epochs < 1000
    np.testing.assert_array_equal(model.item_embeddings, plain.item_embeddings)
    np.testing.assert_array_equal(model.user_bias_gradients, plain.user_bias_gradients)


def test_where_it_gains_to_the_end_all_epochs_are_run():
    frame = two_groups()
    stopping = EarlyStopping(frame.drop_duplicates("user_id", keep="last"))
    fitted(frame, stopping, early_stopping.FIRST_LOOK)

    assert not stopping.is_over
    assert stopping.best_epochs == stopping.epochs == early_stopping.FIRST_LOOK


def test_the_gain_is_that_of_ranks_among_items_that_were_not_chosen():
    frame = two_groups()
    held_out = frame.drop_duplicates("user_id", keep="last")
    past = frame.drop(held_out.index)
    model = fitted(past, None, 3)
    users, items = (
        side.ids.indices_of(past[name]) for side, name in ((model.users, "user_id"), (model.items, "item_id"))
    )
    shape = len(model.users.ids), len(model.items.ids)
    interactions = sparse.coo_matrix((np.ones(len(past), np.float32), (users, items)), shape)
    gains = []
    for user, item in zip(held_out["user_id"], held_out["item_id"], strict=True):
        if item not in model.items.ids:
            continue
        scores = model.predict_online(user).drop(past["item_id"][past["user_id"] == user])
        gains.append(1 / np.log2(1 + (scores > scores[item]).sum() + 1))
    unknown = pd.DataFrame({"user_id": ["u0", "nobody"], "item_id": ["nothing", "i0"]})
    pairs = early_stopping._HeldOutPairs(model, interactions, pd.concat([held_out, unknown]))

    assert pairs.mean_gain(model) == pytest.approx(np.mean(gains), rel=1e-6)


def test_large_data_holds_out_the_newest_liking_of_some_users_with_all_of_the_pair(monkeypatch):
    monkeypatch.setattr(epoch_choice, "FEWEST_INTERACTIONS", 10)
    monkeypatch.setattr(epoch_choice, "FEWEST_USERS", 5)
    monkeypatch.setattr(epoch_choice, "MOST_USERS", 20)
    frame = pd.concat([two_groups(), two_groups().assign(weight=2.0)], ignore_index=True)
    frame.loc[len(frame)] = ["u0", "i1", -1.0, 1e6]
    kept, stopping = hold_out_for_stopping(frame, seed=0)
    gone = frame.drop(kept.index)

    assert gone["user_id"].nunique() == 20
    assert len(gone) == 40
    assert len(stopping._held_out) == 20
    for user, theirs in gone.groupby("user_id"):
        newest = frame[(frame["user_id"] == user) & (frame["weight"] > 0)].sort_values("timestamp").iloc[-1]
        assert set(theirs["item_id"]) == {newest["item_id"]}


def test_small_data_holds_out_nothing():
    frame = two_groups()
    kept, stopping = hold_out_for_stopping(frame, seed=0)

    assert kept is frame
    assert stopping is None
