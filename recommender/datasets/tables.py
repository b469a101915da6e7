"""File reader: CSV, Parquet and JSON lines as tables of cells, whole or in blocks."""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pyarrow.parquet as pq

from lightfm_serve.records.values import MISSING, clean_text, parse_number
from recommender.datasets import jsonl
from recommender.datasets.schema import Schema, listed, missing_column, split_type
from recommender.errors import InvalidDataError

SUFFIXES = (".csv", ".parquet", ".jsonl")
MAX_NAME_BYTES = 128
ROWS_AT_ONCE = 500
"""Rows that are split into cells together, where a whole file is read."""

SEPARATORS = (",", ";", "\t", "|", "::")
"""What may stand between the cells of a CSV file."""
EXACT = b"lightfm-serve.exact"
"""Key in the metadata of a Parquet file whose texts are to be taken as they stand, since we wrote them."""

_PANDAS_INDEX = re.compile(r"__index_level_\d+__")
_PANDAS_NAMELESS = re.compile(r"Unnamed: \d+")
_NO_SCHEMA = Schema()


class Table(NamedTuple):
    """A file, or a block of one, as columns of cells, and where each row stands."""

    file: str
    unit: str
    """What is counted: lines in CSV (the header is line 1) and JSON lines, rows in Parquet."""
    numbers: Sequence[int]
    columns: dict[str, Sequence[Any]]
    typed: bool = True
    """Cells have types; in CSV all are text."""
    exact: bool = False
    """Only None is missing, and text is what it is, as in JSON lines; elsewhere so is an empty text."""
    types: Mapping[str, str] = {}
    """Types that are said of columns."""
    missing: frozenset[str] = MISSING
    """Texts that stand for a missing value."""
    notes: Sequence[str] = ()
    """What was understood of the file that is worth saying."""

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return len(self.numbers)

    def refuse(self, row: int, column: str, fault: str) -> NoReturn:
        """Raise for one cell; the fault says ``{}`` where the value is to stand."""
        value = str(self.columns[column][row])
        shown = repr(value if len(value) <= 80 else value[:79] + "…")
        raise InvalidDataError(f"{self.location(row)}, column {column!r}: {fault.format(shown)}")

    def location(self, row: int) -> str:
        """Where a row stands."""
        return f"{self.file}, {self.unit} {self.numbers[row]}"

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
        near = next((f"; {path.name} is there" for path in sorted(folder.glob(f"{stem}*"))), "")
        raise InvalidDataError(f"{folder} has no {stem}.csv, {stem}.parquet or {stem}.jsonl{near}")
    return found[0] if found else None


def read(path: Path, *needed: str, schema: Schema = _NO_SCHEMA) -> Table:
    """A whole file.

    Raises
    ------
    InvalidDataError
        It is not what its suffix says, or a column that is needed is not there.
    """
    return joined(blocks(path, ROWS_AT_ONCE, *needed, schema=schema))


def joined(tables: Iterator[Table]) -> Table:
    """One table of the blocks of a file."""
    numbers: array[int] = array("q")
    columns: dict[str, list[Any]] = {}
    for block in tables:
        for name, cells in block.columns.items():
            # of JSON lines, a column may begin in a later block, and end in an earlier one
            columns.setdefault(name, [None] * len(numbers)).extend(cells)
        numbers.extend(block.numbers)
        for own in columns.values():
            own.extend([None] * (len(numbers) - len(own)))
    return block._replace(numbers=numbers, columns=dict(columns))


def blocks(path: Path, rows: int, *needed: str, schema: Schema = _NO_SCHEMA) -> Iterator[Table]:
    """A file in blocks of so many rows, one at least; of JSON lines, each block has the columns that it needs.

    Raises
    ------
    InvalidDataError
        As in `read`.
    """
    reading = {".csv": _csv_blocks, ".parquet": _parquet_blocks, ".jsonl": _json_blocks}[path.suffix]
    for table in reading(path, rows, schema):
        for name in needed:
            if name not in table.columns:
                raise InvalidDataError(f"{table.header}: {_not_there(name, list(table.columns))}")
        yield table._replace(missing=schema.missing)


def header_of(path: Path) -> list[str]:
    """Names of the columns as they stand in the file, without types."""
    if path.suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="", errors="replace") as file:
            separator = separator_of(file.readline())
            file.seek(0)
            header = next(_records(path.name, file, separator), (1, [""]))[1]
        return [split_type(clean_text(each))[0] for each in header]
    if path.suffix == ".parquet":
        return [split_type(str(each))[0] for each in pq.read_schema(path).names]
    return list(next(_json_blocks(path, ROWS_AT_ONCE, _NO_SCHEMA)).columns)


def separator_of(line: str) -> str:
    """What stands between the cells of a header: what gives the most columns, a comma when nothing does."""
    bare = re.sub(r'"[^"]*"', "", line)
    return max(SEPARATORS, key=bare.count)


def _not_there(name: str, columns: Sequence[str]) -> str:
    if all(parse_number(each) is not None for each in columns):
        return f"the first line has numbers ({', '.join(columns[:4])}); put a line above it that names the columns"
    return f"there is no column {name!r}, only {listed(columns)}{missing_column(name, columns)}"


class _Header(NamedTuple):
    """Columns of a file as they are called here."""

    names: Sequence[str | None]
    """None for one that is left out; an empty text for one without a name."""
    types: Mapping[str, str]

    @property
    def kept(self) -> list[str]:
        return [name for name in self.names if name]


def _header(where: str, stem: str, given: Sequence[str], schema: Schema) -> _Header:
    """Columns from their names in the file: what they are called here, and of which types they are said to be."""
    if not given:
        raise InvalidDataError(f"{where}: the file is empty; its first line names the columns")
    names: list[str | None] = []
    types: dict[str, str] = {}
    said = {**schema.types.get(stem, {})}
    for own, suffix in (split_type(clean_text(each)) for each in given):
        name = schema.names.get(own, own)
        found = said.pop(name, said.pop(own, suffix))
        left_out = schema.leaves_out(stem, own) or found == "ignore" or _PANDAS_INDEX.fullmatch(own)
        names.append(None if left_out else name)
        if found and not left_out:
            types[name] = found
    _check_names(where, names)
    if said:
        raise InvalidDataError(f"{where}: there is no column {next(iter(said))!r}, whose type is said")
    return _Header(names, types)


def _check_names(where: str, names: Sequence[str | None]) -> None:
    for number, column in enumerate(names):
        if column and column in names[:number]:
            raise InvalidDataError(f"{where}: column {column!r} is there twice")
        if column and len(column.encode()) > MAX_NAME_BYTES:
            raise InvalidDataError(f"{where}: column {number + 1} has a name of more than {MAX_NAME_BYTES} bytes")


# CSV. The pure Python reader, because only it knows on which line a row began.


def _csv_blocks(path: Path, rows: int, schema: Schema) -> Iterator[Table]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            separator = separator_of(file.readline())
            file.seek(0)
            records = _records(path.name, file, separator)
            line, given = next(records, (1, []))
            header = _header(f"{path.name}, line {line}", path.stem, given, schema)
            notes = () if separator == "," else (f"cells are separated by {separator!r}",)
            block = list(islice(records, rows))
            while True:
                yield _table_of(path.name, header, block, notes)
                # a small block at a time: the garbage collector would walk over millions of short lists
                block = list(islice(records, rows))
                if not block:
                    return
        except UnicodeDecodeError:
            _refuse_encoding(path)


def _table_of(name: str, header: _Header, block: Sequence[tuple[int, list[str]]], notes: Sequence[str]) -> Table:
    width = len(header.names)
    for line, row in block:
        if len(row) > width and not any(row[width:]):
            del row[width:]  # commas at the end of a line
        if len(row) != width:
            raise InvalidDataError(f"{name}, line {line}: {_ragged(row, header.names)}")
    cells: Sequence[Sequence[str]] = (
        list(zip(*(row for _, row in block), strict=True)) if block else [[] for _ in header.names]
    )
    left_out = {number for number, column in enumerate(header.names) if column is None}
    for number, column in enumerate(header.names):
        if column is not None and (not column or _PANDAS_NAMELESS.fullmatch(column)):
            if _says_nothing(cells[number], may_count=number == 0):
                left_out.add(number)
            elif not column:
                raise InvalidDataError(f"{name}, line 1: column {number + 1} has no name, and has {cells[number][0]!r}")
    columns: dict[str, Sequence[Any]] = {
        str(column): cells[number] for number, column in enumerate(header.names) if number not in left_out
    }
    return Table(
        name,
        "line",
        array("q", [line for line, _ in block]),
        columns,
        typed=False,
        types=header.types,
        notes=(*notes, *_nameless_notes(header.names, left_out)),
    )


def _says_nothing(cells: Sequence[str], *, may_count: bool) -> bool:
    """Whether a column without a name is the index of pandas, or made by commas at the ends of lines."""
    return all(not cell or (may_count and cell.isdecimal()) for cell in cells)


def _nameless_notes(names: Sequence[str | None], left_out: Collection[int]) -> list[str]:
    there = [number + 1 for number in sorted(left_out) if names[number] is not None]
    return [f"column {number} has no name and says nothing; it is left out" for number in there]


def _records(name: str, file: Iterator[str] | Any, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not empty, and the line on which each begins."""
    if len(separator) > 1:  # Python's reader knows single signs only; nobody quotes where two colons separate
        lines = (line.replace(separator, "\x1f") for line in file)
        reader = csv.reader(lines, strict=True, delimiter="\x1f", quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(file, strict=True, delimiter=separator)
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


def _ragged(row: Sequence[str], header: Sequence[str | None]) -> str:
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


def _parquet_blocks(path: Path, rows: int, schema: Schema) -> Iterator[Table]:
    try:
        with pq.ParquetFile(path) as file:
            header = _header(path.name, path.stem, [str(name) for name in file.schema_arrow.names], schema)
            exact = EXACT in (file.schema_arrow.metadata or {})
            start = 0
            for batch in file.iter_batches(max(rows, 10_000)):
                cells = [column.to_pylist() for column in batch.columns]
                yield _block_of(path.name, header, start, batch.num_rows, cells)._replace(exact=exact)
                start += batch.num_rows
            if not start:
                yield _block_of(path.name, header, 0, 0, [[] for _ in header.names])._replace(exact=exact)
    except (OSError, ValueError) as error:
        if isinstance(error, InvalidDataError):
            raise
        raise InvalidDataError(f"{path.name} is not a readable Parquet file: {error}") from None


def _block_of(name: str, header: _Header, start: int, n: int, columns: Sequence[list[Any]]) -> Table:
    kept: dict[str, Sequence[Any]] = {
        each: cells for each, cells in zip(header.names, columns, strict=True) if each and not _is_index(each, cells)
    }
    return Table(name, "row", range(start + 1, start + n + 1), kept, types=header.types)


def _is_index(name: str, cells: Sequence[Any]) -> bool:
    """Whether a column is the index of pandas, written to CSV and read back."""
    return _PANDAS_NAMELESS.fullmatch(name) is not None and all(type(cell) is int for cell in cells)


# JSON lines.


def _json_blocks(path: Path, rows: int, schema: Schema) -> Iterator[Table]:
    records = jsonl.records(path)
    id_columns = jsonl.id_columns(path.stem)
    types = {name: found for name, found in schema.types.get(path.stem, {}).items() if found != "ignore"}
    left_out = schema.own_columns(path.stem) - set(types)
    block = list(islice(records, rows))
    while True:
        names = dict.fromkeys([*id_columns, *(name for _, row in block for name in row)])
        columns: dict[str, Sequence[Any]] = {
            schema.names.get(name, name): [row.get(name) for _, row in block]
            for name in names
            if name not in left_out and not schema.leaves_out(path.stem, name)
        }
        yield Table(path.name, "line", array("q", [line for line, _ in block]), columns, exact=True, types=types)
        block = list(islice(records, rows))
        if not block:
            return
