"""Exposure archive: what was shown as immutable Parquet segments, in a folder or an object store.

The ledger names the segments; a file that it does not name does not count.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recommender.errors import ArtifactError, CorruptArtifactError
from recommender.exposures.exposure import Exposure, ShownItem
from recommender.storage.archive.backends import open_backend, remove_files
from recommender.storage.file_store import open_files

COLUMNS = pa.schema(
    [
        ("offset", pa.int64()),
        ("recommendation_id", pa.large_string()),
        ("user_id", pa.large_string()),
        ("session_id", pa.large_string()),
        ("at", pa.float64()),
        ("placement", pa.large_string()),
        ("model_version", pa.large_string()),
        ("experiment", pa.large_string()),
        ("variant", pa.large_string()),
        ("item_ids", pa.list_(pa.large_string())),
        ("positions", pa.list_(pa.int32())),
        ("propensities", pa.list_(pa.float64())),
        ("degraded", pa.bool_()),
        ("latency_s", pa.float64()),
    ]
)
ROW_GROUP = 4_096
"""Rows that must be decoded for a page."""
_ITEM_COLUMNS = ("item_ids", "positions", "propensities")

Row = tuple[int, Exposure]
"""An exposure with its offset."""


class ExposureSegment(NamedTuple):
    """A Parquet file of the exposure archive, as the ledger names it; times in seconds since the epoch."""

    name: str
    rows: int
    bytes: int
    first: int
    last: int
    oldest_at: float
    newest_at: float


class ExposureArchive:
    """Exposure archive in a folder or object store.

    Parameters
    ----------
    location
        A folder, made by the first segment, or the URL of a bucket.
    """

    def __init__(self, location: Path | str) -> None:
        self._location = location
        self._backend = open_backend(location)

    def write(self, rows: Sequence[Row]) -> ExposureSegment:
        """Write a new segment of exposures by rising offset; it is there whole and durable, or not at all.

        Raises
        ------
        ArtifactError
            The disk is full or fails.
        """
        return self._write(_table(rows))

    def rewrite(
        self, segments: Sequence[ExposureSegment], without_users: Collection[str] = (), since: float = -math.inf
    ) -> ExposureSegment | None:
        """One segment with the rows of these, but for those of some users and those from before a time.

        The old files stay until `remove`. None where nothing is left.

        Raises
        ------
        CorruptArtifactError
            A segment is missing or cannot be read.
        """
        rows = pa.concat_tables([self._table(segment) for segment in sorted(segments, key=lambda each: each.first)])
        users = pa.array(list(without_users), pa.large_string())
        kept = rows.filter(pc.greater_equal(rows["at"], since))
        kept = kept.filter(pc.invert(pc.is_in(kept["user_id"], value_set=users)))
        return self._write(kept) if len(kept) else None

    def read_before(self, segment: ExposureSegment, before: int, limit: int) -> list[Row]:
        """Exposures of a segment with offsets below one, newest first, at most `limit`.

        Raises
        ------
        CorruptArtifactError
            It is missing or cannot be read.
        """
        found: list[Row] = []
        with _refusing(segment), pq.ParquetFile(self._path(segment), page_checksum_verification=True) as file:
            for group in reversed(range(file.metadata.num_row_groups)):
                if file.metadata.row_group(group).column(0).statistics.min < before:
                    rows = file.read_row_group(group)
                    rows = rows.filter(pc.less(rows["offset"], before))
                    found += _rows(rows.slice(max(0, len(rows) - (limit - len(found)))))[::-1]
                if len(found) >= limit:
                    break
        return found

    def has_any_of(self, segment: ExposureSegment, user_ids: Collection[str]) -> bool:
        """Whether a segment has exposures of one of these users."""
        wanted = pa.array(list(user_ids), pa.large_string())
        return bool(pc.any(pc.is_in(self._table(segment, ["user_id"])["user_id"], value_set=wanted)).as_py())

    def users_of(self, segment: ExposureSegment) -> set[str]:
        """Users who have exposures in a segment."""
        return set(pc.unique(self._table(segment, ["user_id"])["user_id"]).drop_null().to_pylist())

    def count_of(self, segment: ExposureSegment, user_id: str) -> int:
        """Exposures of a user in a segment."""
        return int(pc.sum(pc.equal(self._table(segment, ["user_id"])["user_id"], user_id)).as_py() or 0)

    def found(self) -> list[ExposureSegment]:
        """Segments that are there, oldest first, whoever names them: for a ledger that was lost.

        Of two whose offsets overlap, the one with more offsets counts, or with fewer rows: it was written later, to
        compact or to erase.
        """
        segments = [self._described(name) for name in open_files(self._location).sizes() if name.endswith(".parquet")]
        kept: list[ExposureSegment] = []
        for segment in sorted(segments, key=lambda each: (each.first - each.last, each.rows)):
            if all(segment.last < each.first or segment.first > each.last for each in kept):
                kept.append(segment)
        return sorted(kept, key=lambda each: each.first)

    def remove(self, names: Collection[str]) -> None:
        """Remove segments that the ledger does not name any more."""
        remove_files(self._backend, names)

    def prune(self, named: Collection[str]) -> list[str]:
        """Remove files that nobody names and that are not young; returns their names."""
        return self._backend.prune(named)

    def _write(self, rows: Any) -> ExposureSegment:
        first, last = rows["offset"][0].as_py(), rows["offset"][-1].as_py()
        name = f"{first:019d}-{last:019d}-{secrets.token_hex(8)}.parquet"
        try:
            with self._backend.adding(name) as file:
                pq.write_table(rows, file, row_group_size=ROW_GROUP, compression="zstd", write_page_checksum=True)
                size = file.tell()
        except OSError as error:
            raise ArtifactError(f"cannot write into the archive {self._backend.location}: {error}") from error
        times = pc.min_max(rows["at"]).as_py()
        return ExposureSegment(name, len(rows), size, first, last, times["min"], times["max"])

    def _described(self, name: str) -> ExposureSegment:
        size = open_files(self._location).sizes()[name]
        path = self._backend.path(name, size)
        rows = pq.read_table(path, columns=["offset", "at"])
        offsets, times = pc.min_max(rows["offset"]).as_py(), pc.min_max(rows["at"]).as_py()
        return ExposureSegment(name, len(rows), size, offsets["min"], offsets["max"], times["min"], times["max"])

    def _table(self, segment: ExposureSegment, columns: list[str] | None = None) -> Any:
        with _refusing(segment):
            return pq.read_table(self._path(segment), columns=columns, page_checksum_verification=True)

    def _path(self, segment: ExposureSegment) -> Path:
        return self._backend.path(segment.name, segment.bytes)


@contextmanager
def _refusing(segment: ExposureSegment) -> Iterator[None]:
    """Translate what pyarrow and the disk say of a segment that cannot be read."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise CorruptArtifactError(f"exposure segment {segment.name} cannot be read: {error}") from error


def _table(rows: Sequence[Row]) -> Any:
    columns: dict[str, list[Any]] = {
        name: [getattr(exposure, name) for _, exposure in rows]
        for name in COLUMNS.names
        if name != "offset" and name not in _ITEM_COLUMNS
    }
    columns["offset"] = [offset for offset, _ in rows]
    for name, attribute in zip(_ITEM_COLUMNS, ("item_id", "position", "propensity"), strict=True):
        columns[name] = [[getattr(item, attribute) for item in exposure.items] for _, exposure in rows]
    return pa.table({field.name: pa.array(columns[field.name], field.type) for field in COLUMNS}, schema=COLUMNS)


def _rows(table: Any) -> list[Row]:
    return [(row.pop("offset"), _exposure(row)) for row in table.select(COLUMNS.names).to_pylist()]


def _exposure(row: dict[str, Any]) -> Exposure:
    parts = zip(*(row.pop(name) for name in _ITEM_COLUMNS), strict=True)
    return Exposure(items=tuple(ShownItem(*part) for part in parts), **row)
