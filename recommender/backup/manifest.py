"""Back-up manifest: what one back-up consists of, sealed by a checksum of its own."""

from __future__ import annotations

import hashlib
from datetime import datetime

import msgspec

from recommender.backup.blobs import Blob, BlobStore
from recommender.errors import CorruptArtifactError, InvalidDataError, NewerSchemaError
from recommender.storage.file_store import FileStore
from recommender.storage.registry.artifact import Pointer

FORMAT = 1
FOLDER = "backups"


class BackedUpVersion(msgspec.Struct, frozen=True):
    """A version of the model in a back-up."""

    version: str
    created_at: datetime
    status: str
    log_offset: int


class Chunk(msgspec.Struct, frozen=True):
    """Records of the store in one content."""

    kind: str
    """``log``, ``users``, ``items``, ``event_ids`` or ``other``."""
    records: int
    blob: Blob


class BackupManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What one back-up consists of."""

    format: int = FORMAT
    instant: datetime
    """All that was acknowledged before it is in the back-up."""
    software: dict[str, str]
    versions: tuple[BackedUpVersion, ...]
    """Newest first."""
    pointer: Pointer
    """Which version served, and whether it was pinned."""
    highest: int
    """Highest number that was ever given to a version."""
    files: dict[str, Blob]
    """Of the state, by their names below it."""
    counters: dict[str, int]
    """Of the store: `Counters`."""
    chunks: tuple[Chunk, ...]

    @property
    def name(self) -> str:
        """Of the file, which sorts by time."""
        return f"{FOLDER}/{self.instant:%Y%m%dT%H%M%S.%fZ}.json"

    def blobs(self) -> dict[str, Blob]:
        """Every content that it names, by where it is."""
        found = [*self.files.values(), *(chunk.blob for chunk in self.chunks)]
        return {blob.name: blob for blob in found}


class _Sealed(msgspec.Struct, frozen=True):
    sha256: str
    backup: msgspec.Raw


class _Format(msgspec.Struct, frozen=True):
    format: int


def write_manifest(files: FileStore, manifest: BackupManifest) -> None:
    """Write a manifest: with it, its back-up is there."""
    content = msgspec.json.encode(manifest)
    sealed = _Sealed(hashlib.sha256(content).hexdigest(), msgspec.Raw(content))
    if not files.create(manifest.name, msgspec.json.encode(sealed)):
        raise InvalidDataError(f"{files.url}/{manifest.name} is there already")


def list_backups(files: FileStore) -> list[BackupManifest]:
    """Back-ups in a place, oldest first.

    Raises
    ------
    NewerSchemaError
        A newer release wrote one.
    CorruptArtifactError
        One is not what was written.
    """
    names = sorted(name for name in files.sizes() if name.startswith(f"{FOLDER}/") and name.endswith(".json"))
    return [_read(files, name) for name in names]


def _read(files: FileStore, name: str) -> BackupManifest:
    label = f"{files.url}/{name}"
    try:
        sealed = msgspec.json.decode(files.read(name), type=_Sealed)
        content = bytes(sealed.backup)
        if hashlib.sha256(content).hexdigest() != sealed.sha256:
            raise CorruptArtifactError(f"{label} is not as it was written, its own sha256 says")
        found = msgspec.json.decode(content, type=_Format).format
        if found > FORMAT:
            raise NewerSchemaError(f"{label} has format {found}, this release reads up to {FORMAT}: a newer wrote it")
        return msgspec.json.decode(content, type=BackupManifest)
    except msgspec.MsgspecError as error:
        raise CorruptArtifactError(f"{label}: {error}") from error


def prune_backups(files: FileStore, blobs: BlobStore, keep: int) -> list[str]:
    """Remove all but the newest back-ups, and contents that none of these names; returns the names of those removed."""
    manifests = list_backups(files)
    removed = [manifest.name for manifest in manifests[:-keep]]
    files.remove(removed)
    blobs.remove_others({name for manifest in manifests[-keep:] for name in manifest.blobs()})
    return removed
