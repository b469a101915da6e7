"""A large catalogue, played by a small one: every version that is learned has an index, and says what it finds."""

import asyncio

import pytest

from recommender.datasets import open_dataset
from recommender.serving.snapshot import Snapshot
from recommender.storage.archive.archive import Archive
from recommender.storage.registry import Registry
from recommender.stores import MemoryStore
from recommender.stores.protocols import Interaction
from recommender.training.model_settings import ModelSettings
from recommender.training.pipeline import TrainingPipeline
from recommender.vector_search import ivf as search

WORLD = "synthetic?n_users=60&n_items=40&n_interactions_per_user=8"


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Snapshots of a full training and of the increment that followed it."""
    monkeypatch.setattr(search, "SEARCH_COST", 0)
    monkeypatch.setattr(search, "LISTED_COST", 0)
    registry, store = Registry(tmp_path / "models"), MemoryStore()
    settings = ModelSettings(no_components=8, epochs=3)
    learner = TrainingPipeline(registry, Archive(tmp_path / "archive"), store, settings, approximate_above=30)

    async def learn() -> list[str]:
        first = await learner.bootstrap(open_dataset(WORLD))
        await store.append([Interaction("new", f"i{number}", 1.0, 2e9) for number in range(6)])
        return [first.version, (await learner.learn("incremental")).version]

    return [read(registry, version) for version in asyncio.run(learn())]


def read(registry: Registry, version: str) -> Snapshot:
    artifact = registry.load(version)
    return Snapshot.from_arrays(artifact.parts["snapshot"], {**artifact.meta.snapshot, "version": version})


def test_a_full_training_and_an_increment_publish_an_index(published):
    for snapshot in published:
        assert sorted(snapshot.index.indices.tolist()) == list(range(snapshot.n_items))
        assert snapshot.meta["index"]["recall"] >= 0.99
        assert snapshot.meta["index"]["probes"] == snapshot.index.probes


def test_an_increment_keeps_the_lists_of_its_parent(published):
    first, second = published
    used = sum(first.index.indptr[1:] > first.index.indptr[:-1])

    assert len(second.index.reach) == used
