"""A folder of CSV or Parquet: interactions, users, items."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import pandas as pd

from recommender.dataset import COLUMNS, Dataset, id_fault
from recommender.errors import InvalidDataError

SUFFIXES = (".csv", ".parquet")


class Cells(NamedTuple):
    """A file as columns of cells, and the line of each row."""

    name: str
    columns: dict[str, list[Any]]
    lines: list[int]
    typed: bool
    """Whether cells have types of their own, as in Parquet; in CSV they are strings, '' for missing."""

    def refuse(self, row: int, column: str, fault: str) -> NoReturn:
        """Raise for one cell."""
        value = str(self.columns[column][row])[:80]
        raise InvalidDataError(f"{self.name}, line {self.lines[row]}, column {column!r}: {value!r} {fault}")


def load(folder: Path) -> Dataset:
    """Load ``interactions.{csv,parquet}`` and, where they are, ``users.*`` and ``items.*``.

    Interactions have ``user_id,item_id[,weight][,timestamp]`` and nothing else; a timestamp is seconds
    since the epoch or RFC 3339. Users and items have their id, and a column for each feature; items may
    have a ``title``. In CSV a column with a ``|`` in any cell is a list, one of true and false a boolean,
    one of finite numbers a number, any other text; an empty cell is missing. Ids are text: 007 stays 007.

    Raises
    ------
    InvalidDataError
        Anything is malformed; the message names file, line (the header is line 1) and column.
    """
    interactions = _read(_path(folder, "interactions", required=True), ("user_id", "item_id"))
    users = _path(folder, "users", required=False)
    items = _path(folder, "items", required=False)
    return Dataset(_interactions(interactions), _entities(users, "user_id"), _entities(items, "item_id"))


def _path(folder: Path, stem: str, *, required: bool) -> Path | None:
    found = [folder / (stem + suffix) for suffix in SUFFIXES if (folder / (stem + suffix)).is_file()]
    if len(found) > 1:
        raise InvalidDataError(f"{folder} has both {found[0].name} and {found[1].name}; keep one")
    if required and not found:
        raise InvalidDataError(f"{folder} has no {stem}.csv or {stem}.parquet")
    return found[0] if found else None


def _read(path: Path | None, needed: tuple[str, ...]) -> Cells:
    if path is None:
        return Cells("", {name: [] for name in needed}, [], typed=True)
    cells = _read_csv(path) if path.suffix == ".csv" else _read_parquet(path)
    for name in needed:
        if name not in cells.columns:
            raise InvalidDataError(f"{path.name}, line 1: there is no column {name!r}")
    return cells


def _read_csv(path: Path) -> Cells:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            header = _header(path.name, next(reader, []))
            rows, lines = [], []
            for row in reader:
                if row:
                    rows.append(row)
                    lines.append(reader.line_num)
                    if len(row) != len(header):
                        raise InvalidDataError(
                            f"{path.name}, line {reader.line_num}: {len(row)} cells under {len(header)} columns"
                        )
        except csv.Error as error:
            raise InvalidDataError(f"{path.name}, line {reader.line_num}: {error}") from None
        except UnicodeDecodeError as error:
            raise InvalidDataError(f"{path.name}, after line {reader.line_num}: not UTF-8 ({error.reason})") from None
    columns = list(zip(*rows, strict=True)) or [()] * len(header)
    return Cells(
        path.name,
        {name: list(column) for name, column in zip(header, columns, strict=True)},
        lines,
        typed=False,
    )


def _header(name: str, header: list[str]) -> list[str]:
    if not header:
        raise InvalidDataError(f"{name} is empty; its first line names the columns")
    for place, column in enumerate(header, 1):
        if not column or header.index(column) != place - 1:
            raise InvalidDataError(f"{name}, line 1, column {place}: {column!r} is empty or there twice")
    return header


def _read_parquet(path: Path) -> Cells:
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InvalidDataError(f"{path.name} is not a readable Parquet file: {error}") from None
    columns = {str(name): [_untyped(value) for value in frame[name].tolist()] for name in frame.columns}
    return Cells(path.name, columns, list(range(1, len(frame) + 1)), typed=True)


def _untyped(value: Any) -> Any:
    """Plain value of a Parquet cell; '' for a missing one, as in CSV."""
    if isinstance(value, np.ndarray | list | tuple):
        return [str(each) for each in value]
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return ""
    return value


def _interactions(cells: Cells) -> pd.DataFrame:
    extra = [name for name in cells.columns if name not in COLUMNS]
    if extra:
        raise InvalidDataError(f"{cells.name}, line 1: column {extra[0]!r} is none of {', '.join(COLUMNS)}")
    n = len(cells.lines)
    timestamps = _converted(cells, "timestamp", _seconds) if "timestamp" in cells.columns else np.arange(n)
    weights = _converted(cells, "weight", _weight) if "weight" in cells.columns else np.ones(n)
    return pd.DataFrame(
        {
            "user_id": _ids(cells, "user_id"),
            "item_id": _ids(cells, "item_id"),
            "weight": np.asarray(weights, np.float32),
            "timestamp": np.asarray(timestamps, np.float64),
        }
    )


def _entities(path: Path | None, id_column: str) -> pd.DataFrame:
    cells = _read(path, (id_column,))
    ids = _ids(cells, id_column)
    seen: dict[str, int] = {}
    for row, an_id in enumerate(ids):
        if seen.setdefault(an_id, row) != row:
            cells.refuse(row, id_column, f"was there before, on line {cells.lines[seen[an_id]]}")
    index = pd.Index(ids, name=id_column, dtype=object)
    features = {
        name: pd.Series(_title(column) if name == "title" else _feature(cells, name), index=index, dtype=object)
        for name, column in cells.columns.items()
        if name != id_column
    }
    return pd.DataFrame(features, index=index)


def _ids(cells: Cells, column: str) -> list[str]:
    ids = [value if isinstance(value, str) else str(value) for value in cells.columns[column]]
    for row, value in enumerate(ids):
        fault = id_fault(value)
        if fault:
            cells.refuse(row, column, fault)
    return ids


def _converted(cells: Cells, column: str, convert: Callable[[Any], float]) -> list[float]:
    values: list[float] = []
    for row, value in enumerate(cells.columns[column]):
        try:
            values.append(convert(value))
        except (ValueError, TypeError, OverflowError) as error:
            cells.refuse(row, column, str(error))
    return values


def _weight(value: Any) -> float:
    number = _number(value)
    if number is None or number <= 0:
        raise ValueError("is not a finite number above 0")
    return number


def _seconds(value: Any) -> float:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    number = _number(value)
    if number is not None:
        return number
    try:
        moment = datetime.fromisoformat(value)
    except (ValueError, TypeError):
        raise ValueError("is neither seconds since the epoch nor RFC 3339") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _number(value: Any) -> float | None:
    """Finite number that a cell is, None for any other."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _title(column: list[Any]) -> list[str | None]:
    return [None if value == "" else str(value) for value in column]


def _feature(cells: Cells, name: str) -> list[Any]:
    column = cells.columns[name]
    if not cells.typed:
        return _typed(column)
    for row, value in enumerate(column):
        if isinstance(value, float | int) and not math.isfinite(value):
            cells.refuse(row, name, "is not finite")
        if not isinstance(value, str | bool | int | float | list):
            cells.refuse(row, name, "is neither text, boolean, number nor a list of text")
    return [None if isinstance(value, str) and value == "" else value for value in column]


def _typed(column: list[str]) -> list[Any]:
    """Values of a CSV column, by what all its cells can be."""
    present = list(_present(column))
    if any("|" in value for value in present):
        return [value.split("|") if value else None for value in column]
    if present and all(value.lower() in ("true", "false") for value in present):
        return [value.lower() == "true" if value else None for value in column]
    if present and all(_number(value) is not None for value in present):
        return [_int_or_float(value) if value else None for value in column]
    return [value or None for value in column]


def _present(column: list[str]) -> Iterator[str]:
    return (value for value in column if value)


def _int_or_float(value: str) -> int | float:
    try:
        return int(value)
    except ValueError:
        return float(value)
