"""Exposure file: what was shown and what came of it as Parquet, one row an exposure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from recommender.errors import InvalidDataError
from recommender.storage import atomic_files

NAME = "exposures.parquet"
ROWS_AT_ONCE = 10_000

_EVENT = pa.struct([("event", pa.string()), ("interactions", pa.int64())])
_ITEM = pa.struct(
    [
        ("item_id", pa.string()),
        ("position", pa.int32()),
        ("propensity", pa.float64()),
        ("interactions", pa.list_(_EVENT)),
    ]
)
SCHEMA = pa.schema(
    [
        ("recommendation_id", pa.string()),
        ("user_id", pa.string()),
        ("placement", pa.string()),
        ("model_version", pa.string()),
        ("experiment", pa.string()),
        ("variant", pa.string()),
        ("at", pa.float64()),
        ("items", pa.list_(_ITEM)),
    ]
)


def write_exposures(folder: Path, records: Iterable[Mapping[str, Any]]) -> tuple[Path, int]:
    """Write exposures as ``exposures.parquet``, whole or not at all; returns path and rows.

    Parameters
    ----------
    folder
        Where; it is there already.
    records
        As ``GET /v1/exposures`` gives them.
    """
    path, rows, left = folder / NAME, 0, iter(records)
    with atomic_files.replacing(path) as file, pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
        while block := [_row(record) for record in islice(left, ROWS_AT_ONCE)]:
            writer.write_table(pa.Table.from_pylist(block, SCHEMA))
            rows += len(block)
    return path, rows


def read_exposures(path: Path) -> Iterable[dict[str, Any]]:
    """Exposures of a file that `write_exposures` wrote, as it was given them.

    Raises
    ------
    InvalidDataError
        It is none.
    """
    try:
        with pq.ParquetFile(path) as file:
            missing = [name for name in SCHEMA.names if name not in file.schema_arrow.names]
            if missing:
                raise InvalidDataError(f"{path} is no file of exposures: the column {missing[0]!r} is missing")
            for block in file.iter_batches(ROWS_AT_ONCE):
                yield from (_record(row) for row in block.to_pylist())
    except pa.ArrowException as error:
        raise InvalidDataError(f"{path} cannot be read as Parquet: {error}") from error


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    return {**record, "items": [{**item, "interactions": _listed(item)} for item in record["items"]]}


def _listed(item: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"event": event, "interactions": n} for event, n in (item.get("interactions") or {}).items()]


def _record(row: dict[str, Any]) -> dict[str, Any]:
    items = [
        {**item, "interactions": {each["event"]: each["interactions"] for each in item["interactions"]}}
        for item in row["items"]
    ]
    return {**row, "items": items}
