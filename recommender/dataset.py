"""Dataset: interactions, users and items, checked once."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from recommender.errors import InvalidDataError
from recommender.features import FeatureValue

COLUMNS = ("user_id", "item_id", "weight", "timestamp")
MAX_ID_BYTES = 256


@dataclass(frozen=True, repr=False)
class Dataset:
    """What a recommender starts from.

    Parameters
    ----------
    interactions
        ``user_id``, ``item_id`` (str), ``weight`` (float32, finite, above 0) and ``timestamp`` (float64,
        seconds since the epoch; the row number where the source has none), in the order of the source.
    users, items
        Indexed by id; every column is a feature, but for ``title`` of items. A cell is a string, a
        boolean, a number, a list of strings, or missing.

    Raises
    ------
    InvalidDataError
        A column is missing, an id is not 1 to 256 bytes without control characters or is repeated, a
        weight or timestamp is not what it has to be.
    """

    interactions: pd.DataFrame
    users: pd.DataFrame
    items: pd.DataFrame

    def __post_init__(self) -> None:
        missing = [column for column in COLUMNS if column not in self.interactions]
        if missing:
            raise InvalidDataError(f"interactions have no column {missing[0]!r}")
        for what, ids in (
            ("user_id", self.interactions["user_id"].unique()),
            ("item_id", self.interactions["item_id"].unique()),
            ("user_id", _unique(self.users, "users")),
            ("item_id", _unique(self.items, "items")),
        ):
            check_ids(what, ids)
        weights, timestamps = self.interactions["weight"], self.interactions["timestamp"]
        if not (np.isfinite(weights).all() and (weights > 0).all()):
            raise InvalidDataError("a weight is not a finite number above 0")
        if not np.isfinite(timestamps).all():
            raise InvalidDataError("a timestamp is not a finite number")

    def __repr__(self) -> str:
        return f"<Dataset: {len(self.interactions)} interactions, {len(self.users)} users, {len(self.items)} items>"


def check_ids(what: str, ids: Iterable[Any]) -> None:
    """Raise `InvalidDataError` for the first that cannot be an id."""
    for value in ids:
        fault = id_fault(value)
        if fault:
            raise InvalidDataError(f"{what} {str(value)[:80]!r} {fault}")


def id_fault(value: object) -> str | None:
    """Say why a value cannot be an id, None when it can."""
    if not isinstance(value, str):
        return "is not a string"
    if not 1 <= len(value.encode(errors="surrogatepass")) <= MAX_ID_BYTES:
        return f"does not have 1 to {MAX_ID_BYTES} bytes of UTF-8"
    if not (value.isascii() and value.isprintable()) and any(
        unicodedata.category(letter) in ("Cc", "Cs") for letter in value
    ):
        return "has a control character"
    return None


def feature_records(frame: pd.DataFrame) -> Iterator[tuple[str, dict[str, FeatureValue]]]:
    """Id and features of each row, as plain Python values, without what is missing and without title."""
    names = [str(name) for name in frame.columns if name != "title"]
    columns = [_plain(frame[name]) for name in frame.columns if name != "title"]
    for position, an_id in enumerate(frame.index):
        values = ((name, column[position]) for name, column in zip(names, columns, strict=True))
        yield str(an_id), {name: value for name, value in values if value is not None}


def _plain(column: pd.Series[Any]) -> list[Any]:
    return [None if _is_missing(value) else value for value in column.tolist()]


def _is_missing(value: object) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))


def _unique(frame: pd.DataFrame, what: str) -> pd.Index[Any]:
    if frame.index.has_duplicates:
        raise InvalidDataError(f"{what} have the id {frame.index[frame.index.duplicated()][0]!r} more than once")
    return frame.index
