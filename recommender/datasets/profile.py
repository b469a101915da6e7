"""Profile of a data folder: how each file was read, and what is likely to be wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lightfm_serve.records.values import timestamps_look
from recommender.datasets import cell_parsers
from recommender.datasets.columns import Column, FeatureColumn, IdColumn
from recommender.datasets.dataset import AVAILABLE, TITLE
from recommender.datasets.tables import Table
from recommender.errors import InvalidDataError

KINDS = {"weight": "number", "timestamp": "time", "event": "text", TITLE: "title", AVAILABLE: "boolean"}
"""Of the columns that are neither ids nor features."""
FEW_SHARED = 0.5
"""Below this share of known ids something is likely to be wrong."""
MANY = 3
"""So many ids on both sides, and none shared, are no accident; a newcomer or two in a file of their own may be."""


class FileProfile:
    """Statistics of a file over all of its rows; grow a block at a time.

    Parameters
    ----------
    stem
        ``interactions``, ``users`` or ``items``.
    id_columns
        Which of its columns are ids.
    """

    def __init__(self, stem: str, *id_columns: str) -> None:
        self.stem, self.file, self.n_rows = stem, stem, 0
        self.columns: dict[str, Column] = {}
        self._notes: dict[str, None] = {}
        self._id_columns = id_columns
        self._times: list[float] = []

    def look(self, table: Table) -> FileProfile:
        """Take a table into account."""
        self.file = table.file
        self._notes |= dict.fromkeys(table.notes)
        for name in table.columns:
            if name not in self.columns:
                self.columns[name] = self._column(name, table)
            self.columns[name].look(table)
        if self.stem == "interactions" and table.columns.get("timestamp"):
            self._look_at_times(cell_parsers.timestamps(table, self.n_rows).tolist())
        self.n_rows += table.n_rows
        return self

    def ids(self, name: str) -> IdColumn:
        """Column of ids."""
        found = self.columns[name]
        assert isinstance(found, IdColumn)  # noqa: S101 (as `_column` made it)
        return found

    def feature(self, name: str) -> FeatureColumn:
        """Column of a feature."""
        found = self.columns[name]
        assert isinstance(found, FeatureColumn)  # noqa: S101 (as `_column` made it)
        return found

    def notes(self) -> list[str]:
        """What was understood that is worth saying."""
        return [f"{self.file}: {note}" for note in self._notes]

    def warnings(self) -> list[str]:
        """What is likely to be wrong."""
        found = [warning for column in self.columns.values() for warning in column.warnings()]
        # the numbers of rows are what a file without times has
        counted = self._times == [0, self.n_rows - 1]
        look = timestamps_look(*self._times) if self._times and not counted else None
        return [f"{self.file}: {each}" for each in [*found, *([f"timestamps {look}"] if look else [])]]

    def hints(self) -> list[str]:
        """What may be meant otherwise."""
        return [f"{self.file}: {hint}" for column in self.columns.values() for hint in column.hints()]

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        columns = [column.to_json() for column in self.columns.values()]
        return {"file": self.file, "rows": self.n_rows, "columns": columns}

    def _look_at_times(self, seconds: Sequence[float]) -> None:
        all_of_them = [*self._times, *seconds]
        self._times = [min(all_of_them), max(all_of_them)] if all_of_them else []

    def _column(self, name: str, table: Table) -> Column:
        if name in self._id_columns:
            return IdColumn(name)
        if self.stem == "interactions" or not cell_parsers.is_feature(name, self._id_columns[0]):
            return Column(name, KINDS.get(name, "text"))
        return FeatureColumn(name, table.types.get(name))


class Overlap(NamedTuple):
    """How many ids of the interactions a file of users or items knows."""

    file: str
    column: str
    n: int
    n_known: int
    n_in_file: int

    def warning(self) -> str | None:
        """What is odd about it; None where nothing is."""
        if self.n_known >= FEW_SHARED * self.n:
            return None
        return (
            f"{self.file} knows {self.n_known:,} of the {self.n:,} ids in column {self.column!r} of the interactions; "
            "the others have no features. Are the ids written alike?"
        )


@dataclass
class FolderProfile:
    """Profiles of a folder's files, and how their ids overlap."""

    files: dict[str, FileProfile] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    """Notes on the whole folder."""

    def notes(self) -> list[str]:
        """What was understood that is worth saying."""
        return [*self.remarks, *(note for file in self.files.values() for note in file.notes())]

    def overlaps(self) -> list[Overlap]:
        """Of users and of items with the interactions.

        Raises
        ------
        InvalidDataError
            They share no id at all.
        """
        interactions = self.files.get("interactions")
        pairs = (("users", "user_id"), ("items", "item_id"))
        there = [(self.files[stem], column) for stem, column in pairs if stem in self.files]
        return [_overlap(interactions, file, column) for file, column in there if interactions and file.n_rows]

    def warnings(self) -> list[str]:
        """What is likely to be wrong."""
        found = [warning for file in self.files.values() for warning in file.warnings()]
        odd = [warning for overlap in self.overlaps() if (warning := overlap.warning())]
        return [*found, *odd]

    def hints(self) -> list[str]:
        """What may be meant otherwise."""
        return [hint for file in self.files.values() for hint in file.hints()]

    def to_json(self) -> Mapping[str, Any]:
        """For machines."""
        return {
            "files": {stem: file.to_json() for stem, file in self.files.items()},
            "overlap": [overlap._asdict() for overlap in self.overlaps()],
            "notes": self.notes(),
            "warnings": self.warnings(),
            "hints": self.hints(),
        }


def _overlap(interactions: FileProfile, file: FileProfile, column: str) -> Overlap:
    chosen, known = interactions.ids(column).ids(), file.ids(column).ids()
    shared = len(chosen & known)
    if not shared and min(len(chosen), len(known)) >= MANY:
        raise InvalidDataError(
            f"none of the {len(chosen):,} ids in column {column!r} of {interactions.file} ({min(chosen)!r}, …) is in "
            f"{file.file} ({min(known)!r}, …); write ids alike, or load the two from folders of their own"
        )
    return Overlap(file.file, column, len(chosen), shared, len(known))
