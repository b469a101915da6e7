"""Back-up: copies a state while its service runs, so that all that belongs together is of one moment.

Versions and segments never change and are copied first; the log is read after that, so that each interaction is in a
version's segments or in the log, and none in a version that is newer than the log; records of users and items are read
last. Where the trainer has published and trimmed meanwhile, it is done again: by then most is there.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from recommender.backup.blobs import Blob, BlobStore
from recommender.backup.manifest import BackedUpVersion, BackupManifest, Chunk, list_backups, write_manifest
from recommender.backup.store_chunks import event_id_chunks, numbered_chunks, value_chunks
from recommender.errors import ArtifactError, CorruptArtifactError
from recommender.storage.file_store import FileStore, Folder, open_files
from recommender.storage.object_store import is_url, within
from recommender.storage.registry import Registry, VersionInfo
from recommender.storage.registry.artifact import MAY_SERVE, Pointer
from recommender.storage.registry.manifest import NAME, parsed_manifest, software
from recommender.stores.codec import unpack_event
from recommender.stores.key_reader import Counters, KeyReader, LogPayload
from recommender.stores.protocols import LogErased

TRIES = 10
MODELS, ARCHIVE = "models", "archive"
AUDIT, LEDGER, EXPOSURES = "audit", "ledger", "exposures"
"""Of a state, beside models and archive: files that never change once they are there, but for a database."""
DATABASE = ".sqlite"
UNFINISHED = ("-journal", "-wal", "-shm")

Progress = Callable[[str], None]


@dataclass(frozen=True)
class BackupReport:
    """What a back-up did."""

    name: str
    instant: datetime
    versions: int
    interactions_in_log: int
    files: int
    written_bytes: int
    reused_bytes: int


@dataclass
class _Copied:
    """Names of the state's files, as far as they are in the back-up."""

    files: dict[str, Blob] = field(default_factory=dict)
    by_version: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class _OfStore:
    """The store as it was at an instant."""

    instant: datetime
    counters: Counters
    trimmed_through: int
    chunks: Sequence[Chunk]


async def back_up(
    state_dir: str, store_url: str, target: FileStore, progress: Progress = lambda _: None
) -> BackupReport:
    """Back up a state and its store; what was acknowledged before the instant of the back-up is in it.

    Parameters
    ----------
    state_dir
        Folder of the state, or its URL.
    store_url
        Of the store, which may be in use.
    target
        Where to; what an earlier back-up has put there is not written again.
    progress
        Told what begins.

    Raises
    ------
    StoreError
        The store does not answer.
    ArtifactError
        A version is damaged, or the state changes faster than it can be copied.
    """
    earlier = await asyncio.to_thread(list_backups, target)
    backup = _BackUp(state_dir, store_url, target, earlier[-1].files if earlier else {}, progress)
    try:
        return await backup.run()
    finally:
        await backup.reader.close()


class _BackUp:
    """One back-up under way."""

    def __init__(
        self, state_dir: str, store_url: str, target: FileStore, before: Mapping[str, Blob], progress: Progress
    ) -> None:
        self.reader = KeyReader(store_url)
        self._target = target
        self._blobs = BlobStore(target)
        self._registry = Registry(within(state_dir, MODELS))
        self._sources = {
            name: open_files(within(state_dir, name)) for name in (MODELS, ARCHIVE, AUDIT, LEDGER, EXPOSURES)
        }
        self._before = before
        self._progress = progress

    async def run(self) -> BackupReport:
        for _ in range(TRIES):
            copied = _Copied()
            self._progress("copying versions and archive")
            await asyncio.to_thread(self._copy_versions, copied)
            # before the store: what the ledger of exposures has not taken over is in the stream; it names the segments
            exposures = await asyncio.to_thread(lambda: {**self._copy_folder(LEDGER), **self._copy_folder(EXPOSURES)})
            self._progress("reading the store")
            of_store = await self._read_store()
            versions = await asyncio.to_thread(self._chosen, of_store, copied)
            if of_store.trimmed_through <= max((each.meta.log_offset for each in versions), default=0):
                return await asyncio.to_thread(self._finish, versions, of_store, copied, exposures)
        raise ArtifactError(
            f"the state has changed {TRIES} times while it was backed up; try again when fewer trainings run"
        )

    def _copy_versions(self, copied: _Copied) -> list[VersionInfo]:
        """Copy the versions that are there, newest first; returns those that are copied.

        Raises
        ------
        ArtifactError
            One is damaged.
        """
        versions = self._registry.versions(anew=True)
        for each in versions:
            if each.version not in copied.by_version:
                try:
                    copied.by_version[each.version] = self._copy_version(each.version, copied.files)
                except FileNotFoundError:
                    continue  # pruned while it was copied
        return [each for each in versions if each.version in copied.by_version]

    def _copy_version(self, version: str, files: dict[str, Blob]) -> list[str]:
        """Copy a version and the segments that it names; returns the names."""
        source, name = self._sources[MODELS], f"{version}/{NAME}"
        content = source.read(name)
        try:
            manifest = parsed_manifest(lambda: content, version)
            own, segments = manifest.files, manifest.meta.segments
            wanted = [(MODELS, f"{version}/{each.name}", _xxh3(each.xxh3_128, each.bytes)) for each in own]
            wanted += [(ARCHIVE, each.name, Blob("sha256", each.sha256, each.bytes)) for each in segments]
            copied = {
                f"{kind}/{file}": self._blobs.copy(self._sources[kind], file, blob) for kind, file, blob in wanted
            }
        except CorruptArtifactError as error:
            raise ArtifactError(f"version {version} is damaged, and cannot be backed up: {error}") from error
        files |= {**copied, f"{MODELS}/{name}": self._blobs.put(content)}
        return [*copied, f"{MODELS}/{name}"]

    async def _read_store(self) -> _OfStore:
        for _ in range(TRIES):
            # ids first: one of an interaction that is not in the back-up would let nobody send it again
            before = await self.reader.counters()
            chunks = event_id_chunks(await self.reader.event_ids(), self._blobs)
            instant = datetime.fromtimestamp(time.time(), UTC)
            counters = await self.reader.counters()
            through = counters.last_offset
            erased: set[int] = set()
            log = _noting_erased(self.reader.log(counters.trimmed_through, through), erased)
            chunks += await numbered_chunks("log", log, self._blobs)
            trimmed = _last_trimmed((await self.reader.counters()).trimmed_through, erased)
            if trimmed > before.last_offset:
                continue  # ids of what came and went meanwhile are nowhere
            chunks += await numbered_chunks("users", self.reader.users(), self._blobs)
            chunks += await numbered_chunks("items", self.reader.items(), self._blobs)
            chunks += await value_chunks(self.reader.others(through), self._blobs)
            after = await self.reader.counters()
            counters = counters._replace(users_sequence=after.users_sequence, items_sequence=after.items_sequence)
            return _OfStore(instant, counters, trimmed, chunks)
        raise ArtifactError("the log is trimmed faster than it can be backed up; try again when fewer trainings run")

    def _chosen(self, of_store: _OfStore, copied: _Copied) -> list[VersionInfo]:
        """Versions that are not newer than the store was when it was read; all are copied then."""
        versions = self._copy_versions(copied)
        counters = of_store.counters
        return [
            each
            for each in versions
            if each.meta.log_offset <= counters.last_offset and each.meta.items_sequence <= counters.items_sequence
        ]

    def _finish(
        self, versions: Sequence[VersionInfo], of_store: _OfStore, copied: _Copied, exposures: Mapping[str, Blob]
    ) -> BackupReport:
        files = {name: copied.files[name] for each in versions for name in copied.by_version[each.version]}
        # behind the store: an entry of the audit that moved meanwhile is in both, and in none otherwise
        files |= {**exposures, **self._copy_folder(AUDIT)}
        manifest = BackupManifest(
            instant=of_store.instant,
            software=software(),
            versions=tuple(
                BackedUpVersion(each.version, each.created_at, each.status, each.meta.log_offset) for each in versions
            ),
            pointer=_pointer_among(self._registry.pointer(), versions),
            highest=self._registry.highest(),
            files=files,
            counters=of_store.counters._asdict(),
            chunks=tuple(of_store.chunks),
        )
        write_manifest(self._target, manifest)
        in_log = sum(chunk.records for chunk in of_store.chunks if chunk.kind == "log")
        blobs = self._blobs
        return BackupReport(
            manifest.name, manifest.instant, len(versions), in_log, len(files), blobs.written_bytes, blobs.reused_bytes
        )

    def _copy_folder(self, folder: str) -> dict[str, Blob]:
        """Copy what is in a folder of the state."""
        source, found = self._sources[folder], dict[str, Blob]()
        for file in (name for name in source.sizes() if not name.endswith(UNFINISHED)):
            name = f"{folder}/{file}"
            try:
                if file.endswith(DATABASE):
                    found[name] = self._copy_database(source, file)
                else:
                    # none ever changes, so that one of this name is what was backed up
                    found[name] = self._blobs.copy(source, file, self._before.get(name))
            except FileNotFoundError:
                continue  # moved or dropped meanwhile: what it held is in another, or too old
        return found

    def _copy_database(self, source: FileStore, file: str) -> Blob:
        """Copy an SQLite database as of one moment; one in a bucket is a copy of such a kind already."""
        if is_url(source.url):
            return self._blobs.copy(source, file)
        path = Path(source.url) / file
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "database"
            with (
                closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as own,
                closing(sqlite3.connect(copy)) as new,
            ):
                own.backup(new)
            return self._blobs.copy(Folder(Path(folder)), copy.name)


async def _noting_erased(pages: AsyncIterator[list[LogPayload]], erased: set[int]) -> AsyncIterator[list[LogPayload]]:
    """Pages as they are; `erased` gets the offsets of entries that were taken out of the log on purpose."""
    async for page in pages:
        for each in page:
            event = unpack_event(each.payload)
            if isinstance(event, LogErased):
                erased.update(event.offsets)
        yield page


def _last_trimmed(trimmed_through: int, erased: Collection[int]) -> int:
    """Offset up to which entries were trimmed: what is missing behind it was erased."""
    while trimmed_through in erased:
        trimmed_through -= 1
    return trimmed_through


def _xxh3(digest: str, size: int) -> Blob:
    return Blob("xxh3_128", digest, size)


def _pointer_among(pointer: Pointer, versions: Sequence[VersionInfo]) -> Pointer:
    """Pointer, as far as what it names is backed up."""
    names = {each.version for each in versions}
    if pointer.version in names:
        return pointer
    newest = next((each.version for each in versions if each.status in MAY_SERVE), None)
    return Pointer(newest, pinned=False)
