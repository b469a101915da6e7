"""Data folder: interactions, users and items in CSV, Parquet or JSON lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from recommender.datasets import cell_parsers, gorse
from recommender.datasets.batches import OnTable, open_folder
from recommender.datasets.dataset import TITLE, Dataset, plain_values
from recommender.datasets.profile import FileProfile, FolderProfile
from recommender.datasets.schema import Schema
from recommender.datasets.tables import ROWS_AT_ONCE, Table, header_of, joined, path_of, read
from recommender.datasets.vector_files import entity_blocks, names_of
from recommender.errors import InvalidDataError


def load(folder: Path, schema: Schema | None = None) -> Dataset:
    """Load ``interactions.{csv,parquet,jsonl}`` and, where they are, ``users.*`` and ``items.*``.

    Interactions have ``user_id,item_id[,weight][,timestamp][,event]`` and nothing else, so that a misspelt column
    does not go unseen. A weight is 1 and a timestamp the number of the row where the file has no such
    column. A timestamp is seconds since the epoch, or ISO 8601; without an offset it is UTC.

    Users and items have their id, a column for each feature, and perhaps ``title``, which is shown and no
    feature; items perhaps ``available``, which is none either. How cells are read is in
    `recommender.datasets.columns` and `lightfm_serve.records.values`; ``docs/own-data.md`` has it as a table. An export
    of Gorse is taken for what it is.

    Parameters
    ----------
    folder
        Where they are.
    schema
        What its columns are, besides what its ``schema.json`` says.

    Raises
    ------
    InvalidDataError
        Anything is malformed; the message names file, line (row in Parquet), column and value.
    """
    if gorse.is_export(folder):
        return gorse.load(folder)
    merged = check_schema(folder, schema)
    interactions = path_of(folder, "interactions")
    assert interactions is not None  # noqa: S101 (it is required)
    profile = FolderProfile()
    frames = (
        _interactions(read(interactions, "user_id", "item_id", schema=merged), profile),
        _entities(path_of(folder, "users", required=False), "users", "user_id", merged, profile),
        _entities(path_of(folder, "items", required=False), "items", "item_id", merged, profile),
    )
    return Dataset(*frames, notes=(*profile.notes(), *profile.warnings()))


def inspect(folder: Path, schema: Schema | None = None, on_table: OnTable = lambda _name, _n: None) -> FolderProfile:
    """Profile of a folder all of whose cells are read, and that need not fit into memory.

    Raises
    ------
    InvalidDataError
        As in `load`.
    """
    profile = FolderProfile()
    if gorse.is_export(folder):
        profile.remarks.append(gorse.NOTE)
        dataset = gorse.load(folder)
        for stem, frame, names in (
            ("interactions", dataset.interactions, ("user_id", "item_id")),
            ("users", dataset.users.reset_index(), ("user_id",)),
            ("items", dataset.items.reset_index(), ("item_id",)),
        ):
            columns: dict[str, Sequence[Any]] = {str(name): plain_values(frame[name]) for name in frame.columns}
            table = Table(f"{stem} of Gorse", "row", range(1, len(frame) + 1), columns)
            profile.files[stem] = FileProfile(stem, *names).look(table)
    else:
        open_folder(folder, on_table, check_schema(folder, schema), profile)
    return profile


def check_schema(folder: Path, schema: Schema | None) -> Schema:
    """What a folder and its caller say of its columns, after a look whether those are there.

    Raises
    ------
    InvalidDataError
        A name of the schema is in no file.
    """
    merged = Schema.of_folder(folder).and_then(schema or Schema())
    if merged.names or merged.ignored:
        paths = [path_of(folder, stem, required=False) for stem in ("interactions", "users", "items")]
        merged.check_used({path.stem: [*header_of(path), *names_of(path)] for path in paths if path})
    return merged


def _interactions(table: Table, profile: FolderProfile) -> pd.DataFrame:
    cell_parsers.check_interaction_columns(table)
    check_rows(table)
    file = profile.files["interactions"] = FileProfile("interactions", "user_id", "item_id").look(table)
    frame = pd.DataFrame(
        {
            "user_id": cell_parsers.ids(table, "user_id", file.ids("user_id").convert),
            "item_id": cell_parsers.ids(table, "item_id", file.ids("item_id").convert),
            "weight": cell_parsers.weights(table),
            "timestamp": cell_parsers.timestamps(table),
        }
    ).astype({"user_id": str, "item_id": str})
    if "event" in table.columns:
        frame["event"] = pd.Series(cell_parsers.events(table), dtype=object)
    return frame


def check_rows(table: Table) -> None:
    """Refuse a file of interactions that has none."""
    if not table.n_rows:
        raise InvalidDataError(f"{table.file} has no rows, only the names of its columns")


def _entities(path: Path | None, stem: str, id_column: str, schema: Schema, profile: FolderProfile) -> pd.DataFrame:
    table = Table("", "", [], {id_column: []})
    if path:
        table = joined(entity_blocks(path, ROWS_AT_ONCE, id_column, schema))
    file = FileProfile(stem, id_column).look(table)
    if path:
        profile.files[stem] = file
    index = pd.Index(cell_parsers.ids(table, id_column, file.ids(id_column).convert), name=id_column, dtype=str)
    if index.has_duplicates:
        table.refuse(int(index.duplicated().argmax()), id_column, "duplicate id {}")
    columns = {
        name: pd.Series(_column(table, name, id_column, file), index=index, dtype=object)
        for name in table.columns
        if name != id_column
    }
    return pd.DataFrame(columns, index=index)


def _column(table: Table, name: str, id_column: str, file: FileProfile) -> list[object]:
    if cell_parsers.is_feature(name, id_column):
        return cell_parsers.converted(table, name, file.feature(name).converter())
    return [*(cell_parsers.titles(table, name) if name == TITLE else cell_parsers.availabilities(table, name))]
