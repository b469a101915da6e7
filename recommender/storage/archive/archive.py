"""Archive: the learned interactions as immutable Parquet segments, in a folder or an object store.

A version's manifest names the segments that it learned, so that model and offset move together; a
segment that no manifest names does not count.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recommender.errors import ArtifactError, CorruptArtifactError
from recommender.storage.archive.backends import open_backend, remove_files
from recommender.storage.archive.coded_rows import (
    CODED_STORED,
    COLUMNS,
    STORED,
    coded,
    in_order,
    is_erased,
    joined,
    numbered,
    plain,
    table_of,
)
from recommender.storage.archive.segment import Segment

ROW_GROUP = 65_536
"""Rows that must be decoded to find one user's."""

MOST_SEGMENTS = 16
"""A user's history is read from each of them."""


class Archive:
    """Interaction archive: immutable Parquet segments in a folder or object store.

    Rows have ``offset`` (of the log; 0 for what was imported), ``user_id``, ``item_id``, ``weight``,
    ``timestamp`` and ``event``, which may be missing.

    Parameters
    ----------
    location
        A folder, made by the first `append`, or the URL of a bucket.
    """

    def __init__(self, location: Path | str) -> None:
        self._backend = open_backend(location)
        self._unsettled: list[str] = []

    def append(self, frame: pd.DataFrame, *, first_offset: int, last_offset: int) -> Segment:
        """Write a new segment; it is there whole and durable, or not at all.

        Raises
        ------
        InvalidDataError
            A column is missing or of another type.
        ArtifactError
            The disk is full or fails.
        """
        return self._write(numbered(table_of(frame)), first_offset, last_offset)

    def read(self, segments: Sequence[Segment]) -> pd.DataFrame:
        """Rows of segments, verified, by rising offset; equal offsets in the order in which they were appended.

        Texts are categories: a row has a number, and each text is there once.

        Raises
        ------
        CorruptArtifactError
            A segment is missing or not what was written.
        """
        return in_order(self._verified(segment) for segment in segments).to_pandas()

    def read_user(self, segments: Sequence[Segment], user_id: str) -> pd.DataFrame:
        """Rows of one user, in the order of `read`; only the row groups that may hold them are read.

        Verified are the size of a segment and the checksums of the pages that are read.

        Raises
        ------
        CorruptArtifactError
            A segment is missing or not what was written.
        """
        rows = in_order(coded(self._rows_of_user(segment, user_id)) for segment in segments)
        return rows.cast(COLUMNS).to_pandas()

    def read_from(
        self, segment: Segment, offsets: tuple[int, int], user_id: str, skip: int, limit: int
    ) -> pd.DataFrame:
        """Rows of a segment by user, each user's by rising offset; only the row groups that are needed are read.

        Parameters
        ----------
        segment
            Where from.
        offsets
            Only those behind the first and up to the second.
        user_id, skip
            Begin at this user, or the next there is, and pass over so many rows of this one.
        limit
            Rows, at most.

        Raises
        ------
        CorruptArtifactError
            The segment is missing or not what was written.
        """
        found: list[pa.Table] = []
        with _refusing(segment), pq.ParquetFile(self._checked(segment), page_checksum_verification=True) as file:
            for group in _groups_from(file.metadata, user_id):
                rows = plain(file.read_row_group(group))
                wanted = pc.and_(pc.greater(rows["offset"], offsets[0]), pc.less_equal(rows["offset"], offsets[1]))
                rows = rows.filter(pc.and_(wanted, pc.greater_equal(rows["user_id"], user_id)))
                passed = min(skip, pc.sum(pc.equal(rows["user_id"], user_id)).as_py() or 0)
                skip -= passed
                found.append(rows.slice(passed, limit))
                limit -= len(found[-1])
                if not limit:
                    break
        return pa.concat_tables([STORED.empty_table(), *found]).drop_columns("position").to_pandas()

    def columns(self, segment: Segment, names: Sequence[str]) -> pa.Table:
        """Some columns of a segment's rows, in no order; `CorruptArtifactError` where they cannot be read."""
        with _refusing(segment):
            return pq.read_table(self._checked(segment), columns=list(names))

    def erase(self, segments: Sequence[Segment], users: Mapping[str, int]) -> list[Segment]:
        """Segments without the rows of deleted users; the old files stay until `prune`.

        Parameters
        ----------
        segments
            What there is.
        users
            By user, the offset of the deletion; later rows stay.

        Returns
        -------
        In the same order. Those without such rows are the same; those without other rows are left out.

        Raises
        ------
        CorruptArtifactError
            A segment is missing or not what was written.
        """
        remaining = (self._without(segment, users) for segment in segments)
        return [segment for segment in remaining if segment is not None]

    def compact(self, segments: Sequence[Segment]) -> list[Segment]:
        """One segment with the rows of all; the old files stay until `prune`.

        Raises
        ------
        CorruptArtifactError
            A segment is missing or not what was written.
        """
        if len(segments) < 2:
            return list(segments)
        return self._in_place_of(segments, in_order(self._verified(segment) for segment in segments))

    def replace(self, segments: Sequence[Segment], rows: pd.DataFrame) -> list[Segment]:
        """One segment with some rows of segments, as `read` gave them; the old files stay until `prune`.

        Where all rows are to stay and there is one segment, that is it.
        """
        if len(segments) < 2 and len(rows) == sum(segment.rows for segment in segments):
            return list(segments)
        return self._in_place_of(segments, table_of(rows))

    def _in_place_of(self, segments: Sequence[Segment], rows: pa.Table) -> list[Segment]:
        if not len(rows):
            return []
        first = min(segment.first_offset for segment in segments)
        return [self._write(numbered(rows), first, max(segment.last_offset for segment in segments))]

    def compact_newest(self, segments: Sequence[Segment]) -> list[Segment]:
        """Segments with the newest of them as one, where there are more than `MOST_SEGMENTS`.

        Those that are larger than all that came after them stay as they are, so that few are left, and a row is
        written again only when there are twice as many as before.

        Raises
        ------
        CorruptArtifactError
            A segment is missing or not what was written.
        """
        if len(segments) <= MOST_SEGMENTS:
            return list(segments)
        behind = np.cumsum([segment.rows for segment in reversed(segments)])[::-1]
        small = (each for each in range(len(segments) - 1) if segments[each].rows <= behind[each + 1])
        start = next(small, len(segments))
        return [*segments[:start], *self.compact(segments[start:])]

    def settle(self, named: Collection[str]) -> None:
        """Remove what was written since the last call and nobody names: the work of a training that came to nothing.

        Raises
        ------
        ArtifactError
            The disk fails; it is tried again with the next call.
        """
        self.remove([name for name in self._unsettled if name not in named])
        self._unsettled = []

    def remove(self, names: Collection[str]) -> None:
        """Remove segments at once, young or not, as when a person is erased; nobody may name them any more.

        Raises
        ------
        ArtifactError
            The disk fails.
        """
        remove_files(self._backend, names)

    def prune(self, named: Collection[str]) -> list[str]:
        """Remove files that nobody names and that are not young; returns their names."""
        return self._backend.prune(named)

    def _write(self, rows: pa.Table, first_offset: int, last_offset: int) -> Segment:
        name = f"{first_offset:012d}-{last_offset:012d}-{secrets.token_hex(8)}.parquet"
        self._unsettled.append(name)
        try:
            with self._backend.adding(name) as file:
                hashing = _Hashing(file)
                _write_parquet(rows, hashing)
        except OSError as error:
            raise ArtifactError(f"cannot write into the archive {self._backend.location}: {error}") from error
        return Segment(name, len(rows), hashing.bytes, hashing.hexdigest(), first_offset, last_offset)

    def _without(self, segment: Segment, users: Mapping[str, int]) -> Segment | None:
        if segment.first_offset > max(users.values(), default=-1):
            return segment
        rows = self._verified(segment)
        kept = rows.filter(pa.array(~is_erased(rows, users)))
        if len(kept) == len(rows):
            return segment
        return self._write(kept, segment.first_offset, segment.last_offset) if len(kept) else None

    def _verified(self, segment: Segment) -> pa.Table:
        """Coded rows of a segment, decoded one row group after the other."""
        with _refusing(segment):
            path = self._sound(segment)
            if path is None:
                raise CorruptArtifactError(f"archive segment {segment.name} is not what was written")
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                groups = (coded(plain(file.read_row_group(index))) for index in range(file.num_row_groups))
                return joined(groups, CODED_STORED)

    def _sound(self, segment: Segment) -> Path | None:
        """File with what was written; None where it is something else. A damaged copy is fetched again."""
        for _ in range(2 if self._backend.is_copy() else 1):
            path = self._backend.path(segment.name, segment.bytes)
            if path.stat().st_size == segment.bytes and _sha256(path) == segment.sha256:
                return path
            self._backend.forget(segment.name)
        return None

    def _rows_of_user(self, segment: Segment, user_id: str) -> pa.Table:
        with _refusing(segment):
            with pq.ParquetFile(self._checked(segment), page_checksum_verification=True) as file:
                rows = plain(file.read_row_groups(_groups_with(file.metadata, user_id)))
            return rows.filter(pc.equal(rows["user_id"], user_id))

    def _checked(self, segment: Segment) -> Path:
        """Path of a segment that is as long as it was written."""
        path = self._backend.path(segment.name, segment.bytes)
        if path.stat().st_size != segment.bytes:
            raise CorruptArtifactError(f"archive segment {segment.name} is not as long as it was written")
        return path


class _Hashing:
    """A file that hashes what it is given, so that nothing is read again for it."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.bytes = 0

    def write(self, content: Any) -> int:
        self._digest.update(content)
        self.bytes += len(content)
        return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()

    def tell(self) -> int:
        return self.bytes

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


@contextmanager
def _refusing(segment: Segment) -> Iterator[None]:
    """Translate what pyarrow and the disk say of a segment that cannot be read."""
    try:
        yield
    except FileNotFoundError as error:
        raise CorruptArtifactError(f"archive segment {segment.name} is missing") from error
    except (OSError, pa.ArrowException, KeyError) as error:
        raise CorruptArtifactError(f"archive segment {segment.name} cannot be read: {error}") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_parquet(rows: pa.Table, file: _Hashing) -> None:
    """Coded rows as plain ones, a row group at a time."""
    with pq.ParquetWriter(file, STORED, compression="zstd", write_page_checksum=True) as writer:
        for start in range(0, max(1, len(rows)), ROW_GROUP):
            writer.write_table(rows.slice(start, ROW_GROUP).cast(STORED))


def _groups_with(metadata: Any, user_id: str) -> list[int]:
    """Row groups whose first and last user do not rule `user_id` out."""
    column = STORED.names.index("user_id")
    groups = ((index, metadata.row_group(index).column(column)) for index in range(metadata.num_row_groups))
    return [index for index, chunk in groups if _may_hold(chunk.statistics, user_id)]


def _groups_from(metadata: Any, user_id: str) -> list[int]:
    """Row groups whose last user is not before `user_id`."""
    column = STORED.names.index("user_id")
    groups = ((index, metadata.row_group(index).column(column).statistics) for index in range(metadata.num_row_groups))
    return [index for index, found in groups if found is None or not found.has_min_max or found.max >= user_id]


def _may_hold(statistics: Any, user_id: str) -> bool:
    if statistics is None or not statistics.has_min_max:
        return True
    return bool(statistics.min <= user_id <= statistics.max)
