"""Codec: a record as a format byte and a msgpack array."""

from __future__ import annotations

import math
from typing import TypeVar

import msgspec

from recommender.dense_vectors.packing import is_packed, is_sound
from recommender.errors import InvalidDataError, StoreError
from recommender.stores.protocols import Interaction, Item, LogErased, UnreadableEntry, User, UserDeleted

FORMAT = b"\x01"
"""Of this release. A later one reads it too, and writes another."""

_FLOAT = b"\xcb"
"""In msgpack a float64 begins so; `updated_at`, the last field, is one."""

T = TypeVar("T")
Record = TypeVar("Record", User, Item)

_encode = msgspec.msgpack.Encoder().encode
_user = msgspec.msgpack.Decoder(User)
_item = msgspec.msgpack.Decoder(Item)
_event: msgspec.msgpack.Decoder[Interaction | UserDeleted | LogErased] = msgspec.msgpack.Decoder(
    Interaction | UserDeleted | LogErased
)


def pack(record: User | Item | Interaction | UserDeleted | LogErased) -> bytes:
    """A record as bytes.

    Raises
    ------
    InvalidDataError
        It has an integer of more than 64 bits, or text that is no Unicode.
    """
    try:
        return FORMAT + _encode(record)
    except (OverflowError, UnicodeEncodeError) as error:
        raise InvalidDataError(f"a {type(record).__name__} cannot be stored: {error}") from error


def says(packed: bytes) -> bytes:
    """What a user's or an item's record says, without when it was put: equal where nothing has changed."""
    return packed[:-9] if packed[-9:-8] == _FLOAT else packed


def changed_at(packed: bytes) -> bytes:
    """When a user or an item was put, as the end of its record says it."""
    return packed[-9:]


def pack_time(seconds: float) -> bytes:
    """`updated_at` as `changed_at` gives it."""
    return _encode(float(seconds))


def unpack_user(packed: bytes | None) -> User | None:
    """A user; None for None. `StoreError` when the bytes are none."""
    return None if packed is None else _sound(_unpack(packed, _user))


def unpack_item(packed: bytes | None) -> Item | None:
    """An item; None for None. `StoreError` when the bytes are none."""
    return None if packed is None else _sound(_unpack(packed, _item))


def unpack_event(packed: bytes) -> Interaction | UserDeleted | LogErased | UnreadableEntry:
    """A log entry; what cannot be learned from is `UnreadableEntry`, never an error."""
    try:
        event = _unpack(packed, _event)
    except StoreError as error:
        return UnreadableEntry(str(error), bytes(packed))
    if isinstance(event, UserDeleted | LogErased) or (math.isfinite(event.timestamp) and 0 < event.weight < math.inf):
        return event
    return UnreadableEntry(f"weight {event.weight} or timestamp {event.timestamp} is out of range", bytes(packed))


def _sound(record: Record) -> Record:
    """A record whose dense vectors are such; `StoreError` for any other."""
    for name, value in (record.features or {}).items():
        if is_packed(value) and not is_sound(value):
            raise StoreError(f"a record cannot be read: the vector of feature {name!r} is none")
    return record


def _unpack(packed: bytes, decoder: msgspec.msgpack.Decoder[T]) -> T:
    if packed[:1] != FORMAT:
        raise StoreError(f"a record has format {packed[:1]!r}, this release reads {FORMAT!r}")
    try:
        return decoder.decode(memoryview(packed)[1:])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StoreError(f"a record cannot be read: {error}") from error
