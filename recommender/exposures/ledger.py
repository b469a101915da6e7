"""Exposure ledger: what was shown and what came of it, in an SQLite file whose every change is one transaction.

The offsets up to which the exposure stream and the interaction log have been taken over stand in the same file as what
came of them: whatever dies in between, each exposure and each interaction counts once.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any, NamedTuple

from recommender.errors import ArtifactError, CorruptArtifactError, NewerSchemaError, StoreError
from recommender.exposures.exposure import Exposure, pack, unpack
from recommender.exposures.ledger_schema import SCHEMA, SCHEMA_NUMBER
from recommender.exposures.page_sums import PageSums
from recommender.stores.exposure_stream import ExposureEntry

YOUNG_S = 7 * 86_400.0
"""An item that was first put or seen less long ago is young."""
ERASED_S = 300.0
"""Exposures of an erased user that come late, out of the buffer of some process, are recognised for so long."""


class Offsets(NamedTuple):
    """Offsets up to which the stream and the log have been taken over, and the stream is archived."""

    stream: int
    log: int
    archived: int


class OpenExposure(NamedTuple):
    """An exposure that interactions can still be attributed to."""

    offset: int
    cell: int
    exposure: Exposure


class Ledger:
    """Exposure ledger in an SQLite file; safe to call from several threads.

    Parameters
    ----------
    path
        Of the file; made with its folder where it is not there.

    Attributes
    ----------
    is_new : bool
        Whether it was empty when it was opened.

    Raises
    ------
    CorruptArtifactError
        The file is no ledger.
    NewerSchemaError
        A newer release wrote it; it is left as it is.
    ArtifactError
        It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        path.parent.mkdir(parents=True, exist_ok=True)
        with _translated(path):
            # no write-ahead log: the folder may be on a network file system; deleted content is overwritten
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
            written = self._require_schema()
            for pragma in ("journal_mode = DELETE", "synchronous = FULL", "secure_delete = ON", "cache_size = -16384"):
                self._database.execute(f"PRAGMA {pragma}").fetchall()
            self._database.executescript(SCHEMA)
            if written != SCHEMA_NUMBER:
                self._database.execute(f"PRAGMA user_version = {SCHEMA_NUMBER}")
        self.is_new = not self.read("SELECT 1 FROM positions")

    def _require_schema(self) -> int:
        """Number of the schema in the file, which this release must know."""
        written = int(self._database.execute("PRAGMA user_version").fetchone()[0])
        if written > SCHEMA_NUMBER:
            self._database.close()
            raise NewerSchemaError(
                f"the exposure ledger {self.path} has schema {written}, this release reads up to {SCHEMA_NUMBER}:"
                " a newer release wrote it"
            )
        return written

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One change: all of the block or nothing, durable when it ends."""
        with self._lock, _translated(self.path):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def read(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        with self._lock, _translated(self.path):
            return self._database.execute(query, parameters).fetchall()

    def copy(self, path: Path) -> None:
        """Write a consistent copy into another file."""
        with self._lock, _translated(path), closing(sqlite3.connect(path)) as target:
            self._database.backup(target)

    def offsets(self) -> Offsets:
        """How far stream and log have been taken over; 0 for not at all."""
        return offsets_in(self.read("SELECT name, value FROM positions"))

    def advance_log(self, through: int) -> None:
        """Take what is in the log up to an offset for done, where it is not there any more."""
        with self.transaction() as database:
            set_offset(database, "log", through)

    def restart_log(self, offset: int) -> None:
        """Go on behind an offset that is lower: the store has come back with less than it had."""
        with self.transaction() as database:
            database.execute("UPDATE positions SET value = ? WHERE name = 'log'", (offset,))

    def unknown_items(self, entries: Sequence[ExposureEntry]) -> set[str]:
        """Items of stream entries of which it is not known since when they are there."""
        shown = {item.item_id for each in readable(entries) for item in each[1].items}
        known = {item for some in _chunks(sorted(shown)) for (item,) in self.read(_in("items", "item_id", some), some)}
        return shown - known

    def users(self) -> set[str]:
        """Users of open exposures."""
        return {user_id for (user_id,) in self.read("SELECT DISTINCT user_id FROM exposures WHERE user_id NOT NULL")}

    def add_items(self, first_at: Mapping[str, float]) -> None:
        """Note since when items are there, in seconds since the epoch; the earliest counts."""
        with self.transaction() as database:
            note_items(database, first_at)

    def add_exposures(self, entries: Sequence[ExposureEntry]) -> int:
        """Take over entries of the stream, each ``recommendation_id`` once; returns how many were new."""
        with self.transaction() as database:
            before = offsets_in(database.execute("SELECT name, value FROM positions").fetchall()).stream
            n_added = _add_page(database, [each for each in readable(entries) if each[0] > before])
            if entries:
                set_offset(database, "stream", entries[-1].offset)
        return n_added

    def exposures(self, between: tuple[int, int], limit: int, *, newest_first: bool) -> list[tuple[int, Exposure]]:
        """Open exposures with offsets between two, which are not among them."""
        order = "DESC" if newest_first else "ASC"
        query = f"SELECT offset, packed FROM exposures WHERE offset > ? AND offset < ? ORDER BY offset {order} LIMIT ?"
        return [(offset, unpack(packed)) for offset, packed in self.read(query, (*between, limit))]

    def taken_of(self, offsets: Sequence[int]) -> dict[int, dict[int, dict[str, int]]]:
        """By exposure and position, how many interactions of each event are attributed."""
        found: dict[int, dict[int, dict[str, int]]] = {}
        for some in _chunks(offsets):
            query = _in("taken", "exposure", some, "exposure, position, event, interactions")
            for offset, position, event, n in self.read(query, some):
                found.setdefault(offset, {}).setdefault(position, {})[event] = n
        return found

    def trials(self) -> dict[str, tuple[int, int]]:
        """Exposures of items that were drawn, and attributed interactions with them, by item."""
        found = self.read("SELECT item_id, shown, taken FROM trials")
        return {item_id: (shown, taken) for item_id, shown, taken in found}

    def forget(self, oldest_open: float, oldest: float, archived_through: int) -> None:
        """Drop what is too old.

        Parameters
        ----------
        oldest_open
            Open exposures from before, in seconds since the epoch, are closed where they are archived.
        oldest
            Figures of the days before are dropped.
        archived_through
            Offset up to which exposures are in the archive.
        """
        day = day_of(oldest)
        with self.transaction() as database:
            database.execute("DELETE FROM exposures WHERE at < ? AND offset <= ?", (oldest_open, archived_through))
            cells = "cell IN (SELECT cell FROM cells WHERE day < ?)"
            for table in ("cell_positions", "cell_events", "cell_users", "cell_items", "cells"):
                database.execute(f"DELETE FROM {table} WHERE {cells}", (day,))
            database.execute("DELETE FROM trials WHERE at < ?", (oldest,))
            database.execute("DELETE FROM erased WHERE at < ?", (datetime.now(UTC).timestamp() - ERASED_S,))


def set_offset(database: sqlite3.Connection, name: str, offset: int) -> None:
    """Note how far something has come; it never goes back."""
    database.execute(
        "INSERT INTO positions VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
        (name, offset),
    )


def offsets_in(rows: Sequence[tuple[Any, ...]]) -> Offsets:
    """Offsets of the table of positions."""
    known = dict(rows)
    return Offsets(known.get("stream", 0), known.get("log", 0), known.get("archived", 0))


def note_items(database: sqlite3.Connection, first_at: Mapping[str, float]) -> None:
    """Note since when items are there; the earliest counts."""
    database.executemany(
        "INSERT INTO items VALUES (?, ?) ON CONFLICT (item_id) DO UPDATE SET first_at = excluded.first_at"
        " WHERE excluded.first_at < first_at",
        list(first_at.items()),
    )


def readable(entries: Sequence[ExposureEntry]) -> list[tuple[int, Exposure]]:
    """Entries that can be read, as exposures; a later release may have written others."""
    found: list[tuple[int, Exposure]] = []
    for offset, packed in entries:
        try:
            found.append((offset, unpack(packed)))
        except StoreError:
            continue
    return found


def opened(row: tuple[int, int, bytes]) -> OpenExposure:
    """Row of the table of exposures."""
    return OpenExposure(row[0], row[1], unpack(row[2]))


def day_of(at: float) -> str:
    """Day in UTC."""
    return datetime.fromtimestamp(at, UTC).date().isoformat()


def hash_of(unit: str) -> int:
    """What stands for a user or session where only counting matters: 62 bits, of which nobody is told."""
    return int.from_bytes(blake2b(unit.encode(), digest_size=8, person=b"unit").digest()) >> 2


def erased_name(user_id: str) -> str:
    """What an erased user is recognised by."""
    return sha256(user_id.encode()).hexdigest()


def _add_page(database: sqlite3.Connection, page: Sequence[tuple[int, Exposure]]) -> int:
    cells: dict[tuple[str, ...], int] = {}
    added: list[tuple[int, int | None, Exposure]] = []
    for offset, exposure in page:
        if exposure.user_id is not None and _is_erased(database, exposure.user_id, exposure.at):
            continue
        key = _cell_key(exposure)
        if key not in cells:
            cells[key] = _cell_of(database, key)
        cell = cells[key]
        unit = None if exposure.unit is None else hash_of(exposure.unit)
        row = (offset, exposure.recommendation_id, exposure.user_id, unit, exposure.at, cell, pack(exposure))
        if database.execute("INSERT OR IGNORE INTO exposures VALUES (?, ?, ?, ?, ?, ?, ?)", row).rowcount:
            added.append((cell, unit, exposure))
    first_at = _note_shown(database, [exposure for _, _, exposure in added])
    sums = PageSums()
    for cell, unit, exposure in added:
        since = exposure.at - YOUNG_S
        sums.add(cell, unit, exposure, {item.item_id for item in exposure.items if first_at[item.item_id] > since})
    sums.write(database)
    return len(added)


def _is_erased(database: sqlite3.Connection, user_id: str, at: float) -> bool:
    found = database.execute("SELECT at FROM erased WHERE user = ?", (erased_name(user_id),)).fetchone()
    return found is not None and at <= found[0]


def _cell_key(exposure: Exposure) -> tuple[str, ...]:
    names = (exposure.model_version, exposure.placement, exposure.experiment, exposure.variant)
    return day_of(exposure.at), *(name or "" for name in names)


def _cell_of(database: sqlite3.Connection, key: tuple[str, ...]) -> int:
    database.execute(
        "INSERT OR IGNORE INTO cells (day, version, placement, experiment, variant) VALUES (?, ?, ?, ?, ?)", key
    )
    found = database.execute(
        "SELECT cell FROM cells WHERE (day, version, placement, experiment, variant) = (?, ?, ?, ?, ?)", key
    ).fetchone()
    return int(found[0])


def _note_shown(database: sqlite3.Connection, exposures: Sequence[Exposure]) -> dict[str, float]:
    """When the items of exposures were first put or seen; what was never put is seen by the first of them."""
    first_at: dict[str, float] = {}
    for exposure in exposures:
        for item in exposure.items:
            first_at.setdefault(item.item_id, exposure.at)
    items = sorted(first_at)
    known = {
        item_id: at
        for some in _chunks(items)
        for item_id, at in database.execute(_in("items", "item_id", some, "item_id, first_at"), some)
    }
    new = [(item_id, first_at[item_id]) for item_id in items if item_id not in known]
    database.executemany("INSERT INTO items VALUES (?, ?)", new)
    return first_at | known


def _in(table: str, column: str, values: Sequence[Any], wanted: str | None = None) -> str:
    marks = ",".join("?" * len(values))
    return f"SELECT {wanted or column} FROM {table} WHERE {column} IN ({marks})"


def _chunks(values: Sequence[Any], size: int = 500) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        if type(error) is sqlite3.DatabaseError:  # its subclasses are of the disk, of locks, of us
            raise CorruptArtifactError(f"the exposure ledger {path} is damaged: {error}") from error
        raise ArtifactError(f"the exposure ledger {path} cannot be read or written: {error}") from error
