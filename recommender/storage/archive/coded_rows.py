"""Coded rows: interactions in columns, whose texts are numbers into the distinct ones of a column.

A history repeats its ids: as numbers they take four bytes a row, and nothing that is done to all rows touches a text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recommender.errors import InvalidDataError

# large strings, because the 32-bit offsets of plain ones end at 2 GiB of ids
COLUMNS = pa.schema(
    [
        ("offset", pa.int64()),
        ("user_id", pa.large_string()),
        ("item_id", pa.large_string()),
        ("weight", pa.float32()),
        ("timestamp", pa.float64()),
        ("event", pa.large_string()),
    ]
)
STORED = COLUMNS.append(pa.field("position", pa.int64()))

_TEXT = pa.dictionary(pa.int32(), pa.large_string())


def _coded_schema(schema: pa.Schema) -> pa.Schema:
    fields = [(field.name, _TEXT if pa.types.is_large_string(field.type) else field.type) for field in schema]
    return pa.schema(fields)


CODED = _coded_schema(COLUMNS)
CODED_STORED = _coded_schema(STORED)


def plain(rows: pa.Table) -> pa.Table:
    """Rows in the types that are stored today, whichever wrote them."""
    return rows.select(STORED.names).cast(STORED)


def coded(rows: pa.Table) -> pa.Table:
    """`plain` rows with their texts as numbers."""
    columns = [
        rows[field.name].dictionary_encode() if pa.types.is_dictionary(field.type) else rows[field.name]
        for field in CODED_STORED
    ]
    return pa.table(columns, CODED_STORED)


def joined(tables: Iterable[pa.Table], schema: pa.Schema) -> pa.Table:
    """Rows of coded tables, one behind the other, each column in one piece and with one list of texts."""
    return pa.concat_tables([schema.empty_table(), *tables]).unify_dictionaries().combine_chunks()


def table_of(frame: pd.DataFrame) -> pa.Table:
    """Coded rows of a frame.

    Raises
    ------
    InvalidDataError
        A column is missing or of another type, or an id is missing.
    """
    events = frame["event"] if "event" in frame else pd.Series([None] * len(frame), dtype=object)
    columns = {**{name: frame[name] for name in COLUMNS.names if name in frame}, "event": events}
    return pa.table({field.name: _array(columns, field) for field in COLUMNS}, schema=CODED)


def _array(columns: Mapping[str, Any], field: pa.Field) -> pa.Array:
    try:
        # a missing text is null, a missing timestamp stays the NaN that it is; texts are not made Python's
        array = _text_array(columns[field.name]) if pa.types.is_large_string(field.type) else _numbers(columns, field)
    except KeyError as error:
        raise InvalidDataError(f"interactions have no column {field.name!r}") from error
    except pa.ArrowException as error:
        raise InvalidDataError(f"column {field.name!r}: {error}") from error
    if array.null_count and field.name != "event":
        raise InvalidDataError(f"column {field.name!r} has missing values")
    return array


def _numbers(columns: Mapping[str, Any], field: pa.Field) -> pa.Array:
    return pa.array(columns[field.name].to_numpy(), field.type, from_pandas=False)


def _text_array(column: pd.Series[Any]) -> pa.Array:
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes = pa.array(column.cat.codes.to_numpy(np.int32), mask=(column.cat.codes < 0).to_numpy())
        texts = pa.array(column.cat.categories, pa.large_string(), from_pandas=True)
        return pa.DictionaryArray.from_arrays(codes, texts)
    return pa.array(column, pa.large_string(), from_pandas=True).dictionary_encode()


def numbered(rows: pa.Table) -> pa.Table:
    """Coded rows with their position by offset, laid out by user, so that one user's stand together."""
    by_offset = np.argsort(rows["offset"].to_numpy(), kind="stable")
    users = _by_text(rows["user_id"])
    position = np.argsort(users[by_offset], kind="stable")
    return rows.take(pa.array(by_offset[position])).append_column("position", pa.array(position))


def _by_text(column: pa.ChunkedArray) -> NDArray[np.int32]:
    """A number for each row's text, which rises with the texts."""
    array = column.combine_chunks()
    order = pc.sort_indices(array.dictionary).to_numpy()
    places = np.empty(len(order), np.int32)
    places[order] = np.arange(len(order), dtype=np.int32)
    codes: NDArray[np.int32] = array.indices.to_numpy()
    return places[codes]


def in_order(tables: Iterable[pa.Table]) -> pa.Table:
    """Coded rows of segments by rising offset; equal offsets in the order in which they were appended."""
    ordered = (rows.take(_by_position(rows["position"].to_numpy())).drop_columns("position") for rows in tables)
    rows = joined(ordered, CODED)
    offsets = rows["offset"].to_numpy()
    if (offsets[1:] >= offsets[:-1]).all():
        return rows
    return rows.take(pa.array(np.argsort(offsets, kind="stable")))


def _by_position(positions: NDArray[np.int64]) -> pa.Array:
    """What sorts distinct positions, in one pass; erased rows leave gaps."""
    rows = np.full(int(positions.max(initial=-1)) + 1, -1)
    rows[positions] = np.arange(len(positions))
    return pa.array(rows[rows >= 0])


def is_erased(rows: pa.Table, users: Mapping[str, int]) -> NDArray[np.bool_]:
    """Whether each of coded rows is of a user who was deleted at its offset or later, shape (n_rows,).

    Parameters
    ----------
    rows
        With ``user_id`` in one piece, and ``offset``.
    users
        Offset of the deletion by user.
    """
    # where a user is not among `users`, the limit is below every offset
    limits = np.array([*users.values(), -1], np.int64)
    column = rows["user_id"].combine_chunks()
    found = pc.index_in(column.dictionary, value_set=pa.array(list(users), pa.large_string()))
    of_texts = limits[found.fill_null(-1).to_numpy()]
    erased: NDArray[np.bool_] = rows["offset"].to_numpy() <= of_texts[column.indices.to_numpy()]
    return erased
