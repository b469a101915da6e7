"""Forgetting a user: what is left of them anywhere, and what of everybody else is as it was."""

import asyncio

import pytest

from recommender.errors import StoreUnavailableError
from recommender.schema import Query
from recommender.serving.catalogue import Catalogue
from recommender.serving.recommender import Recommender
from recommender.serving.snapshot import Snapshot
from recommender.storage.archive.archive import Archive
from recommender.storage.audit_trail import AuditTrail
from recommender.storage.file_store import open_files
from recommender.storage.object_store import within
from recommender.storage.registry import Registry
from recommender.storage.registry.maintenance import rewrite_version
from recommender.stores import EmbeddedValkey
from recommender.stores.audit_log import AuditEntry, open_audit_log
from recommender.stores.log_erasure import LogErasure
from recommender.stores.protocols import Interaction, User
from recommender.training.erasure import AuditPlace, StorePlace, VersionPlace, delete, erase
from recommender.training.full import ModelSettings
from recommender.training.history_tuning import HistorySettings
from recommender.training.pipeline import TrainingPipeline
from tests.support.asynchronous import asynchronous
from tests.support.shelves import artifact, registry_with
from tests.support.store_servers import opened, raw, wait_until

pytestmark = pytest.mark.slow  # it starts the server of the store

SETTINGS = ModelSettings(no_components=4, epochs=1, min_steps=0, history=HistorySettings(tune_s=0.0))
ANN = "ann-who-is-to-be-forgotten"


async def until_taken(write):
    while True:
        try:
            return await write()
        except StoreUnavailableError:
            await asyncio.sleep(0.05)


class State:
    """A state in a folder or a bucket, with a server and all places that something is kept in."""

    def __init__(self, folder, location=None) -> None:
        self.folder = folder
        location = location or folder
        self.server = EmbeddedValkey(folder / "store")
        self.server.start()
        self.registry, self.archive = Registry(within(location, "models")), Archive(within(location, "archive"))
        self.files = open_files(within(location, "audit"))

    async def forget(self, user_id: str):
        log, erasure = open_audit_log(self.server.url), LogErasure(self.server.url)
        places = [
            VersionPlace(self.registry, self.archive),
            AuditPlace(AuditTrail(log, self.files)),
            StorePlace(erasure),
        ]
        try:
            async with opened(self.server.url) as store:
                deleted = await until_taken(lambda: delete(store, user_id))
            return {each.place: each for each in await erase(deleted, places)}
        finally:
            await log.close()
            await erasure.close()

    def pipeline(self, store) -> TrainingPipeline:
        return TrainingPipeline(self.registry, self.archive, store, SETTINGS, holdout=0.0)

    def recommender(self, version: str) -> Recommender:
        loaded = self.registry.load(version)
        snapshot = Snapshot.from_arrays(loaded.parts["snapshot"], {**loaded.meta.snapshot, "version": version})
        return Recommender(Catalogue(snapshot))


def clicks(start: int, n: int) -> list[Interaction]:
    users = [ANN, *(f"u{number}" for number in range(6))]
    return [
        Interaction(users[each % 7], f"i{each % 5}", 1.0, 1e9 + each, "click", f"e{each}")
        for each in range(start, start + n)
    ]


async def filled(state: State) -> None:
    """Three versions, a log that no version has learned whole, and entries of the audit in both of its places."""
    log = open_audit_log(state.server.url)
    await log.append(AuditEntry("shop", "user.delete", ANN))
    await AuditTrail(log, state.files).archive(everything=True)
    await log.append(AuditEntry("shop", "user.delete", ANN))
    await log.close()
    async with opened(state.server.url) as store:
        pipeline = state.pipeline(store)
        await until_taken(lambda: store.put_users([User(ANN, {"age": 3}, 0.0), User("u1", {"age": 3}, 0.0)]))
        for start, mode in ((0, "full"), (70, "incremental"), (84, "incremental")):
            await until_taken(lambda start=start: store.append(clicks(start, 70 if not start else 14)))
            await until_taken(lambda mode=mode: pipeline.learn(mode))
        await until_taken(lambda: store.append(clicks(98, 9)))


@pytest.fixture
def states(tmp_path):
    made = []

    def make(kind: str) -> State:
        made.append(State(tmp_path / "state", f"memory://{tmp_path}/state" if kind == "bucket" else None))
        return made[-1]

    yield make
    for state in made:
        state.server.stop()


def answers(state: State, user_id: str, version: str):
    answer = state.recommender(version).recommend(Query(user_id=user_id, k=5, exclude_seen=False))
    return answer.strategy, [(item.item_id, item.score) for item in answer.items]


@asynchronous
@pytest.mark.parametrize("kind", ["folder", "bucket"])
async def test_nothing_is_left_of_a_user_and_everybody_else_is_as_before(states, kind, monkeypatch, tmp_path):
    monkeypatch.setenv("RECOMMENDER_CACHE", str(tmp_path / "cache"))
    state = states(kind)
    await filled(state)
    versions = [each.version for each in state.registry.versions()]
    before = {version: answers(state, "u2", version) for version in versions}
    looked = await state.forget(ANN)
    after = {version: answers(state, "u2", version) for version in versions}

    assert {place: each.left for place, each in looked.items()} == {"versions": 0, "audit": 0, "store": 0}
    assert looked["versions"].erased == 3
    assert looked["audit"].erased == 2
    assert looked["store"].erased > 1
    assert [each.version for each in state.registry.versions(anew=True)] == versions
    assert after == before
    assert answers(state, ANN, versions[0])[0] == "popular"
    for version in versions:
        state.registry.verify(version)
    with raw(state.server.url) as client:
        wait_until(lambda: not client.info("persistence")["aof_rewrite_in_progress"])
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and ANN.encode() in path.read_bytes()]
    assert kept == []


@asynchronous
@pytest.mark.parametrize("mode", ["incremental", "full"])
async def test_training_goes_on_and_nothing_looks_lost(states, mode):
    state = states("folder")
    await filled(state)
    await state.forget(ANN)
    async with opened(state.server.url) as store:
        pipeline = state.pipeline(store)
        await until_taken(lambda: store.append([Interaction(ANN, "i1", 1.0, 2e9, None, "back")]))
        learned = await until_taken(lambda: pipeline.learn(mode))
        page = await pipeline.interactions(None, 1000)
    newest = pipeline.newest()
    rows = [(each.user_id, each.item_id, each.timestamp) for each in page.interactions]

    assert (learned.accepted, newest.meta.gaps, newest.meta.poison) == (True, (), 0)
    assert sorted(rows) == sorted(
        [(each.user_id, each.item_id, each.timestamp) for each in clicks(0, 107) if each.user_id != ANN]
        + [(ANN, "i1", 2e9)]
    )
    assert answers(state, ANN, learned.version)[0] == "personalized"


@asynchronous
async def test_whoever_is_unknown_is_looked_for_everywhere_all_the_same(states):
    state = states("folder")
    await filled(state)
    manifests = {path: path.read_bytes() for path in (state.folder / "models").rglob("manifest.json")}
    looked = await state.forget("nobody")

    assert {each.left for each in looked.values()} == {0}
    assert looked["versions"].searched == "3 versions and 3 segments of the archive"
    assert {path: path.read_bytes() for path in manifests} == manifests


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_whoever_has_seen_a_version_before_it_was_rewritten_reads_what_is_there_now(tmp_path, kind, monkeypatch):
    monkeypatch.setenv("RECOMMENDER_CACHE", str(tmp_path / "cache"))
    location = tmp_path / "models" if kind == "folder" else f"memory://{tmp_path}/models"
    registry = registry_with(location, "ready", "ready")
    other = Registry(location)
    other.load("00000001")
    new = artifact(7, poison=5)
    rewrite_version(registry, "00000001", new)
    found = other.load("00000001")
    again = other.versions(anew=True)

    assert (found.parts["snapshot"]["item_embeddings"] == new.parts["snapshot"]["item_embeddings"]).all()
    assert (found.meta.poison, [each.version for each in again]) == (5, ["00000002", "00000001"])
    assert again[1].meta.poison == 5
