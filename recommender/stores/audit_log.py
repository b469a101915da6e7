"""Audit log: who did what and when, by rising number, in Redis or in this process."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from recommender.stores.connection import Connection
from recommender.stores.open import MEMORY
from recommender.stores.redis_store import PREFIX, TIMEOUT_S


class AuditEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """What somebody did.

    Parameters
    ----------
    who
        Name of the key.
    action
        ``model.activate``, ``user.delete`` and so on.
    target
        What it was done to, as an id or a name; None where there is only one.
    details
        What the request said, where it is short.
    request_id
        ``X-Request-Id``, which log lines carry too.
    """

    who: str
    action: str
    target: str | None = None
    details: dict[str, Any] = {}
    request_id: str | None = None


class Numbered(NamedTuple):
    """An entry and its number: when it was written, in microseconds since the epoch, and the place in the order."""

    number: int
    entry: AuditEntry


class AuditLog(Protocol):
    """Entries that are not in the archive yet. Errors as for `InteractionLog`."""

    async def append(self, entry: AuditEntry) -> int:
        """Add an entry and return its number; it is in the store when this returns."""
        ...

    async def newest(self, before: int | None, limit: int) -> list[Numbered]:
        """Entries with a number below one, newest first, at most `limit`; with None from the end."""
        ...

    async def oldest(self, limit: int) -> list[Numbered]:
        """Entries, oldest first, at most `limit`."""
        ...

    async def remove(self, entries: Sequence[Numbered]) -> None:
        """Remove entries, as they are archived or withdrawn; those that are gone already do no harm."""
        ...

    async def replace(self, old: Numbered, new: AuditEntry) -> None:
        """Put another entry in the place of one, in one step, under its number."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


def open_audit_log(url: str, prefix: str = PREFIX) -> AuditLog:
    """Audit log of the store behind a URL; nothing is asked of it yet."""
    return MemoryAuditLog() if url == MEMORY else RedisAuditLog(url, prefix)


class MemoryAuditLog:
    """Audit log in this process; gone with it."""

    def __init__(self) -> None:
        self._entries: dict[int, bytes] = {}
        self._last = 0

    async def append(self, entry: AuditEntry) -> int:
        """See `AuditLog`."""
        self._last = max(self._last + 1, time.time_ns() // 1000)
        self._entries[self._last] = msgspec.json.encode(entry)
        return self._last

    async def newest(self, before: int | None, limit: int) -> list[Numbered]:
        """See `AuditLog`."""
        numbers = [each for each in reversed(self._entries) if before is None or each < before]
        return [self._entry(number) for number in numbers[:limit]]

    async def oldest(self, limit: int) -> list[Numbered]:
        """See `AuditLog`."""
        return [self._entry(number) for number in list(self._entries)[:limit]]

    async def remove(self, entries: Sequence[Numbered]) -> None:
        """See `AuditLog`."""
        for number, _ in entries:
            self._entries.pop(number, None)

    async def replace(self, old: Numbered, new: AuditEntry) -> None:
        """See `AuditLog`."""
        if old.number in self._entries:
            self._entries[old.number] = msgspec.json.encode(new)

    async def close(self) -> None:
        """See `AuditLog`."""

    def _entry(self, number: int) -> Numbered:
        return Numbered(number, msgspec.json.decode(self._entries[number], type=AuditEntry))


class RedisAuditLog:
    """Audit log in Redis or Valkey: a sorted set of ``NUMBER:JSON`` under ``audit``, by number.

    Parameters
    ----------
    url, prefix
        As for `RedisStore`.
    """

    def __init__(self, url: str, prefix: str = PREFIX) -> None:
        self._connection = Connection(url, TIMEOUT_S)
        self._prefix = prefix
        self._key = f"{prefix}audit"

    async def append(self, entry: AuditEntry) -> int:
        """See `AuditLog`."""
        return int(await self._connection.run("audit_append", self._prefix, [msgspec.json.encode(entry)]))

    async def newest(self, before: int | None, limit: int) -> list[Numbered]:
        """See `AuditLog`."""
        start = "+inf" if before is None else f"({before}"
        async with self._connection.session() as client:
            found = await client.zrange(self._key, start, "-inf", desc=True, byscore=True, offset=0, num=limit)
        return [_unpacked(member) for member in found]

    async def oldest(self, limit: int) -> list[Numbered]:
        """See `AuditLog`."""
        async with self._connection.session() as client:
            return [_unpacked(member) for member in await client.zrange(self._key, 0, limit - 1)]

    async def remove(self, entries: Sequence[Numbered]) -> None:
        """See `AuditLog`."""
        async with self._connection.session() as client:
            for number, _ in entries:
                await client.zremrangebyscore(self._key, number, number)

    async def replace(self, old: Numbered, new: AuditEntry) -> None:
        """See `AuditLog`."""
        async with self._connection.session() as client, client.pipeline(transaction=True) as both:
            both.zremrangebyscore(self._key, old.number, old.number)
            both.zadd(self._key, {f"{old.number}:".encode() + msgspec.json.encode(new): old.number})
            await both.execute()

    async def close(self) -> None:
        """See `AuditLog`."""
        await self._connection.close()


def _unpacked(member: bytes) -> Numbered:
    number, _, payload = member.partition(b":")
    return Numbered(int(number), msgspec.json.decode(payload, type=AuditEntry))
