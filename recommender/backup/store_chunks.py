"""Store chunks: the records of a store as contents of a back-up, cut where they were cut the time before."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import groupby
from typing import Any, TypeVar

import msgspec

from recommender.backup.blobs import BlobStore
from recommender.backup.manifest import BackupManifest, Chunk
from recommender.errors import CorruptArtifactError
from recommender.stores.key_values import KeyValue

SPAN = 10_000
"""Offsets or sequences of a chunk: whole spans do not change while nothing in them does."""
MOST_IDS = 100_000
"""Event ids of a chunk."""

T = TypeVar("T")


def pack(records: Sequence[Any]) -> bytes:
    """Records as a content."""
    return zlib.compress(msgspec.msgpack.encode(records), 1)


def unpack(content: bytes, kind: type[T]) -> list[T]:
    """Records of a content."""
    try:
        return msgspec.msgpack.decode(zlib.decompress(content), type=list[kind])  # type: ignore[valid-type]
    except (msgspec.MsgspecError, zlib.error) as error:
        raise CorruptArtifactError(f"records of the store cannot be read: {error}") from error


async def numbered_chunks(kind: str, pages: AsyncIterator[list[Any]], blobs: BlobStore) -> list[Chunk]:
    """Chunks of records whose first field is a rising number, cut at multiples of `SPAN`."""
    chunks: list[Chunk] = []
    open_span: list[Any] = []
    async for page in pages:
        for span, group in groupby(page, key=lambda record: record[0] // SPAN):
            if open_span and open_span[0][0] // SPAN != span:
                chunks.append(_chunk(kind, open_span, blobs))
                open_span = []
            open_span += group
    return [*chunks, _chunk(kind, open_span, blobs)] if open_span else chunks


async def value_chunks(pages: AsyncIterator[list[KeyValue]], blobs: BlobStore) -> list[Chunk]:
    """Chunks of keys as they are."""
    return [_chunk("other", page, blobs) async for page in pages if page]


def event_id_chunks(values: Sequence[KeyValue], blobs: BlobStore) -> list[Chunk]:
    """Chunks of event ids by period; those of a period that is over stay as they were."""
    return [_chunk("event_ids", [part], blobs) for value in values for part in _parts(value)]


def read_chunks(manifest: BackupManifest, blobs: BlobStore, kind: str, of: type[T]) -> Iterator[list[T]]:
    """Records of a kind, a chunk at a time, in order."""
    for chunk in manifest.chunks:
        if chunk.kind == kind:
            yield unpack(blobs.read(chunk.blob), of)


def _parts(value: KeyValue) -> Iterator[KeyValue]:
    """A set in parts that depend on its members alone."""
    n = 1 + len(value.value) // MOST_IDS
    for number in range(n):
        members = [member for member in value.value if zlib.crc32(member) % n == number]
        if members:
            # when it ends is worked out anew at each reading, to the millisecond; that must not make a new content
            ends = None if value.expires_at_ms is None else (value.expires_at_ms // 3_600_000 + 1) * 3_600_000
            yield value._replace(value=members, expires_at_ms=ends)


def _chunk(kind: str, records: Sequence[Any], blobs: BlobStore) -> Chunk:
    return Chunk(kind, len(records), blobs.put(pack(records)))
