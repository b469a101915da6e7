"""Files of a data folder as tables of cells: CSV, Parquet and JSON lines, whole or a block at a time."""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pyarrow.parquet as pq

from recommender.errors import InvalidDataError
from recommender.sources import json_lines

SUFFIXES = (".csv", ".parquet", ".jsonl")
MAX_NAME_BYTES = 128
ROWS_AT_ONCE = 500
"""Rows that are split into cells together, where a whole file is read."""

_PANDAS_INDEX = re.compile(r"__index_level_\d+__")


class Table(NamedTuple):
    """A file, or a block of one, as columns of cells, and where each row stands."""

    file: str
    unit: str
    """What is counted: lines in CSV (the header is line 1) and JSON lines, rows in Parquet."""
    places: Sequence[int]
    columns: dict[str, Sequence[Any]]
    typed: bool = True
    """Cells have types; in CSV all are text."""
    exact: bool = False
    """Only None is missing, as in JSON lines; elsewhere so is an empty text."""

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return len(self.places)

    def refuse(self, row: int, column: str, fault: str) -> NoReturn:
        """Raise for one cell; the fault says ``{}`` where the value is to stand."""
        value = str(self.columns[column][row])
        shown = repr(value if len(value) <= 80 else value[:79] + "…")
        raise InvalidDataError(f"{self.place(row)}, column {column!r}: {fault.format(shown)}")

    def place(self, row: int) -> str:
        """Where a row stands."""
        return f"{self.file}, {self.unit} {self.places[row]}"

    @property
    def header(self) -> str:
        """Where the columns are named."""
        return self.file if self.typed else f"{self.file}, line 1"


def path_of(folder: Path, stem: str, *, required: bool = True) -> Path | None:
    """File of a folder, whatever its format.

    Raises
    ------
    InvalidDataError
        There is none, or more than one.
    """
    found = [path for suffix in SUFFIXES if (path := folder / (stem + suffix)).is_file()]
    if len(found) > 1:
        raise InvalidDataError(f"{folder} has both {found[0].name} and {found[1].name}; keep one")
    if required and not found:
        raise InvalidDataError(f"{folder} has no {stem}.csv, {stem}.parquet or {stem}.jsonl")
    return found[0] if found else None


def read(path: Path, *needed: str) -> Table:
    """A whole file.

    Raises
    ------
    InvalidDataError
        It is not what its suffix says, or a column that is needed is not there.
    """
    places: array[int] = array("q")
    columns: dict[str, list[Any]] = {}
    for block in blocks(path, ROWS_AT_ONCE, *needed):
        for name, cells in block.columns.items():
            # of JSON lines, a column may begin in a later block, and end in an earlier one
            columns.setdefault(name, [None] * len(places)).extend(cells)
        places.extend(block.places)
        for own in columns.values():
            own.extend([None] * (len(places) - len(own)))
    return block._replace(places=places, columns=dict(columns))


def blocks(path: Path, rows: int, *needed: str) -> Iterator[Table]:
    """A file in blocks of so many rows, one at least; of JSON lines, each block has the columns that it needs.

    Raises
    ------
    InvalidDataError
        As in `read`.
    """
    reading = {".csv": _csv_blocks, ".parquet": _parquet_blocks, ".jsonl": _json_blocks}[path.suffix]
    for table in reading(path, rows):
        for name in needed:
            if name not in table.columns:
                raise InvalidDataError(f"{table.header}: there is no column {name!r}, only {', '.join(table.columns)}")
        yield table


# CSV. The pure Python reader, because only it knows on which line a row began.


def _csv_blocks(path: Path, rows: int) -> Iterator[Table]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            records = _records(path.name, file)
            line, header = next(records, (1, []))
            _check_header(f"{path.name}, line {line}", header)
            block = list(islice(records, rows))
            while True:
                yield _table_of(path.name, header, block)
                # a small block at a time: the garbage collector would walk over millions of short lists
                block = list(islice(records, rows))
                if not block:
                    return
        except UnicodeDecodeError:
            _refuse_encoding(path)


def _table_of(name: str, header: Sequence[str], block: Sequence[tuple[int, list[str]]]) -> Table:
    for line, row in block:
        if len(row) != len(header):
            raise InvalidDataError(f"{name}, line {line}: {_ragged(row, header)}")
    cells: Iterator[Sequence[str]] = zip(*(row for _, row in block), strict=True) if block else ([] for _ in header)
    places = array("q", [line for line, _ in block])
    return Table(name, "line", places, dict(zip(header, cells, strict=True)), typed=False)


def _records(name: str, file: Iterator[str] | Any) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not empty, and the line on which each begins."""
    reader = csv.reader(file, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InvalidDataError(f"{name}, line {line}: not CSV: {error}") from None
        if row:
            yield line, row


def _check_header(where: str, header: Sequence[str]) -> None:
    if not header:
        raise InvalidDataError(f"{where}: the file is empty; its first line names the columns")
    for place, column in enumerate(header):
        if column in header[:place]:
            raise InvalidDataError(f"{where}: column {column!r} is there twice")
        if not 1 <= len(column.encode()) <= MAX_NAME_BYTES:
            raise InvalidDataError(f"{where}: column {place + 1} has a name of 0 or more than {MAX_NAME_BYTES} bytes")


def _ragged(row: Sequence[str], header: Sequence[str]) -> str:
    if len(row) < len(header):
        return f"{len(row)} cells for {len(header)} columns; column {header[len(row)]!r} has none"
    surplus = row[len(header)]
    return f"{len(row)} cells for {len(header)} columns; {surplus[:80]!r} is one too many"


def _refuse_encoding(path: Path) -> NoReturn:
    content = path.read_bytes()
    try:
        content.decode()
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line = len((before + b".").splitlines())
        wrong = content[error.start : error.end]
        raise InvalidDataError(f"{path.name}, line {line}: {wrong!r} is not UTF-8; save the file as UTF-8") from None
    raise InvalidDataError(f"{path.name} changed while it was read")


# Parquet.


def _parquet_blocks(path: Path, rows: int) -> Iterator[Table]:
    try:
        with pq.ParquetFile(path) as file:
            names = [str(name) for name in file.schema_arrow.names]
            _check_header(path.name, names)
            start = 0
            for batch in file.iter_batches(max(rows, 10_000)):
                yield _block_of(path.name, names, start, batch.num_rows, [c.to_pylist() for c in batch.columns])
                start += batch.num_rows
            if not start:
                yield _block_of(path.name, names, 0, 0, [[] for _ in names])
    except (OSError, ValueError) as error:
        if isinstance(error, InvalidDataError):
            raise
        raise InvalidDataError(f"{path.name} is not a readable Parquet file: {error}") from None


def _block_of(name: str, names: Sequence[str], start: int, n: int, columns: Sequence[list[Any]]) -> Table:
    kept: dict[str, Sequence[Any]] = {
        each: cells for each, cells in zip(names, columns, strict=True) if not _PANDAS_INDEX.fullmatch(each)
    }
    return Table(name, "row", range(start + 1, start + n + 1), kept)


# JSON lines.


def _json_blocks(path: Path, rows: int) -> Iterator[Table]:
    records = json_lines.records(path)
    id_columns = json_lines.id_columns(path.stem)
    block = list(islice(records, rows))
    while True:
        names = dict.fromkeys([*id_columns, *(name for _, row in block for name in row)])
        columns: dict[str, Sequence[Any]] = {name: [row.get(name) for _, row in block] for name in names}
        yield Table(path.name, "line", array("q", [line for line, _ in block]), columns, exact=True)
        block = list(islice(records, rows))
        if not block:
            return
