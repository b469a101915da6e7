"""JSON lines: one object a line, with the values that columns cannot hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from lightfm_serve.records.vectors import clean_json_list
from recommender.dense_vectors.packing import pack_vector
from recommender.errors import InvalidDataError

FeatureMap = dict[str, str | bool | int | float | list[str | int | float]]


class UserLine(msgspec.Struct, forbid_unknown_fields=True):
    """A user; when they were updated is passed over."""

    user_id: str
    features: FeatureMap | None = None
    updated_at: float | str | None = None


class ItemLine(msgspec.Struct, forbid_unknown_fields=True):
    """An item; the same."""

    item_id: str
    title: str | None = None
    features: FeatureMap | None = None
    available: bool = True
    updated_at: float | str | None = None


class InteractionLine(msgspec.Struct, forbid_unknown_fields=True):
    """An interaction."""

    user_id: str
    item_id: str
    weight: float = 1.0
    timestamp: float | str | None = None
    event: str | None = None


_DECODERS: Mapping[str, msgspec.json.Decoder[Any]] = {
    "users": msgspec.json.Decoder(UserLine),
    "items": msgspec.json.Decoder(ItemLine),
    "interactions": msgspec.json.Decoder(InteractionLine),
}
_IDS: Mapping[str, Sequence[str]] = {
    "users": ("user_id",),
    "items": ("item_id",),
    "interactions": ("user_id", "item_id", "timestamp"),
}
OWN = ("user_id", "item_id", "title", "available", "weight", "timestamp", "event")
"""What no feature can be called in a table, where its name is that of its column."""


def id_columns(stem: str) -> Sequence[str]:
    """Columns that are there whether a line has them or not."""
    return _IDS[stem]


def records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and cells of each line that is not empty; features stand beside what is not one.

    Raises
    ------
    InvalidDataError
        A line is not such an object.
    """
    decode = _DECODERS[path.stem].decode
    with path.open("rb") as file:
        for line, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                row = decode(text)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise InvalidDataError(f"{path.name}, line {line}{_where(str(error))}") from None
            yield line, _cells(path.name, line, row)


def _where(message: str) -> str:
    """What msgspec says, with the column in front as in other files."""
    said, _, path = message.partition(" - at `$")
    column = path.removeprefix(".").rstrip("`").split(".")[0].removesuffix("[...]")
    return f", column {column!r}: {said}" if column else f": {said}"


def _cells(name: str, line: int, row: Any) -> dict[str, Any]:
    cells = {field: getattr(row, field) for field in row.__struct_fields__ if field not in ("features", "updated_at")}
    for feature, value in (getattr(row, "features", None) or {}).items():
        if feature in OWN:
            raise InvalidDataError(f"{name}, line {line}: no feature can be called {feature!r}, which is a column")
        cells[feature] = _list(f"{name}, line {line}, column {feature!r}", value) if isinstance(value, list) else value
    return cells


def _list(where: str, members: list[str | int | float]) -> Any:
    try:
        found = clean_json_list(members)
    except ValueError as error:
        raise InvalidDataError(f"{where}: {str(error).replace('{}', repr(str(members)[:80]))}") from None
    return pack_vector(found) if found and not isinstance(found[0], str) else found
