"""Exposure keeper: ledger and archive together, what moves from one to the other, and what leaves both."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

import msgspec

from recommender.errors import ArtifactError, CorruptArtifactError, InvalidRequestError, NewerSchemaError
from recommender.exposures.archive import ExposureArchive, ExposureSegment, Row
from recommender.exposures.attribution import OPEN_S, WINDOW_S, erase_user
from recommender.exposures.exposure import as_json
from recommender.exposures.ledger import Ledger, offsets_in, set_offset
from recommender.storage import atomic_files
from recommender.storage.object_store import Bucket, is_url, within

logger = logging.getLogger("recommender.exposures")

P = ParamSpec("P")
T = TypeVar("T")

LEDGER, DAMAGED = "ledger.sqlite", "damaged-"
ARCHIVE_EVERY_S, ARCHIVE_ROWS = 60.0, 20_000
"""Exposures are archived so often, or when so many wait for it."""
SMALL_ROWS, MOST_SMALL = 50_000, 16
"""More segments than these with fewer rows than these become one."""
NEWEST = 2**63 - 1
DAY_S = 86_400.0


def _alone(method: Callable[Concatenate[ExposureKeeper, P], T]) -> Callable[Concatenate[ExposureKeeper, P], T]:
    """Let one thread at a time change or read segments: what one reads another might remove."""

    @wraps(method)
    def called(self: ExposureKeeper, /, *arguments: P.args, **named: P.kwargs) -> T:
        with self._lock:
            return method(self, *arguments, **named)

    return called


class ExposurePage(NamedTuple):
    """Exposures, newest first, with the offset that the next page comes before; None at the end."""

    rows: list[Row]
    before: int | None


class ExposureKeeper:
    """Keeps what was shown: the ledger, the archive, and how long either has it.

    The archive is in the folder ``exposures`` of the state, the ledger in ``ledger``. A ledger that is new takes over
    the segments that are there, as after a restore; the figures begin anew then.

    Where the state is in a bucket, the ledger is a file of this machine that is copied there whenever something is
    archived. `durable` says how far that copy has come; before that nothing may be dropped that it is made of.

    Parameters
    ----------
    state_dir
        Folder of the state, or the URL of a bucket.
    keep_days
        How long exposures and figures are kept.
    window_s
        How long before an interaction an exposure may have been, for the interaction to be attributed to it.
    """

    def __init__(self, state_dir: Path | str, keep_days: float = 30.0, window_s: float = WINDOW_S) -> None:
        self.keep_s = keep_days * DAY_S
        self._lock = threading.RLock()
        self.window_s = window_s
        place = within(state_dir, "ledger")
        self._bucket = Bucket(str(place)) if is_url(place) else None
        self._archive = ExposureArchive(within(state_dir, "exposures"))
        folder = self._bucket.cache() if self._bucket else Path(place)
        if self._bucket:
            _fetch(self._bucket, folder / LEDGER)
        self.ledger = _opened(folder / LEDGER)
        if self.ledger.is_new:
            self._adopt()
        self.durable = self.ledger.offsets()
        self._unnamed: list[str] = []
        self._archived_at = self._tidied_at = self._sent_at = 0.0

    def _adopt(self) -> None:
        """Take over the segments that are there."""
        segments = self._archive.found()
        with self.ledger.transaction() as database:
            database.executemany("INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?, ?)", segments)
            for name in ("archived", "stream"):
                set_offset(database, name, segments[-1].last if segments else 0)

    def close(self) -> None:
        """Let go of the ledger."""
        self.ledger.close()

    @_alone
    def archive(self, now: float | None = None, *, at_once: bool = False) -> None:
        """Write what is due into the archive, erase who is to be erased, drop what is too old.

        Raises
        ------
        ArtifactError
            The disk or the bucket fails, or a segment is damaged; it is tried again with the next call.
        """
        now = time.time() if now is None else now
        if at_once or self._is_due(now):
            self._archived_at = now
            while self._archive_some():
                pass
            self._compact()
        self._erase()
        if now - self._tidied_at > DAY_S / 24 or at_once:
            self._tidied_at = now
            self._drop_old(now)
        self._make_durable(now)

    @_alone
    def page(self, before: int | None, limit: int, now: float | None = None) -> ExposurePage:
        """A page of exposures, newest first, those that are still kept.

        Raises
        ------
        CorruptArtifactError
            A segment is damaged.
        """
        bound, oldest = NEWEST if before is None else before, (now or time.time()) - self.keep_s
        archived = self.ledger.offsets().archived
        rows = self.ledger.exposures((archived, bound), limit, newest_first=True)
        for segment in reversed(self.segments()):
            if len(rows) < limit and segment.first < bound:
                rows += self._archive.read_before(segment, bound, limit - len(rows))
        kept = [row for row in rows if row[1].at >= oldest]
        return ExposurePage(kept, rows[-1][0] if len(rows) == limit else None)

    def as_json(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Exposures as the HTTP contract words them, with what was attributed to them."""
        taken = self.ledger.taken_of([offset for offset, _ in rows])
        return [as_json(exposure, taken.get(offset)) for offset, exposure in rows]

    @_alone
    def erase_user(self, user_id: str, now: float | None = None) -> int:
        """Erase a user from ledger and archive at once; returns how many exposures they had."""
        found = self.count_of(user_id)
        with self.ledger.transaction() as database:
            erase_user(database, user_id, time.time() if now is None else now)
        self._erase()
        self._make_durable(time.time(), at_once=True)
        return found

    @_alone
    def count_of(self, user_id: str) -> int:
        """Exposures that ledger and archive have of a user; one that is in both counts twice."""
        [(in_ledger,)] = self.ledger.read("SELECT COUNT(*) FROM exposures WHERE user_id = ?", (user_id,))
        return int(in_ledger) + sum(self._archive.count_of(segment, user_id) for segment in self.segments())

    @_alone
    def users(self) -> set[str]:
        """Users who have exposures in ledger or archive."""
        return self.ledger.users().union(*(self._archive.users_of(segment) for segment in self.segments()))

    def segments(self) -> list[ExposureSegment]:
        """Segments of the archive, oldest first."""
        rows = self.ledger.read(
            "SELECT name, rows, bytes, first, last, oldest_at, newest_at FROM segments ORDER BY first"
        )
        return [ExposureSegment(*row) for row in rows]

    def _is_due(self, now: float) -> bool:
        waiting = self.ledger.read(
            "SELECT COUNT(*) FROM exposures WHERE offset > ?", (self.ledger.offsets().archived,)
        )[0][0]
        return waiting >= ARCHIVE_ROWS or (waiting > 0 and now - self._archived_at >= ARCHIVE_EVERY_S)

    def _archive_some(self) -> bool:
        offsets = self.ledger.offsets()
        rows = self.ledger.exposures((offsets.archived, NEWEST), ARCHIVE_ROWS, newest_first=False)
        if rows:
            self._swap([], self._archive.write(rows), archived=rows[-1][0])
        return len(rows) == ARCHIVE_ROWS

    def _compact(self) -> None:
        small = [segment for segment in self.segments() if segment.rows < SMALL_ROWS]
        if len(small) > MOST_SMALL:
            self._swap(small, self._archive.rewrite(small))

    def _erase(self) -> None:
        """Rewrite the segments that have exposures of erased users."""
        users = [user_id for (user_id,) in self.ledger.read("SELECT user_id FROM erasures")]
        if not users:
            return
        for aside in self.ledger.path.parent.glob(f"{DAMAGED}*"):
            aside.unlink()  # nobody can tell whose exposures are in there
        for segment in self.segments():
            if self._archive.has_any_of(segment, users):
                self._swap([segment], self._archive.rewrite([segment], without_users=users))
        with self.ledger.transaction() as database:
            database.executemany("DELETE FROM erasures WHERE user_id = ?", [(user_id,) for user_id in users])

    def _drop_old(self, now: float) -> None:
        oldest = now - self.keep_s
        for segment in self.segments():
            if segment.newest_at < oldest or segment.oldest_at < oldest - DAY_S:
                self._swap([segment], self._archive.rewrite([segment], since=oldest))
        self.ledger.forget(now - max(OPEN_S, self.window_s), oldest, self.ledger.offsets().archived)
        self._archive.prune({segment.name for segment in self.segments()} | set(self._unnamed))

    def _swap(self, old: Sequence[ExposureSegment], new: ExposureSegment | None, archived: int | None = None) -> None:
        """Name another segment in place of some, in one step with how far the archive has come.

        Where another process, which is about to end, has been faster, nothing is done.
        """
        with self.ledger.transaction() as database:
            names = [(segment.name,) for segment in old]
            gone = database.executemany("DELETE FROM segments WHERE name = ?", names).rowcount if names else 0
            before = offsets_in(database.execute("SELECT name, value FROM positions").fetchall()).archived
            if gone != len(names) or (archived is not None and archived <= before):
                raise ArtifactError("another process keeps the same exposures; it is tried again")
            if new is not None:
                database.execute("INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?, ?)", new)
            if archived is not None:
                set_offset(database, "archived", archived)
        self._unnamed += [segment.name for segment in old]

    def _make_durable(self, now: float, *, at_once: bool = False) -> None:
        """Have the ledger where it outlives this machine; only then files that it named before may go."""
        offsets = self.ledger.offsets()
        if self._bucket is not None:
            is_due = at_once or (offsets != self.durable and now - self._sent_at >= ARCHIVE_EVERY_S)
            if not is_due and not self._unnamed:
                return
            _send(self._bucket, self.ledger)
            self._sent_at = now
        self.durable = offsets
        if self._unnamed:
            self._archive.remove(self._unnamed)
            self._unnamed = []


def parse_cursor(cursor: str | None) -> int | None:
    """Offset that a page comes before; None for the newest.

    Raises
    ------
    InvalidRequestError
        It is no cursor that was given out.
    """
    if cursor is None:
        return None
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 19:
        raise InvalidRequestError("cursor is not a next_cursor of the page before")
    return min(int(cursor), NEWEST)


def to_json(page: ExposurePage, exposures: Sequence[dict[str, Any]]) -> bytes:
    """JSON of a page."""
    following = None if page.before is None else str(page.before)
    return msgspec.json.encode({"exposures": exposures, "next_cursor": following})


def _opened(path: Path) -> Ledger:
    """Ledger of a file; one that is damaged is set aside."""
    try:
        return Ledger(path)
    except NewerSchemaError:
        raise  # nothing is wrong with it
    except CorruptArtifactError as error:
        aside = path.with_name(f"{DAMAGED}{int(time.time())}.sqlite")
        path.rename(aside)
        logger.error("%s; it is set aside as %s, and figures begin anew", error, aside.name)  # noqa: TRY400 (it is told)
        return Ledger(path)


def _fetch(bucket: Bucket, path: Path) -> None:
    """Take the bucket's ledger; what a file of this machine has beyond it is taken from stream and log again."""
    path.unlink(missing_ok=True)
    if LEDGER in bucket.sizes():
        bucket.download(LEDGER, path)


def _send(bucket: Bucket, ledger: Ledger) -> None:
    copy = ledger.path.with_name(atomic_files.temporary_name())
    try:
        ledger.copy(copy)
        bucket.upload(copy, LEDGER)
    finally:
        copy.unlink(missing_ok=True)
