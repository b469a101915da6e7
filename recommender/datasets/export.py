"""Export of a table: Parquet where columns hold it exactly, else JSON lines.

Nobody knows the columns before the last record has come. So records go into a file of JSON lines first, and from
there, now that their types are known, into the one that stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from recommender.datasets.jsonl import OWN
from recommender.datasets.tables import EXACT
from recommender.dense_vectors.packing import Vector
from recommender.errors import InvalidDataError
from recommender.storage import atomic_files

Record = dict[str, Any]
ROWS_AT_ONCE = 10_000

_IDS = {"users": "user_id", "items": "item_id"}
_LIST, _VECTOR = pa.list_(pa.string()), pa.list_(pa.float32())
_KINDS: Sequence[tuple[set[type], pa.DataType]] = (
    ({str}, pa.string()),
    ({bool}, pa.bool_()),
    ({int}, pa.int64()),
    ({int, float}, pa.float64()),
    ({list}, _LIST),
    ({Vector}, _VECTOR),
)
_FIXED: Mapping[str, Mapping[str, pa.DataType]] = {
    "users": {"user_id": pa.string()},
    "items": {"item_id": pa.string(), "title": pa.string(), "available": pa.bool_()},
    "interactions": {
        "user_id": pa.string(),
        "item_id": pa.string(),
        "weight": pa.float64(),
        "timestamp": pa.float64(),
        "event": pa.string(),
    },
}
_EXACT_BELOW = 2**53
"""Whole numbers that a float64 holds."""


class Written(NamedTuple):
    """A table that was written: its path and rows."""

    name: str
    path: Path
    rows: int
    why: str | None
    """Why it is not Parquet; None where it is."""


def write_table(folder: Path, name: str, records: Iterable[Record]) -> Written:
    """Write users, items or interactions as ``NAME.parquet`` or ``NAME.jsonl``, whole or not at all.

    Parameters
    ----------
    folder, name
        Where, and which of the three.
    records
        As the service gives them. Of a user or item that comes again, as one does who changes meanwhile, the last
        counts.

    Raises
    ------
    InvalidDataError
        A feature is called as what is none: no data folder can hold it.
    """
    with _spool(folder) as spool:
        columns, last = Columns(), _spooled(spool, name, records)
        kept = list(last.values()) if isinstance(last, dict) else None
        rows = last if isinstance(last, int) else len(last)
        for record in _read(spool, kept):
            columns.look(record)
        why = columns.not_parquet()
        path = folder / f"{name}{'.jsonl' if why else '.parquet'}"
        with atomic_files.replacing(path) as file:
            if why:
                file.writelines(msgspec.json.encode(record) + b"\n" for record in _read(spool, kept))
            else:
                _write_parquet(file, columns.schema(name), _read(spool, kept))
    return Written(name, path, rows, why)


class Columns:
    """Names and types of feature columns."""

    def __init__(self) -> None:
        self._types: dict[str, set[type]] = {}
        self._why: str | None = None
        self._own: set[str] = set()

    def look(self, record: Record) -> None:
        """Take a record into account."""
        self._own.update(name for name in ("title", "event") if record.get(name) is not None)
        if record.get("available") is False:
            self._own.add("available")
        for name, value in (record.get("features") or {}).items():
            if name in OWN:
                who = record.get("user_id") or record.get("item_id")
                raise InvalidDataError(f"{who!r} has a feature {name!r}, which in a data folder is something else")
            self._types.setdefault(name, set()).add(_kind(value))
            self._why = self._why or _why_not(name, value)

    def not_parquet(self) -> str | None:
        """What columns cannot hold; None where they can."""
        for name, types in self._types.items():
            if not any(types <= kinds for kinds, _ in _KINDS):
                said = " and ".join(sorted(kind.__name__ for kind in types))
                return f"the feature {name!r} is of several types ({said})"
        return self._why

    def schema(self, name: str) -> pa.Schema:
        """Of the Parquet file; a column that nobody has is left out."""
        fixed = {
            each: kind
            for each, kind in _FIXED[name].items()
            if each not in ("title", "event", "available") or each in self._own
        }
        features = {each: next(kind for kinds, kind in _KINDS if types <= kinds) for each, types in self._types.items()}
        return pa.schema([*fixed.items(), *features.items()], metadata={EXACT: b"1"})


def _kind(value: Any) -> type:
    """Type of a value; of a list of numbers, which a dense vector is in JSON, that of vectors."""
    return Vector if isinstance(value, list) and value and not isinstance(value[0], str) else type(value)


def _why_not(name: str, value: Any) -> str | None:
    if value == "":
        return f"the feature {name!r} is an empty text, which in a column is a missing one"
    if type(value) is int and abs(value) > _EXACT_BELOW:
        return f"the feature {name!r} is a number of more than 53 bits"
    return None


@contextmanager
def _spool(folder: Path) -> Iterator[Path]:
    path = folder / atomic_files.temporary_name()
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _spooled(spool: Path, name: str, records: Iterable[Record]) -> dict[str, int] | int:
    """Write records down; the line of the last record of each id, or how many they are where they have none."""
    id_name = _IDS.get(name)
    last: dict[str, int] = {}
    n = 0
    encode = msgspec.json.encode
    with spool.open("xb") as file:
        for n, record in enumerate(records, 1):
            kept = {key: value for key, value in record.items() if value is not None and key != "updated_at"}
            file.write(encode(kept) + b"\n")
            if id_name:
                last[record[id_name]] = n
    return last if id_name else n


def _read(spool: Path, kept: Sequence[int] | None) -> Iterator[Record]:
    lines = None if kept is None else set(kept)
    decode = msgspec.json.decode
    with spool.open("rb") as file:
        for line, text in enumerate(file, 1):
            if lines is None or line in lines:
                yield decode(text)


def _write_parquet(file: Any, schema: pa.Schema, records: Iterator[Record]) -> None:
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        while block := list(islice(records, ROWS_AT_ONCE)):
            rows = [{**record, **(record.get("features") or {})} for record in block]
            writer.write_table(pa.Table.from_pylist(rows, schema))
