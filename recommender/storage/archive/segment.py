"""Segment: an immutable Parquet file of the archive, as a manifest names it."""

from __future__ import annotations

import msgspec


class Segment(msgspec.Struct, frozen=True):
    """A Parquet file of the archive, as a manifest names it."""

    name: str
    rows: int
    bytes: int
    sha256: str
    first_offset: int
    last_offset: int
