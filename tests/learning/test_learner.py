"""From the log to a version: nothing twice, nothing lost, whoever was deleted forgotten."""

import asyncio
import functools
from pathlib import Path

import numpy as np
import pytest

from recommender.archive import Archive
from recommender.errors import TrainingError
from recommender.learner import Learner
from recommender.model_state import model_from_arrays
from recommender.registry import Registry
from recommender.snapshot import Snapshot
from recommender.sources import open_dataset
from recommender.stores import MemoryStore
from recommender.stores.base import Interaction
from recommender.training import ModelSettings

WORLD = "synthetic?n_users=60&n_items=40&n_interactions_per_user=8"
SETTINGS = ModelSettings(no_components=8, epochs=3)


def asynchronous(test):
    @functools.wraps(test)
    def run(*arguments, **named):
        return asyncio.run(test(*arguments, **named))

    return run


class Household:
    """A learner and all it works with."""

    def __init__(self, folder: Path) -> None:
        self.registry = Registry(folder / "models")
        self.archive = Archive(folder / "archive")
        self.store = MemoryStore()
        self.learner = self.learner_of(self.store)

    def learner_of(self, store: MemoryStore) -> Learner:
        return Learner(self.registry, self.archive, store, SETTINGS, keep_versions=2)

    async def learn(self) -> Snapshot:
        version = (await self.learner.learn("full")).version
        artifact = self.registry.load(version)
        return Snapshot.from_arrays(artifact.parts["snapshot"], {**artifact.meta["snapshot"], "version": version})

    def trained_on(self) -> int:
        return self.learner.newest().meta["trained_on"]["interactions"]


@pytest.fixture
def house(tmp_path):
    return Household(tmp_path)


def clicks(user: str, *items: str) -> list[Interaction]:
    return [Interaction(user, item, 1.0, 2e9 + number) for number, item in enumerate(items)]


@asynchronous
async def test_a_bootstrap_stores_features_and_publishes_a_judged_version(house):
    dataset = open_dataset(WORLD)
    version, *_ = await house.learner.bootstrap(dataset)
    artifact = house.registry.load(version, ("snapshot", "train_state"))

    assert house.trained_on() == len(dataset.interactions)
    assert artifact.meta["metrics"]["auc"] > 0.6
    assert (await house.store.get_users(["u3"]))[0].features == {"group": "g3", "number": 3, "tags": ["g3", "half-1"]}
    assert (await house.store.get_items(["i3"]))[0].title == "Item 3"


@asynchronous
async def test_what_waits_is_learned_once(house):
    await house.learner.bootstrap(open_dataset(WORLD))
    before = house.trained_on()
    await house.store.append(clicks("new", "i1", "i2"))

    assert await house.learner.waiting() == 2
    snapshot = await house.learn()
    assert house.trained_on() == before + 2
    assert await house.learner.waiting() == 0
    assert snapshot.item_ids.ids_of(snapshot.learned_items("new")) == ["i1", "i2"]
    await house.learn()
    assert house.trained_on() == before + 2


@asynchronous
async def test_a_version_that_was_never_published_leaves_its_interactions_to_the_next(house, monkeypatch):
    await house.learner.bootstrap(open_dataset(WORLD))
    before = house.trained_on()
    await house.store.append(clicks("new", "i1"))
    publish = house.registry.publish

    def dies(*_, **__):
        raise OSError("killed")

    monkeypatch.setattr(house.registry, "publish", dies)
    with pytest.raises(OSError, match="killed"):
        await house.learner.learn("full")
    monkeypatch.setattr(house.registry, "publish", publish)
    await house.learn()

    assert house.trained_on() == before + 1


@asynchronous
async def test_a_deleted_user_is_not_in_the_next_version_and_later_clicks_count_again(house):
    await house.learner.bootstrap(open_dataset(WORLD))
    await house.store.delete_user("u5")
    await house.store.append(clicks("u5", "i7"))
    snapshot = await house.learn()

    assert snapshot.item_ids.ids_of(snapshot.learned_items("u5")) == ["i7"]
    assert [row[1] for row in await house.learner.history("u5", 1)] == ["i7"]


@asynchronous
async def test_a_deleted_item_is_in_no_snapshot_as_available(house):
    await house.learner.bootstrap(open_dataset(WORLD))
    await house.store.delete_item("i3")
    snapshot = await house.learn()

    assert not snapshot.available[snapshot.item_ids.index_of("i3")]
    assert snapshot.available.sum() == len(snapshot.item_ids) - 1


@asynchronous
async def test_the_log_is_kept_as_long_as_a_kept_version_needs_it(house):
    await house.learner.bootstrap(open_dataset(WORLD))
    await house.store.append(clicks("new", "i1"))
    await house.learn()
    kept = (await house.store.state()).length
    await house.store.append(clicks("new", "i2"))
    await house.learn()
    await house.learn()

    assert kept == 1
    assert (await house.store.state()).length == 0
    assert len(house.registry.versions()) <= 3


@asynchronous
async def test_a_replaced_store_goes_on_behind_what_was_learned(house):
    await house.learner.bootstrap(open_dataset(WORLD))
    await house.store.append(clicks("new", "i1", "i2", "i3"))
    await house.learn()
    before = house.trained_on()
    house.store = MemoryStore()
    house.learner = house.learner_of(house.store)
    await house.learner.reconcile()
    await house.store.append(clicks("newer", "i4"))

    assert await house.learner.waiting() == 1
    await house.learn()
    assert house.trained_on() == before + 1


@asynchronous
async def test_nothing_to_learn_from_is_a_clear_error(house):
    with pytest.raises(TrainingError, match="no interactions"):
        await house.learner.learn("full")


@asynchronous
async def test_history_is_newest_first(house):
    await house.store.append(clicks("new", *(f"i{n}" for n in range(30))))
    await house.learn()

    timestamps = [row[3] for row in await house.learner.history("new", 0)]
    assert timestamps == sorted(timestamps, reverse=True)
    assert len(timestamps) == 30


@asynchronous
async def test_the_stored_state_goes_on_training(house):
    version, *_ = await house.learner.bootstrap(open_dataset(WORLD))
    artifact = house.registry.load(version, ("train_state",))
    model = model_from_arrays(artifact.parts["train_state"], artifact.meta["model"])

    assert model.items.ids.index_of("i3") >= 0
    assert np.isfinite(model.predict_online("u3", ["i3", "i7"])).all()
