"""Signed versions in an object store: refused and replaced as in a folder, signed anew under a service that runs."""

import fsspec
import pytest

from recommender.errors import CorruptArtifactError, UntrustedVersionError
from recommender.storage.object_store import Bucket
from recommender.storage.registry import Artifact, Registry, object_store_backend
from recommender.storage.registry.maintenance import rewrite_version, sign_version
from recommender.storage.registry.manifest import NAME
from recommender.storage.registry.trust import Trust
from tests.support.shelves import PARTS, artifact, is_like, registry_with
from tests.support.signed import OURS, THEIRS, requiring, signed_registry, signing, unsigned, with_own_signature

OLDER, NEWEST = "00000001", "00000002"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(object_store_backend, "LISTING_S", 0.0)


def write(url, name, content):
    files, root = fsspec.url_to_fs(url, use_listings_cache=False)
    files.pipe_file(f"{root}/{name}", content)


def edit(url, version, change, **changes):
    name = f"{version}/{NAME}"
    write(url, name, change(Bucket(url).read(name), version, **changes))


def without_a_cache(url, monkeypatch, tmp_path):
    monkeypatch.setenv("RECOMMENDER_CACHE", str(tmp_path / "another machine"))
    return Registry(url, requiring())


@pytest.mark.parametrize("part", PARTS)
def test_a_changed_byte_of_an_object_is_refused_and_the_version_before_serves(url, monkeypatch, tmp_path, part):
    signed_registry(url, OURS, OURS)
    name = f"{NEWEST}/{part}.safetensors"
    content = Bucket(url).read(name)
    write(url, name, content[:-1] + bytes([content[-1] ^ 1]))
    registry = without_a_cache(url, monkeypatch, tmp_path)

    with pytest.raises(CorruptArtifactError, match=name):
        registry.load(NEWEST, PARTS)
    assert registry.load_current(PARTS)[0] == OLDER


@pytest.mark.parametrize(("change", "reason"), [(unsigned, "it is not signed"), (with_own_signature, "it was altered")])
def test_a_manifest_without_its_own_signature_is_refused_and_the_version_before_serves(url, change, reason):
    signed_registry(url, OURS, OURS)
    edit(url, NEWEST, change, **({} if change is unsigned else {"parent": "00000009"}))
    registry = Registry(url, requiring())

    with pytest.raises(UntrustedVersionError, match=f"version {NEWEST} is refused: .*{reason}"):
        registry.load(NEWEST)
    assert registry.load_current()[0] == registry.advance().version == OLDER


def test_who_runs_already_sees_that_a_version_was_signed(url):
    registry_with(url, "ready")
    running = Registry(url, requiring())
    before = running.versions()[0].refused
    sign_version(Registry(url, signing()), OLDER)

    assert (before, running.versions()[0].refused) == ("it is not signed", None)
    assert is_like(running.load(OLDER, PARTS), artifact(1))


def test_who_runs_already_sees_after_a_while_that_another_key_has_signed(url, monkeypatch):
    running = signed_registry(url, THEIRS)
    before = running.versions()[0].refused
    sign_version(Registry(url, signing()), OLDER)
    monkeypatch.setattr(object_store_backend, "MANIFEST_S", 0.0)

    assert THEIRS.fingerprint in before
    assert running.versions()[0].refused is None


def test_what_is_rewritten_is_signed_again(url):
    signed_registry(url, OURS)
    rewritten = Artifact({"snapshot": artifact(8).parts["snapshot"]}, artifact(1).meta)
    rewrite_version(Registry(url, Trust.of(OURS.private, [OURS.public])), OLDER, rewritten)

    assert is_like(Registry(url, requiring()).load(OLDER), Artifact(artifact(8).parts, artifact(1).meta))
