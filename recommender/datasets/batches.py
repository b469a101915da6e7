"""Streaming import: a data folder is validated whole, then read in batches that fit into memory.

What is kept of a million interactions is 8 MB, of a million users their ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lightfm_serve.records.event_ids import digest_of, event_id_of
from recommender.datasets import cell_parsers
from recommender.datasets.dataset import AVAILABLE, TITLE
from recommender.datasets.profile import FileProfile, FolderProfile
from recommender.datasets.schema import Schema
from recommender.datasets.tables import Table, blocks, path_of
from recommender.datasets.vector_files import entity_blocks
from recommender.dense_vectors.packing import with_lists
from recommender.errors import InvalidDataError
from recommender.rounding import shortest

BATCH = 10_000

Record = dict[str, Any]
OnTable = Callable[[str, int], None]
"""Hears of what was checked: which, and how many rows more."""


def _silent(_name: str, _n: int) -> None:
    return


class Batch(NamedTuple):
    """Records as the service takes them, and their locations in the file."""

    records: list[Record]
    locations: Sequence[str]


class Rows(Protocol):
    """Users, items or interactions of a source, checked."""

    @property
    def name(self) -> str:
        """Which they are."""
        ...

    @property
    def n(self) -> int:
        """How many they are."""
        ...

    def batches(self) -> Iterator[Batch]:
        """All of them, the same in each pass."""
        ...


def open_folder(
    folder: Path, on_table: OnTable = _silent, schema: Schema | None = None, profile: FolderProfile | None = None
) -> list[Rows]:
    """Check a folder, in the format of `recommender.datasets.folder`, and give what it has: items, users, interactions.

    Parameters
    ----------
    folder
        Where it is.
    on_table
        Hears of what was checked.
    schema
        What its columns are.
    profile
        Is filled with what was understood.

    Raises
    ------
    InvalidDataError
        Anything is malformed; the message names file, line (row in Parquet), column and value.
    """
    said, profile = schema or Schema(), profile or FolderProfile()
    found: list[Rows] = []
    for name, id_column in (("items", "item_id"), ("users", "user_id")):
        path = path_of(folder, name, required=False)
        if path is not None:
            file = profile.files[name] = FileProfile(name, id_column)
            found.append(_checked_entities(path, said, id_column, file, on_table))
    path = path_of(folder, "interactions", required=not found)
    if path is not None:
        file = profile.files["interactions"] = FileProfile("interactions", "user_id", "item_id")
        found.append(_checked_interactions(path, said, file, on_table))
    profile.overlaps()
    return found


# Users and items.


@dataclass(frozen=True)
class EntityRows:
    """Users or items of a file."""

    name: str
    path: Path
    id_column: str
    n: int
    schema: Schema
    profile: FileProfile
    converters: Mapping[str, Callable[[Any], Any]]
    """Of the columns of features."""

    def batches(self) -> Iterator[Batch]:
        """See `Rows`."""
        for table in entity_blocks(self.path, BATCH, self.id_column, self.schema):
            ids = cell_parsers.ids(table, self.id_column, self.profile.ids(self.id_column).convert)
            columns = self._features(table)
            own = self._own(table)
            records = [
                {
                    self.id_column: an_id,
                    **{name: values[row] for name, values in own.items() if values[row] is not None},
                    "features": with_lists(
                        {name: value[row] for name, value in columns.items() if value[row] is not None}
                    ),
                }
                for row, an_id in enumerate(ids)
            ]
            yield Batch(records, _locations(table))

    def _own(self, table: Table) -> dict[str, Sequence[Any]]:
        """What is no feature."""
        if self.id_column != "item_id":
            return {}
        own: dict[str, Sequence[Any]] = {}
        if TITLE in table.columns:
            own[TITLE] = cell_parsers.titles(table, TITLE)
        if AVAILABLE in table.columns:
            own[AVAILABLE] = cell_parsers.availabilities(table, AVAILABLE)
        return own

    def _features(self, table: Table) -> dict[str, list[Any]]:
        names = (name for name in table.columns if cell_parsers.is_feature(name, self.id_column))
        return {name: cell_parsers.converted(table, name, self.converters[name]) for name in names}


def _checked_entities(
    path: Path, schema: Schema, id_column: str, profile: FileProfile, on_table: OnTable
) -> EntityRows:
    for table in entity_blocks(path, BATCH, id_column, schema):
        profile.look(table)
        on_table(profile.stem, table.n_rows)
    features = (name for name in profile.columns if cell_parsers.is_feature(name, id_column))
    converters = {name: profile.feature(name).converter() for name in features}
    checked = EntityRows(profile.stem, path, id_column, profile.n_rows, schema, profile, converters)
    seen: set[str] = set()
    for batch in checked.batches():  # every cell is read once, now that it is known how
        for record, location in zip(batch.records, batch.locations, strict=True):
            if record[id_column] in seen:
                raise InvalidDataError(f"{location}, column {id_column!r}: duplicate id {record[id_column]!r}")
            seen.add(record[id_column])
    return checked


# Interactions.


class InteractionBlock(NamedTuple):
    """Columns of some interactions, and their locations in the file."""

    user_ids: Sequence[str]
    item_ids: Sequence[str]
    weights: Sequence[float]
    timestamps: Sequence[float]
    events: Sequence[str | None]
    locations: Sequence[str]

    def digests(self) -> list[bytes]:
        """What each says."""
        return list(map(digest_of, *self[:5]))


@dataclass(frozen=True)
class Interactions:
    """Interactions of a source; each has an ``event_id`` that is a hash of its content.

    Rows that say the same are told apart by counting them; which do is known from the first pass, so that only those
    are counted.
    """

    blocks: Callable[[], Iterator[InteractionBlock]]
    n: int
    repeated: frozenset[int]
    """Beginnings of the digests that occur again."""
    name: str = field(default="interactions")

    def batches(self) -> Iterator[Batch]:
        """See `Rows`."""
        times: Counter[bytes] = Counter()
        for block in self.blocks():
            records: list[Record] = []
            for digest, row in zip(block.digests(), zip(*block[:5], strict=True), strict=True):
                nth = 0
                if _beginning(digest) in self.repeated:
                    nth = times[digest]
                    times[digest] += 1
                user_id, item_id, weight, timestamp, event = row
                record: Record = {"user_id": user_id, "item_id": item_id, "weight": weight, "timestamp": timestamp}
                record["event_id"] = event_id_of(digest, nth)
                if event is not None:
                    record["event"] = event
                records.append(record)
            yield Batch(records, block.locations)


def checked_interactions(source: Callable[[], Iterator[InteractionBlock]], on_table: OnTable) -> Interactions:
    """Interactions that can be read twice, after the first time."""
    found: list[NDArray[np.uint64]] = []
    for block in source():
        found.append(np.frombuffer(b"".join(digest[:8] for digest in block.digests()), np.uint64))
        on_table("interactions", len(found[-1]))
    beginnings = np.sort(np.concatenate([np.zeros(0, np.uint64), *found]))
    repeated = beginnings[1:][beginnings[1:] == beginnings[:-1]]
    return Interactions(source, len(beginnings), frozenset(repeated.tolist()))


def _beginning(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "little")


def _checked_interactions(path: Path, schema: Schema, profile: FileProfile, on_table: OnTable) -> Interactions:
    for table in blocks(path, BATCH, "user_id", "item_id", schema=schema):
        cell_parsers.check_interaction_columns(table)
        profile.look(table)
    if not profile.n_rows:
        raise InvalidDataError(f"{path.name} has no rows, only the names of its columns")
    return checked_interactions(lambda: _interactions(path, schema, profile), on_table)


def _interactions(path: Path, schema: Schema, profile: FileProfile) -> Iterator[InteractionBlock]:
    rows = 0
    for table in blocks(path, BATCH, "user_id", "item_id", schema=schema):
        yield InteractionBlock(
            cell_parsers.ids(table, "user_id", profile.ids("user_id").convert),
            cell_parsers.ids(table, "item_id", profile.ids("item_id").convert),
            shortest(cell_parsers.weights(table)),
            cell_parsers.timestamps(table, rows).tolist(),
            cell_parsers.events(table),
            _locations(table),
        )
        rows += table.n_rows


class _Places(Sequence[str]):
    """Places of the rows of a table, as text when somebody asks."""

    def __init__(self, table: Table) -> None:
        self._table = table._replace(columns={})

    def __len__(self) -> int:
        return self._table.n_rows

    def __getitem__(self, row: Any) -> Any:
        return self._table.location(range(len(self))[row])


def _locations(table: Table) -> Sequence[str]:
    return _Places(table)
