"""Cell parsers: ids, weights, timestamps and flags from the text or number of a cell."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lightfm_serve.records import values
from recommender.datasets.dataset import AVAILABLE, TITLE
from recommender.datasets.schema import listed, unknown_columns
from recommender.datasets.tables import Table
from recommender.errors import InvalidDataError

INTERACTION_COLUMNS = ("user_id", "item_id", "weight", "timestamp", "event")
MAX_EVENT_LETTERS = 128

T = TypeVar("T")


def check_interaction_columns(table: Table) -> None:
    """Refuse a column that is none of an interaction, so that a misspelt one does not go unseen."""
    unknown = [name for name in table.columns if name not in INTERACTION_COLUMNS]
    if unknown:
        which = f"column {unknown[0]!r} is" if len(unknown) == 1 else f"columns {listed(list(map(repr, unknown)))} are"
        advice = unknown_columns(unknown, list(table.columns))
        raise InvalidDataError(f"{table.header}: {which} none of {', '.join(INTERACTION_COLUMNS)}; {advice}")


def is_feature(column: str, id_column: str) -> bool:
    """Whether a column of users or items is a feature: neither the id, nor the title, nor whether an item is there."""
    return column not in (id_column, TITLE) and (column != AVAILABLE or id_column != "item_id")


def ids(table: Table, column: str, convert: Callable[[Any], str] = values.clean_id) -> list[str]:
    """Ids as text.

    Parameters
    ----------
    table, column
        Where.
    convert
        Reads one; a `ValueError` says why it is none.
    """
    cells = table.columns[column]
    try:
        found = {value: convert(value) for value in dict.fromkeys(cells)}
    except (ValueError, TypeError):  # of a type that cannot be looked up: then the first such cell is named
        return converted(table, column, convert)
    return [found[value] for value in cells]


def weights(table: Table) -> NDArray[np.float32]:
    """Weights; 1 where there is no such column."""
    if "weight" not in table.columns:
        return np.ones(table.n_rows, np.float32)
    plain = _digits(table.columns["weight"])
    numbers = plain if plain is not None and plain.all() else np.array(converted(table, "weight", _weight), np.float64)
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
    cells = table.columns.get("timestamp")
    if cells is None or (table.exact and all(value is None for value in cells)):
        return np.arange(first_row, first_row + table.n_rows, dtype=np.float64)
    now = time.time()
    plain = _digits(cells)
    if plain is not None and (plain <= now).all():
        return plain
    return np.array(converted(table, "timestamp", lambda value: values.parse_timestamp(value, now)), np.float64)


def events(table: Table) -> list[str | None]:
    """Kinds of interaction; missing is None."""
    if "event" not in table.columns:
        return [None] * table.n_rows
    return converted(table, "event", lambda value: None if values.is_missing(value, table.missing) else _event(value))


def titles(table: Table, column: str) -> list[str | None]:
    """Text that is shown; only an empty one is missing, since a film may be called *None*."""
    return converted(table, column, _title)


def availabilities(table: Table, column: str) -> list[bool]:
    """Whether each item may be recommended; missing is yes."""
    return converted(
        table, column, lambda value: True if values.is_missing(value, table.missing) else _available(value)
    )


def converted(table: Table, column: str, convert: Callable[[Any], T]) -> list[T]:
    """Cells of a column, each converted.

    Raises
    ------
    InvalidDataError
        One cannot be; the message names file, line (row in Parquet), column and value.
    """
    cells = table.columns[column]
    try:
        return list(map(convert, cells))
    except ValueError as error:
        table.refuse(_first_refused(convert, cells), column, str(error))


def _first_refused(convert: Callable[[Any], object], cells: Sequence[Any]) -> int:
    for row, value in enumerate(cells):
        try:
            convert(value)
        except ValueError:
            return row
    return len(cells)


def _digits(cells: Sequence[Any]) -> NDArray[np.float64] | None:
    """Numbers of cells that are texts of digits, as most files have; None for any others."""
    try:
        text = "".join(cells)
    except TypeError:
        return None
    # an empty cell would be lost in the joined text
    plain = text.isascii() and text.isdecimal() and "" not in cells
    return np.array(list(map(int, cells)), np.float64) if plain else None


def _weight(value: Any) -> float:
    number = values.parse_number(value)
    like = values.number_like(value) if number is None and isinstance(value, str) else None
    if like:
        raise ValueError(f"{{}} looks like {like}; write numbers like 1234.5")
    if number is None or number <= 0:
        raise ValueError("{} is not a finite number above 0")
    return number


def _event(value: Any) -> str:
    event = values.clean_text(value) if isinstance(value, str) else ""
    if not 1 <= len(event) <= MAX_EVENT_LETTERS:
        raise ValueError(f"{{}} is not text of at most {MAX_EVENT_LETTERS} letters")
    return event


def _title(value: Any) -> str | None:
    if isinstance(value, str):
        return value or None
    if values.is_missing(value):
        return None
    raise ValueError("a title is text, not {}")


def _available(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word not in ("true", "false"):
        raise ValueError("{} is neither true nor false")
    return word == "true"
