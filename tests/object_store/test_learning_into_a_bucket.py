"""The archive and the learner over a bucket."""

import asyncio
import time

import pytest

from recommender.datasets import open_dataset
from recommender.errors import ArtifactError, CorruptArtifactError
from recommender.storage.archive.archive import Archive
from recommender.storage.archive.backends import YOUNG_S
from recommender.storage.object_store import Bucket, within
from recommender.storage.registry import Registry
from recommender.stores import MemoryStore
from recommender.stores.protocols import Interaction
from recommender.training.model_settings import ModelSettings
from recommender.training.pipeline import TrainingPipeline
from tests.support.archives import appended, keys, numbered

WORLD = "synthetic?n_users=60&n_items=40&n_interactions_per_user=8"


def test_what_was_appended_is_read_also_where_no_copy_is(url, monkeypatch, tmp_path):
    frames = numbered([[("ada", "i1"), ("bob", "i2")], [("bob", "i1"), ("ada", "i3")]])
    segments = appended(Archive(url), frames)
    monkeypatch.setenv("RECOMMENDER_CACHE", str(tmp_path / "another machine"))
    archive, whole = Archive(url), [row for frame in frames for row in keys(frame)]

    assert keys(archive.read(segments)) == whole
    assert keys(archive.read(archive.compact(segments))) == whole
    assert keys(archive.read_user(segments, "ada")) == [row for row in whole if row[1] == "ada"]
    assert keys(archive.read(archive.erase(segments, {"bob": 4}))) == [row for row in whole if row[1] == "ada"]


def test_a_damaged_copy_is_fetched_again_and_a_damaged_object_is_refused(url):
    archive = Archive(url)
    [segment] = appended(archive, numbered([[("ada", "i1")]]))
    copy = Bucket(url).cache() / segment.name
    copy.write_bytes(b"x" * segment.bytes)
    assert len(archive.read([segment])) == 1

    Bucket(url).remove([segment.name])
    Bucket(url).create(segment.name, b"x" * segment.bytes)
    copy.unlink()

    with pytest.raises(CorruptArtifactError, match="is not what was written"):
        archive.read([segment])


def test_a_segment_that_is_gone_is_named(url):
    archive = Archive(url)
    [segment] = appended(archive, numbered([[("ada", "i1")]]))
    Bucket(url).remove([segment.name])
    (Bucket(url).cache() / segment.name).unlink()

    with pytest.raises(CorruptArtifactError, match=f"{segment.name} is missing"):
        archive.read([segment])


def test_only_old_objects_that_nobody_names_are_pruned(url, monkeypatch):
    named, unnamed = appended(Archive(url), numbered([[("ada", "i1")], [("ada", "i2")]]))

    assert Archive(url).prune({named.name}) == []
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + YOUNG_S + 5)
    assert Archive(url).prune({named.name}) == [unnamed.name]
    assert list(Bucket(url).sizes()) == [named.name]


def test_a_bucket_that_does_not_exist_is_an_artifact_error():
    with pytest.raises(ArtifactError, match="nobodys-bucket"):
        appended(Archive("s3://nobodys-bucket/archive"), numbered([[("ada", "i1")]]))


def test_what_was_learned_into_a_bucket_goes_on_from_there_on_another_machine(url, monkeypatch, tmp_path):
    store = MemoryStore()

    def learner() -> TrainingPipeline:
        places = within(url, "models"), within(url, "archive")
        settings = ModelSettings(no_components=8, epochs=3)
        return TrainingPipeline(Registry(places[0]), Archive(places[1]), store, settings, keep_versions=2, margin=10)

    async def learn() -> None:
        await learner().bootstrap(open_dataset(WORLD))
        await store.append([Interaction("new", "i1", 1.0, 2e9), Interaction("new", "i2", 1.0, 2e9)])
        monkeypatch.setenv("RECOMMENDER_CACHE", str(tmp_path / "another machine"))
        await learner().learn("incremental")
        assert [row[1] for row in await learner().history("new", 0)] == ["i1", "i2"]
        assert await learner().waiting() == 0

    asyncio.run(learn())

    version, artifact = Registry(within(url, "models")).load_current()
    assert version == "00000002"
    assert artifact.meta.mode == "incremental"
