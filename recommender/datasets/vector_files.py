"""Vector files: ``items.NAME.npy`` beside ``items.csv`` has a dense vector for each of its rows, in their order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightfm_serve.records.vectors import FEWEST_NUMBERS, MOST_NUMBERS
from recommender.datasets.schema import Schema
from recommender.datasets.tables import Table, blocks
from recommender.datasets.vector_cells import packed_cells
from recommender.dense_vectors.packing import Vector, pack_vector
from recommender.errors import InvalidDataError


class VectorFile(NamedTuple):
    """A file of vectors, mapped and not read."""

    path: Path
    column: str
    rows: NDArray[Any]
    """Shape (n_rows, length)."""

    def cells(self, start: int, n: int) -> list[Vector | None]:
        """Vectors of some rows; None for one that is NaN throughout, and behind the last.

        Raises
        ------
        InvalidDataError
            One has a number that is not finite.
        """
        some = np.asarray(self.rows[start : start + n], np.float32)
        finite = np.isfinite(some)
        missing = np.isnan(some).all(axis=1, keepdims=True).reshape(len(some))
        wrong = np.flatnonzero(~finite.all(axis=1) & ~missing)
        if len(wrong):
            raise InvalidDataError(
                f"{self.path.name}, row {start + int(wrong[0]) + 1}: a number is not finite; a row without a vector is "
                "NaN throughout"
            )
        found = [None if gone else pack_vector(row) for gone, row in zip(missing.tolist(), some.tolist(), strict=True)]
        return [*found, *[None] * (n - len(found))]


def entity_blocks(path: Path, rows: int, id_column: str, schema: Schema) -> Iterator[Table]:
    """A file of users or items in blocks, as `recommender.datasets.tables.blocks` gives them, with its dense vectors.

    Raises
    ------
    InvalidDataError
        The file is malformed, or a file of vectors beside it.
    """
    return with_vector_files(path, map(_packed, blocks(path, rows, id_column, schema=schema)), schema)


def _packed(table: Table) -> Table:
    """Table whose lists of numbers are vectors; CSV has none."""
    if not (table.typed or table.exact):
        return table
    return table._replace(columns={name: packed_cells(cells) for name, cells in table.columns.items()})


def with_vector_files(path: Path, tables: Iterator[Table], schema: Schema) -> Iterator[Table]:
    """Blocks of a file of users or items with the vectors that lie beside it, as columns.

    Raises
    ------
    InvalidDataError
        A file of vectors is none, has another count of rows, or the name of a column that is there.
    """
    files = [each for each in open_vector_files(path) if not schema.leaves_out(path.stem, each.column)]
    n_rows = 0
    for table in tables:
        for each in files:
            if each.column in table.columns:
                raise InvalidDataError(f"{each.path.name}: {path.name} has a column {each.column!r} too; keep one")
        added = {each.column: each.cells(n_rows, table.n_rows) for each in files}
        yield table._replace(columns={**table.columns, **added}) if files else table
        n_rows += table.n_rows
    for each in files:
        if len(each.rows) != n_rows:
            raise InvalidDataError(
                f"{each.path.name} has {len(each.rows):,} rows and {path.name} {n_rows:,}; there must be a vector for "
                "each row, in their order"
            )


def open_vector_files(path: Path) -> list[VectorFile]:
    """Files of vectors that belong to a file of users or items, by name."""
    if path.stem not in ("users", "items"):
        return []
    return [_open(each, path.stem) for each in sorted(path.parent.glob(f"{path.stem}.*.npy"))]


def names_of(path: Path) -> Sequence[str]:
    """Names of their columns."""
    return [each.column for each in open_vector_files(path)]


def _open(path: Path, stem: str) -> VectorFile:
    column = path.name.removeprefix(f"{stem}.").removesuffix(".npy")
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InvalidDataError(f"{path.name} is no file of numpy's format npy: {error}") from None
    if rows.ndim != 2 or rows.dtype.kind not in "fiu":
        raise InvalidDataError(
            f"{path.name} has {rows.dtype} of shape {rows.shape}; wanted are numbers of shape (rows, length)"
        )
    if not FEWEST_NUMBERS <= rows.shape[1] <= MOST_NUMBERS:
        raise InvalidDataError(
            f"{path.name} has vectors of {rows.shape[1]} numbers; a dense vector has {FEWEST_NUMBERS} to {MOST_NUMBERS}"
        )
    return VectorFile(path, column, rows)
