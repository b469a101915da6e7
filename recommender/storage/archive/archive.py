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
from numpy.typing import NDArray

from recommender.errors import ArtifactError, CorruptArtifactError, InvalidDataError
from recommender.storage.archive.backends import open_backend
from recommender.storage.archive.segment import Segment

ROW_GROUP = 65_536
"""Rows that must be decoded to find one user's."""

MOST_SEGMENTS = 16
"""A user's history is read from each of them."""

# large strings, because the 32-bit offsets of plain ones end at 2 GiB of ids
COLUMNS = pa.schema(
    [
        ("offset", pa.int64()),
        ("user_id", pa.large_string()),
        ("item_id", pa.large_string()),
        ("weight", pa.float32()),
        ("timestamp", pa.float64()),
        ("event", pa.large_string()),
    ]
)
STORED = COLUMNS.append(pa.field("position", pa.int64()))


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
        return self._write(_numbered(_table(frame)), first_offset, last_offset)

    def read(self, segments: Sequence[Segment]) -> pd.DataFrame:
        """Rows of segments, verified, by rising offset; equal offsets in the order in which they were appended.

        Raises
        ------
        CorruptArtifactError
            A segment is missing or not what was written.
        """
        return _frame(self._verified(segment) for segment in segments)

    def read_user(self, segments: Sequence[Segment], user_id: str) -> pd.DataFrame:
        """Rows of one user, in the order of `read`; only the row groups that may hold them are read.

        Verified are the size of a segment and the checksums of the pages that are read.

        Raises
        ------
        CorruptArtifactError
            A segment is missing or not what was written.
        """
        return _frame(self._rows_of_user(segment, user_id) for segment in segments)

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
                rows = _plain(file.read_row_group(group))
                wanted = pc.and_(pc.greater(rows["offset"], offsets[0]), pc.less_equal(rows["offset"], offsets[1]))
                rows = rows.filter(pc.and_(wanted, pc.greater_equal(rows["user_id"], user_id)))
                passed = min(skip, pc.sum(pc.equal(rows["user_id"], user_id)).as_py() or 0)
                skip -= passed
                found.append(rows.slice(passed, limit))
                limit -= len(found[-1])
                if not limit:
                    break
        return pa.concat_tables([STORED.empty_table(), *found]).drop_columns("position").to_pandas()

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
        return self._in_place_of(segments, _in_order(self._verified(segment) for segment in segments))

    def replace(self, segments: Sequence[Segment], rows: pd.DataFrame) -> list[Segment]:
        """One segment with some rows of segments, as `read` gave them; the old files stay until `prune`.

        Where all rows are to stay and there is one segment, that is it.
        """
        if len(segments) < 2 and len(rows) == sum(segment.rows for segment in segments):
            return list(segments)
        return self._in_place_of(segments, _table(rows))

    def _in_place_of(self, segments: Sequence[Segment], rows: pa.Table) -> list[Segment]:
        if not len(rows):
            return []
        first = min(segment.first_offset for segment in segments)
        return [self._write(_numbered(rows), first, max(segment.last_offset for segment in segments))]

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
        try:
            self._backend.remove([name for name in self._unsettled if name not in named])
        except OSError as error:
            raise ArtifactError(f"cannot remove from the archive {self._backend.location}: {error}") from error
        self._unsettled = []

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
        kept = rows.filter(pa.array(~_is_erased(rows, users)))
        if len(kept) == len(rows):
            return segment
        return self._write(kept, segment.first_offset, segment.last_offset) if len(kept) else None

    def _verified(self, segment: Segment) -> pa.Table:
        with _refusing(segment):
            content = self._content(segment)
            if content is None:
                raise CorruptArtifactError(f"archive segment {segment.name} is not what was written")
            return _plain(pq.read_table(pa.BufferReader(content)))

    def _content(self, segment: Segment) -> bytes | None:
        """What was written; None where it is something else. A damaged copy is fetched again."""
        for _ in range(2 if self._backend.is_copy() else 1):
            content = self._backend.path(segment.name, segment.bytes).read_bytes()
            if len(content) == segment.bytes and hashlib.sha256(content).hexdigest() == segment.sha256:
                return content
            self._backend.forget(segment.name)
        return None

    def _rows_of_user(self, segment: Segment, user_id: str) -> pa.Table:
        with _refusing(segment):
            with pq.ParquetFile(self._checked(segment), page_checksum_verification=True) as file:
                rows = _plain(file.read_row_groups(_groups_with(file.metadata, user_id)))
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


def _table(frame: pd.DataFrame) -> pa.Table:
    events = frame["event"] if "event" in frame else pd.Series([None] * len(frame), dtype=object)
    columns = {**{name: frame[name] for name in COLUMNS.names if name in frame}, "event": events}
    return pa.table({field.name: _array(columns, field) for field in COLUMNS}, schema=COLUMNS)


def _array(columns: Mapping[str, Any], field: pa.Field) -> pa.Array:
    try:
        # a missing text is null, a missing timestamp stays the NaN that it is; texts are not made Python's
        column, is_text = columns[field.name], pa.types.is_large_string(field.type)
        array = pa.array(column if is_text else column.to_numpy(), field.type, from_pandas=is_text)
    except KeyError as error:
        raise InvalidDataError(f"interactions have no column {field.name!r}") from error
    except pa.ArrowException as error:
        raise InvalidDataError(f"column {field.name!r}: {error}") from error
    if array.null_count and field.name != "event":
        raise InvalidDataError(f"column {field.name!r} has missing values")
    return array


def _numbered(rows: pa.Table) -> pa.Table:
    """Rows with their position by offset, laid out by user, so that one user's stand together."""
    by_offset = np.argsort(rows["offset"].to_numpy(), kind="stable")
    codes, _ = pd.factorize(rows["user_id"].to_pandas(), sort=True)
    position = np.argsort(codes[by_offset], kind="stable")
    # texts are moved once
    return rows.take(pa.array(by_offset[position])).append_column("position", pa.array(position))


def _write_parquet(rows: pa.Table, file: _Hashing) -> None:
    pq.write_table(rows, file, row_group_size=ROW_GROUP, compression="zstd", write_page_checksum=True)


def _plain(rows: pa.Table) -> pa.Table:
    """Rows in the types that are stored today, whichever wrote them."""
    return rows.select(STORED.names).cast(STORED)


def _in_order(tables: Iterator[pa.Table]) -> pa.Table:
    ordered = [rows.take(_by_position(rows["position"].to_numpy())).drop_columns("position") for rows in tables]
    rows = pa.concat_tables([COLUMNS.empty_table(), *ordered])
    offsets = rows["offset"].to_numpy()
    if (offsets[1:] >= offsets[:-1]).all():
        return rows
    return rows.take(pa.array(np.argsort(offsets, kind="stable")))


def _by_position(positions: NDArray[np.int64]) -> pa.Array:
    """What sorts distinct positions, in one pass; erased rows leave gaps."""
    rows = np.full(int(positions.max(initial=-1)) + 1, -1)
    rows[positions] = np.arange(len(positions))
    return pa.array(rows[rows >= 0])


def _frame(tables: Iterator[pa.Table]) -> pd.DataFrame:
    return _in_order(tables).to_pandas()


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


def _is_erased(rows: pa.Table, users: Mapping[str, int]) -> NDArray[np.bool_]:
    # of shape (n_rows,); where a row's user is not among `users`, the limit is below every offset
    limits = np.array([*users.values(), -1], np.int64)
    found = pc.index_in(rows["user_id"], value_set=pa.array(list(users), pa.large_string()))
    erased: NDArray[np.bool_] = rows["offset"].to_numpy() <= limits[found.fill_null(-1).to_numpy()]
    return erased
