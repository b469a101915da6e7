"""What the cells of a table mean."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from recommender.dataset import AVAILABLE, TITLE, plainly_ids
from recommender.errors import InvalidDataError
from recommender.sources.tables import Table
from recommender.values import id_fault

INTERACTION_COLUMNS = ("user_id", "item_id", "weight", "timestamp", "event")
LATEST_TIMESTAMP_S = 1e11
"""In the year 5138; what is later was given in milliseconds."""
MAX_EVENT_LETTERS = 128

T = TypeVar("T")


def check_interaction_columns(table: Table) -> None:
    """Refuse a column that is none of an interaction, so that a misspelt one does not go unseen."""
    for name in table.columns:
        if name not in INTERACTION_COLUMNS:
            raise InvalidDataError(f"{table.header}: column {name!r} is none of {', '.join(INTERACTION_COLUMNS)}")


def is_feature(column: str, id_column: str) -> bool:
    """Whether a column of users or items is a feature: neither the id, nor the title, nor whether an item is there."""
    return column not in (id_column, TITLE) and (column != AVAILABLE or id_column != "item_id")


def ids(table: Table, column: str) -> list[str]:
    """Ids as text."""
    values = table.columns[column]
    if not set(map(type, values)) <= {str, int}:
        row = next(row for row, value in enumerate(values) if type(value) not in (str, int))
        table.refuse(row, column, "an id is text, not {}")
    found = [str(value) for value in values]
    for each in () if plainly_ids(found) else dict.fromkeys(found):
        fault = id_fault(each)
        if fault:
            table.refuse(found.index(each), column, f"id {{}} {fault}" if each else "the id is missing")
    return found


def weights(table: Table) -> NDArray[np.float32]:
    """Weights; 1 where there is no such column."""
    if "weight" not in table.columns:
        return np.ones(table.n_rows, np.float32)
    numbers = np.array(_converted(table, "weight", _weight), np.float64)
    with np.errstate(over="ignore"):
        found = numbers.astype(np.float32)
    wrong = ~(np.isfinite(found) & (found > 0))
    if wrong.any():
        table.refuse(int(wrong.argmax()), "weight", "{} is beyond what 32 bits hold")
    return found


def timestamps(table: Table, first_row: int = 0) -> NDArray[np.float64]:
    """Seconds since the epoch; the number of the row where there is no such column.

    Parameters
    ----------
    table
        Whose.
    first_row
        Rows before this table, when it is a block.
    """
    values = table.columns.get("timestamp")
    if values is None or (table.exact and all(value is None for value in values)):
        return np.arange(first_row, first_row + table.n_rows, dtype=np.float64)
    return np.array(_converted(table, "timestamp", _seconds), np.float64)


def events(table: Table) -> list[str | None]:
    """Kinds of interaction; missing is None."""
    if "event" not in table.columns:
        return [None] * table.n_rows
    return _converted(table, "event", _event)


def titles(table: Table, column: str) -> list[str | None]:
    """Text that is shown."""
    found = table.columns[column]
    for row, value in enumerate(found):
        if not (_is_missing(value) or isinstance(value, str)):
            table.refuse(row, column, "a title is text, not {}")
    return [None if _is_missing(value) else value for value in found]


def availabilities(table: Table, column: str) -> list[bool]:
    """Whether each item may be recommended; missing is yes."""
    return _converted(table, column, _available)


class ColumnType:
    """How the cells of a CSV column are to be read, by what all of them can be. Grows a block at a time."""

    def __init__(self) -> None:
        self._list = False
        self._boolean = self._number = True

    def look(self, cells: Sequence[str]) -> ColumnType:
        """Take more cells into account."""
        present = {value for value in cells if value}
        self._list = self._list or any("|" in value for value in present)
        self._boolean = self._boolean and {value.lower() for value in present} <= {"true", "false"}
        self._number = self._number and all(_number(value) is not None for value in present)
        return self

    def converter(self) -> Callable[[str], Any]:
        """Reads a cell; an empty one is None."""
        convert: Callable[[str], Any] = str
        if self._list:
            convert = _list
        elif self._boolean:
            convert = _boolean
        elif self._number:
            convert = _int_or_float
        # what occurs again is not read again: columns have few values, and a million lists would be slow to make
        return cache(lambda value: convert(value) if value else None)


def features(table: Table, column: str, convert: Callable[[str], Any] | None = None) -> list[Any]:
    """Values of a feature; missing is None.

    Parameters
    ----------
    table, column
        Where.
    convert
        Of a CSV column, from its `ColumnType`; that of these cells alone when absent.
    """
    if table.typed:
        return _converted(table, column, _exact if table.exact else _typed)
    return _converted(table, column, convert or ColumnType().look(table.columns[column]).converter())


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


def _event(value: Any) -> str | None:
    if _is_missing(value):
        return None
    if not isinstance(value, str) or len(value) > MAX_EVENT_LETTERS:
        raise ValueError(f"{{}} is not text of at most {MAX_EVENT_LETTERS} letters")
    return value


def _available(value: Any) -> bool:
    if _is_missing(value):
        return True
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return _boolean(value)
    raise ValueError("{} is neither true nor false")


def _number(value: Any) -> float | None:
    """Finite number that a cell is, None for any other."""
    if isinstance(value, bool) or (isinstance(value, str) and "_" in value):
        return None  # Python reads 1_000 as a number; in a file it is a code
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


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
    """Value of a cell that has a type; whole numbers in a list are categories."""
    if _is_missing(value):
        return None
    if isinstance(value, list) and all(type(each) in (str, int) for each in value):
        return [str(each) for each in value]
    if isinstance(value, float) and math.isinf(value):
        raise ValueError("{} is not finite")
    if not isinstance(value, str | bool | int | float):
        raise ValueError("{} is neither text, boolean, number nor a list of text")  # noqa: TRY004 - a fault of the data
    return value


def _exact(value: Any) -> Any:
    return value if value == "" else _typed(value)


def _is_missing(value: Any) -> bool:
    # only NaN differs from itself
    return value is None or (isinstance(value, str) and not value) or (isinstance(value, float) and value != value)  # noqa: PLR0124
