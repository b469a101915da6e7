"""Vector cells: dense vectors in a column of users or items, and whether all are of one length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from lightfm_serve.records.vectors import clean_vector, is_vector
from recommender.datasets.tables import Table
from recommender.dense_vectors.packing import Vector, decimals_of, is_packed, length_of, pack_vector
from recommender.errors import InvalidDataError


def packed_cells(cells: Sequence[Any]) -> Sequence[Any]:
    """Cells whose lists of numbers are vectors; one that cannot be stays as it is, to be refused by its place."""
    if not any(type(cell) is list and cell and type(cell[0]) in (float, int) for cell in cells):
        return cells
    return [_packed(cell) for cell in cells]


def _packed(cell: Any) -> Any:
    if type(cell) is not list or not is_vector(cell):
        return cell
    try:
        return pack_vector(clean_vector(cell))
    except ValueError:
        return cell


class VectorCells:
    """Statistics of the vectors of one column; grow a block at a time."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lengths: Counter[int] = Counter()
        self._first: dict[int, str] = {}
        self._other: str | None = None
        """Location of the first cell that is something else."""
        self._seen: set[int] = set()
        self._example: Vector | None = None

    @property
    def n(self) -> int:
        """How many there are."""
        return self._lengths.total()

    @property
    def kind(self) -> str:
        """What the values of the column are."""
        return f"vector of {self._lengths.most_common(1)[0][0]}"

    def to_json(self) -> dict[str, Any]:
        """What of the statistics of its column is another for vectors."""
        first = decimals_of(self._example)[:3] if self._example else []
        return {"distinct": len(self._seen), "examples": [", ".join(map(str, first)) + ", …"]}

    def take(self, table: Table) -> Table:
        """Take the vectors of a table into account; the rest of its cells."""
        rest = []
        for row, cell in enumerate(table.columns[self._name]):
            if is_packed(cell):
                length = length_of(cell)
                self._lengths[length] += 1
                self._first.setdefault(length, table.location(row))
                self._seen.add(hash(cell.data))
                self._example = self._example or cell
            else:
                rest.append(cell)
                if cell is not None and cell != "" and self._other is None:
                    self._other = f"{table.location(row)}, column {self._name!r}: {str(cell)[:80]!r}"
        return table._replace(columns={self._name: rest}) if len(rest) < table.n_rows else table

    def check(self) -> None:
        """Refuse a column of several lengths, or of vectors and something else.

        Raises
        ------
        InvalidDataError
            The message names file, row, column, and both.
        """
        if not self.n:
            return
        [(length, n), *others] = self._lengths.most_common()
        if others:
            raise InvalidDataError(
                f"{self._first[others[0][0]]}, column {self._name!r}: a vector of {others[0][0]} numbers, where {n} "
                f"others have {length}; all have the same"
            )
        if self._other:
            raise InvalidDataError(f"{self._other} is no vector, as {n} of this column are, of {length} numbers")
