"""What is forgotten leaves model, archive and store, is a stranger then and no error, and may come back."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from deployments.args import AppArgs
from recommender.errors import TrainingError
from recommender.schema import Query, RankQuery, UserState
from recommender.serving.catalogue import Catalogue
from recommender.serving.recommender import Recommender
from recommender.serving.snapshot import Snapshot
from recommender.storage.archive.archive import Archive
from recommender.storage.registry import Registry
from recommender.stores import MemoryStore
from recommender.stores.protocols import Interaction, Item, User
from recommender.training.forgetting import DAY_S, ForgetSettings, StoredRecords, remember
from recommender.training.model_settings import ModelSettings
from recommender.training.pipeline import TrainingPipeline

pytestmark = pytest.mark.anyio
NOW = 1000 * DAY_S
ITEMS = [f"i{n}" for n in range(8)]
USERS = [f"u{n}" for n in range(6)]
FORGET = ForgetSettings(users_idle_days=100, items_gone_days=30, interactions_older_than_days=200)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def ago(days: float) -> float:
    return NOW - days * DAY_S


class World:
    """A pipeline whose clock stands where it is put."""

    def __init__(self, folder, forget: ForgetSettings = FORGET) -> None:
        self.store, self.now = MemoryStore(), NOW
        self.registry, self.archive = Registry(folder / "models"), Archive(folder / "archive")
        self.learner = TrainingPipeline(
            self.registry,
            self.archive,
            self.store,
            ModelSettings(no_components=4, epochs=2),
            holdout=0,
            keep_versions=1,
            forget=forget,
            clock=lambda: self.now,
        )

    async def say(self, user: str, days: float, *items: str) -> None:
        await self.store.append([Interaction(user, each, 1.0, self.now - days * DAY_S) for each in items])

    async def learn(self, mode: str = "full") -> Snapshot:
        learned = await self.learner.learn(mode)
        self.registry.advance()
        artifact = self.registry.load(learned.version, ("snapshot",))
        meta = {**artifact.meta.snapshot, "version": learned.version}
        return Snapshot.from_arrays(artifact.parts["snapshot"], meta)

    def archived(self) -> pd.DataFrame:
        return self.archive.read(list(self.learner.newest().meta.segments))


@pytest.fixture
async def world(tmp_path):
    made = World(tmp_path)
    await made.store.put_users([User(each, {"sex": "f"}, ago(900)) for each in USERS])
    await made.store.put_items([Item(each, each, {"g": "a"}, True, ago(900)) for each in ITEMS])
    for number, user in enumerate(USERS):
        await made.say(user, 10, *ITEMS[: 3 + number % 3])
    await made.say("u1", 250, "i5", "i6")
    await made.say("idle", 150, *ITEMS)
    await made.say("old", 300, *ITEMS)
    await made.say("u2", 40, "unlisted")
    await made.store.put_users([User("idle", {"sex": "m"}, ago(500)), User("young", {"sex": "m"}, ago(50))])
    await made.store.put_items([Item("i2", "i2", {"g": "b"}, False, ago(31)), Item("i3", "i3", None, False, ago(29))])
    return made


async def test_old_interactions_idle_users_and_items_that_are_gone_leave_model_and_archive(world):
    snapshot = await world.learn()
    archived = world.archived()

    assert set(archived["user_id"]) == set(snapshot.user_ids) == set(USERS)
    assert set(archived["item_id"]) == {"i0", "i1", "i3", "i4"}
    assert archived["timestamp"].min() >= ago(100)
    assert not {"i2", "unlisted"} & set(snapshot.item_ids)
    assert not {"idle", "old"} & set(snapshot.user_ids)


async def test_records_of_the_forgotten_leave_the_store_and_those_of_others_stay(world):
    await world.learn()

    assert [user and user.user_id for user in await world.store.get_users(["idle", "young", "u1"])] == [
        None,
        "young",
        "u1",
    ]
    assert [item and item.item_id for item in await world.store.get_items(["i2", "i3", "i5"])] == [None, "i3", "i5"]


async def test_who_is_forgotten_is_a_stranger_to_every_question(world):
    recommender = Recommender(Catalogue(await world.learn()))
    stranger, featured = (
        recommender.recommend(Query(user_id="idle", features=features), UserState(None))
        for features in (None, {"sex": "f"})
    )
    ranking = recommender.rank(RankQuery(items=(("i2", None), ("unlisted", None), ("i0", None)), user_id="idle"))

    assert (stranger.strategy, stranger.case) == ("popular", "IV")
    assert featured.strategy == "features"
    assert {"i2", "unlisted"}.isdisjoint(each.item_id for each in stranger.items)
    assert [each.item_id for each in ranking.items] == ["i0"]
    assert {each.item_id: each.case for each in ranking.unscored} == {"i2": "XVI", "unlisted": "XVI"}
    assert recommender.similar_items("i2", 3) is None
    assert recommender.similar_users("idle", UserState(None), 3) is None


async def test_what_was_forgotten_may_come_back(world):
    await world.learn()
    await world.say("idle", 0, "i2", "unlisted", "i0")
    snapshots = [await world.learn("incremental"), await world.learn("full")]
    histories = [set(each.item_ids.ids_of(each.learned_items("idle"))) for each in snapshots]

    assert histories == [{"i2", "unlisted", "i0"}, {"unlisted", "i0"}]


async def test_an_item_that_is_put_again_may_come_back(world):
    await world.learn()
    await world.store.put_items([Item("i2", "i2", {"g": "a"}, True, NOW)])
    await world.say("u1", 0, "i2")
    recommender = Recommender(Catalogue(await world.learn()))

    assert "i2" in {each.item_id for each in recommender.recommend(Query(user_id="u0", k=20)).items}


async def test_nothing_is_forgotten_by_default(world, tmp_path):
    plain = World(tmp_path / "plain", ForgetSettings())
    plain.store = plain.learner._store = world.store
    plain.learner = TrainingPipeline(
        plain.registry, plain.archive, world.store, ModelSettings(no_components=4, epochs=2), holdout=0
    )
    snapshot = await plain.learn()

    assert {"idle", "old"} < set(snapshot.user_ids)
    assert {"i2", "unlisted"} < set(snapshot.item_ids)


async def test_where_all_is_forgotten_the_training_says_so_and_what_was_learned_stays(world):
    await world.learn()
    before = world.archived()
    world.now += 1000 * DAY_S

    with pytest.raises(TrainingError, match=r"training\.forget"):
        await world.learn()
    pd.testing.assert_frame_equal(world.archived(), before)
    assert len(await world.store.list_users(None, 99)) > 0


class Rows(NamedTuple):
    """Kept rows by number."""

    settings: ForgetSettings
    kept: list[int]


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        Rows(ForgetSettings(), [0, 1, 2, 3, 4]),
        Rows(ForgetSettings(interactions_older_than_days=10), [1, 2, 4]),
        Rows(ForgetSettings(users_idle_days=10), [0, 1, 2, 4]),
        Rows(ForgetSettings(items_gone_days=10), [1, 2, 3, 4]),
        Rows(ForgetSettings(items_gone_days=25), [0, 1, 2, 3, 4]),
        Rows(ForgetSettings(users_idle_days=1, items_gone_days=1, interactions_older_than_days=9), [2]),
    ],
)
def test_each_setting_forgets_what_it_names_and_what_has_no_time_is_kept(settings, kept):
    frame = pd.DataFrame(
        {
            "user_id": ["a", "a", "b", "c", "d"],
            "item_id": ["x", "y", "y", "y", "y"],
            "timestamp": [ago(20), ago(5), np.nan, ago(20), ago(10)],
        }
    )
    remembered = remember(frame, StoredRecords(items=["y"]), settings, NOW)

    assert remembered.interactions.index.tolist() == kept


def test_a_day_count_that_is_none_is_refused_by_name():
    for name in ("users_idle_days", "items_gone_days", "interactions_older_than_days"):
        with pytest.raises(ValueError, match=name):
            AppArgs.model_validate({"training": {"forget": {name: 0}}})
    given = AppArgs.model_validate({"training": {"forget": {"users_idle_days": 0.5}}})

    assert given.training.forget.settings() == ForgetSettings(users_idle_days=0.5)
