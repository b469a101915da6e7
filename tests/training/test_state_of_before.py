"""State that release c55e4c8 wrote, before modules and formats had today's names; see tests/fixtures."""

import json
import shutil
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec
import numpy as np
import pytest

from recommender.schema import Query
from recommender.serving.catalogue import Catalogue
from recommender.serving.catalogue_sync import catch_up
from recommender.serving.recommender import Recommender
from recommender.serving.snapshot import Snapshot
from recommender.storage.archive.archive import Archive
from recommender.storage.registry import Registry
from recommender.stores import EmbeddedValkey, Store
from recommender.stores.protocols import Interaction
from recommender.training.model_settings import ModelSettings
from recommender.training.pipeline import TrainingPipeline
from tests.support.asynchronous import asynchronous
from tests.support.store_servers import opened

pytestmark = pytest.mark.slow  # it starts the server of the store

WRITTEN = Path(__file__).parents[1] / "fixtures" / "state_c55e4c8"
EXPECTED = json.loads((WRITTEN / "expected.json").read_text())
FULL, INCREMENT = "00000001", "00000002"
USERS = [answer["user_id"] for answer in EXPECTED["answers"][FULL]]


def as_json(records):
    return json.loads(msgspec.json.encode(records))


class State:
    """A state folder and the server of its store."""

    def __init__(self, folder: Path, server: EmbeddedValkey) -> None:
        self.registry = Registry(folder / "models")
        self.archive = Archive(folder / "archive")
        self._server = server

    def store(self) -> AbstractAsyncContextManager[Store]:
        return opened(self._server.url)

    def snapshot(self, version: str) -> Snapshot:
        artifact = self.registry.load(version)
        return Snapshot.from_arrays(artifact.parts["snapshot"], {**artifact.meta.snapshot, "version": version})

    async def recommender(self, version: str, store: Store) -> Recommender:
        recommender = Recommender(Catalogue(self.snapshot(version)))
        await catch_up(recommender.catalogue, store)
        return recommender


@pytest.fixture
def state(tmp_path):
    folder = tmp_path / "state"
    shutil.copytree(WRITTEN, folder)
    server = EmbeddedValkey(folder / "store")
    server.start()
    yield State(folder, server)
    server.stop()


def test_the_registry_knows_both_versions_and_what_they_learned(state):
    full, increment = sorted(state.registry.versions(), key=lambda each: each.version)

    assert [full.version, increment.version] == [FULL, INCREMENT]
    assert [full.meta.mode, increment.meta.mode] == ["full", "incremental"]
    assert increment.parent == FULL
    assert increment.meta.log_offset == EXPECTED["log_offset"]
    assert increment.meta.trained_on["interactions"] == len(EXPECTED["archived"])


def test_the_archive_has_every_learned_interaction(state):
    segments = next(each for each in state.registry.versions() if each.version == INCREMENT).meta.segments
    rows = state.archive.read(segments)[["offset", "user_id", "item_id", "weight"]]

    assert [list(row) for row in rows.itertuples(index=False)] == EXPECTED["archived"]


@asynchronous
async def test_the_store_gives_back_users_items_and_the_log(state):
    async with state.store() as store:
        users = await store.get_users(USERS)
        items = await store.get_items(["i1", "i9", "fresh", "unlearned"])
        log = await store.read(0, 100)

    assert as_json(users) == EXPECTED["users"]
    assert as_json(items) == EXPECTED["items"]
    of_then = [
        [offset, event[: len(old)]] for (offset, event), (_, old) in zip(as_json(log), EXPECTED["log"], strict=True)
    ]
    assert of_then == EXPECTED["log"]  # an interaction has more fields now, which come last


@asynchronous
@pytest.mark.parametrize("version", [FULL, INCREMENT])
async def test_each_version_recommends_what_it_recommended_then(state, version):
    async with state.store() as store:
        recommender = await state.recommender(version, store)
        states = (await store.fetch(USERS)).users
    answers = recommender.recommend_many([Query(user_id=each, k=12) for each in USERS], states)

    for answer, then in zip(answers, EXPECTED["answers"][version], strict=True):
        assert (answer.strategy, answer.case) == (then["strategy"], then["case"])
        assert [(item.item_id, item.case, item.title) for item in answer.items] == [
            (item["item_id"], item["case"], item["title"]) for item in then["items"]
        ]
        # that release added the user's bias, which is the same for every item
        scores, before = [item.score for item in answer.items], [item["score"] for item in then["items"]]
        np.testing.assert_allclose(np.subtract(scores, scores[0]), np.subtract(before, before[0]), atol=2e-6)


@asynchronous
@pytest.mark.parametrize("mode", ["incremental", "full"])
async def test_training_goes_on_from_it_and_learns_what_waited_once(state, mode):
    settings = ModelSettings(no_components=6, epochs=4)
    async with state.store() as store:
        pipeline = TrainingPipeline(state.registry, state.archive, store, settings, margin=10)
        assert await pipeline.waiting() == 2
        await store.append([Interaction("waiting", "unlearned", 1.0, 1_800_000_000.0)])
        learned = await pipeline.learn(mode)
        recommender = await state.recommender(learned.version, store)
    newest = pipeline.newest()
    snapshot = recommender.snapshot
    answer = recommender.recommend(Query(user_id="waiting", k=5))

    assert (learned.accepted, newest.version, newest.parent) == (True, "00000003", INCREMENT)
    # a full training leaves out what a deleted item had
    left = [row for row in EXPECTED["archived"] if mode == "incremental" or row[2] != "i9"]
    assert newest.meta.trained_on["interactions"] == len(left) + 3
    assert snapshot.item_ids.ids_of(snapshot.learned_items("waiting")) == ["i2", "unlearned"]
    assert snapshot.learned_items("gone").size == 0
    assert answer.strategy == "personalized"
    assert "i9" not in [item.item_id for item in answer.items]
