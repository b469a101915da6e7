"""Whatever happens to a version on disk, it is refused, put aside, and the one before it serves."""

import json
import logging

import numpy as np
import pytest

from recommender.errors import ArtifactError, CorruptArtifactError
from recommender.storage.registry import Registry
from tests.support.shelves import PARTS, artifact, is_like, names, registry_with, resealed, rewritten

FILES = ("manifest.json", "snapshot.safetensors", "train_state.safetensors")
NEWEST = "00000002"


def cut(length):
    def damage(folder, name):
        path = folder / name
        content = path.read_bytes()
        path.write_bytes(content[: length(len(content))])

    return damage


def flip(position, bit=0):
    def damage(folder, name):
        path = folder / name
        content = bytearray(path.read_bytes())
        content[position(len(content))] ^= 1 << bit
        path.write_bytes(content)

    return damage


DAMAGES = {
    "cut to nothing": cut(lambda _: 0),
    "cut to one byte": cut(lambda _: 1),
    "cut to half": cut(lambda size: size // 2),
    "cut by one byte": cut(lambda size: size - 1),
    "first bit": flip(lambda _: 0),
    "header": flip(lambda _: 20, bit=4),
    "middle": flip(lambda size: size // 2, bit=7),
    "last bit": flip(lambda size: size - 1, bit=7),
    "a byte more": lambda folder, name: (folder / name).write_bytes((folder / name).read_bytes() + b"\n") and None,
    "missing": lambda folder, name: (folder / name).unlink(),
}


@pytest.fixture
def registry(tmp_path):
    registry = registry_with(tmp_path, "ready", "ready")
    registry.activate(NEWEST, pinned=False)
    return registry


def assert_refused_and_replaced(folder, *, because):
    with pytest.raises(CorruptArtifactError, match=because):
        Registry(folder).load(NEWEST, PARTS)
    version, loaded = Registry(folder).load_current(PARTS)
    assert version == "00000001"
    assert is_like(loaded, artifact(1))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_refused_by_name_and_the_version_goes_into_quarantine(tmp_path, registry, damage, name):
    damage(tmp_path / NEWEST, name)

    assert_refused_and_replaced(tmp_path, because=name.replace(".", r"\."))
    reason = json.loads((tmp_path / "quarantine" / NEWEST / "reason.json").read_text())["reason"]
    assert f"{NEWEST}/{name}" in reason
    assert names(registry) == ["00000001"]


@pytest.mark.parametrize("name", FILES)
def test_no_byte_of_a_file_can_change_unnoticed(tmp_path, registry, name):
    path = tmp_path / NEWEST / name
    genuine = path.read_bytes()
    for position in range(len(genuine)):
        changed = bytearray(genuine)
        changed[position] ^= 1 << position % 8
        path.write_bytes(changed)

        with pytest.raises(CorruptArtifactError):
            registry.load(NEWEST, PARTS)


def nan_in(arrays):
    changed = arrays["item_embeddings"].copy()
    changed[3, 2] = np.nan
    return {**arrays, "item_embeddings": changed}


def test_a_value_that_is_not_finite_is_refused(tmp_path, registry):
    arrays = registry.load(NEWEST).parts["snapshot"]

    rewritten(tmp_path / NEWEST, "snapshot", nan_in(arrays), with_specs=True)

    assert_refused_and_replaced(tmp_path, because="snapshot.safetensors: item_embeddings not finite")


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: {**arrays, "item_embeddings": arrays["item_embeddings"].reshape(4, 5)},
        lambda arrays: {**arrays, "item_embeddings": arrays["item_embeddings"].view(np.int32)},
        lambda arrays: {**arrays, "one_more": np.zeros(3)},
        lambda arrays: {"item_embeddings": arrays["item_embeddings"]},
    ],
    ids=["shape", "dtype", "one more", "one less"],
)
def test_arrays_that_are_not_as_the_manifest_says_are_refused(tmp_path, registry, change):
    arrays = registry.load(NEWEST).parts["snapshot"]

    rewritten(tmp_path / NEWEST, "snapshot", change(arrays), with_specs=False)

    assert_refused_and_replaced(tmp_path, because="dtypes and shapes are not those in the manifest")


@pytest.mark.usefixtures("registry")
def test_another_content_of_the_same_length_is_refused(tmp_path):
    path = tmp_path / NEWEST / "snapshot.safetensors"
    other = (tmp_path / "00000001" / "snapshot.safetensors").read_bytes()
    assert len(other) == path.stat().st_size

    path.write_bytes(other)

    assert_refused_and_replaced(tmp_path, because="another xxh3_128 than when it was written")


def test_the_folder_of_another_version_is_refused(tmp_path, registry):
    (tmp_path / NEWEST).rename(tmp_path / "aside")
    (tmp_path / "00000001").rename(tmp_path / NEWEST)

    with pytest.raises(CorruptArtifactError, match="is of version '00000001'"):
        registry.load(NEWEST)


@pytest.mark.usefixtures("registry")
def test_a_newer_schema_is_refused_clearly_and_not_put_aside(tmp_path):
    resealed(tmp_path / NEWEST, schema=99)

    assert_refused_and_replaced(tmp_path, because="has schema 99, this release reads up to 1: a newer release")
    assert (tmp_path / NEWEST).is_dir()
    assert not (tmp_path / "quarantine").exists()


def test_files_that_the_manifest_does_not_name_are_ignored(tmp_path, registry):
    (tmp_path / NEWEST / "notes.txt").write_text("mine")
    (tmp_path / "notes").mkdir()
    (tmp_path / "00000077.bak").write_text("mine")

    assert Registry(tmp_path).load_current()[0] == NEWEST
    assert names(registry) == [NEWEST, "00000001"]


def test_an_unreadable_manifest_is_left_out_of_a_listing_and_logged_once(tmp_path, registry, caplog):
    (tmp_path / NEWEST / "manifest.json").write_bytes(b"{")

    with caplog.at_level(logging.WARNING):
        assert names(registry) == names(registry) == ["00000001"]
    assert caplog.text.count(f"version {NEWEST} is not listed") == 1


def test_when_every_version_is_corrupt_none_is_served_and_all_are_kept_aside(tmp_path, registry):
    for version in ("00000001", NEWEST):
        flip(lambda size: size - 1)(tmp_path / version, "snapshot.safetensors")

    assert registry.load_current() is None
    assert {path.name for path in (tmp_path / "quarantine").iterdir()} == {"00000001", NEWEST}


def test_a_corrupt_version_that_cannot_be_moved_does_not_keep_the_next_from_serving(tmp_path, registry):
    flip(lambda size: size - 1)(tmp_path / NEWEST, "snapshot.safetensors")
    (tmp_path / "quarantine").write_text("a file where the folder should be")

    assert registry.load_current()[0] == "00000001"


def test_a_disk_that_fails_is_not_held_against_the_version(tmp_path, registry, monkeypatch):
    path, genuine = tmp_path / NEWEST / "snapshot.safetensors", type(tmp_path).open

    def failing(self, *arguments, **named):
        if self == path:
            raise OSError(5, "Input/output error")
        return genuine(self, *arguments, **named)

    monkeypatch.setattr(type(tmp_path), "open", failing)

    with pytest.raises(ArtifactError, match="Input/output error") as caught:
        registry.load(NEWEST)
    assert not isinstance(caught.value, CorruptArtifactError)
    assert registry.load_current()[0] == "00000001"
    assert path.exists()
