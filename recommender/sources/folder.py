"""A folder of CSV, Parquet or JSON lines: interactions, users, items."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from recommender.dataset import TITLE, Dataset
from recommender.sources import cells
from recommender.sources.tables import Table, path_of, read


def load(folder: Path) -> Dataset:
    """Load ``interactions.{csv,parquet,jsonl}`` and, where they are, ``users.*`` and ``items.*``.

    Interactions have ``user_id,item_id[,weight][,timestamp][,event]`` and nothing else, so that a misspelt column
    does not go unseen. A weight is 1 and a timestamp the number of the row where the file has no such
    column. A timestamp is seconds since the epoch, or RFC 3339; without an offset it is UTC.

    Users and items have their id, a column for each feature, and perhaps ``title``, which is shown and no
    feature; items perhaps ``available``, which is none either. An empty cell is missing. In CSV a column with a
    ``|`` in any cell is a list throughout, else one of only true and false boolean, else one of only finite numbers
    numeric, else text. Parquet has types. A line of JSON is an object as the service takes it.

    Ids and text are kept as they stand, spaces included: 007 is not 7. CSV is UTF-8, and a cell in quotes
    may hold commas and line breaks; a line without any cell is skipped.

    Raises
    ------
    InvalidDataError
        Anything is malformed; the message names file, line (row in Parquet), column and value.
    """
    interactions = path_of(folder, "interactions")
    assert interactions is not None  # noqa: S101 (it is required)
    return Dataset(
        _interactions(read(interactions, "user_id", "item_id")),
        _entities(path_of(folder, "users", required=False), "user_id"),
        _entities(path_of(folder, "items", required=False), "item_id"),
    )


def _interactions(table: Table) -> pd.DataFrame:
    cells.check_interaction_columns(table)
    frame = pd.DataFrame(
        {
            "user_id": cells.ids(table, "user_id"),
            "item_id": cells.ids(table, "item_id"),
            "weight": cells.weights(table),
            "timestamp": cells.timestamps(table),
        }
    ).astype({"user_id": str, "item_id": str})
    if "event" in table.columns:
        frame["event"] = pd.Series(cells.events(table), dtype=object)
    return frame


def _entities(path: Path | None, id_column: str) -> pd.DataFrame:
    table = read(path, id_column) if path else Table("", "", [], {id_column: []})
    index = pd.Index(cells.ids(table, id_column), name=id_column, dtype=str)
    if index.has_duplicates:
        table.refuse(int(index.duplicated().argmax()), id_column, "duplicate id {}")
    columns = {
        name: pd.Series(_column(table, name, id_column), index=index, dtype=object)
        for name in table.columns
        if name != id_column
    }
    return pd.DataFrame(columns, index=index)


def _column(table: Table, name: str, id_column: str) -> list[object]:
    if cells.is_feature(name, id_column):
        return cells.features(table, name)
    return [*(cells.titles(table, name) if name == TITLE else cells.availabilities(table, name))]
