"""A folder of CSV or Parquet: interactions, users, items."""

from __future__ import annotations

import csv
import math
import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeVar

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from recommender.dataset import COLUMNS, TITLE, Dataset, id_fault, plainly_ids
from recommender.errors import InvalidDataError

SUFFIXES = (".csv", ".parquet")
MAX_NAME_BYTES = 128
ROWS_AT_ONCE = 500
LATEST_TIMESTAMP_S = 1e11
"""In the year 5138; what is later was given in milliseconds."""

T = TypeVar("T")

_PANDAS_INDEX = re.compile(r"__index_level_\d+__")


class Table(NamedTuple):
    """A file as columns of cells, and where each row stands."""

    file: str
    unit: str
    """What is counted: lines in CSV (the header is line 1), rows in Parquet."""
    places: Sequence[int]
    columns: dict[str, Sequence[Any]]

    def refuse(self, row: int, column: str, fault: str) -> NoReturn:
        """Raise for one cell; the fault says ``{}`` where the value is to stand."""
        value = str(self.columns[column][row])
        shown = repr(value if len(value) <= 80 else value[:79] + "…")
        where = f"{self.file}, {self.unit} {self.places[row]}, column {column!r}"
        raise InvalidDataError(f"{where}: {fault.format(shown)}")


def load(folder: Path) -> Dataset:
    """Load ``interactions.{csv,parquet}`` and, where they are, ``users.*`` and ``items.*``.

    Interactions have ``user_id,item_id[,weight][,timestamp]`` and nothing else, so that a misspelt column
    does not go unseen. A weight is 1 and a timestamp the number of the row where the file has no such
    column. A timestamp is seconds since the epoch, or RFC 3339; without an offset it is UTC.

    Users and items have their id, a column for each feature, and perhaps ``title``, which is shown and no
    feature. An empty cell is missing. In CSV a column with a ``|`` in any cell is a list throughout, else one
    of only true and false boolean, else one of only finite numbers numeric, else text. Parquet has types.

    Ids and text are kept as they stand, spaces included: 007 is not 7. CSV is UTF-8, and a cell in quotes
    may hold commas and line breaks; a line without any cell is skipped.

    Raises
    ------
    InvalidDataError
        Anything is malformed; the message names file, line (row in Parquet), column and value.
    """
    return Dataset(
        _interactions(_read(_path(folder, "interactions"), "user_id", "item_id")),
        _entities(_path(folder, "users", required=False), "user_id"),
        _entities(_path(folder, "items", required=False), "item_id"),
    )


def _path(folder: Path, stem: str, *, required: bool = True) -> Path | None:
    found = [path for suffix in SUFFIXES if (path := folder / (stem + suffix)).is_file()]
    if len(found) > 1:
        raise InvalidDataError(f"{folder} has both {found[0].name} and {found[1].name}; keep one")
    if required and not found:
        raise InvalidDataError(f"{folder} has no {stem}.csv or {stem}.parquet")
    return found[0] if found else None


def _read(path: Path | None, *needed: str) -> Table:
    if path is None:
        return Table("", "", [], {name: [] for name in needed})
    table = _read_csv(path) if path.suffix == ".csv" else _read_parquet(path)
    for name in needed:
        if name not in table.columns:
            raise InvalidDataError(f"{_header_of(table)}: there is no column {name!r}, only {', '.join(table.columns)}")
    return table


def _header_of(table: Table) -> str:
    return f"{table.file}, line 1" if table.unit == "line" else table.file


# Reading CSV. The pure Python reader, because only it knows on which line a row began.


def _read_csv(path: Path) -> Table:
    places = array("q")
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            records = _records(path.name, file)
            line, header = next(records, (1, []))
            _check_header(f"{path.name}, line {line}", header)
            columns: list[list[str]] = [[] for _ in header]
            # a small block at a time: the garbage collector would walk over millions of short lists again and again
            while block := list(islice(records, ROWS_AT_ONCE)):
                places.extend(line for line, _ in block)
                _append(path.name, columns, header, block)
        except UnicodeDecodeError:
            _refuse_encoding(path)
    return Table(path.name, "line", places, dict(zip(header, columns, strict=True)))


def _append(
    name: str, columns: Sequence[list[str]], header: Sequence[str], block: Sequence[tuple[int, list[str]]]
) -> None:
    for line, row in block:
        if len(row) != len(header):
            raise InvalidDataError(f"{name}, line {line}: {_ragged(row, header)}")
    for column, cells in zip(columns, zip(*(row for _, row in block), strict=True), strict=True):
        column.extend(cells)


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


# Reading Parquet.


def _read_parquet(path: Path) -> Table:
    try:
        with pq.ParquetFile(path) as file:
            content = file.read()
        columns = [column.to_pylist() for column in content.columns]
    except (OSError, ValueError) as error:
        raise InvalidDataError(f"{path.name} is not a readable Parquet file: {error}") from None
    names = [str(name) for name in content.column_names]
    _check_header(path.name, names)
    kept = {name: column for name, column in zip(names, columns, strict=True) if not _PANDAS_INDEX.fullmatch(name)}
    return Table(path.name, "row", range(1, content.num_rows + 1), kept)


# What the cells mean.


def _interactions(table: Table) -> pd.DataFrame:
    for name in table.columns:
        if name not in COLUMNS:
            raise InvalidDataError(f"{_header_of(table)}: column {name!r} is none of {', '.join(COLUMNS)}")
    n = len(table.places)
    return pd.DataFrame(
        {
            "user_id": _ids(table, "user_id"),
            "item_id": _ids(table, "item_id"),
            "weight": _weights(table) if "weight" in table.columns else np.ones(n, np.float32),
            "timestamp": _timestamps(table) if "timestamp" in table.columns else np.arange(n, dtype=np.float64),
        }
    ).astype({"user_id": str, "item_id": str})


def _entities(path: Path | None, id_column: str) -> pd.DataFrame:
    table = _read(path, id_column)
    index = pd.Index(_ids(table, id_column), name=id_column, dtype=str)
    if index.has_duplicates:
        table.refuse(int(index.duplicated().argmax()), id_column, "duplicate id {}")
    features = {
        name: pd.Series(_titles(table) if name == TITLE else _features(table, name), index=index, dtype=object)
        for name in table.columns
        if name != id_column
    }
    return pd.DataFrame(features, index=index)


def _ids(table: Table, column: str) -> list[str]:
    values = table.columns[column]
    if not set(map(type, values)) <= {str, int}:
        row = next(row for row, value in enumerate(values) if type(value) not in (str, int))
        table.refuse(row, column, "an id is text, not {}")
    ids = [str(value) for value in values]
    for each in () if plainly_ids(ids) else dict.fromkeys(ids):
        fault = id_fault(each)
        if fault:
            table.refuse(ids.index(each), column, f"id {{}} {fault}" if each else "the id is missing")
    return ids


def _weights(table: Table) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    numbers = np.array(_converted(table, "weight", _weight), np.float64)
    with np.errstate(over="ignore"):
        weights = numbers.astype(np.float32)
    wrong = ~(np.isfinite(weights) & (weights > 0))
    if wrong.any():
        table.refuse(int(wrong.argmax()), "weight", "{} is beyond what 32 bits hold")
    return weights


def _timestamps(table: Table) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array(_converted(table, "timestamp", _seconds), np.float64)


def _converted(table: Table, column: str, convert: Callable[[Any], T]) -> list[T]:
    values = table.columns[column]
    try:
        return list(map(convert, values))
    except ValueError as error:
        table.refuse(_first_refused(convert, values), column, str(error))


def _first_refused(convert: Callable[[Any], object], values: Sequence[Any]) -> int:
    for row, value in enumerate(values):
        try:
            convert(value)
        except ValueError:
            return row
    return len(values)


def _weight(value: Any) -> float:
    number = _number(value)
    if number is None or number <= 0:
        raise ValueError("{} is not a finite number above 0")
    return number


def _seconds(value: Any) -> float:
    number = _number(value)
    if number is None:
        number = _moment(value)
    if not 0 <= number <= LATEST_TIMESTAMP_S:
        raise ValueError(f"{{}} is not between 0 and {LATEST_TIMESTAMP_S:.0e} seconds since the epoch")
    return number


def _moment(value: Any) -> float:
    """Seconds since the epoch of a date and time."""
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError("{} is neither seconds since the epoch nor RFC 3339") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _number(value: Any) -> float | None:
    """Finite number that a cell is, None for any other."""
    if isinstance(value, bool) or (isinstance(value, str) and "_" in value):
        return None  # Python reads 1_000 as a number; in a file it is a code
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _titles(table: Table) -> list[str | None]:
    titles = table.columns[TITLE]
    for row, value in enumerate(titles):
        if not (_is_missing(value) or isinstance(value, str)):
            table.refuse(row, TITLE, "a title is text, not {}")
    return [None if _is_missing(value) else value for value in titles]


def _features(table: Table, name: str) -> list[Any]:
    return _converted(table, name, _csv_type(table.columns[name]) if table.unit == "line" else _typed)


def _csv_type(column: Sequence[str]) -> Callable[[str], Any]:
    """How the cells of a CSV column are to be read, by what all of them can be."""
    present = {value for value in column if value}
    convert: Callable[[str], Any] = str
    if any("|" in value for value in present):
        convert = _list
    elif {value.lower() for value in present} <= {"true", "false"}:
        convert = _boolean
    elif all(_number(value) is not None for value in present):
        convert = _int_or_float
    # what occurs again is not read again: columns have few values, and a million lists would be slow to make
    return cache(lambda value: convert(value) if value else None)


def _boolean(value: str) -> bool:
    return value.lower() == "true"


def _list(value: str) -> list[str]:
    members = value.split("|")
    if "" in members:
        raise ValueError("the list {} has an empty member")
    return members


def _int_or_float(value: str) -> int | float:
    try:
        return int(value)
    except ValueError:
        return float(value)


def _typed(value: Any) -> Any:
    """Value of a Parquet cell; whole numbers in a list are categories."""
    if _is_missing(value):
        return None
    if isinstance(value, list) and all(type(each) in (str, int) for each in value):
        return [str(each) for each in value]
    if isinstance(value, float) and math.isinf(value):
        raise ValueError("{} is not finite")
    if not isinstance(value, str | bool | int | float):
        raise ValueError("{} is neither text, boolean, number nor a list of text")  # noqa: TRY004 - a fault of the data
    return value


def _is_missing(value: Any) -> bool:
    # only NaN differs from itself
    return value is None or (isinstance(value, str) and not value) or (isinstance(value, float) and value != value)  # noqa: PLR0124
