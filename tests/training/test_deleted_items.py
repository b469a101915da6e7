"""Deleted and withdrawn items: never recommended again, whatever becomes of the store, and let go in the end."""

from __future__ import annotations

import pytest

from deployments.http.service import Service
from recommender.serving.catalogue import Catalogue
from recommender.serving.catalogue_sync import catch_up
from recommender.serving.snapshot import Snapshot
from recommender.storage.archive.archive import Archive
from recommender.storage.registry import Registry
from recommender.stores import MemoryStore
from recommender.stores.protocols import Interaction, Item
from recommender.training.model_settings import ModelSettings
from recommender.training.pipeline import TrainingPipeline

pytestmark = pytest.mark.anyio
ITEMS = [f"i{n}" for n in range(12)]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class House:
    def __init__(self, folder) -> None:
        self.folder, self.store, self.said = folder, MemoryStore(), 0
        self.registry, self.archive = Registry(folder / "models"), Archive(folder / "archive")
        self.learner = self.restarted()

    def restarted(self) -> TrainingPipeline:
        settings = ModelSettings(no_components=4, epochs=1)
        self.learner = TrainingPipeline(self.registry, self.archive, self.store, settings, holdout=0, keep_versions=2)
        return self.learner

    async def say(self, *items: str) -> None:
        self.said += 1
        for user in "abc":
            await self.store.append([Interaction(user, each, 1.0, 1000.0 + self.said) for each in items])

    async def learn(self, mode: str) -> Snapshot:
        learned = await self.learner.learn(mode)
        self.registry.advance()
        artifact = self.registry.load(learned.version, ("snapshot",))
        return Snapshot.from_arrays(artifact.parts["snapshot"], artifact.meta.snapshot)

    def archived(self) -> set[str]:
        return set(self.archive.read(list(self.learner.newest().meta.segments))["item_id"])


@pytest.fixture
async def house(tmp_path):
    made = House(tmp_path)
    await made.store.put_items([Item(each, each, {"g": "a"}, each != "i7", 0.0) for each in ITEMS])
    await made.say(*ITEMS)
    await made.learn("full")
    return made


def returned(snapshot: Snapshot) -> set[str]:
    return {each for each, there in zip(snapshot.item_ids, snapshot.available.tolist(), strict=True) if there}


@pytest.mark.parametrize("before", ["incremental", "full"])
@pytest.mark.parametrize("modes", [["incremental"], ["full"], ["incremental", "full", "incremental"]])
async def test_what_was_withdrawn_or_deleted_stays_so_when_the_store_is_lost(house, before, modes):
    await house.store.delete_item("i8")
    await house.learn(before)
    house.store = MemoryStore()
    house.restarted()

    for mode in modes:
        await house.say("i1", "i7", "i8")
        snapshot = await house.learn(mode)

    assert returned(snapshot) == {*ITEMS} - {"i7", "i8"}


class Deployment:
    """A deployment, of one method that answers."""

    def __init__(self, **methods) -> None:
        for name, method in methods.items():
            setattr(self, name, self)
            self._method = method

    async def remote(self, _ids, *arguments):
        return self._method(*arguments)


async def test_an_item_can_be_deleted_of_which_only_a_version_knows(house):
    house.store = MemoryStore()
    house.restarted()
    snapshot = await house.learn("full")
    catalogue = Catalogue(snapshot)
    predictor = Deployment(returns_item=lambda item_id, _: catalogue.returns(item_id))
    service = Service(Deployment(fetch_many=lambda _: b""), predictor, None, None, house.store)
    deleted = [await service.delete_item("i8")]
    await catch_up(catalogue, house.store)
    deleted += [await service.delete_item("i8"), await service.delete_item("i7"), await service.delete_item("nowhere")]

    assert deleted == [True, False, False, False]
    assert not catalogue.returns("i8")
    assert returned(await house.learn("full")) == {*ITEMS} - {"i7", "i8"}


async def test_an_item_that_is_put_again_is_returned_again(house):
    await house.store.delete_item("i8")
    await house.learn("incremental")
    await house.store.put_items([Item("i8", "i8", {"g": "a"}, True, 0.0)])
    snapshot = await house.learn("full")

    assert "i8" in returned(snapshot)
    assert len(snapshot.item_ids) == snapshot.n_trained_items == len(ITEMS)


async def test_an_item_that_is_put_again_after_a_full_training_begins_anew(house):
    await house.store.delete_item("i8")
    await house.learn("full")
    await house.store.put_items([Item("i8", "i8", {"g": "a"}, True, 0.0)])
    new = await house.learn("full")
    await house.say("i8")
    known = await house.learn("full")

    assert "i8" in returned(new)
    assert new.n_trained_items == len(ITEMS) - 1
    assert "i8" in returned(known)
    assert known.n_trained_items == len(ITEMS)


async def test_rows_and_interactions_leave_with_the_next_full_training_and_notes_one_later(house):
    await house.store.delete_item("i8")
    grown = await house.learn("incremental")
    archived = [house.archived()]
    first = await house.learn("full")
    notes = [len((await house.store.item_changes(0, 99)).changes)]
    await house.say("i8", "i1")  # from a page that was open when it was deleted
    late = await house.learn("incremental")
    archived.append(house.archived())
    for _ in range(2):
        last = await house.learn("full")
        archived.append(house.archived())
        notes.append(len((await house.store.item_changes(0, 99)).changes))

    assert "i8" in grown.item_ids
    assert "i8" not in first.item_ids
    assert "i8" not in returned(late)
    assert "i8" not in last.item_ids
    assert ["i8" in each for each in archived] == [True, True, False, False]
    assert notes[0] == len(ITEMS)
    assert notes[-1] == len(ITEMS) - 1


async def test_a_note_stays_while_a_version_that_does_not_know_of_it_is_kept(house):
    pinned = house.learner.newest().version
    house.registry.activate(pinned, pinned=True)
    await house.store.delete_item("i8")
    for _ in range(3):
        await house.learner.learn("full")

    assert len((await house.store.item_changes(0, 99)).changes) == len(ITEMS)
