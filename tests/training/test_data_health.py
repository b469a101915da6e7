"""Health of the data: what a training saw, and what it says of changes."""

import msgspec
import pandas as pd
import pytest

from recommender.storage.archive.archive import Archive
from recommender.storage.registry import Registry
from recommender.storage.registry.data_health import DataHealth, SideHealth
from recommender.stores import MemoryStore
from recommender.stores.protocols import Interaction, Item, User
from recommender.training.data_changes import with_changes
from recommender.training.data_survey import survey
from recommender.training.history_tuning import HistorySettings
from recommender.training.model_settings import ModelSettings
from recommender.training.pipeline import TrainingPipeline
from tests.support.asynchronous import asynchronous

SETTINGS = ModelSettings(no_components=4, epochs=1, min_steps=0, history=HistorySettings(tune_s=0.0))
DAY = 86_400.0


def frame(n: int, event="click", time=DAY, **more) -> pd.DataFrame:
    columns = {
        "user_id": [f"u{each % 10}" for each in range(n)],
        "item_id": [f"i{each % 5}" for each in range(n)],
        "timestamp": [time] * n,
        "event": [event] * n,
    }
    return pd.DataFrame({**columns, **more})


def test_volumes_shares_and_features_are_those_of_the_data():
    table = pd.concat([frame(6), frame(3, None, 2.5 * DAY), frame(1, "buy", float("nan"))])
    found = survey(table, {"a": {"age": 1}, "b": {}, "c": {"age": 2, "sex": "f"}}, {"i": {}}, None)

    assert found == DataHealth(
        interactions=10,
        by_event={"click": 6, "none": 3, "buy": 1},
        by_day={"1970-01-02": 6, "1970-01-03": 3},
        without_timestamp=0.1,
        users=SideHealth(3, 0.3333, {"age": 0.6667, "sex": 0.3333}),
        items=SideHealth(1, 1.0, {}),
    )


BEFORE = DataHealth(
    interactions=100,
    by_event={"click": 60, "buy": 40},
    users=SideHealth(100, 0.1, {"age": 0.9, "sex": 0.5}),
    items=SideHealth(100, 0.0, {"genre": 1.0}),
)


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (BEFORE, []),
        ({"users": SideHealth(100, 0.1, {"sex": 0.5})}, ["no longer have the feature 'age', which 90% of them had"]),
        (
            {"users": SideHealth(100, 0.1, {"age": 0.9, "sex": 0.5, "city": 0.3})},
            ["30% of the users have a new feature, 'city'"],
        ),
        ({"users": SideHealth(100, 0.1, {"age": 0.6, "sex": 0.5})}, ["'age' is there for 60% of the users, after 90%"]),
        ({"items": SideHealth(100, 0.5, {"genre": 1.0})}, ["50% of the items have no features, after 0%"]),
        ({"items": SideHealth(10, 1.0, {})}, []),
        ({"by_event": {"click": 100}}, ["no interaction has the event 'buy' any more, which 40% had"]),
        ({"by_event": {"click": 60, "buy": 30, "view": 10}}, ["10% of the interactions have a new event, 'view'"]),
        ({"without_timestamp": 0.3}, ["30% of the interactions have no timestamp, after 0%"]),
        ({"popularity_shift": 0.7}, ["distance 0.70"]),
        (
            {"cases": {"I": 0.3, "IV": 0.6, "XVI": 0.1}},
            ["70% of the interactions are of users of whom nothing is known"],
        ),
        (
            {"by_day": {**{f"d{each}": 100 for each in range(5)}, "d5": 20, "d6": 3}},
            ["d5 has 20 interactions, where 100"],
        ),
        ({"by_day": {f"d{each}": 100 for each in range(6)} | {"d6": 3}}, []),
    ],
)
def test_what_changed_is_said_in_words(now, said):
    now = now if isinstance(now, DataHealth) else msgspec.structs.replace(BEFORE, **now)
    changes = with_changes(now, BEFORE).changes

    assert len(changes) == len(said)
    assert all(words in change for words, change in zip(said, changes, strict=True))


@asynchronous
async def test_each_training_says_what_is_otherwise_than_at_the_last(tmp_path):
    store, registry = MemoryStore(), Registry(tmp_path / "models")
    pipeline = TrainingPipeline(registry, Archive(tmp_path / "archive"), store, SETTINGS, holdout=0.0)
    users = [User(f"u{each}", {"age": each}, 0.0) for each in range(60)]
    await store.put_users(users)
    await store.put_items([Item(f"i{each}", None, {"genre": "a"}, True, 0.0) for each in range(5)])

    async def click(start: int, n: int, event: str) -> None:
        rows = [
            Interaction(f"u{each % 60}", f"i{each % 5}", 1.0, DAY + each, event) for each in range(start, start + n)
        ]
        await store.append(rows)

    await click(0, 300, "click")
    await pipeline.learn("full")
    await store.put_users([User(user.user_id, {"city": "x"}, 1.0) for user in users])
    await click(300, 300, "view")
    await pipeline.learn("full")
    second, first = (version.meta.data for version in registry.versions())

    assert (first.changes, first.cases, first.interactions) == ([], {}, 300)
    assert (second.interactions, second.by_event) == (300, {"view": 300})
    assert second.cases == {"I": 1.0}
    assert second.popularity_shift == 0.0
    assert [change for change in second.changes if "'age'" in change or "'city'" in change or "'view'" in change] == [
        "users no longer have the feature 'age', which 100% of them had",
        "100% of the users have a new feature, 'city'",
        "100% of the interactions have a new event, 'view'",
    ]
