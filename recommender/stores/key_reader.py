"""Key reader: everything that a store holds, in an order in which a running store can be copied."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

from recommender.stores.connection import Connection
from recommender.stores.key_space import (
    DELETIONS,
    EVENT_IDS,
    ITEMS_SEQUENCE,
    LAST,
    LOG,
    PREFIX,
    USERS_SEQUENCE,
    is_other,
)
from recommender.stores.key_values import KeyValue, ask_value, plain_value

TIMEOUT_S = 60.0
PAGE = 1000
AT_ONCE = 500
"""Keys that are read in one transaction: of them none changes between two."""


class LogPayload(NamedTuple):
    """An entry of the log as it is stored: offset and packed event."""

    offset: int
    payload: bytes


class Record(NamedTuple):
    """A user or an item as it is stored: sequence of its last change, id, and what is packed; None for one deleted."""

    sequence: int
    id: str
    packed: bytes | None


class Counters(NamedTuple):
    """Ends of the log, and the sequences of users and items."""

    first_offset: int
    last_offset: int
    users_sequence: int
    items_sequence: int

    @property
    def trimmed_through(self) -> int:
        """Offset up to which nothing is left in the log."""
        return self.first_offset - 1


class KeyReader:
    """Reads a store from beginning to end while it is written.

    Parameters
    ----------
    url, prefix
        As for `RedisStore`.
    """

    def __init__(self, url: str, prefix: str = PREFIX) -> None:
        self._connection = Connection(url, TIMEOUT_S)
        self._prefix = prefix

    async def counters(self) -> Counters:
        """Where the store stands."""
        first, last, _ = await self._connection.run("state", self._prefix)
        async with self._connection.session() as client:
            names = [self._prefix + name for name in (USERS_SEQUENCE, ITEMS_SEQUENCE)]
            users, items = await client.mget(names)
        offset = int(first.partition(b"-")[0]) if first else int(last) + 1
        return Counters(offset, int(last), int(users or 0), int(items or 0))

    async def is_empty(self) -> bool:
        """Whether nothing is there; what the owner of an embedded store says of it does not count."""
        async for names in self._names():
            if names != ["fault"]:
                return False
        return True

    async def log(self, after: int, through: int) -> AsyncIterator[list[LogPayload]]:
        """Entries of the log behind one offset and up to another, by rising offset."""
        while after < through:
            async with self._connection.session() as client:
                found = await client.xrange(self._prefix + LOG, f"{after + 1}-0", f"{through}-0", count=PAGE)
            if not found:
                return
            page = [LogPayload(int(entry_id.partition(b"-")[0]), fields.get(b"d", b"")) for entry_id, fields in found]
            yield page
            after = page[-1].offset

    async def users(self) -> AsyncIterator[list[Record]]:
        """Users by the order of their last change; one that changes meanwhile comes again."""
        bound = (await self.counters()).users_sequence
        async for page in self._records("page", ["u", "users"], bound):
            yield page

    async def items(self) -> AsyncIterator[list[Record]]:
        """Items and notes of deletions by the order of their last change; likewise."""
        bound = (await self.counters()).items_sequence
        async for page in self._records("changes", [], bound):
            yield page

    async def event_ids(self) -> list[KeyValue]:
        """Event ids by the period in which they were taken."""
        names = [name for page in [page async for page in self._names()] for name in page if name.startswith(EVENT_IDS)]
        return [value for value in await self._values(sorted(names)) if value is not None]

    async def others(self, through: int) -> AsyncIterator[list[KeyValue]]:
        """All other keys, by name; of the notes of deleted users only those up to an offset."""
        found = [name for page in [page async for page in self._names()] for name in page if is_other(name)]
        names = sorted(found)
        for start in range(0, len(names), AT_ONCE):
            values = [value for value in await self._values(names[start : start + AT_ONCE]) if value is not None]
            yield [each for each in values if not each.name.startswith(DELETIONS) or int(each.value) <= through]

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    async def _records(self, script: str, fixed: Sequence[str], bound: int) -> AsyncIterator[list[Record]]:
        """Records of all, up to a page that is the last; behind `bound` pages grow, to overtake who writes them."""
        after, limit = 0, PAGE
        while True:
            answer = await self._connection.run(script, self._prefix, [*fixed, after, limit])
            ids, records = answer[0], answer[1]
            page = [
                Record(int(sequence), an_id.decode(), record)
                for an_id, sequence, record in zip(ids[::2], ids[1::2], records, strict=True)
            ]
            if page:
                yield page
                after = page[-1].sequence
            if len(page) < limit:
                return
            limit = limit if after < bound else 2 * limit

    async def _names(self) -> AsyncIterator[list[str]]:
        """Names of all keys, without the prefix, a page at a time; one may come twice."""
        cursor = 0
        while True:
            async with self._connection.session() as client:
                cursor, keys = await client.scan(cursor, match=f"{self._prefix}*", count=PAGE)
            if keys:
                yield [key.decode(errors="surrogateescape").removeprefix(self._prefix) for key in keys]
            if not cursor:
                return

    async def _values(self, names: Sequence[str]) -> list[KeyValue | None]:
        """What keys hold, in one transaction once their types are known; None for one that is gone."""
        distinct = list(dict.fromkeys(names))
        keys = [self._prefix + name for name in distinct]
        async with self._connection.session() as client, client.pipeline(transaction=False) as asking:
            for key in keys:
                asking.type(key)
            kinds = [kind.decode() for kind in await asking.execute()]
        there = [(name, key, kind) for name, key, kind in zip(distinct, keys, kinds, strict=True) if kind != "none"]
        async with self._connection.session() as client, client.pipeline(transaction=True) as reading:
            for _, key, kind in there:
                reading.pttl(key)
                ask_value(reading, key, kind)
            answers = await reading.execute() if there else []
        return [
            _key_value(name, kind, pttl, found)
            for (name, _, kind), pttl, found in zip(there, answers[::2], answers[1::2], strict=True)
        ]


def _key_value(name: str, kind: str, pttl: int, found: Any) -> KeyValue | None:
    if not found and found != b"":
        return None
    expires_at_ms = None if pttl < 0 else time.time_ns() // 1_000_000 + pttl
    return KeyValue(name, kind, expires_at_ms, plain_value(kind, found))


__all__ = ["LAST", "Counters", "KeyReader", "LogPayload", "Record"]
