"""Versions in an object store: whole or not there, verified, numbered once, whoever dies or is overtaken."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import fsspec
import pytest

from recommender.errors import ArtifactError, CorruptArtifactError, StateUnavailableError, UnknownVersionError
from recommender.storage.object_store import Bucket
from recommender.storage.registry import Artifact, Current, Registry, VersionMeta
from recommender.storage.registry.object_store_backend import ObjectStoreBackend
from tests.support.s3_server import S3Server
from tests.support.shelves import PARTS, artifact, is_like, names, registry_with

CHANGING = ("pipe_file", "put_file", "rm_file")
ACTIONS = {
    "publish": lambda registry: registry.publish(artifact(4), parent="00000002", status="ready"),
    "activate": lambda registry: registry.activate("00000001", pinned=True),
    "prune": lambda registry: registry.prune(0),
}


class DiedError(BaseException):
    """Nothing catches it, as nothing catches a SIGKILL."""


def assert_all_whole(registry: Registry) -> None:
    for version in names(registry):
        loaded = registry.load(version, PARTS)
        assert is_like(loaded, artifact(loaded.meta.log_offset))


def test_a_version_is_loaded_as_it_was_published_also_where_no_copy_is(url, monkeypatch, tmp_path):
    version = Registry(url).publish(artifact(1, metrics={"auc": 0.9}), parent=None, status="ready")
    monkeypatch.setenv("RECOMMENDER_CACHE", str(tmp_path / "another machine"))

    found, loaded = Registry(url).load_current(PARTS)

    assert found == version == "00000001"
    assert is_like(loaded, artifact(1, metrics={"auc": 0.9}))


def test_an_empty_place_has_no_versions_and_stays_as_it_is(url):
    registry = Registry(url)

    assert registry.versions() == []
    assert registry.load_current() is None
    assert registry.current() == registry.advance() == registry.follow() == Current(None, pinned=False)
    assert registry.prune(1) == []
    with pytest.raises(UnknownVersionError):
        registry.load("00000001")
    assert Bucket(url).sizes() == {}


def test_activation_pins_and_follows_as_in_a_folder_and_others_see_it(url):
    ours, theirs = registry_with(url, "ready", "ready", "rejected"), Registry(url)

    assert theirs.advance() == Current("00000002", pinned=False)
    ours.activate("00000001", pinned=True)
    assert theirs.advance() == Current("00000001", pinned=True)
    assert ours.newest_when_pinned() == "00000003"
    assert theirs.follow() == Current("00000002", pinned=False)
    with pytest.raises(ArtifactError, match="was rejected"):
        ours.activate("00000003", pinned=True)


def test_what_was_pruned_is_gone_and_its_number_is_not_given_again(url):
    registry = registry_with(url, "ready", "ready", "ready", "rejected")
    registry.advance()

    assert registry.prune(1) == ["00000001"]
    assert registry.prune(0) == ["00000004"]
    assert names(registry) == ["00000003", "00000002"]
    folders = {name.partition("/")[0] for name in Bucket(url).sizes()}
    assert folders == {"00000002", "00000003", "claims", "current"}
    assert Registry(url).publish(artifact(), parent=None, status="ready") == "00000005"


@pytest.mark.parametrize("action", ACTIONS)
def test_death_before_any_request_leaves_the_former_version_current_and_all_whole(url, monkeypatch, action):
    for point in range(40):
        place = f"{url}/{point}"
        registry_with(place, "ready", "ready", "ready").activate("00000002", pinned=False)
        dying, left = Registry(place), point

        def counted(genuine):
            def call(*arguments, **named):
                nonlocal left
                left -= 1
                if left == -1:
                    raise DiedError
                return genuine(*arguments, **named)

            return call

        with monkeypatch.context() as patched:
            for name in CHANGING:
                patched.setattr(
                    dying.backend._bucket._files, name, counted(getattr(dying.backend._bucket._files, name))
                )
            with suppress(DiedError):
                ACTIONS[action](dying)
        registry = Registry(place)
        if left < 0 and action != "prune":
            assert registry.current().version == "00000002"
        assert registry.load_current(PARTS) is not None
        assert_all_whole(registry)
        assert int(registry.publish(artifact(9), parent=None, status="ready")) > 3
        if left >= 0:
            assert point > 0
            return  # it came through
    pytest.fail(f"{action} never ends")


def test_a_process_killed_while_it_uploads_leaves_the_former_version_current(url):
    registry_with(url, "ready").advance()
    script = """
import os, signal, sys
from tests.support.shelves import artifact
from recommender.storage.object_store import Bucket
from recommender.storage.registry import Registry
genuine = Bucket.upload
def killed(self, path, name):
    genuine(self, path, name)
    os.kill(os.getpid(), signal.SIGKILL)
Bucket.upload = killed
Registry(sys.argv[1]).publish(artifact(2), parent="00000001", status="ready")
"""
    done = subprocess.run([sys.executable, "-c", script, url], cwd=Path(__file__).parents[2], check=False)

    assert done.returncode == -9
    assert any(name.startswith("00000002/") for name in Bucket(url).sizes())
    assert Registry(url).advance() == Current("00000001", pinned=False)
    assert Registry(url).publish(artifact(2), parent=None, status="ready") == "00000003"


def test_those_who_publish_at_once_overwrite_and_lose_nothing(url):
    def publish(writer: int) -> list[str]:
        registry = Registry(url)
        return [
            registry.publish(artifact(turn, model={"writer": f"{writer}-{turn}"}), parent=None, status="ready")
            for turn in range(3)
        ]

    with ThreadPoolExecutor(4) as pool:
        given = [version for versions in pool.map(publish, range(4)) for version in versions]

    registry = Registry(url)
    assert len(set(given)) == 12
    assert sorted(given) == sorted(names(registry))
    writers = [registry.load(version).meta.model["writer"] for version in names(registry)]
    assert sorted(writers) == [f"{writer}-{turn}" for writer in range(4) for turn in range(3)]


def test_who_was_overtaken_while_changing_begins_again(url):
    registry_with(url, "ready", "ready", "ready")
    ours, seen = ObjectStoreBackend(Bucket(url)), []

    def work() -> None:
        seen.append(ours.pointer())
        if len(seen) == 1:
            Registry(url).activate("00000002", pinned=True)
        ours.point(b"ours")

    ours.change(work)

    assert seen[0] is None
    assert b"00000002" in seen[1]
    assert ObjectStoreBackend(Bucket(url)).pointer() == b"ours"


def test_a_damaged_copy_is_fetched_again(url):
    registry = registry_with(url, "ready")
    [copy] = Bucket(url).cache().glob("*/snapshot.safetensors")
    copy.write_bytes(b"x" * copy.stat().st_size)

    assert is_like(
        registry.load("00000001"), Artifact({"snapshot": artifact(1).parts["snapshot"]}, VersionMeta(log_offset=1))
    )
    assert Registry(url).load_current()[0] == "00000001"


@pytest.mark.parametrize("name", ["snapshot.safetensors", "train_state.safetensors", "manifest.json"])
@pytest.mark.parametrize("damage", ["another content", "missing"])
def test_a_damaged_object_is_refused_by_name_and_the_version_before_serves(url, monkeypatch, tmp_path, damage, name):
    registry_with(url, "ready", "ready").advance()
    monkeypatch.setenv("RECOMMENDER_CACHE", str(tmp_path / "another machine"))
    bucket, place = Bucket(url), f"00000002/{name}"
    content = bucket.read(place)
    bucket.remove([place])
    if damage != "missing":
        bucket.create(place, b"x" * len(content))

    registry = Registry(url)

    if damage != "missing" or name != "manifest.json":
        with pytest.raises(CorruptArtifactError, match=name.replace(".", r"\.")):
            registry.load("00000002", PARTS)
    version, loaded = registry.load_current(PARTS)
    assert version == "00000001"
    assert is_like(loaded, artifact(1))
    assert names(registry) == ["00000001"]


def test_a_server_that_is_down_is_said_so_and_speaks_against_no_version(monkeypatch):
    server = S3Server()
    fsspec.get_filesystem_class("s3").clear_instance_cache()  # it would go on with the server that it knows
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.environment["AWS_ENDPOINT_URL"])
    url = server.url("state")
    registry = registry_with(url, "ready", "ready")
    server.end()

    for call in (
        lambda: registry.load("00000001", PARTS[:0]) and registry.load_current(),
        registry.advance,
        lambda: Registry(url).versions(),
        lambda: registry.publish(artifact(), parent=None, status="ready"),
    ):
        with pytest.raises(StateUnavailableError, match=f"{url} does not answer"):
            call()


def test_a_scheme_that_nobody_knows_is_named():
    with pytest.raises(ValueError, match="nowhere://bucket"):
        Registry("nowhere://bucket")
