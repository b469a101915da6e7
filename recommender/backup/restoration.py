"""Restoration: fills an empty state and an empty store from a back-up."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from recommender.backup.blobs import BlobStore
from recommender.backup.manifest import list_backups
from recommender.backup.point_in_time import Plan, plan_of_all, plan_until
from recommender.backup.state_copy import ARCHIVE, MODELS
from recommender.backup.store_chunks import read_chunks
from recommender.errors import InvalidDataError
from recommender.storage.file_store import FileStore, open_files
from recommender.storage.object_store import within
from recommender.storage.registry import Registry
from recommender.storage.registry.maintenance import adopt_version, continue_from
from recommender.stores.codec import unpack_event
from recommender.stores.key_reader import KeyReader, LogPayload, Record
from recommender.stores.key_space import DELETIONS
from recommender.stores.key_values import KeyValue
from recommender.stores.key_writer import KeyWriter
from recommender.stores.protocols import Interaction

Progress = Callable[[str], None]


@dataclass(frozen=True)
class RestoreReport:
    """What a restoration did."""

    name: str
    instant: datetime
    versions: int
    serving: str | None
    interactions_in_log: int
    users: int
    items: int


async def restore(
    source: FileStore,
    state_dir: str,
    store_url: str,
    *,
    until: datetime | None = None,
    progress: Progress = lambda _: None,
) -> tuple[Plan, RestoreReport]:
    """Restore the newest back-up, or a point in time, into an empty state.

    Parameters
    ----------
    source
        With one back-up or several.
    state_dir
        Folder of the state, or its URL; without versions and segments.
    store_url
        Of the store, which must be empty.
    until
        Leave out what came later: see `plan_until`.
    progress
        Told what begins.

    Returns
    -------
    What was to be there, for `verify_restored`, and what was done.

    Raises
    ------
    InvalidDataError
        State or store is not empty, or there is no back-up, or none that reaches back so far.
    CorruptArtifactError
        Something in the back-up is not what was written.
    StoreError
        The store does not answer.
    """
    blobs = BlobStore(source)
    manifests = await asyncio.to_thread(list_backups, source)
    if not manifests:
        raise InvalidDataError(f"there is no back-up in {source.url}")
    await _require_empty(state_dir, store_url)
    progress("reading the back-up")
    plan = plan_of_all(manifests[-1]) if until is None else await asyncio.to_thread(plan_until, manifests, blobs, until)
    progress("writing versions and archive")
    await asyncio.to_thread(_write_files, plan, blobs, state_dir)
    progress("writing the store")
    writer = KeyWriter(store_url)
    try:
        counts = await _write_store(plan, blobs, writer)
    finally:
        await writer.close()
    serving = plan.pointer.version
    report = RestoreReport(plan.manifest.name, plan.manifest.instant, len(plan.versions), serving, *counts)
    return plan, report


async def _require_empty(state_dir: str, store_url: str) -> None:
    for folder in (MODELS, ARCHIVE):
        place = within(state_dir, folder)
        # the registry's own lock is no version
        if any(not name.startswith(".") for name in await asyncio.to_thread(open_files(place).sizes)):
            raise InvalidDataError(f"{place} is not empty; restore into an empty state_dir")
    reader = KeyReader(store_url)
    try:
        if not await reader.is_empty():
            raise InvalidDataError("the store is not empty; restore into an empty one")
    finally:
        await reader.close()


def _write_files(plan: Plan, blobs: BlobStore, state_dir: str) -> None:
    registry = Registry(within(state_dir, MODELS))
    with tempfile.TemporaryDirectory() as folder:
        for name, blob in plan.files.items():
            kind, _, rest = name.partition("/")
            if kind == MODELS:
                continue
            path = Path(folder) / "file"
            blobs.download(blob, path)
            open_files(within(state_dir, kind)).upload(path, rest)
        for version in plan.versions:
            files = Path(folder) / version
            for name, blob in plan.files.items():
                if name.startswith(f"{MODELS}/{version}/"):
                    blobs.download(blob, files / name.rpartition("/")[2])
            adopt_version(registry, version, files)
    continue_from(registry, plan.pointer, plan.manifest.highest)


async def _write_store(plan: Plan, blobs: BlobStore, writer: KeyWriter) -> tuple[int, int, int]:
    """Write the store; returns how many interactions and deletions wait, users, and items."""
    n_log, event_ids = 0, set[str]()
    for entries in log_of(plan, blobs):
        await writer.log(entries)
        n_log += len(entries)
        events = (unpack_event(payload) for _, payload in entries)
        event_ids |= {each.event_id for each in events if isinstance(each, Interaction) and each.event_id}
    for values in event_ids_of(plan, blobs):
        await writer.values(values)
    # those of the log may have come after the ids were read
    await writer.event_ids(event_ids, plan.manifest.instant.timestamp())
    users, items = set[str](), set[str]()
    for records in read_chunks(plan.manifest, blobs, "users", Record):
        await writer.users(records)
        users |= {record.id for record in records}
    for records in read_chunks(plan.manifest, blobs, "items", Record):
        await writer.items(records)
        items |= {record.id for record in records if record.packed is not None}
    for values in others_of(plan, blobs):
        await writer.values(values)
    await writer.counters(plan.counters)
    return n_log, len(users), len(items)


def log_of(plan: Plan, blobs: BlobStore) -> Iterator[list[LogPayload]]:
    """Entries that the log is to have, by rising offset."""
    if plan.log is not None:
        yield plan.log
        return
    yield from read_chunks(plan.manifest, blobs, "log", LogPayload)


def others_of(plan: Plan, blobs: BlobStore) -> Iterator[list[KeyValue]]:
    """Keys that are to be as they were; notes of deletions that are in the log come from there."""
    trimmed = plan.counters.trimmed_through
    for values in read_chunks(plan.manifest, blobs, "other", KeyValue):
        kept = [each for each in values if not each.name.startswith(DELETIONS) or int(each.value) <= trimmed]
        if kept:
            yield kept


def event_ids_of(plan: Plan, blobs: BlobStore) -> Iterator[list[KeyValue]]:
    """Event ids that are to be known beside those of the log."""
    if plan.event_ids_from is not None:
        yield from read_chunks(plan.event_ids_from, blobs, "event_ids", KeyValue)
