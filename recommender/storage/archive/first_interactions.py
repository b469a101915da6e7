"""First interactions: since when each item has been interacted with, from the archive."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow.compute as pc

from recommender.storage.archive.archive import Archive
from recommender.storage.archive.segment import Segment


def first_timestamps(archive: Archive, segments: Sequence[Segment]) -> dict[str, float]:
    """Smallest timestamp of each item, in seconds since the epoch; an item whose rows have none is left out.

    Raises
    ------
    CorruptArtifactError
        A segment is missing or cannot be read.
    """
    first: dict[str, float] = {}
    for segment in segments:
        rows = archive.columns(segment, ["item_id", "timestamp"])
        rows = rows.filter(pc.is_finite(rows["timestamp"]))
        found = rows.group_by("item_id").aggregate([("timestamp", "min")]).to_pydict()
        for item_id, timestamp in zip(found["item_id"], found["timestamp_min"], strict=True):
            first[item_id] = min(timestamp, first.get(item_id, timestamp))
    return first
