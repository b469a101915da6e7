"""Keys to sign versions with, and ways to tamper with a signed one as somebody would who knows the format."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from recommender.storage.registry import Registry
from recommender.storage.registry.manifest import NAME, encoded_manifest, parsed_manifest
from recommender.storage.registry.signing import NewKeys, Signature, new_keys
from recommender.storage.registry.trust import Trust
from tests.support.shelves import artifact

OURS, THEIRS = new_keys(), new_keys()


def signing(keys: NewKeys = OURS) -> Trust:
    """Signs, and asks for nothing."""
    return Trust.of(keys.private)


def requiring(*keys: NewKeys) -> Trust:
    """Signs nothing, and asks for the signature of one of these."""
    return Trust.of("", [each.public for each in keys or (OURS,)])


def signed_registry(location: Path | str, *keys: NewKeys) -> Registry:
    """Registry with a version signed by each of `keys`, oldest first; a version's log_offset is its number."""
    for number, each in enumerate(keys, 1):
        Registry(location, signing(each)).publish(artifact(number), parent=None, status="ready")
    return Registry(location, requiring())


def with_manifest(content: bytes, name: str, /, **changes: object) -> bytes:
    """Manifest with something changed and sealed anew, as anybody can; the signature is the one of before."""
    manifest = parsed_manifest(lambda: content, name)
    return encoded_manifest(msgspec.structs.replace(manifest, **changes))


def with_own_signature(content: bytes, name: str, /, **changes: object) -> bytes:
    """The same, with the signature told to be of it."""
    unsigned = msgspec.structs.replace(parsed_manifest(lambda: content, name), **changes, signature=None)
    signature = parsed_manifest(lambda: content, name).signature
    own = Trust.of(THEIRS.private).signed(unsigned).signature
    forged = Signature(signature.key, own.manifest_sha256, signature.ed25519)
    return encoded_manifest(msgspec.structs.replace(unsigned, signature=forged))


def unsigned(content: bytes, version: str) -> bytes:
    return with_manifest(content, version, signature=None)


def edit(folder: Path, change: Callable[..., bytes], **changes: object) -> None:
    """Put a manifest in the place of that in a version's folder."""
    path = folder / NAME
    path.write_bytes(change(path.read_bytes(), folder.name, **changes))
