"""Import from Gorse: its JSON lines, the CSV of older dashboards, or the binary dump of ``/api/dump``.

The dashboard gives ``users.jsonl``, ``items.jsonl`` and ``feedback.jsonl`` (``/api/bulk/…``), one object a line with
the names of Gorse. Older versions gave CSV, with ``labels`` as JSON and ``categories`` by ``|``. A dump is a stream of
little-endian int64: -1, -2 and -3 announce users, items and feedback, a number above 0 is the size of the protobuf
message behind it, 0 is the end.

What becomes of it: labels are features, those of nested objects by the names that lead to them (``a.b``), a bare list
of labels the feature ``labels``; categories are the feature ``categories``; an item's comment is its title, and a
hidden item is not available; the type of feedback is the event, its value, where there is one above 0, the weight.
Lists of numbers (embeddings) and comments of users are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from struct import unpack
from typing import Any, BinaryIO, NamedTuple

import msgspec
import pandas as pd

from lightfm_serve.records import values
from recommender.datasets import protobuf
from recommender.datasets.batches import (
    BATCH,
    Batch,
    InteractionBlock,
    OnTable,
    Record,
    Rows,
    checked_interactions,
)
from recommender.datasets.cell_parsers import MAX_EVENT_LETTERS
from recommender.datasets.dataset import AVAILABLE, TITLE, Dataset
from recommender.datasets.tables import MAX_NAME_BYTES, SUFFIXES, Table, blocks, header_of
from recommender.errors import InvalidDataError

LABELS, CATEGORIES = "labels", "categories"
FILES = ("users", "items", "feedback")
NOTE = "the folder is an export of Gorse and is read as one"
STREAMS = {-1: "users", -2: "items", -3: "feedback"}


class GorseUser(msgspec.Struct, rename="pascal"):
    """A user as Gorse writes them; what else there is is passed over."""

    user_id: str
    labels: Any = None


class GorseItem(msgspec.Struct, rename="pascal"):
    """An item as Gorse writes it."""

    item_id: str
    is_hidden: bool = False
    categories: list[str] | None = None
    labels: Any = None
    comment: str = ""


class GorseFeedback(msgspec.Struct, rename="pascal"):
    """Feedback as Gorse writes it."""

    feedback_type: str
    user_id: str
    item_id: str
    value: float = 0.0
    timestamp: str | float = ""


Kind = type[GorseUser] | type[GorseItem] | type[GorseFeedback]
KINDS: Mapping[str, Kind] = {"users": GorseUser, "items": GorseItem, "feedback": GorseFeedback}


class Located(NamedTuple):
    """A record and its location in the file, for error messages."""

    location: str
    content: Any


Source = Callable[[str], Iterator[Located]]
"""Reads all of users, items or feedback."""


@dataclass(frozen=True)
class EntityRows:
    """Users or items."""

    name: str
    n: int
    read: Callable[[], Iterator[tuple[str, Record]]]

    def batches(self) -> Iterator[Batch]:
        """See `recommender.datasets.batches.Rows`."""
        records = self.read()
        while block := list(islice(records, BATCH)):
            yield Batch([record for _, record in block], [location for location, _ in block])


def is_export(folder: Path) -> bool:
    """Whether a folder is what Gorse's dashboard exports, and not one of ours."""
    if any((folder / f"interactions{suffix}").is_file() for suffix in SUFFIXES):
        return False
    if _file(folder, "feedback") is not None:
        return True
    items = folder / "items.csv"
    return items.is_file() and {"item_id", "is_hidden", "labels"} <= set(header_of(items))


def load(folder: Path) -> Dataset:
    """An export of the dashboard as a data set.

    Raises
    ------
    InvalidDataError
        As in `open_gorse`, or it has no feedback.
    """
    items, users, interactions = (
        [record for batch in rows.batches() for record in batch.records] for rows in open_gorse(folder)
    )
    if not interactions:
        raise InvalidDataError(f"{folder} is an export of Gorse without any feedback")
    frame = pd.DataFrame.from_records(interactions, columns=["user_id", "item_id", "weight", "timestamp", "event"])
    types = {"user_id": str, "item_id": str, "weight": "float32", "timestamp": "float64"}
    return Dataset(frame.astype(types), _frame(users, "user_id"), _frame(items, "item_id"), notes=(NOTE,))


def _frame(records: Sequence[Record], id_name: str) -> pd.DataFrame:
    index = pd.Index([record[id_name] for record in records], name=id_name, dtype=str)
    names = dict.fromkeys(name for record in records for name in record["features"])
    columns = {name: [record["features"].get(name) for record in records] for name in names}
    own = {name: [record.get(name) for record in records] for name in (TITLE, AVAILABLE) if id_name == "item_id"}
    series = {name: pd.Series(cells, index=index, dtype=object) for name, cells in {**columns, **own}.items()}
    return pd.DataFrame(series, index=index)


def open_gorse(path: Path, on_table: OnTable = lambda _name, _n: None) -> list[Rows]:
    """Check an export, and give what it has: items, users, interactions.

    Parameters
    ----------
    path
        A folder with the files of the dashboard, or the file of a dump.
    on_table
        Hears of what was checked.

    Raises
    ------
    InvalidDataError
        Anything is malformed; the message names file and line, or the number of the record in a dump.
    """
    source = _dashboard(path) if path.is_dir() else _dump(path)
    return [
        _checked("items", "item_id", lambda: map(_item, source("items")), on_table),
        _checked("users", "user_id", lambda: map(_user, source("users")), on_table),
        checked_interactions(lambda: _interactions(source("feedback")), on_table),
    ]


def _checked(
    name: str, id_name: str, read: Callable[[], Iterator[tuple[str, Record]]], on_table: OnTable
) -> EntityRows:
    seen: set[str] = set()
    for location, record in read():
        if record[id_name] in seen:
            raise InvalidDataError(f"{location}: duplicate id {record[id_name]!r}")
        seen.add(record[id_name])
        on_table(name, 1)
    return EntityRows(name, len(seen), read)


# Where it comes from.


def _dashboard(folder: Path) -> Source:
    if all(_file(folder, name) is None for name in FILES):
        raise InvalidDataError(f"{folder} has none of {', '.join(f'{name}.jsonl' for name in FILES)}, and none as .csv")

    def read(name: str) -> Iterator[Located]:
        path = _file(folder, name)
        if path is None:
            return
        yield from _lines(name, path) if path.suffix == ".jsonl" else _rows(name, path)

    return read


def _file(folder: Path, name: str) -> Path | None:
    return next((path for suffix in (".jsonl", ".csv") if (path := folder / f"{name}{suffix}").is_file()), None)


def _lines(name: str, path: Path) -> Iterator[Located]:
    decode = msgspec.json.Decoder(KINDS[name]).decode
    with path.open("rb") as file:
        for line, text in enumerate(file, 1):
            if text.strip():
                location = f"{path.name}, line {line}"
                try:
                    yield Located(location, decode(text))
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    raise InvalidDataError(f"{location}: {error}") from None


def _rows(name: str, path: Path) -> Iterator[Located]:
    """Rows of CSV as older versions write them: lists by ``|``, labels as JSON."""
    needed = {"users": ("user_id",), "items": ("item_id",), "feedback": ("feedback_type", "user_id", "item_id")}[name]
    for table in blocks(path, BATCH, *needed):
        for row in range(table.n_rows):
            yield Located(table.location(row), _of_row(name, table, row))


def _of_row(name: str, table: Table, row: int) -> Any:
    def cell(*names: str) -> str:
        return next((str(table.columns[each][row]) for each in names if each in table.columns), "")

    if name == "feedback":
        value = values.parse_number(cell("value")) or 0.0
        times = cell("time_stamp", "timestamp")
        return GorseFeedback(cell("feedback_type"), cell("user_id"), cell("item_id"), value, times)
    try:
        labels = msgspec.json.decode(cell("labels") or "null")
    except msgspec.DecodeError:
        table.refuse(row, "labels", "{} is not JSON")
    if name == "users":
        return GorseUser(cell("user_id"), labels)
    categories = [each for each in cell("categories").split("|") if each]
    hidden = cell("is_hidden").lower() == "true"
    return GorseItem(cell("item_id"), hidden, categories, labels, cell("description", "comment"))


def _dump(path: Path) -> Source:
    def read(name: str) -> Iterator[Located]:
        with path.open("rb") as file:
            for number, (kind, message) in enumerate(_messages(path.name, file), 1):
                if kind == name:
                    location = f"{path.name}, record {number}"
                    try:
                        yield Located(location, _parsed(kind, message))
                    except (ValueError, KeyError, msgspec.MsgspecError) as error:
                        raise InvalidDataError(f"{location}: not what Gorse writes: {error}") from None

    return read


def _messages(name: str, file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """Messages of a dump, and what they are of."""
    kind = ""
    while True:
        head = file.read(8)
        if len(head) < 8:
            raise InvalidDataError(f"{name} ends before its end is announced; it is no dump of Gorse, or cut short")
        (size,) = unpack("<q", head)
        if size == 0:
            return
        if size < 0:
            if size not in STREAMS:
                raise InvalidDataError(f"{name} is no dump of Gorse: it announces {size}")
            kind = STREAMS[size]
            continue
        message = file.read(size) if kind else b""
        if len(message) < size:
            raise InvalidDataError(f"{name} ends within a record; it is no dump of Gorse, or cut short")
        yield kind, message


def _parsed(kind: str, message: bytes) -> Any:
    found: dict[int, list[Any]] = {}
    for number, value in protobuf.fields(message):
        found.setdefault(number, []).append(value)

    def text(number: int) -> str:
        return bytes(found[number][-1]).decode() if number in found else ""

    def labels(number: int) -> Any:
        return msgspec.json.decode(found[number][-1]) if number in found else None

    if kind == "users":
        return GorseUser(text(1), labels(2))
    if kind == "items":
        categories = [bytes(each).decode() for each in found.get(4, [])]
        return GorseItem(text(2), bool(found.get(3, [0])[-1]), categories, labels(6), text(7))
    return GorseFeedback(text(2), text(3), text(4), timestamp=_moment(found[5][-1]) if 5 in found else 0.0)


def _moment(timestamp: bytes) -> float:
    """Seconds since the epoch of protobuf's ``Timestamp``; 0 for what is before."""
    parts = {number: int(value) for number, value in protobuf.fields(timestamp) if not isinstance(value, bytes)}
    seconds = parts.get(1, 0)
    # a negative number is one of 64 bits
    return seconds + parts.get(2, 0) / 1e9 if seconds < 2**63 else 0.0


# What it means to us.


def _user(located: Located) -> tuple[str, Record]:
    user = located.content
    user_id = _id(located.location, "UserId", user.user_id)
    return located.location, {"user_id": user_id, "features": _features(located.location, user.labels)}


def _item(located: Located) -> tuple[str, Record]:
    item = located.content
    item_id = _id(located.location, "ItemId", item.item_id)
    features = _features(located.location, item.labels)
    if item.categories:
        features[CATEGORIES] = _value(located.location, CATEGORIES, item.categories)
    record: Record = {"item_id": item_id, "features": features, "available": not item.is_hidden}
    return located.location, record | ({"title": item.comment[:1024]} if item.comment else {})


def _interactions(located: Iterable[Located]) -> Iterator[InteractionBlock]:
    source = iter(located)
    while block := list(islice(source, BATCH)):
        for location, feedback in block:
            if not 1 <= len(feedback.feedback_type) <= MAX_EVENT_LETTERS:
                raise InvalidDataError(f"{location}, 'FeedbackType': it has 1 to {MAX_EVENT_LETTERS} letters")
        contents = [each.content for each in block]
        yield InteractionBlock(
            [_id(location, "UserId", feedback.user_id) for location, feedback in block],
            [_id(location, "ItemId", feedback.item_id) for location, feedback in block],
            [each.value if each.value > 0 else 1.0 for each in contents],
            [_seconds(each.location, each.content.timestamp) for each in block],
            [each.feedback_type for each in contents],
            [each.location for each in block],
        )


def _seconds(location: str, timestamp: str | float) -> float:
    """Seconds since the epoch; 0 for Gorse's time of none, which is in the year 1."""
    if timestamp == "":
        return 0.0
    try:
        return values.parse_timestamp(max(0.0, values.parse_time(timestamp)))
    except ValueError as error:
        raise InvalidDataError(f"{location}, 'Timestamp': {_named(error, timestamp)}") from None


def _id(location: str, name: str, an_id: str) -> str:
    try:
        return values.clean_id(an_id)
    except ValueError as error:
        raise InvalidDataError(f"{location}, {name!r}: {_named(error, an_id)}") from None


def _value(location: str, name: str, value: Any) -> Any:
    try:
        return values.clean_feature(value)
    except ValueError as error:
        raise InvalidDataError(f"{location}, {name!r}: {_named(error, value)}") from None


def _named(error: ValueError, value: object) -> str:
    return str(error).replace("{}", repr(str(value)[:80]))


def _features(location: str, labels: Any) -> Record:
    """Labels as features."""
    if isinstance(labels, list):
        labels = {LABELS: labels}
    if isinstance(labels, str):
        labels = {LABELS: [labels]}
    if not isinstance(labels, dict):
        return {}
    return dict(_flat(location, labels, ""))


def _flat(location: str, labels: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in labels.items():
        name = prefix + key
        if not 1 <= len(name.encode()) <= MAX_NAME_BYTES:
            raise InvalidDataError(f"{location}, 'Labels': a name has 1 to {MAX_NAME_BYTES} bytes, not {name[:80]!r}")
        if isinstance(value, dict):
            yield from _flat(location, value, f"{name}.")
        elif isinstance(value, list):
            if _are_texts(value):
                yield name, _value(location, name, value)
        else:
            found = _value(location, name, value)
            if found is not None:
                yield name, found


def _are_texts(values: Sequence[Any]) -> bool:
    return bool(values) and all(isinstance(each, str) for each in values)
