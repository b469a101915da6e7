"""Translation of a record into what the service takes, by the rules that rows have at every door."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from lightfm_serve.client.plain_values import cell_id, cell_time, cell_weight, plain_features
from lightfm_serve.connect.source import StreamRecord
from lightfm_serve.records.values import MISSING, MOST_AHEAD_S, is_missing, parse_number
from recommender.datasets.cell_parsers import INTERACTION_COLUMNS, MAX_EVENT_LETTERS
from recommender.datasets.jsonl import ItemLine, UserLine
from recommender.datasets.schema import Schema, missing_column, unknown_columns

KINDS = ("interactions", "items", "users")
UNITS: Mapping[str, float] = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
"""Of times that are numbers: how many make a second."""
NAMES = (*INTERACTION_COLUMNS, "event_id", "recommendation_id")
"""Fields that an interaction may have."""
LONGEST_SHOWN = 80

Fields = dict[str, Any]
Body = dict[str, Any]


@dataclass(frozen=True)
class Translation:
    """Translation of records into users, items or interactions.

    Parameters
    ----------
    kind
        One of `KINDS`.
    schema
        Own names of fields, also of nested ones as ``properties.product``, and fields to leave out.
    only
        Values that a field must have one of, by its own name; other records are passed over.
    payload
        Field of a Redis entry that has the record as JSON; None where the fields of the entry are the record's.
    unit
        Of times that are numbers, one of `UNITS`.
    """

    kind: str = "interactions"
    schema: Schema = field(default_factory=Schema)
    only: Mapping[str, Sequence[str]] = field(default_factory=dict)
    payload: str | None = None
    unit: str = "s"

    @property
    def id_column(self) -> str:
        """What names a user or an item."""
        return "user_id" if self.kind == "users" else "item_id"

    def body(self, record: StreamRecord) -> Body | None:
        """What the service takes; None for a record that is passed over.

        Raises
        ------
        ValueError
            The record can never be taken; the message says why.
        """
        given = self._given(record)
        if not self._is_wanted(given):
            return None
        fields = self._named(given)
        if isinstance(record.value, Mapping) and self.payload is None:
            fields = {name: value for name, value in fields.items() if not is_missing(value, MISSING)}
        return _READERS[self.kind](self, fields, record)

    def _given(self, record: StreamRecord) -> Fields:
        """Fields by their own names, without those that are null."""
        if record.value is None:
            raise ValueError("the record has no value")
        if isinstance(record.value, Mapping):
            return dict(record.value) if self.payload is None else _decoded(_payload(record.value, self.payload))
        return _decoded(record.value)

    def _is_wanted(self, given: Fields) -> bool:
        return all(_text(_found(given, own)) in wanted for own, wanted in self.only.items())

    def _named(self, given: Fields) -> Fields:
        """Fields by our names, without those that are left out."""
        nested = {own: name for own, name in self.schema.names.items() if "." in own and own not in given}
        taken = {own.partition(".")[0] for own in nested} | {own for own in self.only if own not in NAMES}
        named: Fields = {}
        for own, value in given.items():
            if own in taken or value is None or self.schema.leaves_out(self.kind, own):
                continue
            _put(named, self.schema.names.get(own, own), value)
        for own, name in nested.items():
            if (value := _found(given, own)) is not None:
                _put(named, name, value)
        return named

    def _interaction(self, fields: Fields, record: StreamRecord) -> Body:
        _check_names(fields)
        body: Body = {name: cell_id(fields[name], _field(name)) for name in ("user_id", "item_id")}
        for name in ("event_id", "recommendation_id"):
            if name in fields:
                body[name] = cell_id(fields[name], _field(name))
        body.setdefault("event_id", record.event_id())
        if "weight" in fields:
            body["weight"] = cell_weight(fields["weight"], _field("weight"))
        if "event" in fields:
            body["event"] = _event(fields["event"])
        seconds = self._seconds(fields["timestamp"]) if "timestamp" in fields else _written(record)
        return body if seconds is None else {**body, "timestamp": seconds}

    def _seconds(self, value: Any) -> float:
        number = parse_number(value)
        if number is not None and self.unit != "s":
            value = number / UNITS[self.unit]
        try:
            return cell_time(value, _field("timestamp"))
        except ValueError as error:
            hint = "; or say --timestamp-unit" if "since the epoch; give seconds" in str(error) else ""
            raise ValueError(f"{error}{hint}") from None

    def _entity(self, fields: Fields, _record: StreamRecord) -> Body:
        own_id = self.id_column
        if own_id not in fields:
            raise ValueError(f"there is no field {own_id!r}{missing_column(own_id, list(fields))}")
        fields = {**fields, own_id: cell_id(fields[own_id], _field(own_id))}
        try:
            line = msgspec.convert(fields, ItemLine if self.kind == "items" else UserLine)
        except msgspec.ValidationError as error:
            raise ValueError(f"{error}; features stand in one object, 'features'") from None
        body = {name: value for name, value in msgspec.structs.asdict(line).items() if value is not None}
        body.pop("updated_at", None)
        return {**body, "features": plain_features(body.get("features", {}))}


_READERS: Mapping[str, Callable[[Translation, Fields, StreamRecord], Body]] = {
    "interactions": Translation._interaction,
    "items": Translation._entity,
    "users": Translation._entity,
}


def _decoded(value: bytes) -> Fields:
    try:
        found = msgspec.json.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"the record is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"the record is no JSON object but {repr(found)[:LONGEST_SHOWN]}")  # noqa: TRY004
    return found


def _payload(entry: Mapping[str, str], name: str) -> bytes:
    if name not in entry:
        raise ValueError(f"the entry has no field {name!r}, only {', '.join(entry)}")
    return entry[name].encode(errors="surrogateescape")


def _found(given: Mapping[str, Any], own: str) -> Any:
    """Value of a field, also of a nested one; None where there is none."""
    if own in given:
        return given[own]
    value: Any = given
    for name in own.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _put(named: Fields, name: str, value: Any) -> None:
    if name in named:
        raise ValueError(f"two fields of the record are {name!r}; leave one out with --ignore")
    named[name] = value


def _check_names(fields: Fields) -> None:
    """Refuse a field that no interaction has, so that a misspelt one does not go unseen."""
    names = list(fields)
    missing = next((name for name in ("user_id", "item_id") if name not in fields), None)
    if missing is not None:
        raise ValueError(f"there is no field {missing!r}{missing_column(missing, names)}")
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise ValueError(f"field {unknown[0]!r} is none of {', '.join(NAMES)}; {unknown_columns(unknown, names)}")


def _event(value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_EVENT_LETTERS:
        raise ValueError(f"{_field('event')}: {repr(value)[:LONGEST_SHOWN]} is not 1 to {MAX_EVENT_LETTERS} letters")
    return value


def _written(record: StreamRecord) -> float | None:
    """When a record was written, for one that does not say when it happened; None where that cannot be."""
    if record.timestamp_ms is None:
        return None
    seconds = record.timestamp_ms / 1e3
    return seconds if 0 <= seconds <= time.time() + MOST_AHEAD_S else None


def _field(name: str) -> str:
    return f"field {name!r}"
