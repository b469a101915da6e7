"""Archive: the learned interactions, on disk, as Parquet segments.

A version's manifest names the segments that it learned, so that model and offset move together; a
segment that no manifest names does not count.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recommender.errors import CorruptArtifactError
from recommender.files import replacing

ROW_GROUP = 65_536
YOUNG_S = 600.0
"""A segment that nobody names may belong to a version on its way."""

SCHEMA = pa.schema(
    [
        ("position", pa.int64()),
        ("offset", pa.int64()),
        ("user_id", pa.string()),
        ("item_id", pa.string()),
        ("weight", pa.float32()),
        ("timestamp", pa.float64()),
        ("event", pa.string()),
    ]
)


@dataclass(frozen=True)
class Segment:
    """A file of the archive, as a manifest names it."""

    name: str
    rows: int
    bytes: int
    sha256: str
    first_offset: int
    last_offset: int

    def to_json(self) -> dict[str, Any]:
        """What a manifest keeps."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Segment:
        """What a manifest kept."""
        return cls(**content)


class Archive:
    """Segments in a folder; none is ever changed.

    Rows have ``offset`` (of the log; 0 for what was imported), ``user_id``, ``item_id``, ``weight``,
    ``timestamp`` and ``event``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def append(self, frame: pd.DataFrame, *, first_offset: int, last_offset: int) -> Segment:
        """Write a segment; it is there whole or not at all."""
        # sorted by user, so that one user's rows are in one or two row groups; position brings the order back
        ordered = frame.assign(position=np.arange(len(frame))).sort_values("user_id", kind="stable")
        table = pa.Table.from_pandas(ordered[SCHEMA.names], schema=SCHEMA, preserve_index=False)
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, row_group_size=ROW_GROUP, compression="zstd")
        content = memoryview(sink.getvalue())
        name = f"{first_offset:012d}-{last_offset:012d}-{uuid.uuid4().hex[:8]}.parquet"
        with replacing(self._folder / name) as file:
            file.write(content)
        sha256 = hashlib.sha256(content).hexdigest()
        return Segment(name, len(frame), len(content), sha256, first_offset, last_offset)

    def read(self, segments: Sequence[Segment]) -> pd.DataFrame:
        """Rows of segments, verified, in the order in which they were appended.

        Raises
        ------
        CorruptArtifactError
            A segment is missing or not what was written.
        """
        frames = [self._verified(segment).sort_by("position").to_pandas() for segment in segments]
        if not frames:
            return SCHEMA.empty_table().to_pandas().drop(columns="position")
        return pd.concat(frames, ignore_index=True).drop(columns="position")

    def read_user(self, segments: Sequence[Segment], user_id: str) -> pd.DataFrame:
        """Rows of one user; only the row groups that may hold them are read."""
        frames: list[pd.DataFrame] = []
        for segment in segments:
            try:
                table = pq.read_table(self._folder / segment.name, filters=pc.field("user_id") == user_id)
            except (OSError, pa.ArrowInvalid) as error:
                raise CorruptArtifactError(f"archive segment {segment.name} cannot be read: {error}") from None
            frames.append(table.sort_by("position").to_pandas())
        rows = pd.concat(frames, ignore_index=True) if frames else SCHEMA.empty_table().to_pandas()
        return rows.drop(columns="position")

    def erase(self, segments: Sequence[Segment], users: Mapping[str, int]) -> list[Segment]:
        """Segments without the rows of deleted users.

        Parameters
        ----------
        segments
            What there is.
        users
            By user, the offset of the deletion; later rows stay.

        Returns
        -------
        As many segments; those without such rows are the same.
        """
        return [self._without(segment, users) for segment in segments]

    def prune(self, named: Collection[str]) -> list[str]:
        """Remove files that nobody names and that are not young; returns their names."""
        oldest = time.time() - YOUNG_S
        doomed = [
            path
            for path in self._folder.iterdir()
            if path.name not in named and path.suffix == ".parquet" and path.stat().st_mtime < oldest
        ]
        for path in doomed:
            path.unlink(missing_ok=True)
        return [path.name for path in doomed]

    def _without(self, segment: Segment, users: Mapping[str, int]) -> Segment:
        frame = self.read([segment])
        doomed = frame["offset"].to_numpy() <= frame["user_id"].map(users).fillna(-1).to_numpy()
        if not doomed.any():
            return segment
        return self.append(frame[~doomed], first_offset=segment.first_offset, last_offset=segment.last_offset)

    def _verified(self, segment: Segment) -> pa.Table:
        try:
            content = (self._folder / segment.name).read_bytes()
        except OSError as error:
            raise CorruptArtifactError(f"archive segment {segment.name}: {error.strerror}") from None
        if len(content) != segment.bytes or hashlib.sha256(content).hexdigest() != segment.sha256:
            raise CorruptArtifactError(f"archive segment {segment.name} is not what was written")
        return pq.read_table(pa.BufferReader(content))
