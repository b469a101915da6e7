"""Dataset: interactions, users and items as validated frames."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lightfm_serve.records.values import MAX_ID_BYTES, id_fault
from recommender.dense_vectors.packing import Vector, length_of
from recommender.errors import InvalidDataError
from recommender.schema import FeatureValue

COLUMNS = ("user_id", "item_id", "weight", "timestamp")
TITLE = "title"
"""The column that is shown and never a feature."""
AVAILABLE = "available"
"""The column of items that says whether they may be recommended; never a feature of theirs."""


@dataclass(frozen=True, repr=False, eq=False)
class Dataset:
    """Interactions, users and items, validated.

    Parameters
    ----------
    interactions
        ``user_id``, ``item_id`` (str), ``weight`` (float32, finite, above 0) and ``timestamp`` (float64,
        seconds since the epoch; the row number where the source has none), in the order of the source. Perhaps
        ``event``, which may be missing in a row.
    users, items
        Indexed by id; every column is a feature, but for ``title`` and, of items, ``available``. A cell is a
        string, a boolean, a finite number, a list of strings, a dense vector (`recommender.dense_vectors`), or missing
        (None, NaN).
    notes
        What is likely to be wrong with the source, in words.

    Raises
    ------
    InvalidDataError
        A column is missing, an id is not 1 to 256 bytes without control characters or is repeated, a
        weight, timestamp or feature is not what it has to be.
    """

    interactions: pd.DataFrame
    users: pd.DataFrame
    items: pd.DataFrame
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_interactions(self.interactions)
        _check_entities(self.users, "users", "user_id")
        _check_entities(self.items, "items", "item_id")

    def __repr__(self) -> str:
        return f"<Dataset: {len(self.interactions)} interactions, {len(self.users)} users, {len(self.items)} items>"


def check_ids(what: str, ids: Iterable[Any]) -> None:
    """Raise `InvalidDataError` for the first that cannot be an id."""
    ids = list(ids)
    if plainly_ids(ids):
        return
    for value in ids:
        fault = id_fault(value)
        if fault:
            raise InvalidDataError(f"{what} {str(value)[:80]!r} {fault}")


def plainly_ids(values: Sequence[Any]) -> bool:
    """Whether all are printable ASCII of a right length: quick, and it clears the ids of most data sets."""
    try:
        text = "".join(values)
    except TypeError:
        return False
    lengths = set(map(len, values))
    return text.isascii() and text.isprintable() and 0 not in lengths and max(lengths, default=1) <= MAX_ID_BYTES


def feature_records(frame: pd.DataFrame) -> Iterator[tuple[str, dict[str, FeatureValue]]]:
    """Id and features of each row, as plain Python values, without what is missing and what is no feature."""
    own = (TITLE, AVAILABLE) if frame.index.name == "item_id" else (TITLE,)
    columns = {str(name): plain_values(frame[name]) for name in frame.columns if name not in own}
    names = list(columns)
    if not names:
        yield from ((an_id, {}) for an_id in frame.index.tolist())
        return
    for an_id, row in zip(frame.index.tolist(), zip(*columns.values(), strict=True), strict=True):
        yield an_id, {name: value for name, value in zip(names, row, strict=True) if value is not None}


def withdrawn(items: pd.DataFrame) -> frozenset[str]:
    """Items that are not available."""
    if AVAILABLE not in items:
        return frozenset()
    return frozenset(items.index[[value is False for value in plain_values(items[AVAILABLE])]])


def plain_values(column: pd.Series[Any]) -> list[Any]:
    """Cells as plain Python values, None for a missing one."""
    values: list[Any] = column.tolist()
    for position in np.flatnonzero(column.isna().to_numpy()).tolist():
        values[position] = None
    return values


def _check_interactions(interactions: pd.DataFrame) -> None:
    for column in COLUMNS:
        if column not in interactions:
            raise InvalidDataError(f"interactions have no column {column!r}")
    for column, dtype in (("weight", np.float32), ("timestamp", np.float64)):
        if interactions[column].dtype != dtype:
            raise InvalidDataError(f"{column} is {interactions[column].dtype}, not {np.dtype(dtype)}; use astype")
    weights, timestamps = interactions["weight"].to_numpy(), interactions["timestamp"].to_numpy()
    if not (np.isfinite(weights).all() and (weights > 0).all()):
        raise InvalidDataError("a weight is not a finite number above 0")
    if not np.isfinite(timestamps).all():
        raise InvalidDataError("a timestamp is not a finite number")
    for column in ("user_id", "item_id"):
        check_ids(column, interactions[column].unique().tolist())


def _check_entities(frame: pd.DataFrame, what: str, id_column: str) -> None:
    check_ids(id_column, frame.index.tolist())
    if frame.index.has_duplicates:
        raise InvalidDataError(f"{what} have the id {frame.index[frame.index.duplicated()][0]!r} more than once")
    if not frame.columns.is_unique:
        raise InvalidDataError(f"{what} have a column more than once")
    for name in frame.columns:
        values = plain_values(frame[name])
        fault = _title_fault(values) if name == TITLE else _feature_fault(values)
        if fault:
            raise InvalidDataError(f"{what} have a value in {name!r} that {fault}")


def _title_fault(values: Sequence[Any]) -> str | None:
    return None if set(map(type, values)) <= {str, type(None)} else "is not text"


def _feature_fault(values: Sequence[Any]) -> str | None:
    # whole columns at a time: there may be a million cells of four types
    types = set(map(type, values))
    if Vector in types:
        return _vector_fault(values)
    if not types <= {str, bool, int, float, list, type(None)}:
        return "is neither text, boolean, number nor a list of text or of numbers"
    if float in types and not all(math.isfinite(value) for value in values if type(value) is float):
        return "is not finite"
    if list in types and not all(type(each) is str for value in values if type(value) is list for each in value):
        return "is a list of something else than text"
    return None


def _vector_fault(values: Sequence[Any]) -> str | None:
    if set(map(type, values)) > {Vector, type(None)}:
        return "is no dense vector, as others are"
    lengths = sorted({length_of(value) for value in values if value is not None})
    if len(lengths) > 1:
        return f"is a dense vector of {lengths[0]} numbers, as others are of {lengths[1]}"
    return None
