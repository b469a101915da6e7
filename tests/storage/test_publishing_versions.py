"""What is published is loaded again, under a name of its own."""

import errno
import shutil
import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pytest

from recommender.errors import ArtifactError, UnknownVersionError
from recommender.storage.registry import Artifact, Current, Registry, VersionMeta
from tests.support.shelves import PARTS, artifact, is_like, names, registry_with


def test_a_published_version_is_loaded_as_it_was(tmp_path):
    registry, published = Registry(tmp_path), artifact(1, metrics={"auc": 0.9}, gaps=((3, 4),))

    version = registry.publish(published, parent=None, status="ready")

    assert version == "00000001"
    assert is_like(Registry(tmp_path).load(version, PARTS), published)


def test_only_the_wanted_parts_are_read(tmp_path):
    registry_with(tmp_path, "ready")

    assert set(Registry(tmp_path).load("00000001").parts) == {"snapshot"}


def test_a_part_that_was_not_published_is_named(tmp_path):
    with pytest.raises(ArtifactError, match="has no part 'weights'"):
        registry_with(tmp_path, "ready").load("00000001", ("weights",))


def test_a_listing_is_newest_first_and_says_all_but_arrays(tmp_path):
    registry = Registry(tmp_path)
    before = datetime.now(UTC)
    registry.publish(artifact(1), parent=None, status="ready")
    registry.publish(artifact(2, metrics={"auc": 0.4}), parent="00000001", status="rejected", reason="worse")

    rejected, active = registry.versions()

    assert (rejected.version, rejected.status, rejected.reason) == ("00000002", "rejected", "worse")
    assert (rejected.parent, rejected.meta.metrics) == ("00000001", {"auc": 0.4})
    assert before <= rejected.created_at <= datetime.now(UTC)
    assert (active.version, active.status, active.parent) == ("00000001", "active", None)
    assert active.bytes == sum(path.stat().st_size for path in tmp_path.glob("00000001/*.safetensors"))


def test_an_empty_or_missing_folder_has_no_versions_and_stays_as_it_is(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        registry = Registry(folder)

        assert registry.versions() == []
        assert registry.load_current() is None
        assert registry.current() == registry.advance() == registry.follow() == Current(None, pinned=False)
        assert registry.prune(1) == []
    assert not (tmp_path / "none").exists()


def test_reading_writes_nothing(tmp_path):
    registry_with(tmp_path, "ready", "ready").activate("00000001", pinned=True)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    registry = Registry(tmp_path)
    registry.versions(), registry.current(), registry.load_current()

    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("version", ["00000009", "../00000001", "", ".", "CURRENT", "latest", "\u0661" * 8, "9" * 5000])
def test_a_version_that_does_not_exist_is_unknown(tmp_path, version):
    registry = registry_with(tmp_path / "models", "ready")

    for call in (registry.load, lambda it: registry.activate(it, pinned=True), lambda it: registry.quarantine(it, "")):
        with pytest.raises(UnknownVersionError):
            call(version)


def test_a_number_is_not_given_again_when_the_newest_is_deleted(tmp_path):
    registry = registry_with(tmp_path, "ready", "ready")
    shutil.rmtree(tmp_path / "00000002")

    assert Registry(tmp_path).publish(artifact(), parent=None, status="ready") == "00000003"
    assert registry.publish(artifact(), parent=None, status="ready") == "00000004"


@pytest.mark.parametrize("remembered", [b"", b"\xff\xfe", b"one", b"-0000005"])
def test_a_damaged_counter_never_lets_a_version_be_overwritten(tmp_path, remembered):
    registry = registry_with(tmp_path, "ready", "ready", "ready")
    registry.quarantine("00000003", "a test")
    (tmp_path / "LAST").write_bytes(remembered)

    assert registry.publish(artifact(), parent=None, status="ready") == "00000004"


@pytest.mark.parametrize(
    "meta", [{"auc": float("nan")}, {"n": np.int64(3)}, {"when": datetime.now(UTC)}, {"a": "\ud800"}]
)
def test_meta_that_is_not_json_is_refused_before_anything_is_written(tmp_path, meta):
    with pytest.raises(ArtifactError, match="meta is not JSON"):
        Registry(tmp_path).publish(Artifact({}, VersionMeta(snapshot=meta)), parent=None, status="ready")

    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("part", ["../evil", "a/b", "", "Snapshot", "manifest.json"])
def test_a_part_whose_name_is_no_file_name_is_refused(tmp_path, part):
    with pytest.raises(ArtifactError, match="is not a name for a part"):
        Registry(tmp_path).publish(Artifact({part: {}}, VersionMeta()), parent=None, status="ready")


def test_a_ready_version_must_be_finite_and_a_rejected_one_can_be_inspected(tmp_path):
    registry, diverged = Registry(tmp_path), Artifact({"snapshot": {"biases": np.array([1.0, np.nan])}}, VersionMeta())

    with pytest.raises(ArtifactError, match="snapshot: biases not finite"):
        registry.publish(diverged, parent=None, status="ready")
    version = registry.publish(diverged, parent=None, status="rejected", reason="NaN")

    assert np.isnan(registry.load(version).parts["snapshot"]["biases"][1])


def test_prune_keeps_the_newest_of_each_status(tmp_path):
    registry = registry_with(tmp_path, "ready", "rejected", "ready", "rejected", "ready", "rejected", "ready")

    assert registry.prune(2) == ["00000003", "00000001", "00000002"]
    assert names(registry) == ["00000007", "00000006", "00000005", "00000004"]


def test_prune_keeps_what_is_pinned_and_its_parent(tmp_path):
    registry = registry_with(tmp_path, *["ready"] * 6)
    registry.activate("00000003", pinned=True)

    assert registry.prune(1) == ["00000005", "00000004", "00000001"]
    assert names(registry) == ["00000006", "00000003", "00000002"]


def test_prune_leaves_a_version_of_a_newer_release_alone(tmp_path):
    registry = registry_with(tmp_path, "ready", "ready")
    (tmp_path / "00000001" / "manifest.json").write_text("{}")

    assert registry.prune(1) == []
    assert (tmp_path / "00000001").is_dir()


def test_a_disk_without_room_is_named_and_left_clean(tmp_path, monkeypatch):
    registry = registry_with(tmp_path, "ready")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))

    with pytest.raises(ArtifactError, match="bytes are needed and 0 are free"):
        registry.publish(artifact(), parent=None, status="ready")
    assert names(registry) == ["00000001"]


def test_a_disk_that_becomes_full_leaves_nothing_visible(tmp_path):
    resource = pytest.importorskip("resource")
    registry = registry_with(tmp_path, "ready")
    before = set(tmp_path.iterdir())
    large = Artifact({"snapshot": {"a": np.zeros(1 << 20)}, "train_state": {}}, VersionMeta())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(ArtifactError) as caught:
            registry.publish(large, parent=None, status="ready")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert caught.value.__cause__.errno == errno.EFBIG
    assert set(tmp_path.iterdir()) == before
    assert registry.publish(large, parent=None, status="ready") == "00000002"


def test_processes_that_publish_at_once_overwrite_and_lose_nothing(tmp_path):
    subprocess.run([sys.executable, "-m", "tests.support.crash_points", tmp_path, "crowd"], check=True, timeout=60)

    registry = Registry(tmp_path)
    assert names(registry) == [f"{number:08d}" for number in range(24, 0, -1)]
    writers = [registry.load(version, PARTS).meta.model["writer"] for version in names(registry)]
    assert sorted(writers) == [f"{process}-{turn}" for process in range(4) for turn in range(6)]
    assert not any(tmp_path.glob(".tmp-*"))
