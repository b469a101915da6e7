"""Point in time: what of one or several back-ups makes up the state as it was at a moment."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq

from recommender.backup.blobs import Blob, BlobStore
from recommender.backup.manifest import BackedUpVersion, BackupManifest
from recommender.backup.store_chunks import read_chunks
from recommender.errors import InvalidDataError
from recommender.storage.registry.artifact import MAY_SERVE, Pointer
from recommender.storage.registry.manifest import NAME, parsed_manifest
from recommender.stores.codec import pack, unpack_event
from recommender.stores.key_reader import Counters, LogPayload
from recommender.stores.protocols import Interaction, LogErased

MODELS, ARCHIVE = "models/", "archive/"


@dataclass(frozen=True)
class Plan:
    """What is to be restored.

    Parameters
    ----------
    manifest
        Back-up whose users, items and other keys are restored.
    versions
        Of the model, newest first.
    pointer
        Which of them serves.
    files
        Of the state.
    counters
        Of the store.
    log
        Entries of the log; None for those of the back-up.
    event_ids_from
        Back-up whose event ids are known; None for none.
    """

    manifest: BackupManifest
    versions: Sequence[str]
    pointer: Pointer
    files: dict[str, Blob]
    counters: Counters
    log: list[LogPayload] | None
    event_ids_from: BackupManifest | None


def plan_of_all(manifest: BackupManifest) -> Plan:
    """Everything that a back-up has."""
    names = [each.version for each in manifest.versions]
    counters = Counters(**manifest.counters)
    return Plan(manifest, names, manifest.pointer, manifest.files, counters, None, manifest)


def plan_until(manifests: Sequence[BackupManifest], blobs: BlobStore, until: datetime) -> Plan:
    """State at a moment, from the archive and the log of the first back-up after it.

    Versions are those from before the moment. What they have learned had been acknowledged by then, and is there. What
    they have not learned is taken from log and archive by its own timestamp, and waits to be learned. Users, items and
    settings are those of that back-up; who had been erased by then is not brought back.

    Parameters
    ----------
    manifests
        Oldest first.
    blobs
        Their contents.
    until
        The moment, with a time zone.

    Raises
    ------
    InvalidDataError
        The moment is after the last back-up, or before the first version that any back-up has.
    """
    later = [each for each in manifests if each.instant >= until]
    if not later:
        raise InvalidDataError(f"the newest back-up is of {manifests[-1].instant:%Y-%m-%dT%H:%M:%SZ}; back up first")
    chosen = later[0]
    base, holder = _base(manifests, until)
    versions = [each for each in holder.versions if each.created_at <= until]
    files = {name: blob for name, blob in chosen.files.items() if not name.startswith((MODELS, ARCHIVE))}
    for each in versions:
        files |= _files_of(each.version, holder, blobs)
    log = _renumbered(_unlearned(chosen, blobs, base.log_offset, until), base.log_offset)
    pinned = chosen.pointer.pinned and chosen.pointer.version in [each.version for each in versions]
    pointer = chosen.pointer if pinned else Pointer(base.version, pinned=False)
    last_offset = base.log_offset + len(log)
    counters = Counters(**chosen.counters)._replace(first_offset=base.log_offset + 1, last_offset=last_offset)
    before = [each for each in manifests if each.instant <= until]
    ids_from = before[-1] if before else None
    return Plan(chosen, [each.version for each in versions], pointer, files, counters, log, ids_from)


def _base(manifests: Sequence[BackupManifest], until: datetime) -> tuple[BackedUpVersion, BackupManifest]:
    """Newest version from before a moment that may serve, and the newest back-up that has it."""
    found = [
        (each, manifest)
        for manifest in manifests
        for each in manifest.versions
        if each.created_at <= until and each.status in MAY_SERVE
    ]
    if found:
        return max(found, key=lambda pair: (int(pair[0].version), pair[1].instant))
    earliest = min((each.created_at for manifest in manifests for each in manifest.versions), default=None)
    told = "no back-up has a version" if earliest is None else f"the oldest version is of {earliest:%Y-%m-%dT%H:%M:%SZ}"
    raise InvalidDataError(f"there is nothing to restore from before {until:%Y-%m-%dT%H:%M:%SZ}: {told}")


def _files_of(version: str, manifest: BackupManifest, blobs: BlobStore) -> dict[str, Blob]:
    """Files of a version and the segments that it names."""
    own = {name: blob for name, blob in manifest.files.items() if name.startswith(f"{MODELS}{version}/")}
    described = parsed_manifest(lambda: blobs.read(own[f"{MODELS}{version}/{NAME}"]), version)
    names = [f"{ARCHIVE}{segment.name}" for segment in described.meta.segments]
    return own | {name: manifest.files[name] for name in names}


def _unlearned(manifest: BackupManifest, blobs: BlobStore, after: int, until: datetime) -> list[LogPayload]:
    """Events behind an offset that a back-up has, in its archive or its log, and that were before a moment."""
    found = dict(_archived(manifest, blobs, after))
    found |= {
        offset: payload
        for page in read_chunks(manifest, blobs, "log", LogPayload)
        for offset, payload in page
        if offset > after
    }
    return [LogPayload(offset, payload) for offset, payload in sorted(found.items()) if _is_before(payload, until)]


def _archived(manifest: BackupManifest, blobs: BlobStore, after: int) -> Iterator[LogPayload]:
    newest = max(manifest.versions, key=lambda each: each.log_offset, default=None)
    if newest is None or newest.log_offset <= after:
        return
    for name, blob in _files_of(newest.version, manifest, blobs).items():
        if name.startswith(ARCHIVE):
            yield from _rows(blob, blobs, after)


def _rows(blob: Blob, blobs: BlobStore, after: int) -> Iterator[LogPayload]:
    """Rows of a segment behind an offset, as they were in the log."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "segment"
        blobs.download(blob, path)
        rows = pq.read_table(path, filters=[("offset", ">", after)]).to_pylist()
    for row in rows:
        event = Interaction(row["user_id"], row["item_id"], row["weight"], row["timestamp"], row["event"])
        yield LogPayload(row["offset"], pack(event))


def _is_before(payload: bytes, until: datetime) -> bool:
    """Whether an event was before a moment; a deletion always was, so that nobody comes back.

    What says which offsets are missing is left out: offsets are given anew.
    """
    event = unpack_event(payload)
    if isinstance(event, LogErased):
        return False
    return not isinstance(event, Interaction) or event.timestamp <= until.timestamp()


def _renumbered(entries: Sequence[LogPayload], after: int) -> list[LogPayload]:
    """Entries with offsets right behind one: what is left out must not look like what was lost."""
    return [LogPayload(offset, payload) for offset, (_, payload) in enumerate(entries, after + 1)]
