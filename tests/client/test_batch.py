"""Lists for everyone are those that each would be answered."""

from dataclasses import replace

import numpy as np
import pytest

from recommender.datasets import open_dataset
from recommender.schema import Query, UserState
from recommender.serving.batch import TOGETHER, BatchRecommender
from recommender.serving.catalogue import Catalogue
from recommender.serving.recommender import Recommender
from recommender.serving.snapshot import Rows
from recommender.training.from_dataset import training_data
from recommender.training.full import train_full
from recommender.training.model_settings import ModelSettings


@pytest.fixture(scope="module")
def world():
    data = training_data(open_dataset(f"synthetic?n_users={TOGETHER + 50}&n_items=80"))
    trained = train_full(data, ModelSettings(epochs=2), meta={"log_offset": 0, "items_sequence": 0}, holdout=0)
    snapshot = trained.snapshot
    return replace(snapshot, meta={**snapshot.meta, "version": "1"}), data.users


def by_user(lists, user_ids, catalogue):
    ends = np.cumsum(lists.lengths)
    for user, start, end in zip(lists.users.tolist(), ends - lists.lengths, ends, strict=True):
        items = [catalogue.item(position).item_id for position in lists.positions[start:end].tolist()]
        yield user_ids[user], items, lists.scores[start:end].tolist()


@pytest.mark.parametrize(
    "options", [{}, {"exclude_seen": False}, {"filters": ("group:g1",)}, {"filters": ("-group:g1", "-group:g2")}]
)
@pytest.mark.parametrize("stored", [False, True])
def test_a_list_is_the_answer_to_a_request(world, options, stored):
    snapshot, features = world
    everyone, one = BatchRecommender(snapshot, 7, **options), Recommender(Catalogue(snapshot))
    user_ids = list(snapshot.user_ids)
    states = [UserState(features=features[user_id]) for user_id in user_ids]
    lists = everyone.stored(user_ids, states) if stored else everyone.learned(0, len(user_ids))

    found = list(by_user(lists, user_ids, everyone.catalogue))

    assert len(found) == len(user_ids)
    for (user_id, items, scores), state in zip(found, states, strict=True):
        query = Query(
            user_id=user_id,
            k=7,
            filter=options.get("filters", ()),
            exclude_seen=options.get("exclude_seen", True),
        )
        answer = one.recommend(query, state)
        assert items == [item.item_id for item in answer.items]
        assert scores == pytest.approx([item.score for item in answer.items], rel=1e-6)


def test_who_was_forgotten_has_no_list(world):
    snapshot, _ = world
    nobody = np.zeros(len(snapshot.user_rows.indptr), np.int64)
    nothing = Rows(nobody, np.zeros(0, np.int32), np.zeros(0, np.float32))
    forgetful = replace(snapshot, seen=nothing, user_rows=nothing, disliked=nothing)

    assert not len(BatchRecommender(forgetful, 5).learned(0, 10).users)
    assert not len(BatchRecommender(forgetful, 5).stored(["x", "y"], [UserState(), UserState(deleted_at=9)]).users)
