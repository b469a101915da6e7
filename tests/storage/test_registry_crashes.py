"""Whatever dies or fails, and wherever: every version that is visible is whole."""

import os
import subprocess
import sys

import pytest

from recommender.errors import ArtifactError
from recommender.storage import atomic_files
from recommender.storage.registry import Registry
from tests.support.crash_points import ACTIONS, OPERATIONS
from tests.support.shelves import PARTS, artifact, is_like, names, registry_with

pytestmark = pytest.mark.slow

FEWEST_POINTS = {"publish": 18, "activate": 4, "advance": 4, "quarantine": 8, "prune": 8}


def assert_all_whole(registry: Registry) -> None:
    for version in names(registry):
        number = registry.load(version, PARTS).meta.log_offset
        assert is_like(registry.load(version, PARTS), artifact(number))


@pytest.mark.parametrize("action", ACTIONS)
def test_death_before_any_file_operation_leaves_whole_versions(tmp_path, action):
    subprocess.run([sys.executable, "-m", "tests.support.crash_points", tmp_path, action], check=True, timeout=60)

    places = sorted(tmp_path.iterdir())
    assert len(places) > FEWEST_POINTS[action]
    for place in places:
        registry = Registry(place)
        assert not any(place.glob(".tmp-*"))
        assert registry.load_current(PARTS) is not None
        assert_all_whole(registry)
        assert registry.publish(artifact(9), parent=None, status="ready") not in {"00000001", "00000002", "00000003"}
        assert len(names(registry)) >= 2


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_that_fails_leaves_whole_versions_and_no_rest(tmp_path, monkeypatch, operation):
    genuine = getattr(os, operation)
    for point in range(50):
        registry = registry_with(tmp_path / str(point), "ready")
        left = point

        def failing(*arguments, **named):
            nonlocal left
            left -= 1
            if left == -1:
                raise OSError(5, "Input/output error")
            return genuine(*arguments, **named)

        monkeypatch.setattr(os, operation, failing)
        try:
            registry.publish(artifact(2), parent=None, status="ready")
        except ArtifactError as error:
            assert "Input/output error" in str(error)  # noqa: PT017 - the last point does not fail
        monkeypatch.setattr(os, operation, genuine)

        assert_all_whole(Registry(tmp_path / str(point)))
        assert not any((tmp_path / str(point)).glob(".tmp-*"))
        if left >= 0:
            return
    pytest.fail("publishing never came through")


def test_what_a_dead_writer_left_is_removed_at_start_and_a_living_one_is_left_alone(tmp_path):
    registry_with(tmp_path, "ready")
    dead, living = tmp_path / ".tmp-999999-dead", tmp_path / f".tmp-{os.getpid()}-living"
    dead.mkdir()
    living.mkdir()
    (dead / "snapshot.safetensors").write_bytes(b"half")
    (tmp_path / ".tmp-999999-file").write_bytes(b"half")

    with atomic_files.locked(living / ".lock"):
        Registry(tmp_path)

    assert [path.name for path in tmp_path.glob(".tmp-*")] == [living.name]


def test_a_replaced_file_is_as_before_when_writing_fails(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"before")

    with pytest.raises(TypeError), atomic_files.replacing(path) as file:
        file.write("not bytes")

    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_lock_is_held_by_one_at_a_time(tmp_path):
    with (
        atomic_files.locked(tmp_path / "lock"),
        pytest.raises(BlockingIOError),
        atomic_files.locked(tmp_path / "lock", wait=False),
    ):
        pass

    with atomic_files.locked(tmp_path / "lock", wait=False):
        pass
