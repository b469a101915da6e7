"""Registry maintenance: what restoring a back-up and erasing a person do to versions, and nothing else does."""

from __future__ import annotations

import secrets
from pathlib import Path

import msgspec
from msgspec.structs import replace

from recommender.errors import ArtifactError
from recommender.storage.registry.artifact import Artifact, Pointer, part_of, payload_bytes, require_storable
from recommender.storage.registry.manifest import plain_meta
from recommender.storage.registry.registry import Registry
from recommender.storage.registry.safetensors_file import specs_of, write_arrays


def adopt_version(registry: Registry, version: str, files: Path) -> None:
    """Take in a version that another registry had, under its own name.

    Parameters
    ----------
    registry
        Which must have none of this name.
    version
        Its name.
    files
        Folder with its manifest and all that this names.

    Raises
    ------
    CorruptArtifactError
        They do not belong together.
    ArtifactError
        There is a version of this name, or the disk is full or fails.
    """
    try:
        registry.backend.adopt(version, files)
    except OSError as error:
        raise ArtifactError(f"cannot write version {version} into {registry.backend.location}: {error}") from error


def continue_from(registry: Registry, pointer: Pointer, highest: int) -> None:
    """Point where another registry pointed, and give out no number that it ever gave."""
    backend = registry.backend
    backend.reserve(highest)
    backend.change(lambda: backend.point(msgspec.json.encode(pointer)))


def rewrite_version(registry: Registry, version: str, artifact: Artifact) -> None:
    """Put other parts and metadata in the place of those of a version, whose name, status and parent stay.

    A version that was signed as it has to be is signed again, where there is a key; else it is unsigned from then on.

    Parameters
    ----------
    registry, version
        Which is rewritten. Who has loaded it goes on with what was there before.
    artifact
        Its metadata, and the parts that change, one at least; parts that are not given stay as they are.

    Raises
    ------
    UnknownVersionError
        There is no such version.
    ArtifactError
        The artifact cannot be stored, or the disk is full or fails.
    """
    manifest = registry.backend.complete_manifest(version)
    require_storable(artifact, manifest.status)
    meta = plain_meta(artifact.meta)
    is_signed = registry.trust.key is not None
    try:
        with registry.backend.draft(payload_bytes(artifact)) as draft:
            # other names, because somebody may be reading those of now; who has kept the manifest sees by them that it
            # is not the one that counts
            own = {
                part: write_arrays(draft / f"{part}-{secrets.token_hex(4)}.safetensors", arrays, with_sha256=is_signed)
                for part, arrays in artifact.parts.items()
            }
            files = tuple(own.get(part_of(entry.name), entry) for entry in manifest.files)
            specs = {**manifest.arrays, **{part: specs_of(arrays) for part, arrays in artifact.parts.items()}}
            rewritten = replace(manifest, files=files, arrays=specs, meta=meta)
            registry.backend.rewrite(draft, registry.trust.signed_again(manifest, rewritten))
    except OSError as error:
        raise ArtifactError(f"cannot rewrite version {version}: {error}") from error


def sign_version(registry: Registry, version: str) -> None:
    """Sign a version that is there with the registry's key, in the place of any other signature.

    Every file is read and compared with the manifest first.

    Raises
    ------
    UnknownVersionError
        There is no such version.
    CorruptArtifactError
        Something in it is not what was written, or what another has signed.
    ArtifactError
        The registry has no key, or the disk is full or fails.
    """
    if registry.trust.key is None:
        raise ArtifactError("there is no key to sign with")
    manifest = registry.backend.complete_manifest(version)
    try:
        digests = [registry.backend.sha256(version, entry) for entry in manifest.files]
        files = tuple(replace(entry, sha256=each) for entry, each in zip(manifest.files, digests, strict=True))
        with registry.backend.draft(0) as draft:
            registry.backend.rewrite(draft, registry.trust.signed(replace(manifest, files=files)))
    except OSError as error:
        raise ArtifactError(f"cannot sign version {version}: {error}") from error


def drop_quarantined(registry: Registry) -> list[str]:
    """Remove all versions that were set aside; returns their names."""
    return registry.backend.drop_quarantined()
