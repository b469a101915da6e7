"""Verification: reads everything of a back-up, or of what was restored from one, and compares."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import chain
from typing import Any

import msgspec

from recommender.backup.blobs import BlobStore
from recommender.backup.manifest import BackupManifest
from recommender.backup.point_in_time import Plan
from recommender.backup.restoration import log_of, others_of
from recommender.backup.state_copy import ARCHIVE, MODELS
from recommender.backup.store_chunks import read_chunks
from recommender.errors import CorruptArtifactError
from recommender.storage.archive.archive import Archive
from recommender.storage.file_store import FileStore
from recommender.storage.object_store import within
from recommender.storage.registry import Registry
from recommender.stores.key_reader import KeyReader, Record
from recommender.stores.key_space import EVENT_IDS
from recommender.stores.key_values import KeyValue


def verify_backup(source: FileStore, manifest: BackupManifest) -> int:
    """Read every content that a back-up names; returns how many.

    Raises
    ------
    CorruptArtifactError
        One is missing or not what was written.
    """
    blobs = BlobStore(source)
    named = manifest.blobs()
    for blob in named.values():
        blobs.verify(blob)
    return len(named)


async def verify_restored(plan: Plan, source: FileStore, state_dir: str, store_url: str) -> dict[str, int]:
    """Read everything that was restored and compare it with the back-up; returns how much of each was read.

    Raises
    ------
    CorruptArtifactError
        Something is not what the back-up has; the message names it.
    StoreError
        The store does not answer.
    """
    blobs = BlobStore(source)
    counts = await asyncio.to_thread(_verify_files, plan, state_dir)
    reader = KeyReader(store_url)
    try:
        for kind, expected, found in (
            ("log entries", chain.from_iterable(log_of(plan, blobs)), reader.log(0, plan.counters.last_offset)),
            ("users", _newest(read_chunks(plan.manifest, blobs, "users", Record)), reader.users()),
            ("items", _newest(read_chunks(plan.manifest, blobs, "items", Record)), reader.items()),
            ("other keys", chain.from_iterable(others_of(plan, blobs)), reader.others(plan.counters.trimmed_through)),
        ):
            counts[kind] = await _compare(kind, expected, found)
        counts["event ids"] = await _compare_event_ids(plan, blobs, reader)
        # the first offset may be that of an entry which was trimmed while the others were read
        if (await reader.counters())[1:] != plan.counters[1:]:
            raise CorruptArtifactError("the counters of the store are not those of the back-up")
    finally:
        await reader.close()
    return counts


def _verify_files(plan: Plan, state_dir: str) -> dict[str, int]:
    registry = Registry(within(state_dir, MODELS))
    archive = Archive(within(state_dir, ARCHIVE))
    listed = {each.version: each for each in registry.versions()}
    rows = 0
    for version in plan.versions:
        if version not in listed:
            raise CorruptArtifactError(f"version {version} was not restored")
        registry.verify(version)
        rows = max(rows, len(archive.read(listed[version].meta.segments)))
    return {"versions": len(plan.versions), "learned interactions": rows}


def _newest(pages: Iterable[list[Record]]) -> Iterator[Record]:
    """Records without those that come again later, by rising sequence."""
    newest = {record.id: record for page in pages for record in page}
    return iter(sorted(newest.values()))


async def _compare(kind: str, expected: Iterator[Any], found: AsyncIterator[list[Any]]) -> int:
    """Compare records one after another, by what a reader finds of them; returns how many there are."""
    n = 0
    async for page in found:
        for record in page:
            wanted = next(expected, None)
            if wanted is None or _plain(wanted) != _plain(record):
                raise CorruptArtifactError(f"{kind}: number {n + 1} is not what the back-up has")
            n += 1
    if next(expected, None) is not None:
        raise CorruptArtifactError(f"{kind}: the back-up has more than {n}")
    return n


def _plain(record: Any) -> Any:
    # when a key ends is worked out anew at each reading
    record = record._replace(expires_at_ms=None) if isinstance(record, KeyValue) else record
    return msgspec.msgpack.encode(record)


async def _compare_event_ids(plan: Plan, blobs: BlobStore, reader: KeyReader) -> int:
    found = {member for value in await reader.event_ids() for member in value.value}
    source = plan.event_ids_from
    expected = {
        member
        for page in (read_chunks(source, blobs, "event_ids", KeyValue) if source else ())
        for value in page
        if value.name.startswith(EVENT_IDS)
        for member in value.value
    }
    if not expected <= found:
        raise CorruptArtifactError(f"{len(expected - found)} event ids of the back-up are not known")
    return len(found)
