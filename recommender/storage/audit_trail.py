"""Audit trail: the newest entries in the store, older ones as JSON lines beside the archive, for 400 days."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any, NamedTuple

import msgspec

from recommender.storage.file_store import FileStore
from recommender.stores.audit_log import AuditEntry, AuditLog, Numbered

KEPT_S = 400 * 86_400.0
ARCHIVED_AFTER_S = 3_600.0
"""So much of the trail a store that is lost takes with it."""
MOST_IN_STORE = 5_000
"""Entries from which on they are archived at once."""
FORGOTTEN = "sha256:"
"""How the target begins that stands for a user who was forgotten: whoever knows the id can find it, nobody else."""

_NAME = re.compile(r"(\d{16})-(\d{16})(?:-[0-9a-f]+)?\.jsonl")
_lines = msgspec.json.Encoder()
_line = msgspec.json.Decoder(tuple[int, AuditEntry])


class AuditRecord(msgspec.Struct, frozen=True):
    """An entry as it is shown; `at` is RFC 3339."""

    at: str
    who: str
    action: str
    target: str | None
    details: dict[str, Any]
    request_id: str | None


class AuditPage(msgspec.Struct, frozen=True):
    """Entries, newest first."""

    audit: list[AuditRecord]
    next_cursor: str | None


class AuditFile(NamedTuple):
    """A file of the trail: its name, and the numbers of its first and last entry."""

    name: str
    first: int
    last: int


class AuditTrail:
    """What was done, in the order in which it was done, in the store and in files.

    Parameters
    ----------
    log
        Newest entries.
    files
        Older ones, a file for each time that they were moved.
    clock
        Seconds since the epoch.
    """

    def __init__(self, log: AuditLog, files: FileStore, clock: Callable[[], float] = time.time) -> None:
        self._log = log
        self._files = files
        self._clock = clock

    async def page(self, cursor: str | None, limit: int) -> AuditPage:
        """Entries before the one that a cursor names, newest first.

        Parameters
        ----------
        cursor
            `next_cursor` of the page before; None for the newest.
        limit
            Entries, at most.

        Raises
        ------
        StoreError
            The store does not answer.
        StateUnavailableError
            Nor does the place of the files.
        """
        before = None if cursor is None else int(cursor)
        found = {each.number: each for each in await self._log.newest(before, limit + 1)}
        # an entry that has just been archived may be in both
        for each in await asyncio.to_thread(self._archived, before, limit + 1):
            found.setdefault(each.number, each)
        oldest_kept = (self._clock() - KEPT_S) * 1e6
        entries = sorted((each for each in found.values() if each.number >= oldest_kept), reverse=True)
        more = len(entries) > limit
        return AuditPage([_shown(each) for each in entries[:limit]], str(entries[limit - 1].number) if more else None)

    async def archive(self, *, everything: bool = False) -> int:
        """Move entries that are old, or too many, into a file, and drop files of more than 400 days.

        Returns how many were moved.
        """
        entries = await self._log.oldest(MOST_IN_STORE)
        old = (self._clock() - ARCHIVED_AFTER_S) * 1e6
        if not entries or not (everything or len(entries) >= MOST_IN_STORE or entries[0].number < old):
            await asyncio.to_thread(self._drop_old)
            return 0
        await asyncio.to_thread(self._write, entries)
        await self._log.remove(entries)
        return len(entries)

    async def forget(self, user_id: str) -> int:
        """Put a digest in the place of a user's id wherever it is a target; returns in how many entries it stood."""
        digest, changed = digest_of(user_id), 0
        before: int | None = None
        while page := await self._log.newest(before, MOST_IN_STORE):
            for each in page:
                if is_about(each.entry, user_id):
                    await self._log.replace(each, _without_user(each.entry, digest))
                    changed += 1
            before = page[-1].number
        return changed + await asyncio.to_thread(self._forget_archived, user_id, digest)

    async def count(self, user_id: str) -> int:
        """Entries in which a user's id stands."""
        n, before = 0, None
        while page := await self._log.newest(before, MOST_IN_STORE):
            n += sum(is_about(each.entry, user_id) for each in page)
            before = page[-1].number
        return n + await asyncio.to_thread(self._count_archived, user_id)

    def _archived(self, before: int | None, limit: int) -> list[Numbered]:
        found: list[Numbered] = []
        for file in reversed(self._listed()):
            if len(found) >= limit:
                break
            if before is None or file.first < before:
                found += [each for each in self._read(file) if before is None or each.number < before]
        return found

    def _listed(self) -> list[AuditFile]:
        """Files, oldest first."""
        matches = (_NAME.fullmatch(name) for name in self._files.sizes())
        return sorted((AuditFile(m[0], int(m[1]), int(m[2])) for m in matches if m), key=lambda file: file.last)

    def _read(self, file: AuditFile) -> list[Numbered]:
        return [Numbered(*_line.decode(line)) for line in self._files.read(file.name).splitlines()]

    def _write(self, entries: Sequence[Numbered], suffix: str = "") -> str:
        name = f"{entries[0].number:016d}-{entries[-1].number:016d}{suffix}.jsonl"
        self._files.create(name, b"\n".join(_lines.encode(tuple(each)) for each in entries) + b"\n")
        return name

    def _drop_old(self) -> None:
        oldest_kept = (self._clock() - KEPT_S) * 1e6
        self._files.remove([file.name for file in self._listed() if file.last < oldest_kept])

    def _forget_archived(self, user_id: str, digest: str) -> int:
        changed = 0
        for file in self._listed():
            entries = self._read(file)
            about = sum(is_about(each.entry, user_id) for each in entries)
            if about:
                kept = [
                    Numbered(number, _without_user(entry, digest) if is_about(entry, user_id) else entry)
                    for number, entry in entries
                ]
                # files never change: a new one takes the place of the old, of which readers drop what is doubled
                suffix = hashlib.sha256(f"{file.name}{digest}".encode()).hexdigest()[:8]
                self._write(kept, f"-{suffix}")
                self._files.remove([file.name])
                changed += about
        return changed

    def _count_archived(self, user_id: str) -> int:
        return sum(is_about(each.entry, user_id) for each in chain.from_iterable(map(self._read, self._listed())))


def digest_of(user_id: str) -> str:
    """What stands for a user who was forgotten."""
    return FORGOTTEN + hashlib.sha256(user_id.encode()).hexdigest()


def is_about(entry: AuditEntry, user_id: str) -> bool:
    """Whether an entry is about a user."""
    return entry.target == user_id and entry.action.startswith("user.")


def _without_user(entry: AuditEntry, digest: str) -> AuditEntry:
    return msgspec.structs.replace(entry, target=digest, details={})


def _shown(each: Numbered) -> AuditRecord:
    at = datetime.fromtimestamp(each.number / 1e6, UTC).isoformat()
    entry = each.entry
    return AuditRecord(at, entry.who, entry.action, entry.target, entry.details, entry.request_id)
