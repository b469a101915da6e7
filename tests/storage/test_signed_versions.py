"""Where signatures are asked for, nothing is loaded that somebody else has made or altered; the one before serves."""

import logging
import shutil
import stat
import subprocess

import msgspec
import pytest

from recommender.errors import CorruptArtifactError, InvalidDataError, UntrustedVersionError
from recommender.storage.registry import Artifact, Registry
from recommender.storage.registry.maintenance import rewrite_version, sign_version
from recommender.storage.registry.manifest import NAME, encoded_manifest, read_manifest
from recommender.storage.registry.safetensors_file import write_arrays
from recommender.storage.registry.signing import SigningKey, new_keys, read_public_keys, signed_text, write_keys
from recommender.storage.registry.trust import Trust
from tests.support.shelves import PARTS, artifact, is_like, names, registry_with
from tests.support.signed import (
    OURS,
    THEIRS,
    edit,
    requiring,
    signed_registry,
    signing,
    unsigned,
    with_manifest,
    with_own_signature,
)

OLDER, NEWEST = "00000001", "00000002"


@pytest.fixture
def registry(tmp_path):
    """Two versions that are signed with our key, the newer one active."""
    registry = signed_registry(tmp_path, OURS, OURS)
    registry.activate(NEWEST, pinned=False)
    return registry


def assert_refused_and_replaced(folder, error, *, because):
    with pytest.raises(error, match=because):
        Registry(folder, requiring()).load(NEWEST, PARTS)
    version, loaded = Registry(folder, requiring()).load_current(PARTS)
    assert version == OLDER
    assert is_like(loaded, artifact(1))


def test_what_our_key_has_signed_is_loaded_listed_and_activated(registry):
    assert is_like(registry.load(NEWEST, PARTS), artifact(2))
    assert registry.current().version == NEWEST
    assert [(each.version, each.refused) for each in registry.versions()] == [(NEWEST, None), (OLDER, None)]


@pytest.mark.usefixtures("registry")
def test_who_asks_for_no_signature_reads_signed_versions_and_unsigned_ones(tmp_path):
    Registry(tmp_path).publish(artifact(3), parent=None, status="ready")

    assert is_like(Registry(tmp_path).load(NEWEST, PARTS), artifact(2))
    assert Registry(tmp_path).advance().version == "00000003"


def test_a_manifest_without_a_signature_has_not_a_byte_more_than_before_there_were_any(tmp_path):
    registry_with(tmp_path, "ready")

    content = (tmp_path / OLDER / NAME).read_text()
    assert "signature" not in content
    assert content.count("sha256") == 1


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize("part", PARTS)
def test_a_changed_byte_of_a_file_is_refused(tmp_path, part):
    path = tmp_path / NEWEST / f"{part}.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    assert_refused_and_replaced(tmp_path, CorruptArtifactError, because=f"{part}.safetensors has another xxh3_128")


def test_another_content_with_the_same_fast_hash_is_refused(tmp_path, registry, monkeypatch):
    class Colliding:
        """A hash that a second content was found for."""

        def __init__(self) -> None:
            self.update = lambda _: None

        def hexdigest(self) -> str:
            return entry.xxh3_128

    entry = next(each for each in read_manifest(tmp_path / NEWEST).files if each.name == "snapshot.safetensors")
    path = tmp_path / NEWEST / entry.name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    monkeypatch.setattr("recommender.storage.registry.safetensors_file.xxhash.xxh3_128", Colliding)

    with pytest.raises(CorruptArtifactError, match=r"snapshot\.safetensors has another sha256 than when it was signed"):
        registry.load(NEWEST)


@pytest.mark.usefixtures("registry")
def test_a_part_that_was_exchanged_together_with_its_hashes_is_refused(tmp_path):
    folder = tmp_path / NEWEST
    (folder / "snapshot.safetensors").unlink()
    entry = write_arrays(folder / "snapshot.safetensors", artifact(7).parts["snapshot"], with_sha256=True)
    files = tuple(entry if each.name == entry.name else each for each in read_manifest(folder).files)
    edit(folder, with_own_signature, files=files)

    assert is_like(Registry(tmp_path).load(NEWEST), Artifact(artifact(7).parts, artifact(2).meta))
    assert_refused_and_replaced(tmp_path, UntrustedVersionError, because="it was altered")


@pytest.mark.parametrize(
    "changes",
    [{"status": "rejected"}, {"parent": "00000009"}, {"meta": artifact(9).meta}, {"software": {}}],
    ids=str,
)
def test_a_manifest_that_was_changed_and_sealed_anew_is_refused(tmp_path, registry, changes):
    edit(tmp_path / NEWEST, with_own_signature, **changes)

    with pytest.raises(UntrustedVersionError, match=f"version {NEWEST} is refused: its signature is not of the key"):
        registry.load(NEWEST)


@pytest.mark.usefixtures("registry")
def test_a_manifest_whose_signature_is_of_what_it_was_before_is_damaged(tmp_path):
    edit(tmp_path / NEWEST, with_manifest, parent="00000009")

    assert_refused_and_replaced(tmp_path, CorruptArtifactError, because="its signature is of another manifest")


def test_no_byte_of_a_signed_manifest_can_change_unnoticed(tmp_path, registry):
    path = tmp_path / NEWEST / NAME
    genuine = path.read_bytes()
    for position in range(len(genuine)):
        changed = bytearray(genuine)
        changed[position] ^= 1 << position % 8
        path.write_bytes(changed)

        with pytest.raises((CorruptArtifactError, UntrustedVersionError)):
            registry.load(NEWEST, PARTS)


@pytest.mark.usefixtures("registry")
def test_the_signature_of_another_version_does_not_do(tmp_path):
    other = read_manifest(tmp_path / OLDER).signature
    edit(tmp_path / NEWEST, with_manifest, signature=other)

    assert_refused_and_replaced(tmp_path, CorruptArtifactError, because="its signature is of another manifest")


def test_an_older_version_under_a_newer_name_is_refused(tmp_path, registry):
    shutil.copytree(tmp_path / OLDER, tmp_path / "00000003")
    edit_as_if_of_3 = with_own_signature((tmp_path / OLDER / NAME).read_bytes(), OLDER, version="00000003")
    (tmp_path / "00000003" / NAME).write_bytes(edit_as_if_of_3)

    with pytest.raises(UntrustedVersionError, match="version 00000003 is refused: its signature is not"):
        registry.load("00000003")
    assert registry.load_current()[0] == NEWEST


@pytest.mark.usefixtures("registry")
def test_a_version_whose_signature_was_taken_away_is_refused_and_left_where_it_is(tmp_path, caplog):
    edit(tmp_path / NEWEST, unsigned)

    with caplog.at_level(logging.WARNING):
        assert_refused_and_replaced(tmp_path, UntrustedVersionError, because=f"{NEWEST} is refused: it is not signed")
    assert f"version {NEWEST} is refused: it is not signed" in caplog.text
    assert (tmp_path / NEWEST).is_dir()
    assert not (tmp_path / "quarantine").exists()


def test_another_key_is_refused_by_name_and_both_are_accepted_while_keys_change(tmp_path):
    registry = signed_registry(tmp_path, OURS, THEIRS)

    with pytest.raises(
        UntrustedVersionError, match=f"the key {THEIRS.fingerprint}, and accepted are {OURS.fingerprint}"
    ):
        registry.load(NEWEST)
    assert registry.load_current()[0] == registry.advance().version == OLDER
    assert Registry(tmp_path, requiring(THEIRS, OURS)).advance().version == NEWEST


def test_a_file_that_the_signature_does_not_cover_is_refused(tmp_path, registry):
    folder = tmp_path / NEWEST
    files = tuple(msgspec.structs.replace(each, sha256=None) for each in read_manifest(folder).files)
    manifest = msgspec.structs.replace(read_manifest(folder), files=files)
    (folder / NAME).write_bytes(encoded_manifest(signing().signed(manifest)))

    with pytest.raises(UntrustedVersionError, match=r"does not cover snapshot\.safetensors, train_state\.safetensors"):
        registry.load(NEWEST)


def test_an_unsigned_version_is_listed_with_the_reason_and_neither_activated_nor_followed(tmp_path, registry):
    Registry(tmp_path).publish(artifact(3), parent=None, status="ready")

    newest = registry.versions()[0]
    assert (newest.version, newest.status, newest.refused) == ("00000003", "ready", "it is not signed")
    assert not newest.may_serve
    assert registry.follow().version == registry.advance().version == NEWEST
    with pytest.raises(UntrustedVersionError, match="it is not signed"):
        registry.activate("00000003", pinned=True)
    assert registry.current().version == NEWEST


def test_unsigned_versions_do_not_crowd_out_the_signed_ones(tmp_path, registry):
    for number in range(3, 8):
        Registry(tmp_path).publish(artifact(number), parent=None, status="ready")

    removed = registry.prune(2)

    assert names(registry) == ["00000007", "00000006", NEWEST, OLDER]
    assert sorted(removed) == ["00000003", "00000004", "00000005"]


def test_a_version_that_was_there_before_is_signed_with_all_its_files(tmp_path):
    registry_with(tmp_path, "ready", "ready")
    sign_version(Registry(tmp_path, signing()), NEWEST)

    registry = Registry(tmp_path, requiring())
    assert is_like(registry.load(NEWEST, PARTS), artifact(2))
    assert registry.versions()[1].refused == "it is not signed"
    assert {path.name for path in (tmp_path / NEWEST).iterdir()} == {NAME, *(f"{part}.safetensors" for part in PARTS)}


def test_a_damaged_version_is_not_signed(tmp_path):
    registry_with(tmp_path, "ready")
    path = tmp_path / OLDER / "train_state.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")

    with pytest.raises(CorruptArtifactError, match=r"train_state\.safetensors has another xxh3_128"):
        sign_version(Registry(tmp_path, signing()), OLDER)


def test_what_is_rewritten_is_signed_again_where_there_is_a_key(tmp_path, registry):
    both = Trust.of(OURS.private, [OURS.public])
    rewrite_version(
        Registry(tmp_path, both), NEWEST, Artifact({"snapshot": artifact(8).parts["snapshot"]}, artifact(2).meta)
    )

    assert is_like(registry.load(NEWEST), Artifact(artifact(8).parts, artifact(2).meta))


def test_what_is_rewritten_without_a_key_is_refused_from_then_on(tmp_path, registry):
    rewrite_version(registry, NEWEST, Artifact({"snapshot": artifact(8).parts["snapshot"]}, artifact(2).meta))

    assert_refused_and_replaced(tmp_path, UntrustedVersionError, because="it is not signed")


@pytest.mark.parametrize("accepted", [(), (OURS.public,)], ids=["our key alone", "and signatures are asked for"])
def test_rewriting_gives_no_signature_to_what_had_none(tmp_path, accepted):
    registry_with(tmp_path, "ready")
    both = Registry(tmp_path, Trust.of(OURS.private, accepted))
    rewrite_version(both, OLDER, Artifact(artifact(8).parts, artifact(1).meta))

    assert read_manifest(tmp_path / OLDER).signature is None


def test_what_a_user_is_taken_out_of_may_be_looked_into_whatever_its_signature(tmp_path, registry):
    edit(tmp_path / NEWEST, unsigned)

    assert is_like(registry.load(NEWEST, PARTS, also_untrusted=True), artifact(2))


@pytest.mark.usefixtures("registry")
def test_a_release_before_there_were_signatures_reads_a_signed_manifest(tmp_path):
    """That release takes the fields that it knows, the last of them the metadata, and checks the seal."""
    content = msgspec.json.decode((tmp_path / NEWEST / NAME).read_bytes())

    assert [*content][-3:] == ["meta", "signature", "sha256"]
    assert content["schema"] == 1


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")
@pytest.mark.usefixtures("registry")
def test_the_signature_is_one_that_other_tools_verify(tmp_path):
    signature = read_manifest(tmp_path / NEWEST).signature
    (tmp_path / "text").write_bytes(signed_text(signature.manifest_sha256))
    (tmp_path / "value").write_bytes(bytes.fromhex(signature.ed25519))
    (tmp_path / "key.pub").write_text(OURS.public)

    command = "openssl pkeyutl -verify -pubin -inkey key.pub -rawin -in text -sigfile value"
    assert subprocess.run(command.split(), cwd=tmp_path, capture_output=True, check=False).returncode == 0


def test_a_key_is_written_once_for_its_owner_alone_and_never_overwritten(tmp_path):
    keys = new_keys()
    public = write_keys(keys, tmp_path / "key")

    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert public == tmp_path / "key.pub"
    (read,) = read_public_keys([public])
    assert read.fingerprint == SigningKey((tmp_path / "key").read_text()).public.fingerprint == keys.fingerprint
    with pytest.raises(FileExistsError):
        write_keys(new_keys(), tmp_path / "key")
    (tmp_path / "key").unlink()
    with pytest.raises(FileExistsError):
        write_keys(new_keys(), tmp_path / "key")


@pytest.mark.parametrize(
    "text", ["", "secret words", "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n"]
)
def test_what_is_no_key_is_said_to_be_none_and_not_repeated(text):
    with pytest.raises(InvalidDataError, match="no private key in PEM") as caught:
        SigningKey(text)
    assert "secret" not in str(caught.value)


def test_keys_of_other_kinds_are_refused(tmp_path):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import x25519

    other = x25519.X25519PrivateKey.generate()
    private = other.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = other.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )

    with pytest.raises(InvalidDataError, match="not of Ed25519"):
        SigningKey(private.decode())
    with pytest.raises(InvalidDataError, match="not of Ed25519"):
        read_public_keys([public.decode()])
    with pytest.raises(InvalidDataError, match="no public key in PEM"):
        read_public_keys([OURS.private])
    with pytest.raises(InvalidDataError, match=r"missing\.pub cannot be read"):
        read_public_keys([tmp_path / "missing.pub"])
