"""Which version serves: the activated one, and what stands in when that cannot."""

import json

import pytest

from recommender.errors import ArtifactError, CorruptArtifactError
from recommender.storage.registry import Current, Registry
from tests.support.shelves import registry_with


def test_without_an_activation_the_newest_ready_version_serves(tmp_path):
    assert registry_with(tmp_path, "ready", "ready", "rejected").current() == Current("00000002", pinned=False)


def test_an_activated_version_serves_whatever_is_published_later(tmp_path):
    registry = registry_with(tmp_path, "ready", "ready")

    registry.activate("00000001", pinned=True)

    assert Registry(tmp_path).current() == Current("00000001", pinned=True)
    assert [info.status for info in registry.versions()] == ["ready", "active"]
    assert json.loads((tmp_path / "CURRENT").read_text())["version"] == "00000001"
    assert registry.newest_when_pinned() == "00000002"


def test_follow_unpins_and_activates_the_newest_ready_version(tmp_path):
    registry = registry_with(tmp_path, "ready", "ready", "rejected")
    registry.activate("00000001", pinned=True)

    assert registry.follow() == registry.current() == Current("00000002", pinned=False)


def test_advance_activates_the_newest_ready_version(tmp_path):
    registry = registry_with(tmp_path, "ready", "ready")
    registry.activate("00000001", pinned=False)

    assert registry.advance() == registry.current() == Current("00000002", pinned=False)


def test_advance_leaves_a_pinned_version(tmp_path):
    registry = registry_with(tmp_path, "ready", "ready")
    registry.activate("00000001", pinned=True)

    assert registry.advance() == registry.current() == Current("00000001", pinned=True)


def test_advance_writes_nothing_when_there_is_nothing_to_change(tmp_path):
    registry = registry_with(tmp_path, "ready")
    registry.advance()
    before = (tmp_path / "CURRENT").stat().st_ino

    registry.advance()

    assert (tmp_path / "CURRENT").stat().st_ino == before


def test_activating_a_rejected_version_says_why_it_was_rejected(tmp_path):
    registry = registry_with(tmp_path, "ready")
    other = registry.load("00000001", ("snapshot", "train_state"))
    version = registry.publish(other, parent=None, status="rejected", reason="ndcg@10 fell by half")

    with pytest.raises(ArtifactError, match="ndcg@10 fell by half"):
        registry.activate(version, pinned=True)
    assert registry.current().version == "00000001"


def test_activating_a_version_with_a_missing_file_is_refused(tmp_path):
    registry = registry_with(tmp_path, "ready", "ready")
    (tmp_path / "00000001" / "train_state.safetensors").unlink()

    with pytest.raises(CorruptArtifactError, match=r"train_state\.safetensors is missing"):
        registry.activate("00000001", pinned=True)
    assert registry.current().version == "00000002"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\x00",
        b"{",
        b"[]",
        b'"00000001"',
        b"00000001",
        b'{"version": 1, "pinned": true}',
        b'{"version": "00000001"}',
    ],
)
def test_a_current_that_is_garbage_is_ignored_and_logged(tmp_path, caplog, content):
    registry = registry_with(tmp_path, "ready", "ready")
    (tmp_path / "CURRENT").write_bytes(content)

    assert registry.current() == Current("00000002", pinned=False)
    assert registry.load_current()[0] == "00000002"
    assert "CURRENT is ignored" in caplog.text


@pytest.mark.parametrize("pinned", [True, False])
@pytest.mark.parametrize("named", ["00000099", "", "latest", "../models/00000001", "²", "9" * 5000])
def test_a_current_that_names_nothing_is_ignored_and_logged(tmp_path, caplog, named, pinned):
    registry = registry_with(tmp_path / "models", "ready", "ready")
    (tmp_path / "models" / "CURRENT").write_text(json.dumps({"version": named, "pinned": pinned}))

    assert registry.current() == Current("00000002", pinned=pinned)
    assert registry.load_current()[0] == "00000002"
    assert "version 00000002 stands in for" in caplog.text


def test_what_is_asked_again_and_again_is_logged_once(tmp_path, caplog):
    registry = registry_with(tmp_path, "ready")
    (tmp_path / "CURRENT").write_bytes(b"garbage")

    for _ in range(5):
        registry.current()

    assert caplog.text.count("CURRENT is ignored") == 1


def test_for_a_pinned_version_that_is_lost_an_older_one_stands_in_and_the_pin_stays(tmp_path):
    registry = registry_with(tmp_path, "ready", "ready", "ready")
    registry.activate("00000002", pinned=True)

    registry.quarantine("00000002", "a test")

    assert registry.current() == Current("00000001", pinned=True)
    assert registry.load_current()[0] == "00000001"


def test_for_the_oldest_pinned_version_that_is_lost_the_newest_stands_in(tmp_path):
    registry = registry_with(tmp_path, "ready", "ready", "ready")
    registry.activate("00000001", pinned=True)

    registry.quarantine("00000001", "a test")

    assert registry.current() == Current("00000003", pinned=True)


def test_rejected_versions_never_stand_in(tmp_path):
    registry = registry_with(tmp_path, "rejected", "rejected")

    assert registry.current() == registry.follow() == Current(None, pinned=False)
    assert registry.load_current() is None
