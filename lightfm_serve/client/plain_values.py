"""Conversion of ids and features, as notebooks have them, to JSON values that the service takes.

Ids that are whole numbers or UUIDs become text; scalars of numpy become numbers, tuples, sets and arrays lists; what is
missing is left out. Text stays as it is, also where it reads ``NULL``: who writes Python can say what they mean.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

import msgspec

from lightfm_serve.records.values import clean_feature, clean_id, parse_number, parse_timestamp, plain_value

T = TypeVar("T")

Id = object
"""Text, a whole number or a UUID."""

IDS = ("user_id", "item_id", "event_id")
LISTS_OF_IDS = ("recent", "exclude", "candidates")
LONGEST_SHOWN = 80
LARGEST_WEIGHT = 3.4028234663852886e38
"""Of float32, as which weights are learned."""


def plain_id(value: Id, location: str = "") -> str:
    """Id as text.

    Raises
    ------
    ValueError
        It is missing or cannot be an id; the message names it and `location`.
    """
    if isinstance(value, str):
        return str(value)
    return read_value(clean_id, value, location)


def plain_ids(values: Id | Iterable[Id]) -> list[str]:
    """Ids as text; one that stands alone is one id, and not a list of letters."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        return [plain_id(values)]
    return [plain_id(each, f"number {location}") for location, each in enumerate(values, 1)]


def plain_clauses(clauses: str | Iterable[str]) -> list[str]:
    """Clauses of a filter; one that stands alone is one clause."""
    return [clauses] if isinstance(clauses, str) else list(clauses)


def plain_features(
    features: Mapping[str, Any] | None, markers: Collection[str] = (), location: str = ""
) -> dict[str, Any] | None:
    """Features without those that are missing; None stays None.

    Raises
    ------
    ValueError
        A value is no feature; the message names it, its name and `location`.
    """
    if features is None:
        return None
    before = f"{location}, " if location else ""
    values = {
        name: read_value(partial(clean_feature, markers=markers), value, f"{before}feature {name!r}")
        for name, value in features.items()
    }
    return {name: value for name, value in values.items() if value is not None}


def plain_body(given: T) -> T:
    """Mapping or struct of a call, with plain ids and features."""
    if isinstance(given, msgspec.Struct):
        return msgspec.structs.replace(given, **_plain(msgspec.structs.asdict(given)))
    if isinstance(given, Mapping):
        return {**given, **_plain(given)}  # type: ignore[return-value]  # a mapping, of whatever kind
    return given  # the service says what is wrong with it


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {name: plain_id(fields[name], name) for name in IDS if fields.get(name) is not None}
    found |= {name: plain_ids(fields[name]) for name in LISTS_OF_IDS if fields.get(name) is not None}
    if fields.get("filter") is not None:
        found["filter"] = plain_clauses(fields["filter"])
    if fields.get("features") is not None:
        found["features"] = plain_features(fields["features"])
    if "weight" in fields:
        found["weight"] = plain_value(fields["weight"])
    if fields.get("timestamp") is not None:
        found["timestamp"] = plain_value(fields["timestamp"])
    return found


def cell_id(value: Any, location: str) -> str:
    """Id in a cell of a frame, cleaned as in a file: blanks around it and what stands for missing are no id."""
    return read_value(clean_id, value, location)


def cell_time(value: Any, location: str) -> float:
    """Seconds since the epoch in a cell of a frame."""
    return read_value(parse_timestamp, value, location)


def cell_weight(value: Any, location: str) -> float:
    """Weight in a cell of a frame."""
    number = parse_number(value)
    if number is None or not 0 < number <= LARGEST_WEIGHT:
        raise ValueError(f"{location}: a weight is a number above 0, not {repr(value)[:LONGEST_SHOWN]}")
    return number


def read_value(read: Callable[[Any], T], value: Any, location: str) -> T:
    """What `read` makes of a value, or its error with the value in it and the place before it."""
    try:
        return read(value)
    except ValueError as error:
        reason = str(error).replace("{}", repr(value)[:LONGEST_SHOWN])
        raise ValueError(f"{location}: {reason}" if location else reason) from None
