"""Whatever fails, is damaged, pinned or overtaken: learning goes on, nothing is lost, nothing is left behind."""

import asyncio
import os
import threading
import time
from pathlib import Path

import pytest

from recommender.errors import (
    ArtifactError,
    CorruptArtifactError,
    StaleTrainingError,
    StoreUnavailableError,
    TrainingError,
)
from recommender.models.feedback import Feedback
from recommender.storage.archive.archive import Archive
from recommender.storage.registry import Registry, folder_backend
from recommender.storage.registry.version_meta import Mode
from recommender.stores import MemoryStore
from recommender.stores.protocols import Interaction
from recommender.training import learning_steps, reconciliation
from recommender.training.incremental import IncrementSettings
from recommender.training.model_settings import ModelSettings
from recommender.training.pipeline import TrainingPipeline
from recommender.training.schedule import Schedule
from tests.support.asynchronous import asynchronous

pytestmark = pytest.mark.slow


class House:
    """A state folder, a store, and learners over them."""

    def __init__(self, folder: Path, max_backlog: int = 1_000_000, **options) -> None:
        self.folder = folder
        self.options = {"keep_versions": 3, "holdout": 0.0, **options}
        self.store = MemoryStore(max_backlog=max_backlog)
        self.posted = 0
        self.restart()

    def restart(self) -> None:
        self.registry, self.learner = self.another()

    def another(self) -> tuple[Registry, TrainingPipeline]:
        registry = Registry(self.folder / "models")
        settings = ModelSettings(no_components=4, epochs=1)
        increment = IncrementSettings(epochs=1)
        archive = Archive(self.folder / "archive")
        return registry, TrainingPipeline(registry, archive, self.store, settings, increment=increment, **self.options)

    async def post(self, n: int = 20, user: str | None = None) -> None:
        rows = range(self.posted, self.posted + n)
        await self.store.append([Interaction(user or f"u{row % 7}", f"i{row % 11}", 1.0, 1e9 + row) for row in rows])
        self.posted += n

    async def learn(self, mode: Mode = "incremental") -> str:
        version = (await self.learner.learn(mode)).version
        self.registry.advance()
        return version

    async def post_and_learn(self, *modes: Mode) -> None:
        for mode in modes:
            await self.post()
            await self.learn(mode)

    def archived(self) -> set[str]:
        return {path.name for path in (self.folder / "archive").iterdir()}

    def rows(self) -> list[int]:
        """Offsets of what the newest version has learned."""
        frame = Archive(self.folder / "archive").read(self.registry.versions()[0].meta.segments)
        return sorted(frame["offset"].tolist())

    def damage(self, version: str, part: str) -> None:
        path = self.folder / "models" / version / f"{part}.safetensors"
        content = bytearray(path.read_bytes())
        content[-5] ^= 0xFF
        path.write_bytes(content)


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


@asynchronous
@pytest.mark.parametrize("mode", ["incremental", "full"])
async def test_a_training_that_fails_leaves_nothing_in_the_archive(house, monkeypatch, mode):
    await house.post_and_learn("full")
    await house.post()
    before = house.archived()

    def is_full(*_):
        raise OSError(28, "no room for the version")

    monkeypatch.setattr(folder_backend, "require_room", is_full)
    for _ in range(3):
        with pytest.raises(ArtifactError, match="no room"):
            await house.learner.learn(mode)
        assert house.archived() == before
    monkeypatch.undo()
    await house.learn(mode)

    assert house.rows() == list(range(1, 41))


@asynchronous
async def test_a_first_training_with_nothing_to_like_leaves_nothing_in_the_archive(tmp_path):
    house = House(tmp_path, feedback=Feedback({"hide": -1.0}))
    await house.store.append([Interaction("u1", "i1", 1.0, 1e9, "hide")])
    with pytest.raises(TrainingError, match="no interactions"):
        await house.learner.learn("full")

    assert not house.archived()


@asynchronous
@pytest.mark.parametrize("mode", ["incremental", "full"])
async def test_a_version_with_a_damaged_training_state_is_set_aside_and_learning_goes_on_from_its_parent(house, mode):
    await house.post_and_learn("full", "incremental")
    house.damage("00000002", "train_state")
    house.restart()
    await house.post()
    version = await house.learn(mode)
    parents = {each.version: each.parent for each in house.registry.versions()}

    # a full training needs nothing but the snapshot of it
    assert parents[version] == ("00000001" if mode == "incremental" else "00000002")
    assert ("00000002" in parents) is (mode == "full")
    assert house.rows() == list(range(1, 61))


@asynchronous
@pytest.mark.parametrize("part", ["train_state", "snapshot"])
async def test_where_the_only_version_is_damaged_the_next_training_is_a_full_one_of_all_that_it_learned(house, part):
    await house.post_and_learn("full")
    house.damage("00000001", part)
    house.restart()
    await house.post()
    learned = await house.learner.learn("incremental")

    assert learned.mode == "full"
    assert house.rows() == list(range(1, 41))


@asynchronous
async def test_where_the_only_version_is_in_quarantine_all_that_it_learned_is_learned_again(house):
    await house.post_and_learn("full")
    house.damage("00000001", "snapshot")
    assert house.registry.load_current() is None
    house.restart()
    await house.post(1)

    assert not await house.learner.is_new()
    assert await house.learner.due(Schedule(30.0, 86_400.0, 100)) == "full"
    await house.learn("full")
    assert house.rows() == list(range(1, 22))


@asynchronous
async def test_where_no_version_can_be_read_nothing_is_learned_from_the_beginning(house):
    await house.post_and_learn("full")
    (house.folder / "models" / "00000001" / "manifest.json").write_bytes(b"{}")
    house.restart()
    await house.post()
    before = house.archived()

    with pytest.raises(CorruptArtifactError, match="none can be read"):
        await house.learner.learn("full")
    await house.learner.retention.tidy()
    assert house.archived() == before


@asynchronous
async def test_the_log_keeps_what_is_not_attributed_yet_while_there_is_room(house, monkeypatch):
    attributed = 0
    monkeypatch.setattr(house.learner.retention, "_attributed_through", lambda: attributed)
    await house.post_and_learn("full")
    assert (await house.store.state()).first_offset == 1
    attributed = 7
    await house.learner.retention.tidy()
    assert (await house.store.state()).first_offset == 8

    monkeypatch.setattr(house.store, "max_backlog", 10)
    await house.learner.retention.tidy()
    assert (await house.store.state()).first_offset > 8


@asynchronous
async def test_what_cannot_be_tidied_up_fails_no_training_and_is_tidied_up_later(house, monkeypatch):
    await house.post_and_learn("full", "incremental")
    trim = house.store.trim

    async def away(*_, **__):
        raise StoreUnavailableError("the store did not answer")

    monkeypatch.setattr(house.store, "trim", away)
    await house.post_and_learn("incremental")

    assert house.registry.current().version == "00000003"
    assert "did not answer" in house.learner.retention.failure
    monkeypatch.setattr(house.store, "trim", trim)
    await house.learner.retention.tidy()
    assert house.learner.retention.failure is None
    assert (await house.store.state()).first_offset == 21


@asynchronous
async def test_where_no_version_may_be_removed_the_log_is_trimmed_all_the_same(house, monkeypatch):
    def denied(_):
        raise PermissionError("DeleteObject is denied")

    monkeypatch.setattr(house.registry, "prune", denied)
    await house.post_and_learn(*["full"] * 3)
    assert "DeleteObject is denied" in house.learner.retention.failure
    house.registry.quarantine("00000001", "a test")
    await house.post_and_learn("full")

    assert (await house.store.state()).first_offset == 41


@asynchronous
async def test_segments_of_a_version_whose_manifest_cannot_be_read_stay(house):
    await house.post_and_learn("full", "full")
    manifest = house.folder / "models" / "00000001" / "manifest.json"
    content = manifest.read_bytes()
    manifest.write_bytes(b"{}")
    for path in (house.folder / "archive").iterdir():
        os.utime(path, (time.time() - 3600,) * 2)
    await house.post_and_learn("full")

    manifest.write_bytes(content)
    [first] = [each for each in house.registry.versions() if each.version == "00000001"]
    assert len(Archive(house.folder / "archive").read(first.meta.segments)) == 20


@asynchronous
async def test_a_trainer_that_was_overtaken_publishes_nothing_and_leaves_nothing(house, monkeypatch):
    await house.post_and_learn("full")
    await house.post()
    _, overtaken = house.another()
    train, trained_already, go_on = learning_steps.train_full, threading.Event(), threading.Event()

    def slow(*arguments, **named):
        trained = train(*arguments, **named)
        trained_already.set()
        go_on.wait(60)
        return trained

    monkeypatch.setattr(learning_steps, "train_full", slow)
    task = asyncio.create_task(overtaken.learn("full"))
    await asyncio.to_thread(trained_already.wait, 60)
    for _ in range(4):
        await house.post_and_learn("incremental")
    before = [each.version for each in house.registry.versions()]
    go_on.set()

    with pytest.raises(StaleTrainingError, match="another trainer"):
        await task
    assert [each.version for each in house.registry.versions()] == before
    named = {segment.name for each in house.registry.versions() for segment in each.meta.segments}
    assert named <= house.archived()
    monkeypatch.undo()
    await house.post_and_learn("incremental", "full")
    assert house.rows() == list(range(1, house.posted + 1))
    assert all(not each.meta.gaps for each in house.registry.versions())


@asynchronous
async def test_while_a_version_is_pinned_each_increment_learns_what_is_new_and_the_log_is_trimmed(
    tmp_path, monkeypatch
):
    house = House(tmp_path, max_backlog=200)
    read, consume = [], reconciliation.consume

    async def counting(*arguments):
        consumed = await consume(*arguments)
        read.append(len(consumed.rows))
        return consumed

    monkeypatch.setattr(reconciliation, "consume", counting)
    await house.post_and_learn("full")
    house.registry.activate("00000001", pinned=True)
    for _ in range(15):
        await house.post_and_learn("incremental")

    assert read == [20] * 16
    assert house.rows() == list(range(1, house.posted + 1))
    assert house.registry.current().version == "00000001"
    assert (await house.store.state()).length <= 100


@asynchronous
@pytest.mark.parametrize("mode", ["incremental", "full"])
async def test_what_a_version_far_behind_has_not_learned_comes_from_the_archive(tmp_path, mode):
    house = House(tmp_path, max_backlog=80)
    await house.post(user="gone")
    await house.post_and_learn("full")
    house.registry.activate("00000001", pinned=True)
    await house.post_and_learn("incremental")
    await house.store.delete_user("gone")
    for _ in range(6):
        await house.post_and_learn("incremental")
    assert (await house.store.state()).trimmed_through > 100
    # what came since is rolled back too
    house.registry.activate("00000001", pinned=True)
    await house.post()
    learned = await house.learner.learn(mode)
    newest = house.registry.versions()[0]

    assert (newest.version, newest.parent) == (learned.version, "00000001")
    # the deletion itself has an offset too
    assert house.rows() == sorted({*range(21, house.posted + 2)} - {61})
    assert not newest.meta.gaps
    assert newest.meta.trained_on["interactions"] >= len(house.rows())
    assert await house.learner.history("gone", 0) == []
    state = (await house.store.fetch(["gone"])).users[0]
    assert state.deleted_at == 61


@asynchronous
async def test_while_trainings_are_rejected_the_log_is_trimmed_and_all_is_learned_when_one_is_not(
    tmp_path, monkeypatch
):
    house = House(tmp_path, max_backlog=100)
    await house.post_and_learn("full")
    monkeypatch.setattr("recommender.training.promotion_gate.LARGEST_NORM", 0.0)
    for _ in range(8):
        await house.post_and_learn("incremental")
    length = (await house.store.state()).length
    monkeypatch.undo()
    await house.post_and_learn("incremental")

    assert length <= 60
    newest = house.registry.versions()[0]
    assert (newest.status, newest.parent) == ("active", "00000001")
    assert house.rows() == list(range(1, house.posted + 1))
    assert newest.meta.trained_on["interactions"] == house.posted
